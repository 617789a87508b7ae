use std::fmt;

use url::{Host, Url};

/// A URL whose path, query and user may hold a key: it prints its scheme, host and port alone.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretUrl(Url);

impl SecretUrl {
    /// Parses a URL that has a host and one of the schemes. The error never repeats the text.
    pub(crate) fn parse(text: &str, schemes: &[&str]) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("not a URL: {error}"))?;
        if !schemes.contains(&url.scheme()) {
            return Err(format!("the URL must start with {}://", schemes.join(":// or ")));
        }
        if url.host().is_none() {
            return Err("the URL has no host".to_owned());
        }
        Ok(Self(url))
    }

    /// The whole URL, secrets included. For the connection alone, never for people.
    #[must_use]
    pub const fn expose(&self) -> &Url {
        &self.0
    }

    /// The host, without port.
    #[must_use]
    pub fn host(&self) -> Option<Host<&str>> {
        self.0.host()
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.0.scheme(), self.0.host_str().unwrap_or_default())?;
        self.0.port().map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_scheme_host_and_port_is_printed() {
        let url =
            SecretUrl::parse("https://user:s3cret@node.example:8443/s3cret?key=s3cret#s3cret", &["https"]).unwrap();
        assert_eq!(format!("{url} {url:?}"), "https://node.example:8443 https://node.example:8443");
        assert!(url.expose().as_str().contains("s3cret"));
    }

    #[test]
    fn errors_do_not_repeat_the_text() {
        for text in ["s3cret", "ftp://s3cret", "http://:80/s3cret", "https:s3cret:x:"] {
            let error = SecretUrl::parse(text, &["http", "https"]).unwrap_err();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
