//! A network that is cut, silent and whole again.

use std::time::Duration;

use dvn_testkit::cut::Cut;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::timeout,
};

/// Longer than anything takes that is about to happen.
const LONG: Duration = Duration::from_secs(60);
/// Long enough to see what happens although it must not.
const MOMENT: Duration = Duration::from_millis(200);

/// A server that says back what it is told.
async fn echo() -> (Cut, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let cut = Cut::start(listener.local_addr().unwrap()).await.unwrap();
    let server = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                tokio::io::copy(&mut from, &mut to).await
            });
        }
    });
    (cut, server)
}

async fn say(stream: &mut TcpStream, word: &[u8; 4]) {
    stream.write_all(word).await.unwrap();
}

async fn hears(stream: &mut TcpStream, word: &[u8; 4]) {
    let mut heard = [0; 4];
    timeout(LONG, stream.read_exact(&mut heard)).await.unwrap().unwrap();
    assert_eq!(&heard, word);
}

#[tokio::test]
async fn a_cut_ends_connections_and_refuses_new_ones() {
    let (cut, server) = echo().await;
    let mut stream = TcpStream::connect(cut.address()).await.unwrap();
    say(&mut stream, b"here").await;
    hears(&mut stream, b"here").await;
    cut.cut().await;
    assert!(matches!(timeout(LONG, stream.read_u8()).await, Ok(Err(_))));
    assert!(TcpStream::connect(cut.address()).await.is_err());
    cut.heal().await;
    let mut stream = TcpStream::connect(cut.address()).await.unwrap();
    say(&mut stream, b"back").await;
    hears(&mut stream, b"back").await;
    server.abort();
}

#[tokio::test]
async fn silence_holds_back_and_loses_nothing() {
    let (cut, server) = echo().await;
    let mut old = TcpStream::connect(cut.address()).await.unwrap();
    say(&mut old, b"here").await;
    hears(&mut old, b"here").await;
    cut.silence().await;
    let mut new = TcpStream::connect(cut.address()).await.unwrap();
    for stream in [&mut old, &mut new] {
        say(stream, b"held").await;
        assert!(timeout(MOMENT, stream.read_u8()).await.is_err());
    }
    cut.heal().await;
    for stream in [&mut old, &mut new] {
        hears(stream, b"held").await;
    }
    server.abort();
}
