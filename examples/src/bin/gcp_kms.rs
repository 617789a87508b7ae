//! A key in Google Cloud KMS: opened, used, and in trouble.
//!
//! Without configuration it plays against a stand-in on this machine. With a real key, as it was made in docs/keys.md, and
//! whoever a program of Google Cloud is here:
//!
//! ```text
//! DVN_GCP_KEY=projects/…/locations/…/keyRings/…/cryptoKeys/…/cryptoKeyVersions/1 cargo run -p dvn-examples --bin gcp_kms
//! ```
//!
//! The version may be left out where exactly one is enabled. `DVN_GCP_ENDPOINT` names another endpoint than the public one, as
//! that of a location; without TLS no token is sent there.
#![expect(clippy::print_stdout, reason = "a program for a terminal")]

use std::env;

use dvn_examples::{
    Failure,
    device::{refuse, sign},
};
use dvn_hsm::{GcpCredentials, GcpKmsConfig, GcpKmsSigner};
use dvn_testkit::gcp_kms::{Fault, GcpKms, KeyState};

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let endpoint = env::var("DVN_GCP_ENDPOINT").ok();
    match env::var("DVN_GCP_KEY") {
        Ok(key) => sign(&open(&key, endpoint.as_deref()).await?).await,
        Err(_) => play().await,
    }
}

/// What an embedder writes, with a key's name taken apart.
async fn open(key: &str, endpoint: Option<&str>) -> Result<GcpKmsSigner, Failure> {
    let parts = key.split('/').collect::<Vec<_>>();
    let ["projects", project, "locations", location, "keyRings", ring, "cryptoKeys", name, version @ ..] = &parts[..]
    else {
        return Err(format!("{key} is not a key's name, as projects/…/locations/…/keyRings/…/cryptoKeys/…").into());
    };
    let is_plain = endpoint.is_some_and(|url| url.starts_with("http://"));
    let credentials = if is_plain { GcpCredentials::nobody() } else { GcpCredentials::application_default() };
    let mut config = GcpKmsConfig::new(project, location, ring, name, credentials)?;
    if let ["cryptoKeyVersions", number] = version {
        config = config.with_key_version(number)?;
    }
    if let Some(url) = endpoint {
        config = config.with_endpoint(&url.parse()?)?;
    }
    // In production the address is known, and stated: `config.with_expected_address(…)`.
    Ok(GcpKmsSigner::open(config).await?)
}

/// The same against a stand-in, which can also be brought into trouble.
async fn play() -> Result<(), Failure> {
    let kms = GcpKms::start()?;
    let key = kms.create_key([7; 32]);
    let signer = open(&key.resource(), Some(kms.url().as_str())).await?;
    println!("opened {}", key.resource());
    sign(&signer).await?;

    println!("the service throttles twice:");
    kms.fail_times(2, Fault::throttling());
    sign(&signer).await?;

    println!("a signature is changed on the way:");
    kms.fail_times(1, Fault::BadChecksum);
    sign(&signer).await?;

    println!("something in between signs with another key:");
    kms.fail_times(1, Fault::OtherKey);
    refuse(&signer).await?;

    println!("somebody disables the version:");
    kms.set_state(&key, KeyState::Disabled);
    refuse(&signer).await?;
    println!("and enables it again:");
    kms.set_state(&key, KeyState::Enabled);
    sign(&signer).await
}
