//! The way to a seat's WebSocket: TCP, TLS with the trust of the HTTP client, handshake. Nothing redirects it.

use std::{io, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Error, client::IntoClientRequest, protocol::WebSocketConfig},
};
use url::{Host, Url};

use crate::seat::{RedactedUrl, SeatError};

/// Longest message that is read; a header takes two kilobytes.
pub(super) const MOST_BYTES: usize = 64 * 1024;
/// Longest backlog of what is written: pings, and pongs to a seat that asks for them and reads none.
const MOST_WRITTEN: usize = 16 * 1024;
const READ_BUFFER: usize = 8 * 1024;

/// A way to the seat, encrypted or not.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

pub(super) type Socket = WebSocketStream<Box<dyn Stream>>;

/// Connects.
///
/// # Errors
/// [`SeatError`], without the URL's secrets only once it is scrubbed.
pub(super) async fn dial(ws: &RedactedUrl, headers: &HeaderMap) -> Result<Socket, SeatError> {
    let url = ws.expose();
    let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
        return Err(SeatError::Connection("the URL has no host".to_owned()));
    };
    let tcp = match host {
        Host::Domain(name) => TcpStream::connect((name, port)).await,
        Host::Ipv4(address) => TcpStream::connect((address, port)).await,
        Host::Ipv6(address) => TcpStream::connect((address, port)).await,
    };
    let tcp = tcp.and_then(|tcp| tcp.set_nodelay(true).map(|()| tcp)).map_err(broken)?;
    let stream: Box<dyn Stream> =
        if url.scheme() == "wss" { Box::new(encrypted(&host, tcp).await?) } else { Box::new(tcp) };
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(MOST_WRITTEN)
        .max_message_size(Some(MOST_BYTES))
        .max_frame_size(Some(MOST_BYTES));
    let request = request(url, headers).map_err(failed)?;
    let (socket, _) = client_async_with_config(request, stream, Some(config)).await.map_err(failed)?;
    Ok(socket)
}

async fn encrypted(host: &Host<&str>, tcp: TcpStream) -> Result<impl Stream + use<>, SeatError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(BuilderVerifierExt::with_platform_verifier)
        .map_err(|error| SeatError::Connection(error.to_string()))?
        .with_no_client_auth();
    let name = match host {
        Host::Domain(name) => {
            ServerName::try_from((*name).to_owned()).map_err(|error| broken(io::Error::other(error)))?
        }
        Host::Ipv4(address) => ServerName::from(std::net::IpAddr::from(*address)),
        Host::Ipv6(address) => ServerName::from(std::net::IpAddr::from(*address)),
    };
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await.map_err(broken)
}

/// The handshake's request, with the headers that every request of the seat has.
fn request(
    url: &Url,
    headers: &HeaderMap,
) -> Result<tokio_tungstenite::tungstenite::handshake::client::Request, Error> {
    let mut request = url.as_str().into_client_request()?;
    if !url.username().is_empty() {
        let pair = format!("{}:{}", url.username(), url.password().unwrap_or_default());
        let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair)))?;
        value.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    request.headers_mut().extend(headers.clone());
    Ok(request)
}

/// What a failed socket means.
pub(super) fn failed(error: Error) -> SeatError {
    match error {
        Error::Http(response) => SeatError::Http(response.status().as_u16()),
        Error::Capacity(_) => SeatError::TooLong(MOST_BYTES),
        Error::Protocol(error) => SeatError::malformed(error.to_string()),
        Error::Utf8(error) => SeatError::malformed(error),
        Error::Io(error) => broken(error),
        other => SeatError::Connection(other.to_string()),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "what map_err hands over")]
fn broken(error: io::Error) -> SeatError {
    SeatError::Connection(error.to_string())
}
