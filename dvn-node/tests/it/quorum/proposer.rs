//! Somebody who holds a peer's certificate and asks what that peer would not.

use std::{collections::BTreeSet, time::Duration};

use alloy_primitives::B256;
use dvn_testkit::tls::TlsFiles;
use reqwest::{Certificate, Client, Identity, tls::Version};
use serde_json::{Value, json};

fn client(files: &TlsFiles, with_certificate: bool) -> Client {
    let read = |path| std::fs::read(path).unwrap();
    let ca = Certificate::from_pem(&read(&files.ca)).unwrap();
    // Whom we talk to is not what is tested here.
    let builder = Client::builder().tls_certs_only([ca]).tls_danger_accept_invalid_hostnames(true);
    let builder = builder.min_tls_version(Version::TLS_1_3).timeout(Duration::from_secs(20));
    let pem = [read(&files.cert), read(&files.key)].concat();
    let builder = if with_certificate { builder.identity(Identity::from_pem(&pem).unwrap()) } else { builder };
    builder.build().unwrap()
}

/// A journal as a proposal shows it, of a peer that cannot be asked about it.
pub(super) fn journal() -> Value {
    json!({ "id": B256::repeat_byte(9), "rows": 0, "head": B256::ZERO })
}

/// What the node says of itself.
pub(super) async fn health(port: u16, files: &TlsFiles) -> reqwest::Result<Value> {
    client(files, true).get(format!("https://127.0.0.1:{port}/v1/health")).send().await?.json().await
}

pub(super) async fn health_without_certificate(port: u16, files: &TlsFiles) -> reqwest::Result<Value> {
    client(files, false).get(format!("https://127.0.0.1:{port}/v1/health")).send().await?.json().await
}

/// Asks for a signature; status and answer.
pub(super) async fn propose(port: u16, files: &TlsFiles, asked: &Value) -> (u16, Value) {
    post(port, files, "/v1/cosign", asked).await
}

/// Asks anything at all; status and answer.
pub(super) async fn post(port: u16, files: &TlsFiles, path: &str, asked: &Value) -> (u16, Value) {
    let url = format!("https://127.0.0.1:{port}{path}");
    let response = client(files, true).post(url).json(asked).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap_or_default())
}

/// Asks so many times at once; each status that was answered.
pub(super) async fn flood(port: u16, files: &TlsFiles, asked: &Value, times: usize) -> BTreeSet<u16> {
    let (client, url) = (client(files, true), format!("https://127.0.0.1:{port}/v1/cosign"));
    let requests = (0..times).map(|_| client.post(&url).json(asked).send());
    let answers = futures::future::join_all(requests).await;
    answers.into_iter().flatten().map(|answer| answer.status().as_u16()).collect()
}

/// Asks until the packet is final for the node as well.
pub(super) async fn until_signed(port: u16, files: &TlsFiles, asked: &Value) -> Value {
    for _ in 0..60 {
        let (status, answer) = propose(port, files, asked).await;
        if status == 200 {
            return answer;
        }
        assert!(answer["refused"] == "NotYet" || answer["refused"] == "Unavailable", "{answer}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("it was never signed");
}
