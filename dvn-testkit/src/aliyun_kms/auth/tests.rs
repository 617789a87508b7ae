use axum::http::{HeaderName, HeaderValue};

use super::*;
use crate::key_service::Account;

const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const QUERY: &str = "/?KeyId=alias%2Fdvn%20signer%2A~&Digest=%2B%2F%3D";

fn state() -> State {
    let mut state = State::default();
    state.ledger.accounts.insert("id".to_owned(), Account::lasting("secret"));
    state
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
}

/// A request of this nonce and this age, signed with this secret.
fn request(nonce: &str, age: Duration, secret: &str) -> (Uri, HeaderMap) {
    let (uri, mut headers) = (QUERY.parse::<Uri>().unwrap(), HeaderMap::new());
    let date = humantime::format_rfc3339_seconds(now().checked_sub(age).unwrap()).to_string();
    for (name, value) in [
        ("host", "127.0.0.1:1234"),
        ("x-acs-action", "DescribeKey"),
        ("x-acs-content-sha256", EMPTY),
        ("x-acs-date", &date),
        ("x-acs-signature-nonce", nonce),
    ] {
        set(&mut headers, name, value);
    }
    let signed = "host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce";
    let signature = expected(secret, &canonical(&uri, &headers, signed).unwrap()).unwrap();
    let value = format!("ACS3-HMAC-SHA256 Credential=id,SignedHeaders={signed},Signature={signature}");
    set(&mut headers, "authorization", &value);
    (uri, headers)
}

fn code(state: &mut State, (uri, headers): &(Uri, HeaderMap)) -> Option<String> {
    check(state, uri, headers, b"").err().map(|answer| answer.code().to_owned())
}

#[test]
fn a_good_request_passes_once() {
    let (mut state, good) = (state(), request("1", Duration::ZERO, "secret"));
    assert_eq!(code(&mut state, &good), None);
    assert_eq!(code(&mut state, &good).as_deref(), Some("SignatureNonceUsed"));
    assert_eq!(code(&mut state, &request("2", Duration::from_secs(800), "secret")), None);
}

#[test]
fn anything_else_is_refused() {
    let (mut state, now) = (state(), Duration::ZERO);
    let old = request("1", Duration::from_secs(1_000), "secret");
    assert_eq!(code(&mut state, &old).as_deref(), Some("InvalidTimeStamp.Expired"));
    assert_eq!(code(&mut state, &request("1", now, "other")).as_deref(), Some("SignatureDoesNotMatch"));
    let (_, headers) = request("1", now, "secret");
    let elsewhere = ("/?KeyId=other".parse().unwrap(), headers.clone());
    assert_eq!(code(&mut state, &elsewhere).as_deref(), Some("SignatureDoesNotMatch"));
    let mut more = (QUERY.parse().unwrap(), headers.clone());
    set(&mut more.1, "x-acs-version", "2016-01-20");
    assert_eq!(code(&mut state, &more).as_deref(), Some("IncompleteSignature"), "it must be signed");
    let mut token = (QUERY.parse().unwrap(), headers);
    set(&mut token.1, "authorization", "Bearer x");
    assert_eq!(code(&mut state, &token).as_deref(), Some("IncompleteSignature"));
    state.ledger.accounts.clear();
    assert_eq!(code(&mut state, &request("1", now, "secret")).as_deref(), Some("InvalidAccessKeyId.NotFound"));
}

/// The fixed example of the public documentation.
#[test]
fn the_documented_example_is_understood() {
    let uri = "/?ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai".parse().unwrap();
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("host", "ecs.cn-shanghai.aliyuncs.com"),
        ("x-acs-action", "RunInstances"),
        ("x-acs-content-sha256", EMPTY),
        ("x-acs-date", "2023-10-26T10:22:32Z"),
        ("x-acs-signature-nonce", "3156853299f313e23d1673dc12e1703d"),
        ("x-acs-version", "2014-05-26"),
    ] {
        set(&mut headers, name, value);
    }
    let signed = "host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version";
    let canonical = canonical(&uri, &headers, signed).unwrap();
    let signature = "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0";
    assert_eq!(expected("YourAccessKeySecret", &canonical).as_deref(), Some(signature));
}
