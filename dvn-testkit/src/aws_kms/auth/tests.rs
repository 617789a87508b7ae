use axum::http::{HeaderName, HeaderValue};

use super::*;

const BODY: &[u8] = br#"{"KeyId":"alias/dvn"}"#;

fn state() -> State {
    let mut state = State::default();
    state.ledger.accounts.insert("id".to_owned(), Account::lasting("secret"));
    state
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
}

/// A request of this age for this region, signed with this secret.
fn request(age: Duration, region: &str, secret: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let date = humantime::format_rfc3339_seconds(now().checked_sub(age).unwrap()).to_string().replace(['-', ':'], "");
    for (name, value) in
        [("host", "127.0.0.1:1234"), ("x-amz-date", &date), ("x-amz-target", "TrentService.DescribeKey")]
    {
        set(&mut headers, name, value);
    }
    let (signed, scope) = ("host;x-amz-date;x-amz-target", format!("{}/{region}/kms/aws4_request", &date[..8]));
    let canonical = canonical(&uri(), &headers, signed, BODY).unwrap();
    let signature = expected(secret, &scope, &date, &canonical).unwrap();
    let value = format!("{ALGORITHM} Credential=id/{scope}, SignedHeaders={signed}, Signature={signature}");
    set(&mut headers, "authorization", &value);
    headers
}

fn uri() -> Uri {
    Uri::from_static("/")
}

fn code(headers: &HeaderMap) -> Option<String> {
    check(&state(), &uri(), headers, BODY).err().map(|answer| answer.code().to_owned())
}

fn fresh() -> HeaderMap {
    request(Duration::ZERO, REGION, "secret")
}

#[test]
fn a_good_request_passes() {
    assert_eq!(code(&fresh()), None);
    assert_eq!(code(&request(Duration::from_secs(280), REGION, "secret")), None);
}

#[test]
fn anything_else_is_refused() {
    let wrong = Some("InvalidSignatureException");
    assert_eq!(code(&request(Duration::from_secs(320), REGION, "secret")).as_deref(), wrong);
    assert_eq!(code(&request(Duration::ZERO, "us-east-1", "secret")).as_deref(), wrong);
    assert_eq!(code(&request(Duration::ZERO, REGION, "other")).as_deref(), wrong);
    let other_body = check(&state(), &uri(), &fresh(), b"{}").unwrap_err();
    assert_eq!(other_body.code(), "InvalidSignatureException");
    let mut more = fresh();
    set(&mut more, "x-amz-security-token", "token");
    assert_eq!(code(&more).as_deref(), Some("IncompleteSignatureException"), "it must be signed");
    let mut another = fresh();
    set(&mut another, "x-amz-target", "TrentService.Sign");
    assert_eq!(code(&another).as_deref(), wrong);
    let mut bearer = fresh();
    set(&mut bearer, "authorization", "Bearer x");
    assert_eq!(code(&bearer).as_deref(), Some("IncompleteSignatureException"));
    bearer.remove("authorization");
    assert_eq!(code(&bearer).as_deref(), Some("MissingAuthenticationTokenException"));
    let nobody = check(&State::default(), &uri(), &fresh(), BODY).unwrap_err();
    assert_eq!(nobody.code(), "UnrecognizedClientException");
}

#[test]
fn a_lent_key_needs_its_token_and_ends() {
    let mut state = state();
    let account = Account { secret: "secret".to_owned(), token: Some("token".to_owned()), until: None };
    assert!(check_token(&account, Some("token")).is_ok());
    for given in [None, Some("other")] {
        assert_eq!(check_token(&account, given).unwrap_err().code(), "UnrecognizedClientException");
    }
    let ended = Account { until: Some(SystemTime::UNIX_EPOCH), ..account };
    assert_eq!(check_token(&ended, Some("token")).unwrap_err().code(), "ExpiredTokenException");
    state.ledger.accounts.insert("id".to_owned(), ended);
    assert_eq!(check(&state, &uri(), &fresh(), BODY).unwrap_err().code(), "UnrecognizedClientException");
}

/// A vector of the test suite that AWS publishes for its signatures, `post-vanilla`.
#[test]
fn a_published_vector_is_understood() {
    let mut headers = HeaderMap::new();
    set(&mut headers, "host", "example.amazonaws.com");
    set(&mut headers, "x-amz-date", "20150830T123600Z");
    let canonical = canonical(&uri(), &headers, "host;x-amz-date", b"").unwrap();
    let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    let found = expected(secret, "20150830/us-east-1/service/aws4_request", "20150830T123600Z", &canonical);
    assert_eq!(found.as_deref(), Some("5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"));
}
