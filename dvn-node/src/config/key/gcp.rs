//! `gcp`: a key in Google Cloud's Key Management Service.

use std::path::Path;

use dvn_hsm::GcpCredentials;
use secrecy::SecretString;

use super::{
    super::{reader::Section, scalar, secret_url::SecretUrl},
    Device, service,
};

/// A key in Google Cloud's Key Management Service.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Gcp {
    /// The id or the number of the project that holds the key.
    pub project: String,
    /// Where the key ring is.
    pub location: String,
    /// The key ring.
    pub key_ring: String,
    /// The key in it.
    pub key_name: String,
    /// Which version, by number; needed where several are enabled.
    pub key_version: Option<String>,
    /// Where the service is asked in place of its public endpoint.
    pub endpoint: Option<SecretUrl>,
    /// Who asks.
    pub credentials: GcpCredentials,
}

impl Gcp {
    /// Whether both are surely one key. Without a version it is the only one that is enabled.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let name = |key: &Self| {
            let Self { project, location, key_ring, key_name, key_version, .. } = key.clone();
            (project, location, key_ring, key_name, key_version)
        };
        name(self) == name(other)
    }
}

pub(super) fn read(mut block: Section<'_>) -> Option<Device> {
    let project = block.needed("project", "the id of the project that holds the key", project);
    let location = block.needed("location", "the location of the key ring", service::region("asia-northeast1"));
    let key_ring = block.needed("key_ring", "the name of the key ring", scalar::name);
    let key_name = block.needed("key_name", "the name of the key", scalar::name);
    let key_version = block.optional("key_version");
    let put = "the number of the key's version, which may be left out";
    let key_version = key_version.map(|field| field.needed(put, version));
    let endpoint = service::endpoint(&mut block);
    let is_plain = endpoint.iter().flatten().any(|url| url.expose().scheme() == "http");
    let credentials = read_credentials(&mut block, is_plain);
    block.finish();
    // What is there and cannot be read must not turn into its absence.
    Some(Device::Gcp(Box::new(Gcp {
        project: project?,
        location: location?,
        key_ring: key_ring?,
        key_name: key_name?,
        key_version: key_version.map_or(Some(None), |version| version.map(Some))?,
        endpoint: endpoint?,
        credentials: credentials?,
    })))
}

/// No token goes to an endpoint without TLS, which is a stand-in.
fn read_credentials(block: &mut Section<'_>, is_plain: bool) -> Option<GcpCredentials> {
    let Some(field) = block.optional("credentials_file") else {
        return Some(if is_plain { GcpCredentials::nobody() } else { GcpCredentials::application_default() });
    };
    let path = field.parsed(scalar::text)?;
    if is_plain {
        field.problem("whoever listens at an http:// endpoint could take the token: remove one of the two");
        return None;
    }
    match block.reader.env.file(Path::new(&path)) {
        Ok(json) => {
            let credentials = GcpCredentials::service_account(SecretString::from(json));
            credentials.map_err(|error| field.problem(format!("the file that it names is {error}"))).ok()
        }
        Err(error) => {
            field.problem(format!("the file that it names cannot be read: {}", error.kind()));
            None
        }
    }
}

/// An id or a number.
fn project(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-:.".contains(c);
    let message = "is not a project: write its id, such as my-project, or its number";
    if !text.is_empty() && text.chars().all(fits) { Ok(text.to_owned()) } else { Err(format!("`{text}` {message}")) }
}

fn version(text: &str) -> Result<String, String> {
    if text.is_empty() || !text.chars().all(|c| c.is_ascii_digit()) {
        return Err(format!("`{text}` is not a version: write its number, such as 1"));
    }
    Ok(text.to_owned())
}
