use super::*;

fn read(code: Code, message: &str) -> Failure {
    Refusal::read("AsymmetricSign", &Status::new(code, message)).failure
}

#[test]
fn each_code_has_its_class() {
    use SignErrorKind::{Auth, Key, Throttled, Timeout, Unavailable};
    for (code, expected) in [
        (Code::Unavailable, Unavailable),
        (Code::Aborted, Unavailable),
        (Code::Internal, Unavailable),
        (Code::Unknown, Unavailable),
        (Code::Cancelled, Unavailable),
        (Code::DataLoss, Unavailable),
        (Code::DeadlineExceeded, Timeout),
        (Code::ResourceExhausted, Throttled),
        (Code::Unauthenticated, Auth),
        (Code::PermissionDenied, Auth),
        (Code::NotFound, Key),
        (Code::FailedPrecondition, Key),
        (Code::InvalidArgument, Key),
        (Code::OutOfRange, Key),
        (Code::Unimplemented, Key),
    ] {
        assert_eq!(read(code, "s3cret").kind(), expected, "{code:?}");
        assert_eq!(read(code, "s3cret").to_string(), format!("AsymmetricSign was answered with {code:?}"));
    }
}

#[test]
fn what_comes_from_something_in_between_passes() {
    let message = "grpc-status header missing, mapped from HTTP status code 403";
    for code in [Code::PermissionDenied, Code::Unauthenticated, Code::Unimplemented] {
        let refusal = Refusal::read("AsymmetricSign", &Status::new(code, message));
        assert_eq!(refusal.failure.kind(), SignErrorKind::Unavailable);
    }
}

#[test]
fn a_digest_that_was_changed_on_the_way_is_no_fault_of_the_key() {
    let message = "The checksum in field digest_crc32c did not match the data in field digest.";
    let changed = read(Code::InvalidArgument, message);
    assert_eq!(changed, Failure::corrupted("AsymmetricSign was answered with InvalidArgument"));
    assert_eq!(read(Code::FailedPrecondition, message).kind(), SignErrorKind::Key);
}

#[test]
fn messages_are_searched_for_what_helps_and_not_repeated() {
    let denied = "Permission 'cloudkms.cryptoKeyVersions.useToSign' denied on resource 's3cret' (or it may not exist).";
    for (message, expected) in [
        (denied, ", permission cloudkms.cryptoKeyVersions.useToSign"),
        ("projects/s3cret/cryptoKeyVersions/1 is not enabled, current state is: DISABLED.", ", state DISABLED"),
        ("s3cret: current state is: DESTROY_SCHEDULED.", ", state DESTROY_SCHEDULED"),
        ("s3cret: current state is: DESTROYED.", ", state DESTROYED"),
        (
            "Cloud Key Management Service (KMS) API has not been used in project 1234 before or it is disabled. s3cret",
            ", the Cloud KMS API is not enabled in the project of the credentials",
        ),
        ("Service cloudkms.googleapis.com is s3cret", ""),
        ("cloudkms.", ", permission cloudkms."),
        ("s3cret", ""),
    ] {
        assert_eq!(hint(message), expected, "{message}");
    }
    assert_eq!(hint(&format!("cloudkms.{}", "a".repeat(80))), "");
}

#[test]
fn what_was_not_answered_is_told_from_answers() {
    let mut status = Status::unknown("h2 protocol error");
    status.set_source(std::sync::Arc::new(io::Error::from(io::ErrorKind::ConnectionReset)));
    let refusal = Refusal::read("AsymmetricSign", &status);
    assert_eq!(refusal.failure.to_string(), "AsymmetricSign was not answered: connection reset");
    assert_eq!((refusal.failure.kind(), refusal.is_answer()), (SignErrorKind::Unavailable, false));
    let late = Status::from_error(Box::new(TimeoutExpired(())));
    let refusal = Refusal::read("AsymmetricSign", &late);
    assert_eq!((refusal.failure.kind(), refusal.is_answer()), (SignErrorKind::Timeout, false));
    assert!(Refusal::read("AsymmetricSign", &Status::unknown("")).is_answer());
}
