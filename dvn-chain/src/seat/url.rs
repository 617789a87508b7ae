use std::{fmt, str::FromStr};

use thiserror::Error;
use url::Url;

/// Text that is not a URL of a seat. The text is not shown, since it may hold a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UrlError {
    /// Not an absolute URL.
    #[error("not an absolute URL such as https://host/path")]
    Syntax,
    /// Not HTTP.
    #[error("not an http or https URL with a host")]
    Scheme,
    /// Not a WebSocket.
    #[error("not a ws or wss URL with a host")]
    WebSocketScheme,
}

/// A URL that may hold a key, in its path, query or user part. Prints as scheme and host only.
#[derive(Clone, PartialEq, Eq)]
pub struct RedactedUrl(Url);

/// Longest text of a seat that is passed on.
const MOST_TEXT: usize = 300;
/// Path segments shorter than this are no keys; hiding them would only spoil messages.
const SHORTEST_KEY: usize = 6;

impl RedactedUrl {
    /// The URL of a WebSocket, `ws` or `wss`.
    ///
    /// # Errors
    /// [`UrlError`]; it never shows the text.
    pub fn web_socket(text: &str) -> Result<Self, UrlError> {
        let url = Url::parse(text).map_err(|_| UrlError::Syntax)?;
        let is_web_socket = matches!(url.scheme(), "ws" | "wss") && url.has_host();
        if is_web_socket { Ok(Self(url)) } else { Err(UrlError::WebSocketScheme) }
    }

    /// The whole URL, for connecting and nothing else.
    pub(crate) const fn expose(&self) -> &Url {
        &self.0
    }

    /// Host and port.
    pub(crate) fn host(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        self.0.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// A seat's or library's text without this URL's secrets, on one line and of bounded length.
    pub(crate) fn scrub(&self, text: &str) -> String {
        let mut text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        for secret in self.secrets() {
            text = text.replace(secret, "[redacted]");
        }
        match text.char_indices().nth(MOST_TEXT) {
            Some((end, _)) => {
                text.truncate(end);
                text.push('…');
                text
            }
            None => text,
        }
    }

    /// Longest first, so that no part of a secret stays behind after a shorter one was cut out of it.
    fn secrets(&self) -> Vec<&str> {
        let url = &self.0;
        let segments = url.path_segments().into_iter().flatten();
        let parts =
            [Some(url.as_str()), Some(url.path()), url.query(), url.password(), Some(url.username()), url.fragment()];
        let values = url.query().into_iter().flat_map(|query| query.split(['&', '=']));
        let mut secrets: Vec<&str> = parts.into_iter().flatten().chain(segments).chain(values).collect();
        secrets.retain(|secret| secret.len() >= SHORTEST_KEY);
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets
    }
}

impl FromStr for RedactedUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let url = Url::parse(text).map_err(|_| UrlError::Syntax)?;
        let is_http = matches!(url.scheme(), "http" | "https") && url.has_host();
        if is_http { Ok(Self(url)) } else { Err(UrlError::Scheme) }
    }
}

impl fmt::Display for RedactedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.0.scheme(), self.host())
    }
}

impl fmt::Debug for RedactedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://user:hunter22@node.example:8443/v3/SECRETKEY?apikey=QUERYKEY";

    #[test]
    fn a_url_prints_scheme_and_host_only() {
        let url: RedactedUrl = URL.parse().unwrap();
        assert_eq!(format!("{url}"), "https://node.example:8443");
        assert_eq!(format!("{url:?}"), "https://node.example:8443");
    }

    #[test]
    fn a_nodes_echo_of_the_key_is_cut_out() {
        let url: RedactedUrl = URL.parse().unwrap();
        let text = url.scrub(&format!("GET {URL} key SECRETKEY, QUERYKEY, hunter22\nnext"));
        for secret in ["SECRETKEY", "QUERYKEY", "hunter22", "\n"] {
            assert!(!text.contains(secret), "{text}");
        }
    }

    #[test]
    fn long_text_is_cut() {
        let url: RedactedUrl = URL.parse().unwrap();
        assert_eq!(url.scrub(&"é".repeat(1000)).chars().count(), MOST_TEXT + 1);
    }

    #[test]
    fn only_http_is_taken_and_the_text_is_not_shown() {
        assert_eq!("ws://node/KEYKEYKEY".parse::<RedactedUrl>(), Err(UrlError::Scheme));
        assert_eq!("node/KEYKEYKEY".parse::<RedactedUrl>(), Err(UrlError::Syntax));
        assert_eq!(RedactedUrl::web_socket("http://node/KEYKEYKEY"), Err(UrlError::WebSocketScheme));
        let pushed = RedactedUrl::web_socket("wss://user:hunter22@node.example/KEYKEYKEY").unwrap();
        assert_eq!(format!("{pushed} {pushed:?}"), "wss://node.example wss://node.example");
        assert!(!UrlError::Syntax.to_string().contains("KEYKEYKEY"));
    }
}
