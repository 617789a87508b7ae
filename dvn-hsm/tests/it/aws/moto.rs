//! The stand-in beside moto, which is somebody else's reading of the documentation: the same requests to both.
//!
//! They are known to differ where moto is laxer: it looks at no signature, signs with disabled and condemned keys, takes
//! digests of any length, knows no rehearsals, leaves `KeySpec` out of `GetPublicKey` and names the key by its id there.

use aws_sdk_kms::{
    Client, Config,
    config::{Credentials, Region},
    error::{ProvideErrorMetadata, SdkError},
    primitives::Blob,
    types::{KeySpec, KeyUsageType, MessageType, SigningAlgorithmSpec},
};
use dvn_core::ports::Signer;
use dvn_hsm::{AwsKmsConfig, AwsKmsSigner, testing};
use dvn_testkit::{
    aws_kms::{ACCESS_KEY_ID, AwsKms, REGION, SECRET_ACCESS_KEY},
    moto::Moto,
};
use k256::{
    ecdsa::{Signature, VerifyingKey, signature::hazmat::PrehashVerifier},
    pkcs8::DecodePublicKey,
};
use reqwest::Url;

use super::access_key;
use crate::service_suite::DIGEST;

fn client(url: &Url) -> Client {
    let credentials = Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None, None, "test");
    let config = Config::builder()
        .region(Region::new(REGION))
        .credentials_provider(credentials)
        .endpoint_url(url.as_str().trim_end_matches('/'));
    Client::from_conf(config.build())
}

/// The code of a refusal.
fn code<T, E: ProvideErrorMetadata, R>(outcome: Result<T, SdkError<E, R>>) -> String {
    outcome.err().and_then(|error| error.code().map(str::to_owned)).unwrap_or_default()
}

/// Everything of a conversation that does not change from key to key.
async fn told(kms: &Client) -> Vec<String> {
    let create = kms.create_key().key_spec(KeySpec::EccSecgP256K1).key_usage(KeyUsageType::SignVerify).send();
    let made = create.await.unwrap().key_metadata.unwrap();
    let arn = made.arn().unwrap();
    kms.create_alias().alias_name("alias/dvn").target_key_id(made.key_id()).send().await.unwrap();
    let mut told = Vec::new();
    for name in [made.key_id(), arn, "alias/dvn", &arn.replace(&format!("key/{}", made.key_id()), "alias/dvn")] {
        let key = kms.describe_key().key_id(name).send().await.unwrap().key_metadata.unwrap();
        told.push(format!(
            "{:?} {:?} {:?} {:?} {:?} {} {:?}",
            key.key_spec(),
            key.key_usage(),
            key.key_state(),
            key.origin(),
            key.key_manager(),
            key.enabled(),
            key.signing_algorithms(),
        ));
        told.push(arn_without_its_parts(key.arn().unwrap(), key.key_id()));
        told.push(format!("{}", key.arn() == made.arn()));
        let public = kms.get_public_key().key_id(name).send().await.unwrap();
        let spki = public.public_key().unwrap().as_ref();
        told.push(format!(
            "{} {:?} {} {:02x?}",
            public.key_id().is_some_and(|name| arn.ends_with(name)),
            public.key_usage(),
            spki.len(),
            &spki[..24]
        ));
        let signed = kms
            .sign()
            .key_id(name)
            .message_type(MessageType::Digest)
            .signing_algorithm(SigningAlgorithmSpec::EcdsaSha256)
            .message(Blob::new(DIGEST.as_slice()))
            .send()
            .await
            .unwrap();
        let signature = Signature::from_der(signed.signature().unwrap().as_ref()).unwrap();
        // Either may come out with a high s, which is not verified here.
        let signature = signature.normalize_s().unwrap_or(signature);
        let fits = VerifyingKey::from_public_key_der(spki).unwrap().verify_prehash(DIGEST.as_slice(), &signature);
        told.push(format!("{} {:?} {fits:?}", signed.key_id() == Some(arn), signed.signing_algorithm()));
    }
    told.extend(refusals(kms).await);
    kms.disable_key().key_id(made.key_id()).send().await.unwrap();
    let disabled = kms.describe_key().key_id(arn).send().await.unwrap().key_metadata.unwrap();
    told.push(format!("{:?} {}", disabled.key_state(), disabled.enabled()));
    kms.schedule_key_deletion().key_id(made.key_id()).send().await.unwrap();
    let condemned = kms.describe_key().key_id(arn).send().await.unwrap().key_metadata.unwrap();
    told.push(format!("{:?} {}", condemned.key_state(), condemned.enabled()));
    told
}

async fn refusals(kms: &Client) -> [String; 4] {
    let absent = "12345678-12ab-34cd-56ef-1234567890ab";
    [
        code(kms.describe_key().key_id(absent).send().await),
        code(kms.describe_key().key_id("alias/none").send().await),
        code(kms.get_public_key().key_id(absent).send().await),
        code(
            kms.sign()
                .key_id(absent)
                .message(Blob::new(DIGEST.as_slice()))
                .signing_algorithm(SigningAlgorithmSpec::EcdsaSha256)
                .send()
                .await,
        ),
    ]
}

/// The shape of an ARN.
fn arn_without_its_parts(arn: &str, id: &str) -> String {
    let parts = arn.split(':').map(|part| if part.chars().all(|c| c.is_ascii_digit()) { "account" } else { part });
    parts.collect::<Vec<_>>().join(":").replace(id, "id")
}

#[tokio::test]
async fn both_answer_alike_and_the_signer_signs_with_both() {
    let Some(moto) = Moto::for_test("aws::moto") else { return };
    let (stand_in, moto) = (AwsKms::start().unwrap(), moto.start().unwrap());
    let [ours, theirs] = [stand_in.url(), moto.url()];
    let (ours_told, theirs_told) = (told(&client(ours)).await, told(&client(theirs)).await);
    assert_eq!(ours_told, theirs_told);
    for url in [ours, theirs] {
        let kms = client(url);
        let create = kms.create_key().key_spec(KeySpec::EccSecgP256K1).key_usage(KeyUsageType::SignVerify).send();
        let key = create.await.unwrap().key_metadata.unwrap();
        let config = AwsKmsConfig::in_region(REGION, key.arn().unwrap(), access_key());
        let config = config.and_then(|config| config.with_endpoint(url.clone())).unwrap();
        let signer = AwsKmsSigner::open(config).await.unwrap();
        let spki = kms.get_public_key().key_id(key.key_id()).send().await.unwrap().public_key.unwrap();
        let public = VerifyingKey::from_public_key_der(spki.as_ref()).unwrap();
        assert_eq!(signer.address(), alloy_primitives::Address::from_public_key(&public));
        testing::run(&signer).await;
    }
}
