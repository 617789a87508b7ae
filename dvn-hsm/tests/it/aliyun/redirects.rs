//! Whoever answers may send us elsewhere; access keys and tokens do not go there.

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    thread,
};

use dvn_core::error::SignErrorKind;
use dvn_hsm::{AliyunCredentials, AliyunKmsConfig, AliyunKmsSigner};
use reqwest::Url;

use super::{World, access_key};

/// Sends every request on to `there`, method and body kept.
fn redirector(there: &Url) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let here = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let there = there.clone();
    thread::spawn(move || listener.incoming().flatten().for_each(|stream| send_on(&stream, &there)));
    here
}

fn send_on(mut stream: &TcpStream, there: &Url) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let path = lines.next().and_then(|line| line.split(' ').nth(1).map(str::to_owned)).unwrap_or_default();
    lines.take_while(|line| !line.is_empty()).for_each(drop);
    let to = there.join(&path).unwrap();
    let answer =
        format!("HTTP/1.1 307 Temporary Redirect\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes()).unwrap();
}

async fn refusal(config: AliyunKmsConfig) -> SignErrorKind {
    AliyunKmsSigner::open(config).await.unwrap_err().kind()
}

#[tokio::test]
async fn the_service_cannot_send_a_request_elsewhere() {
    let world = World::new();
    let config = AliyunKmsConfig::at(redirector(world.kms.url()), &world.key.id, access_key());
    assert_eq!(refusal(config).await, SignErrorKind::Unavailable);
}

#[tokio::test]
async fn the_metadata_server_cannot_name_another() {
    let world = World::new();
    world.kms.set_role("dvn-node", std::time::Duration::from_secs(3_600));
    let credentials = AliyunCredentials::ecs_ram_role("dvn-node").with_metadata_server(redirector(world.kms.url()));
    assert_eq!(refusal(world.config_of(&world.key.id, credentials)).await, SignErrorKind::Unavailable);
    assert_eq!(world.kms.lent(), 0);
}
