//! `aliyun`: a key in Alibaba Cloud's Key Management Service.

use std::path::Path;

use secrecy::SecretString;

use super::{
    super::{reader::Section, scalar, secret_url::SecretUrl},
    Device,
};

/// A key in Alibaba Cloud's Key Management Service.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Aliyun {
    /// The region that holds the key; names the endpoint where none is given.
    pub region: String,
    /// The key's id or alias.
    pub key_id: String,
    /// Which version; needed where the key has several, and at the gateway of a KMS instance.
    pub key_version_id: Option<String>,
    /// Where the service is asked in place of the region's public endpoint.
    pub endpoint: Option<SecretUrl>,
    /// Certificate authorities in PEM, trusted in place of the system's.
    pub ca: Option<String>,
    /// Who asks.
    pub credentials: AliyunCredentials,
}

/// Who asks for signatures.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum AliyunCredentials {
    /// An access key of a RAM user, or with a security token one that STS lent.
    AccessKey {
        /// Its id.
        id: SecretString,
        /// Its secret.
        secret: SecretString,
        /// Only with a lent one.
        token: Option<SecretString>,
    },
    /// The RAM role of the ECS instance that the node runs on.
    RamRole(String),
}

impl Aliyun {
    /// Whether its endpoint is the gateway of a KMS instance, which does not answer questions about keys.
    #[must_use]
    pub fn is_in_instance(&self) -> bool {
        self.endpoint.as_ref().is_some_and(is_instance)
    }

    /// Whether both are surely one key. Without a version it is the only one there is.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let name = |key: &Self| (key.region.clone(), key.key_id.clone(), key.key_version_id.clone());
        name(self) == name(other)
    }
}

/// Where the parts of an access key may be given.
const ACCESS_KEY: [&str; 6] = [
    "access_key_id_env",
    "access_key_id_file",
    "access_key_secret_env",
    "access_key_secret_file",
    "security_token_env",
    "security_token_file",
];

/// All keys of the block.
pub(super) const KEYS: [&str; 12] = {
    let [id_env, id_file, secret_env, secret_file, token_env, token_file] = ACCESS_KEY;
    [
        "region",
        "key_id",
        "key_version_id",
        "endpoint",
        "ca_file",
        id_env,
        id_file,
        secret_env,
        secret_file,
        token_env,
        token_file,
        "ram_role",
    ]
};

pub(super) fn read(mut block: Section<'_>) -> Option<Device> {
    let region = block.needed("region", "the region that holds the key", region);
    let key_id = block.needed("key_id", "the key's id or alias, as the KMS console shows it", scalar::text);
    let version = block.optional("key_version_id");
    let put = "the id of the key's version, which may be left out";
    let version = version.map(|field| field.needed(put, scalar::text));
    let endpoint = read_endpoint(&mut block);
    if version.is_none() && endpoint.iter().flatten().any(is_instance) {
        block.problem_at("key_version_id", "missing: the gateway of a KMS instance cannot be asked for the versions");
    }
    let ca = block.optional("ca_file").map(|_| read_ca(&mut block));
    let credentials = read_credentials(&mut block);
    block.finish();
    // What is there and cannot be read must not turn into its absence.
    Some(Device::Aliyun(Box::new(Aliyun {
        region: region?,
        key_id: key_id?,
        key_version_id: version.map_or(Some(None), |version| version.map(Some))?,
        endpoint: endpoint?,
        ca: ca.map_or(Some(None), |ca| ca.map(Some))?,
        credentials: credentials?,
    })))
}

/// `None` where it is wrong.
fn read_endpoint(block: &mut Section<'_>) -> Option<Option<SecretUrl>> {
    let Some(field) = block.optional("endpoint") else { return Some(None) };
    let url = field.parsed(|text| SecretUrl::parse(text, &["https", "http"]))?;
    if url.expose().scheme() == "http" {
        let message = "must start with https://, since whoever listens could read the security token and answer for it";
        block.reader.problem_unless_dev(&block.place_at("endpoint"), message);
    }
    Some(Some(url))
}

fn is_instance(endpoint: &SecretUrl) -> bool {
    endpoint.expose().host_str().is_some_and(|host| host.ends_with(".cryptoservice.kms.aliyuncs.com"))
}

fn read_ca(block: &mut Section<'_>) -> Option<String> {
    let path = block.parsed("ca_file", scalar::text)?;
    match block.reader.env.file(Path::new(&path)) {
        Ok(pem) if pem.contains("-----BEGIN CERTIFICATE-----") => Some(pem),
        Ok(_) => {
            block.problem_at("ca_file", "the file that it names holds no certificate in PEM");
            None
        }
        Err(error) => {
            block.problem_at("ca_file", format!("the file that it names cannot be read: {}", error.kind()));
            None
        }
    }
}

fn read_credentials(block: &mut Section<'_>) -> Option<AliyunCredentials> {
    let role = "the RAM role of the ECS instance that this runs on, or `access_key_id_env` and `access_key_secret_env`";
    match (block.has("ram_role"), ACCESS_KEY.iter().find(|key| block.has(key))) {
        (false, Some(_)) => read_access_key(block),
        (true, Some(key)) => {
            block.problem_at(key, "`ram_role` is given as well: keep one of the two");
            ACCESS_KEY.iter().chain(&["ram_role"]).for_each(|key| drop(block.optional(key)));
            None
        }
        (_, None) => {
            ACCESS_KEY.iter().for_each(|key| drop(block.optional(key)));
            block.needed("ram_role", role, scalar::name).map(AliyunCredentials::RamRole)
        }
    }
}

fn read_access_key(block: &mut Section<'_>) -> Option<AliyunCredentials> {
    let _ = block.optional("ram_role");
    let (id, secret) = (block.needed_secret("access_key_id"), block.needed_secret("access_key_secret"));
    let has_token = block.has("security_token_env") || block.has("security_token_file");
    let token = has_token.then(|| block.needed_secret("security_token"));
    let token = token.map_or(Some(None), |token| token.map(Some));
    Some(AliyunCredentials::AccessKey { id: id?, secret: secret?, token: token? })
}

/// What fits into a host name.
fn region(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.is_empty() || !text.chars().all(fits) {
        return Err(format!("`{text}` is not a region: write it like cn-hangzhou"));
    }
    Ok(text.to_owned())
}
