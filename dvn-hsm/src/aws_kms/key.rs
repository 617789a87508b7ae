//! What the service says about the key before it is used, and what it must say.

use alloy_primitives::Address;
use aws_sdk_kms::types::KeyMetadata;
use dvn_core::error::{SignError, SignErrorKind};
use k256::{ecdsa::VerifyingKey, pkcs8::DecodePublicKey};

use super::client::Client;
use crate::service::{
    Failure, Service,
    key::{self, warn_if_imported},
};

/// Looks the key up, checks that it is one that can sign for us, and gives its ARN.
pub(super) async fn find(service: &Service, client: &Client, name: &str) -> Result<String, SignError> {
    let described = service
        .call(|| async {
            let asked = client.ask("DescribeKey", |kms| kms.describe_key().key_id(name).send()).await;
            let metadata = asked.map_err(|refusal| refusal.failure)?.key_metadata;
            metadata.ok_or_else(|| Failure::unavailable("DescribeKey was answered without a key"))
        })
        .await?;
    check(&described).map_err(|failure| failure.into_error(service.key()))?;
    warn_if_imported(service.key(), described.origin().map_or("", |origin| origin.as_str()));
    let arn = described.arn.filter(|arn| !arn.is_empty());
    arn.ok_or_else(|| Failure::unavailable("DescribeKey was answered without an ARN").into_error(service.key()))
}

fn check(described: &KeyMetadata) -> Result<(), Failure> {
    key::ensure(&[
        ("KeySpec", described.key_spec().map_or("", |it| it.as_str()), "ECC_SECG_P256K1"),
        ("KeyUsage", described.key_usage().map_or("", |it| it.as_str()), "SIGN_VERIFY"),
        ("KeyState", described.key_state().map_or("", |it| it.as_str()), "Enabled"),
    ])
}

/// Computes the key's address. Another curve than ours is seen here at the latest.
pub(super) async fn address(
    service: &Service,
    client: &Client,
    arn: &str,
    expected: Option<Address>,
) -> Result<Address, SignError> {
    let der = service
        .call(|| async {
            let asked = client.ask("GetPublicKey", |kms| kms.get_public_key().key_id(arn).send()).await;
            let answer = asked.map_err(|refusal| refusal.failure)?;
            ensure_named("GetPublicKey", answer.key_id(), arn)?;
            answer.public_key.ok_or_else(|| Failure::unavailable("GetPublicKey was answered without a public key"))
        })
        .await?;
    let public = VerifyingKey::from_public_key_der(der.as_ref()).ok();
    key::address(public, "DER", expected).map_err(|failure| failure.into_error(service.key()))
}

/// That the answer is about the key that was asked for: it names the ARN, or the id in which that ends.
pub(super) fn ensure_named(action: &str, found: Option<&str>, arn: &str) -> Result<(), Failure> {
    let id = arn.rsplit_once('/').map(|(_, id)| id);
    match found {
        Some(found) if found == arn || id == Some(found) => Ok(()),
        Some(_) => Err(Failure::new(SignErrorKind::Integrity, format!("{action} was answered for another key"))),
        None => Err(Failure::unavailable(format!("{action} was answered without the key's name"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd";

    #[test]
    fn an_answer_names_the_key_that_was_asked_for() {
        for name in [ARN, "1234abcd"] {
            assert_eq!(ensure_named("Sign", Some(name), ARN), Ok(()));
        }
        for other in [
            "",
            "1234",
            "key/1234abcd",
            "arn:aws:kms:eu-central-1:111122223333:key/5678",
            "arn:aws:kms:us-east-1:111122223333:key/1234abcd",
        ] {
            let failure = ensure_named("Sign", Some(other), ARN).unwrap_err();
            assert_eq!(failure.kind(), SignErrorKind::Integrity, "{other}");
        }
        assert_eq!(ensure_named("Sign", None, ARN).unwrap_err().kind(), SignErrorKind::Unavailable);
    }
}
