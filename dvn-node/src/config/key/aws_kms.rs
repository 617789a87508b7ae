//! `aws-kms`: a key in AWS's Key Management Service.

use secrecy::SecretString;

use super::{
    super::{reader::Section, scalar, secret_url::SecretUrl},
    Device,
    names::AWS_ACCESS_KEY,
    service,
};

/// A key in AWS's Key Management Service.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AwsKms {
    /// The region that holds the key; names the endpoint where none is given.
    pub region: String,
    /// The key's ARN, id or alias.
    pub key_id: String,
    /// Where the service is asked in place of the region's public endpoint.
    pub endpoint: Option<SecretUrl>,
    /// Whether it is asked at the region's FIPS endpoint.
    pub is_fips: bool,
    /// Certificate authorities in PEM, trusted in place of the system's.
    pub ca: Option<String>,
    /// Who asks.
    pub credentials: AwsCredentials,
}

/// Who asks for signatures.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum AwsCredentials {
    /// An access key of an IAM user, or with a session token one that STS lent.
    AccessKey {
        /// Its id.
        id: SecretString,
        /// Its secret.
        secret: SecretString,
        /// Only with a lent one.
        token: Option<SecretString>,
    },
    /// Whatever AWS's own programs would find in this place.
    DefaultChain,
}

impl AwsKms {
    /// Whether both are surely one key, as far as names tell: an ARN ends in the key's id, and a key of several regions
    /// has one id in all of them.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let place = if self.name().starts_with("mrk-") { "" } else { self.region.as_str() };
        let others = if other.name().starts_with("mrk-") { "" } else { other.region.as_str() };
        (self.name(), place) == (other.name(), others)
    }

    /// The key's id or alias, without what stands before it in an ARN.
    fn name(&self) -> &str {
        let name = self.key_id.rsplit(':').next().unwrap_or(&self.key_id);
        name.strip_prefix("key/").unwrap_or(name)
    }
}

pub(super) fn read(mut block: Section<'_>) -> Option<Device> {
    let region = block.needed("region", "the region that holds the key", service::region("eu-central-1"));
    let key_id = read_key_id(&mut block, region.as_deref());
    let endpoint = service::endpoint(&mut block);
    let fips = block.optional("fips").map_or(Some(false), |field| field.parsed(scalar::flag));
    if fips == Some(true) && !matches!(endpoint, Some(None)) {
        block.problem_at("fips", "`endpoint` is given as well: keep one of the two, since FIPS is the region's own");
    }
    let ca = service::ca(&mut block);
    let credentials = read_credentials(&mut block);
    block.finish();
    // What is there and cannot be read must not turn into its absence.
    Some(Device::AwsKms(Box::new(AwsKms {
        region: region?,
        key_id: key_id?,
        endpoint: endpoint?,
        is_fips: fips?,
        ca: ca?,
        credentials: credentials?,
    })))
}

fn read_key_id(block: &mut Section<'_>, region: Option<&str>) -> Option<String> {
    let key_id = block.needed("key_id", "the key's ARN, id or alias", key_name)?;
    let named = key_id.strip_prefix("arn:").and_then(|rest| rest.split(':').nth(2));
    if let (Some(named), Some(region)) = (named, region)
        && named != region
    {
        block.problem_at(
            "key_id",
            format!("is a key of {named}, and `region` is {region}: write the region of the key"),
        );
        return None;
    }
    Some(key_id)
}

/// An ARN of KMS, `alias/…` or an id.
fn key_name(text: &str) -> Result<String, String> {
    let parts = text.split(':').collect::<Vec<_>>();
    let is_good = match parts.as_slice() {
        [id] => !id.trim().is_empty(),
        ["arn", _, "kms", _, _, name] => name.starts_with("key/") || name.starts_with("alias/"),
        _ => false,
    };
    if is_good {
        return Ok(text.to_owned());
    }
    Err(format!("`{text}` names no key of KMS: write its id, alias/NAME, or arn:aws:kms:REGION:ACCOUNT:key/ID"))
}

fn read_credentials(block: &mut Section<'_>) -> Option<AwsCredentials> {
    if !AWS_ACCESS_KEY.iter().any(|key| block.has(key)) {
        AWS_ACCESS_KEY.iter().for_each(|key| drop(block.optional(key)));
        return Some(AwsCredentials::DefaultChain);
    }
    let names = ["access_key_id", "secret_access_key", "session_token"];
    let key = service::access_key(block, names);
    AWS_ACCESS_KEY.iter().for_each(|key| drop(block.optional(key)));
    key.map(|(id, secret, token)| AwsCredentials::AccessKey { id, secret, token })
}
