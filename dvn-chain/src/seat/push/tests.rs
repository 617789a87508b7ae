use std::sync::{Arc, Mutex};

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::handshake::server::{Request, Response},
};

use super::*;
use crate::seat::SeatConfig;

type Server = WebSocketStream<TcpStream>;

/// Long enough for a slow machine, except where the test is about silence.
const PATIENT: Silence =
    Silence { answer: Duration::from_secs(60), ping: Duration::from_secs(60), head: Duration::from_secs(600) };

fn seat(address: std::net::SocketAddr) -> Seat {
    let mut config = SeatConfig::new("http://node.example/".parse().unwrap(), "acme".to_owned(), "geth".to_owned());
    config.ws = Some(crate::seat::RedactedUrl::web_socket(&format!("ws://user:hunter22@{address}/SECRETKEY")).unwrap());
    config.headers = vec![("X-Api-Key".to_owned(), "HEADERKEY".to_owned())];
    Seat::try_new("testchain", config).unwrap()
}

fn head(id: &str, number: u64) -> Message {
    let result = json!({ "number": U64::from(number), "hash": "0x00", "extra": [1, 2] });
    let params = json!({ "subscription": id, "result": result });
    Message::text(json!({ "jsonrpc": "2.0", "method": "eth_subscription", "params": params }).to_string())
}

#[expect(clippy::result_large_err, reason = "the library's callback")]
async fn accept(stream: TcpStream) -> Server {
    let check = |request: &Request, response: Response| {
        let header = |name: &str| request.headers().get(name).unwrap().to_str().unwrap().to_owned();
        assert_eq!(header("x-api-key"), "HEADERKEY");
        assert_eq!(header("authorization"), "Basic dXNlcjpodW50ZXIyMg==");
        assert_eq!(request.uri().path(), "/SECRETKEY");
        Ok(response)
    };
    accept_hdr_async(stream, check).await.unwrap()
}

/// Takes the subscription and names it.
async fn answer(server: &mut Server) {
    let asked: Value = serde_json::from_str(server.next().await.unwrap().unwrap().to_text().unwrap()).unwrap();
    assert_eq!((&asked["method"], &asked["params"]), (&json!("eth_subscribe"), &json!(["newHeads"])));
    let named = json!({ "jsonrpc": "2.0", "id": asked["id"], "result": "0xab" });
    server.send(Message::text(named.to_string())).await.unwrap();
}

/// What one subscription heard, and why it ended, with a seat that does this once it is subscribed at.
async fn heard<F: Future<Output = Server> + Send>(
    silence: Silence,
    serve: impl FnOnce(Server) -> F + Send + 'static,
) -> (Vec<u64>, SeatError) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let seat = seat(listener.local_addr().unwrap());
    let serving = async {
        let mut server = accept(listener.accept().await.unwrap().0).await;
        answer(&mut server).await;
        let server = serve(server).await;
        // Its end is the client's business.
        std::future::pending::<()>().await;
        drop(server);
    };
    let heard = Arc::new(Mutex::new(Vec::new()));
    let tell = |number: Option<BlockNumber>| heard.lock().unwrap().extend(number.map(|it| it.0));
    let Err(error) = tokio::select! {
        ended = subscription(&seat, silence, tell) => ended,
        () = serving => unreachable!("it waits"),
    };
    let heard = heard.lock().unwrap().clone();
    (heard, error)
}

/// What follows when the seat sends these.
async fn after(messages: Vec<Message>) -> (Vec<u64>, SeatError) {
    let serve = |mut server: Server| async move {
        for message in messages {
            if server.send(message).await.is_err() {
                break;
            }
        }
        server
    };
    heard(PATIENT, serve).await
}

#[tokio::test]
async fn heads_are_told_until_the_seat_ends_the_subscription() {
    let other = head("0xcd", 99);
    let (told, error) = after(vec![head("0xab", 7), other, head("0xab", 9), Message::Close(None)]).await;
    assert_eq!(told, [7, 9], "those of another subscription are not ours");
    assert_eq!(error.name(), "connection");
}

#[tokio::test]
async fn rubbish_ends_the_subscription() {
    let huge = head("0xab", 8).to_string().replace("0x00", &"0".repeat(dial::MOST_BYTES));
    let deep = Message::text(format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)));
    let no_number = json!({ "method": "eth_subscription", "params": { "subscription": "0xab", "result": {} } });
    let too_high = no_number.to_string().replace("{}", r#"{"number":"0x1ffffffffffffffff"}"#);
    let refused = json!({ "id": 1, "error": { "code": -32_601, "message": "no SECRETKEY\nhere" } });
    for (message, name) in [
        (Message::text("not json"), "malformed"),
        (Message::binary(vec![1, 2, 3]), "malformed"),
        (Message::text(huge), "malformed"),
        (deep, "malformed"),
        (Message::text(no_number.to_string()), "malformed"),
        (Message::text(too_high), "malformed"),
        (Message::text(refused.to_string()), "error"),
    ] {
        let (told, error) = after(vec![head("0xab", 7), message]).await;
        assert_eq!((told, error.name()), (vec![7], name), "{error}");
    }
}

#[tokio::test]
async fn a_flood_ends_the_subscription() {
    let flood =
        |number: u64| if number.is_multiple_of(2) { head("0xab", number) } else { Message::Ping(vec![7; 100].into()) };
    let (told, error) = after((0..100_000).map(flood).collect()).await;
    assert!(error.to_string().contains("messages in a second"), "{error}");
    assert!(told.len() < 100_000 / 2, "{}", told.len());
}

#[tokio::test]
async fn silence_ends_the_subscription() {
    let dead = Silence { ping: Duration::from_millis(50), ..PATIENT };
    let serve = |mut server: Server| async move {
        server.send(head("0xab", 7)).await.unwrap();
        server
    };
    let (told, error) = heard(dead, serve).await;
    assert_eq!((told, error), (vec![7], SeatError::Timeout), "who does not answer pings is gone");

    let stalled =
        Silence { ping: Duration::from_millis(50), answer: Duration::from_secs(60), head: Duration::from_millis(200) };
    let serve = |mut server: Server| async move {
        server.send(head("0xab", 7)).await.unwrap();
        // Reading answers pings.
        while server.next().await.is_some_and(|it| it.is_ok()) {}
        server
    };
    let (told, error) = heard(stalled, serve).await;
    assert_eq!((told, error), (vec![7], SeatError::Timeout), "who answers and pushes nothing has stalled");
}

#[tokio::test]
async fn a_seat_that_never_answers_is_left() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let seat = seat(listener.local_addr().unwrap());
    let silence = Silence { answer: Duration::from_millis(50), ..PATIENT };
    let chatter = async {
        let mut server = accept(listener.accept().await.unwrap().0).await;
        for _ in 0..2 * MOST_BEFORE {
            _ = server.send(head("0xab", 1)).await;
        }
        server
    };
    let (ended, _server) = tokio::join!(subscription(&seat, PATIENT, |_| {}), chatter);
    assert_eq!(ended.unwrap_err().name(), "malformed");
    let quiet = async { accept(listener.accept().await.unwrap().0).await };
    let (ended, _server) = tokio::join!(subscription(&seat, silence, |_| {}), quiet);
    assert_eq!(ended.unwrap_err(), SeatError::Timeout);
}

/// Serves one connection with an HTTP answer.
async fn says(listener: &TcpListener, answer: &str) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = [0; 1_024];
    _ = stream.read(&mut request).await;
    _ = stream.write_all(answer.as_bytes()).await;
    _ = stream.shutdown().await;
}

#[tokio::test]
async fn nothing_redirects_a_subscription() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let seat = seat(listener.local_addr().unwrap());
    let elsewhere = "HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
    for (answer, name) in [
        (elsewhere, "http"),
        ("HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", "http"),
        ("rubbish\r\n\r\n", "malformed"),
    ] {
        let (ended, ()) = tokio::join!(subscription(&seat, PATIENT, |_| {}), says(&listener, answer));
        assert_eq!(ended.unwrap_err().name(), name);
    }
}

#[tokio::test]
async fn a_certificate_of_nobody_known_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let files = dvn_testkit::tls::Authority::new().unwrap().issue("localhost", folder.path()).unwrap();
    let acceptor = acceptor(&files);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("wss://localhost:{}/SECRETKEY", listener.local_addr().unwrap().port());
    let url = crate::seat::RedactedUrl::web_socket(&url).unwrap();
    let serving = async {
        let (stream, _) = listener.accept().await.unwrap();
        acceptor.accept(stream).await.map(drop)
    };
    let headers = reqwest::header::HeaderMap::new();
    let (dialled, accepted) = tokio::join!(dial(&url, &headers), serving);
    let error = dialled.err().unwrap().to_string();
    assert!(error.contains("certificate"), "{error}");
    assert!(accepted.is_err());
}

fn acceptor(files: &dvn_testkit::tls::TlsFiles) -> tokio_rustls::TlsAcceptor {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
    let chain = CertificateDer::pem_file_iter(&files.cert).unwrap().collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_file(&files.key).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    tokio_rustls::TlsAcceptor::from(Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap()))
}

#[tokio::test]
async fn a_seat_that_comes_back_is_subscribed_at_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let seat = seat(listener.local_addr().unwrap());
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = |number: Option<BlockNumber>| told.lock().unwrap().push(number.map(|it| it.0));
    let serving = async {
        for number in [7, 8] {
            let mut server = accept(listener.accept().await.unwrap().0).await;
            answer(&mut server).await;
            server.send(head("0xab", number)).await.unwrap();
            server.send(Message::text("not json")).await.unwrap();
            while told.lock().unwrap().last() != Some(&None) || !told.lock().unwrap().contains(&Some(number)) {
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::select! {
        () = follow(&seat, PATIENT, tell) => unreachable!("for ever"),
        () = serving => {}
    }
    assert_eq!(*told.lock().unwrap(), [Some(7), None, Some(8), None], "what it said is void while it is away");
}

#[test]
fn pauses_grow_and_are_bounded() {
    assert!(pause(1) <= SHORTEST_PAUSE * 2);
    assert!(pause(4) >= SHORTEST_PAUSE * 8);
    assert!((LONGEST_PAUSE / 2..=LONGEST_PAUSE).contains(&pause(u32::MAX)));
}
