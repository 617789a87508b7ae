//! A key in AWS KMS: opened, used, and in trouble.
//!
//! Without configuration it plays against a stand-in on this machine. With a real key, as it was made in docs/keys.md, and
//! whatever credentials AWS's own programs would find here:
//!
//! ```text
//! AWS_REGION=eu-central-1 DVN_AWS_KEY_ID=arn:aws:kms:… cargo run -p dvn-examples --bin aws_kms
//! ```
//!
//! `DVN_AWS_ENDPOINT` names another endpoint than the region's own, as that of a VPC.
#![expect(clippy::print_stdout, reason = "a program for a terminal")]

use std::env;

use alloy_primitives::keccak256;
use dvn_examples::{
    Failure,
    device::{refuse, sign},
};
use dvn_hsm::{AwsCredentials, AwsKmsConfig, AwsKmsSigner};
use dvn_testkit::aws_kms::{ACCESS_KEY_ID, AwsKms, Fault, KeyState, REGION, SECRET_ACCESS_KEY};

#[tokio::main]
async fn main() -> Result<(), Failure> {
    match env::var("DVN_AWS_KEY_ID") {
        Ok(key_id) => sign(&open_real(key_id).await?).await,
        Err(_) => play().await,
    }
}

/// What an embedder writes.
async fn open_real(key_id: String) -> Result<AwsKmsSigner, Failure> {
    let region = env::var("AWS_REGION").map_err(|_| "AWS_REGION must name the key's region")?;
    let mut config = AwsKmsConfig::in_region(&region, key_id, AwsCredentials::default_chain())?;
    if let Ok(endpoint) = env::var("DVN_AWS_ENDPOINT") {
        config = config.with_endpoint(endpoint.parse()?)?;
    }
    // In production the address is known, and stated: `config.with_expected_address(…)`.
    Ok(AwsKmsSigner::open(config).await?)
}

/// The same against a stand-in, which can also be brought into trouble.
async fn play() -> Result<(), Failure> {
    let kms = AwsKms::start()?;
    let key = kms.create_key(keccak256("a key that everybody knows").0);
    let credentials = AwsCredentials::access_key(ACCESS_KEY_ID.into(), SECRET_ACCESS_KEY.into());
    let config = AwsKmsConfig::in_region(REGION, &key.arn, credentials)?.with_endpoint(kms.url().clone())?;
    let signer = AwsKmsSigner::open(config).await?;
    let requests =
        ["DescribeKey", "GetPublicKey", "DryRun", "Sign"].map(|action| kms.asked(action)).into_iter().sum::<usize>();
    println!("opened {} with {requests} requests", key.arn);
    sign(&signer).await?;

    println!("the service throttles twice:");
    kms.fail_times(2, Fault::throttling());
    sign(&signer).await?;

    println!("something in between signs with another key:");
    kms.fail_times(1, Fault::OtherKey);
    refuse(&signer).await?;

    println!("somebody disables the key:");
    kms.set_state(&key, KeyState::Disabled);
    refuse(&signer).await?;
    println!("and enables it again:");
    kms.set_state(&key, KeyState::Enabled);
    sign(&signer).await
}
