use super::*;

fn refusal(status: u16, code: &str) -> Refusal {
    let mut raw = Raw::new(status.try_into().unwrap(), "".into());
    raw.headers_mut().insert("date", "Mon, 23 Nov 2026 10:42:40 GMT");
    Refusal::answered("Sign", &raw, code.to_owned(), "1-2", service_time())
}

fn service_time() -> SystemTime {
    SystemTime::try_from(DateTime::from_str("2026-11-23T10:42:40Z", DateTimeFormat::DateTime).unwrap()).unwrap()
}

#[test]
fn each_code_has_its_class() {
    use SignErrorKind::{Auth, Key, Throttled, Unavailable};
    for (status, code, expected) in [
        (400, "ThrottlingException", Throttled),
        (400, "Throttling", Throttled),
        (400, "ThrottledException", Throttled),
        (400, "LimitExceededException", Throttled),
        (400, "TooManyRequestsException", Throttled),
        (400, "RequestLimitExceeded", Throttled),
        (429, "Something", Throttled),
        (500, "KMSInternalException", Unavailable),
        (503, "DependencyTimeoutException", Unavailable),
        (500, "KeyUnavailableException", Unavailable),
        (400, "KeyUnavailableException", Unavailable),
        (500, "InternalFailure", Unavailable),
        (503, "ServiceUnavailableException", Unavailable),
        (502, "AccessDeniedException", Unavailable),
        (200, "", Unavailable),
        (403, "", Unavailable),
        (400, "AccessDeniedException", Auth),
        (400, "ExpiredTokenException", Auth),
        (400, "UnrecognizedClientException", Auth),
        (400, "InvalidSignatureException", Auth),
        (400, "IncompleteSignatureException", Auth),
        (400, "MissingAuthenticationTokenException", Auth),
        (400, "InvalidGrantTokenException", Auth),
        (403, "Something", Auth),
        (400, "NotFoundException", Key),
        (400, "DisabledException", Key),
        (400, "KMSInvalidStateException", Key),
        (400, "InvalidKeyUsageException", Key),
        (400, "InvalidArnException", Key),
        (400, "ValidationException", Key),
        (400, "UnsupportedOperationException", Key),
        (400, "UnknownOperationException", Key),
    ] {
        assert_eq!(refusal(status, code).failure.kind(), expected, "{status} {code}");
    }
}

#[test]
fn the_cause_names_code_and_request() {
    let told = refusal(400, "AccessDeniedException").failure.to_string();
    assert_eq!(told, "Sign was answered with status 400, code AccessDeniedException, request 1-2");
}

#[test]
fn a_refused_date_is_told_from_a_refused_secret() {
    let told = |now: SystemTime| {
        let mut raw = Raw::new(400.try_into().unwrap(), "".into());
        raw.headers_mut().insert("date", "Mon, 23 Nov 2026 10:42:40 GMT");
        Refusal::answered("Sign", &raw, "InvalidSignatureException".to_owned(), "", now).failure.to_string()
    };
    let far = Duration::from_secs(600);
    for now in [service_time().checked_add(far).unwrap(), service_time().checked_sub(far).unwrap()] {
        assert!(told(now).ends_with(WRONG_CLOCK), "{}", told(now));
    }
    assert!(!told(service_time()).contains("clock"));
}

#[test]
fn the_pause_is_in_milliseconds() {
    let pause = |text: &'static str| {
        let mut raw = Raw::new(400.try_into().unwrap(), "".into());
        raw.headers_mut().insert("x-amz-retry-after", text);
        asked_pause(&raw)
    };
    assert_eq!(pause("1500"), Some(Duration::from_millis(1_500)));
    assert_eq!(pause("soon"), None);
}

#[test]
fn only_what_is_said_of_the_access_key_asks_for_another() {
    for (code, expected) in [
        ("ExpiredTokenException", true),
        ("UnrecognizedClientException", true),
        ("AccessDeniedException", false),
        ("InvalidSignatureException", false),
        ("", false),
    ] {
        assert_eq!(refusal(400, code).is_about_the_key(), expected, "{code}");
    }
}
