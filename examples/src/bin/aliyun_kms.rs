//! A key in Alibaba Cloud's KMS: opened, used, and in trouble.
//!
//! Without configuration it plays against a stand-in on this machine. With a real key, as it was made in docs/keys.md, on an ECS
//! instance that has a RAM role:
//!
//! ```text
//! DVN_ALIYUN_KEY_ID=key-… DVN_ALIYUN_REGION=cn-hangzhou DVN_ALIYUN_ROLE=dvn-node cargo run -p dvn-examples --bin aliyun_kms
//! ```
//!
//! Elsewhere `DVN_ALIYUN_ACCESS_KEY_ID` and `DVN_ALIYUN_ACCESS_KEY_SECRET` take the place of the role.
#![expect(clippy::print_stdout, reason = "a program for a terminal")]

use std::env;

use dvn_examples::{
    Failure,
    device::{refuse, sign},
};
use dvn_hsm::{AliyunCredentials, AliyunKmsConfig, AliyunKmsSigner};
use dvn_testkit::aliyun_kms::{ACCESS_KEY_ID, ACCESS_KEY_SECRET, AliyunKms, Fault, KeyState};

#[tokio::main]
async fn main() -> Result<(), Failure> {
    match env::var("DVN_ALIYUN_KEY_ID") {
        Ok(key_id) => sign(&open_real(key_id).await?).await,
        Err(_) => play().await,
    }
}

/// What an embedder writes.
async fn open_real(key_id: String) -> Result<AliyunKmsSigner, Failure> {
    let region = env::var("DVN_ALIYUN_REGION").map_err(|_| "DVN_ALIYUN_REGION must name the key's region")?;
    let credentials = match env::var("DVN_ALIYUN_ROLE") {
        Ok(role) => AliyunCredentials::ecs_ram_role(role),
        Err(_) => {
            let part = |name: &str| env::var(name).map_err(|_| format!("{name} or DVN_ALIYUN_ROLE must be set"));
            let (id, secret) = (part("DVN_ALIYUN_ACCESS_KEY_ID")?, part("DVN_ALIYUN_ACCESS_KEY_SECRET")?);
            AliyunCredentials::access_key(id.into(), secret.into())
        }
    };
    let config = match env::var("DVN_ALIYUN_ENDPOINT") {
        Ok(endpoint) => AliyunKmsConfig::at(endpoint.parse()?, key_id, credentials),
        Err(_) => AliyunKmsConfig::in_region(&region, key_id, credentials)?,
    };
    // In production the address is known, and stated: `config.with_expected_address(…)`.
    Ok(AliyunKmsSigner::open(config).await?)
}

/// The same against a stand-in, which can also be brought into trouble.
async fn play() -> Result<(), Failure> {
    let kms = AliyunKms::start()?;
    let key = kms.create_key([7; 32]);
    let credentials = AliyunCredentials::access_key(ACCESS_KEY_ID.into(), ACCESS_KEY_SECRET.into());
    let signer = AliyunKmsSigner::open(AliyunKmsConfig::at(kms.url().clone(), &key.id, credentials)).await?;
    println!("opened {} of version {}", key.id, key.version);
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
