//! What the service does for each action.

use crc::{CRC_32_ISCSI, Crc};
use gcloud_sdk::google::cloud::kms::v1::{
    AsymmetricSignRequest, AsymmetricSignResponse, CryptoKey, CryptoKeyVersion, GetCryptoKeyRequest,
    GetCryptoKeyVersionRequest, GetPublicKeyRequest, ListCryptoKeyVersionsRequest, ListCryptoKeyVersionsResponse,
    ProtectionLevel, PublicKey,
    crypto_key::CryptoKeyPurpose,
    crypto_key_version::{CryptoKeyVersionAlgorithm, CryptoKeyVersionState},
    digest::Digest,
};
use tonic::{Code, Status};

use super::{
    State,
    fault::Fault,
    keys::{KeyState, Version},
};
use crate::key_service::sign as sign_with;

/// Versions of one page at most; few, so that tests turn pages.
const PAGE: usize = 4;

/// A request beside its message.
pub(super) struct Call<'a> {
    pub(super) state: &'a State,
    /// The header `x-goog-request-params`.
    pub(super) routing: &'a str,
    pub(super) fault: Option<&'a Fault>,
}

pub(super) fn key(call: &Call<'_>, request: &GetCryptoKeyRequest) -> Result<CryptoKey, Status> {
    call.admit("name", &request.name, "cloudkms.cryptoKeys.get")?;
    call.state.keys.versions(&request.name).ok_or_else(|| absent(&request.name))?;
    let purpose = CryptoKeyPurpose::AsymmetricSign.into();
    Ok(CryptoKey { name: request.name.clone(), purpose, ..Default::default() })
}

pub(super) fn list(
    call: &Call<'_>,
    request: &ListCryptoKeyVersionsRequest,
) -> Result<ListCryptoKeyVersionsResponse, Status> {
    call.admit("parent", &request.parent, "cloudkms.cryptoKeyVersions.list")?;
    let all = call.state.keys.versions(&request.parent).ok_or_else(|| absent(&request.parent))?;
    let start = request.page_token.parse().unwrap_or(0_usize);
    let size = usize::try_from(request.page_size).unwrap_or_default().clamp(1, PAGE);
    let end = start.saturating_add(size);
    let crypto_key_versions = all.iter().skip(start).take(size).map(describe).collect();
    let next_page_token = if end < all.len() { end.to_string() } else { String::new() };
    let total_size = i32::try_from(all.len()).unwrap_or(i32::MAX);
    Ok(ListCryptoKeyVersionsResponse { crypto_key_versions, next_page_token, total_size })
}

pub(super) fn version(call: &Call<'_>, request: &GetCryptoKeyVersionRequest) -> Result<CryptoKeyVersion, Status> {
    call.admit("name", &request.name, "cloudkms.cryptoKeyVersions.get")?;
    let mut version = describe(call.version(&request.name)?);
    if call.fault == Some(&Fault::OtherName) {
        version.name.push('9');
    }
    Ok(version)
}

pub(super) fn public_key(call: &Call<'_>, request: &GetPublicKeyRequest) -> Result<PublicKey, Status> {
    call.admit("name", &request.name, "cloudkms.cryptoKeyVersions.viewPublicKey")?;
    let version = call.enabled(&request.name)?;
    let pem = version.public_key().ok_or_else(|| Status::new(Code::Internal, "Internal error."))?;
    Ok(PublicKey {
        pem_crc32c: call.checksum(pem.as_bytes()),
        pem,
        algorithm: algorithm(version),
        name: call.name(version),
        protection_level: call.level(version),
        ..Default::default()
    })
}

pub(super) fn sign(call: &Call<'_>, request: &AsymmetricSignRequest) -> Result<AsymmetricSignResponse, Status> {
    call.admit("name", &request.name, "cloudkms.cryptoKeyVersions.useToSign")?;
    let version = call.enabled(&request.name)?;
    let digest = match request.digest.as_ref().and_then(|digest| digest.digest.as_ref()) {
        Some(Digest::Sha256(bytes)) => <[u8; 32]>::try_from(bytes.as_slice()).ok(),
        _ => None,
    };
    let wrong = || Status::new(Code::InvalidArgument, "Digest type is incorrect for algorithm or has a wrong length.");
    let digest = digest.ok_or_else(wrong)?;
    if request.digest_crc32c.is_some_and(|claimed| claimed != crc32c(&digest)) {
        let Fault::Error { code, message } = Fault::changed_digest() else { return Err(wrong()) };
        return Err(Status::new(code, message));
    }
    let signature = sign_with(&version.key, digest, call.fault.and_then(Fault::of_signature).as_ref());
    let signature = signature.ok_or_else(|| Status::new(Code::Internal, "Internal error."))?;
    Ok(AsymmetricSignResponse {
        signature_crc32c: call.checksum(&signature),
        signature,
        verified_digest_crc32c: request.digest_crc32c.is_some() && call.fault != Some(&Fault::Unverified),
        name: call.name(version),
        protection_level: call.level(version),
        ..Default::default()
    })
}

impl<'a> Call<'a> {
    /// The service's front sends a request where its header says; whoever may not do it does not learn what there is.
    fn admit(&self, parameter: &str, resource: &str, permission: &str) -> Result<(), Status> {
        let expected = format!("{parameter}={resource}");
        if self.routing.replace("%2F", "/").replace("%3A", ":") != expected {
            return Err(Status::new(Code::InvalidArgument, "The request is routed to another resource than it names."));
        }
        if self.state.denied.contains(permission) {
            let message = format!("Permission '{permission}' denied on resource '{resource}' (or it may not exist).");
            return Err(Status::new(Code::PermissionDenied, message));
        }
        Ok(())
    }

    fn version(&self, name: &str) -> Result<&'a Version, Status> {
        self.state.keys.version(name).ok_or_else(|| absent(name))
    }

    fn enabled(&self, name: &str) -> Result<&'a Version, Status> {
        let version = self.version(name)?;
        if version.state == KeyState::Enabled {
            return Ok(version);
        }
        let message = format!("{name} is not enabled, current state is: {}.", version.state.word());
        Err(Status::new(Code::FailedPrecondition, message))
    }

    fn checksum(&self, bytes: &[u8]) -> Option<i64> {
        match self.fault {
            Some(Fault::NoChecksum) => None,
            Some(Fault::BadChecksum) => Some(crc32c(bytes) ^ 1),
            _ => Some(crc32c(bytes)),
        }
    }

    fn name(&self, version: &Version) -> String {
        let more = if self.fault == Some(&Fault::OtherName) { "9" } else { "" };
        format!("{}{more}", version.name)
    }

    fn level(&self, version: &Version) -> i32 {
        if self.fault == Some(&Fault::Software) { ProtectionLevel::Software.into() } else { level(version) }
    }
}

fn describe(version: &Version) -> CryptoKeyVersion {
    CryptoKeyVersion {
        name: version.name.clone(),
        state: CryptoKeyVersionState::from_str_name(version.state.word()).unwrap_or_default().into(),
        algorithm: algorithm(version),
        protection_level: level(version),
        ..Default::default()
    }
}

fn algorithm(version: &Version) -> i32 {
    CryptoKeyVersionAlgorithm::from_str_name(&version.algorithm).unwrap_or_default().into()
}

fn level(version: &Version) -> i32 {
    ProtectionLevel::from_str_name(&version.level).unwrap_or_default().into()
}

fn absent(name: &str) -> Status {
    Status::new(Code::NotFound, format!("{name} not found."))
}

fn crc32c(bytes: &[u8]) -> i64 {
    Crc::<u32>::new(&CRC_32_ISCSI).checksum(bytes).into()
}
