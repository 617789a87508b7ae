//! A key that signs: `hsm`, `sender` and `signer` have this one shape.

#[cfg(feature = "aliyun")]
mod aliyun;
#[cfg(feature = "aws-kms")]
mod aws_kms;
#[cfg(feature = "gcp-kms")]
mod gcp;
mod names;
#[cfg(any(feature = "aliyun", feature = "aws-kms", feature = "gcp-kms"))]
mod service;

use std::path::PathBuf;

use alloy_primitives::Address;
use secrecy::{ExposeSecret, SecretString};

#[cfg(feature = "aliyun")]
pub use self::aliyun::{Aliyun, AliyunCredentials};
#[cfg(feature = "aws-kms")]
pub use self::aws_kms::{AwsCredentials, AwsKms};
#[cfg(feature = "gcp-kms")]
pub use self::gcp::Gcp;
use super::{reader::Section, scalar};

/// A key and the device that holds it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Key {
    /// Where it is.
    pub device: Device,
    /// The address that it must have, where the operator states it; the node refuses another one.
    pub address: Option<Address>,
}

/// Where a key is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Device {
    /// In a PKCS#11 token: CloudHSM, SoftHSM or any other.
    Pkcs11(Pkcs11),
    /// In AWS's Key Management Service.
    #[cfg(feature = "aws-kms")]
    AwsKms(Box<AwsKms>),
    /// In Alibaba Cloud's Key Management Service.
    #[cfg(feature = "aliyun")]
    Aliyun(Box<Aliyun>),
    /// In Google Cloud's Key Management Service.
    #[cfg(feature = "gcp-kms")]
    Gcp(Box<Gcp>),
    /// In the memory of this process. For dev alone.
    Local {
        /// 32 bytes in hex.
        private_key: SecretString,
    },
}

/// A key in a PKCS#11 token.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Pkcs11 {
    /// The vendor's library.
    pub library: PathBuf,
    /// Which token; needed where the library shows several. CloudHSM shows one.
    pub token_label: Option<String>,
    /// Which key in the token.
    pub key_label: String,
    /// The user's PIN; for CloudHSM `user:password`.
    pub pin: SecretString,
    /// Sessions that sign at once, from 1 to 16; 2 by default, so that one signs while the other recovers.
    pub sessions: usize,
    /// Whether it is in AWS CloudHSM (`provider: aws`), where keys are made with AWS's own command line.
    pub is_cloudhsm: bool,
}

/// Where AWS's package puts the library of CloudHSM's client SDK 5.
const CLOUDHSM_LIBRARY: &str = "/opt/cloudhsm/lib/libcloudhsm_pkcs11.so";
/// Overrides `aws.library`, as container images set it.
const CLOUDHSM_VARIABLE: &str = "CLOUDHSM_PKCS11_LIBRARY";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Provider {
    Aws,
    Pkcs11,
    AwsKms,
    Aliyun,
    Gcp,
    Local,
}

impl Provider {
    const WORDS: &[(&str, Self)] = &[
        ("aws", Self::Aws),
        ("pkcs11", Self::Pkcs11),
        ("aws-kms", Self::AwsKms),
        ("aliyun", Self::Aliyun),
        ("gcp", Self::Gcp),
        ("local", Self::Local),
    ];

    /// The valid keys of its block.
    const fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Aws => {
                &["cluster_id", "hsm_ip", "key_label", "pin_env", "pin_file", "library", "token_label", "sessions"]
            }
            Self::Pkcs11 => &["library", "token_label", "key_label", "pin_env", "pin_file", "sessions"],
            Self::AwsKms => &names::AWS_KMS,
            Self::Aliyun => &names::ALIYUN,
            Self::Gcp => &names::GCP,
            Self::Local => &["private_key_env", "private_key_file"],
        }
    }
}

/// Reads the block of the chosen provider; the others may stand beside it, ready to be chosen, and are checked for
/// unknown keys alone.
pub(super) fn read(mut section: Section<'_>) -> Option<Key> {
    let put = "who holds the key: aws, pkcs11, aws-kms, aliyun, gcp or local";
    let provider = section.needed("provider", put, scalar::choice(Provider::WORDS));
    // An address that could not be read must not turn into no address, which would be the weaker check.
    let address = section.optional("address");
    let address = address.map_or(Some(None), |field| field.parsed(scalar::address).map(Some));
    let mut device = None;
    for (word, candidate) in Provider::WORDS {
        if Some(*candidate) == provider {
            device = read_chosen(&mut section, word, *candidate);
        } else if let Some(block) = section.given_section(word) {
            block.skip(candidate.keys());
        }
    }
    section.finish();
    Some(Key { device: device?, address: address? })
}

impl Key {
    /// Whether both are surely one key, as far as a configuration can tell.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        if self.address.is_some() && self.address == other.address {
            return true;
        }
        match (&self.device, &other.device) {
            (Device::Pkcs11(a), Device::Pkcs11(b)) => {
                (&a.library, &a.token_label, &a.key_label) == (&b.library, &b.token_label, &b.key_label)
            }
            #[cfg(feature = "aliyun")]
            (Device::Aliyun(a), Device::Aliyun(b)) => a.is_same(b),
            #[cfg(feature = "aws-kms")]
            (Device::AwsKms(a), Device::AwsKms(b)) => a.is_same(b),
            #[cfg(feature = "gcp-kms")]
            (Device::Gcp(a), Device::Gcp(b)) => a.is_same(b),
            (Device::Local { private_key: a }, Device::Local { private_key: b }) => {
                a.expose_secret() == b.expose_secret()
            }
            _ => false,
        }
    }
}

fn read_chosen(section: &mut Section<'_>, word: &str, provider: Provider) -> Option<Device> {
    if provider == Provider::Local && !section.reader.is_dev() {
        section.problem_at(
            "provider",
            "local keeps the key in memory, which `service.environment: dev` alone allows: use aws or pkcs11",
        );
        section.given_section(word)?.skip(provider.keys());
        return None;
    }
    if !section.has(word) {
        section.problem_at(word, "missing: the chosen provider's block");
    }
    let block = section.given_section(word)?;
    match provider {
        Provider::Aws => read_cloudhsm(block),
        Provider::Pkcs11 => read_pkcs11(block),
        Provider::Local => read_local(block),
        #[cfg(feature = "aws-kms")]
        Provider::AwsKms => aws_kms::read(block),
        #[cfg(feature = "aliyun")]
        Provider::Aliyun => aliyun::read(block),
        #[cfg(feature = "gcp-kms")]
        Provider::Gcp => gcp::read(block),
        #[cfg(not(feature = "aws-kms"))]
        Provider::AwsKms => refuse(block, provider),
        #[cfg(not(feature = "aliyun"))]
        Provider::Aliyun => refuse(block, provider),
        #[cfg(not(feature = "gcp-kms"))]
        Provider::Gcp => refuse(block, provider),
    }
}

fn read_cloudhsm(mut block: Section<'_>) -> Option<Device> {
    // Both tell people where the key is; the client's own configuration tells the library.
    let _ = (block.parsed("cluster_id", scalar::text), block.parsed("hsm_ip", scalar::text));
    let configured = block.parsed("library", scalar::text).unwrap_or_else(|| CLOUDHSM_LIBRARY.to_owned());
    let library = block.reader.env.variable(CLOUDHSM_VARIABLE).filter(|path| !path.is_empty()).unwrap_or(configured);
    let token_label = block.parsed("token_label", scalar::text);
    read_token(block, Some(library), token_label, true)
}

fn read_pkcs11(mut block: Section<'_>) -> Option<Device> {
    let library = block.needed("library", "the path of the vendor's PKCS#11 library", scalar::text);
    let token_label = block.needed("token_label", "the label of the token that holds the key", scalar::text);
    read_token(block, library, token_label, false)
}

fn read_token(
    mut block: Section<'_>,
    library: Option<String>,
    token_label: Option<String>,
    is_cloudhsm: bool,
) -> Option<Device> {
    let key_label = block.needed("key_label", "the label of the key in the token", scalar::text);
    let pin = block.needed_secret("pin");
    let sessions = block.parsed("sessions", scalar::number(1..=16)).unwrap_or(2);
    block.finish();
    let (library, key_label, pin) = (library?.into(), key_label?, pin?);
    Some(Device::Pkcs11(Pkcs11 { library, token_label, key_label, pin, sessions, is_cloudhsm }))
}

fn read_local(mut block: Section<'_>) -> Option<Device> {
    let private_key = block.needed_secret("private_key");
    block.finish();
    Some(Device::Local { private_key: private_key? })
}

/// Of a build without this provider.
#[cfg(not(all(feature = "aliyun", feature = "aws-kms", feature = "gcp-kms")))]
fn refuse(block: Section<'_>, provider: Provider) -> Option<Device> {
    block.reader.problem(&block.place, "this provider is not in this build: choose another one");
    block.skip(provider.keys());
    None
}
