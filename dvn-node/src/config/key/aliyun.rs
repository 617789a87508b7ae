//! `aliyun`: a key in Alibaba Cloud's Key Management Service.

use secrecy::SecretString;

use super::{
    super::{reader::Section, scalar, secret_url::SecretUrl},
    Device,
    names::ALIYUN_ACCESS_KEY,
    service,
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

pub(super) fn read(mut block: Section<'_>) -> Option<Device> {
    let region = block.needed("region", "the region that holds the key", service::region("cn-hangzhou"));
    let key_id = block.needed("key_id", "the key's id or alias, as the KMS console shows it", scalar::text);
    let version = block.optional("key_version_id");
    let put = "the id of the key's version, which may be left out";
    let version = version.map(|field| field.needed(put, scalar::text));
    let endpoint = service::endpoint(&mut block);
    if version.is_none() && endpoint.iter().flatten().any(is_instance) {
        block.problem_at("key_version_id", "missing: the gateway of a KMS instance cannot be asked for the versions");
    }
    let ca = service::ca(&mut block);
    let credentials = read_credentials(&mut block);
    block.finish();
    // What is there and cannot be read must not turn into its absence.
    Some(Device::Aliyun(Box::new(Aliyun {
        region: region?,
        key_id: key_id?,
        key_version_id: version.map_or(Some(None), |version| version.map(Some))?,
        endpoint: endpoint?,
        ca: ca?,
        credentials: credentials?,
    })))
}

fn is_instance(endpoint: &SecretUrl) -> bool {
    endpoint.expose().host_str().is_some_and(|host| host.ends_with(".cryptoservice.kms.aliyuncs.com"))
}

fn read_credentials(block: &mut Section<'_>) -> Option<AliyunCredentials> {
    let role = "the RAM role of the ECS instance that this runs on, or `access_key_id_env` and `access_key_secret_env`";
    match (block.has("ram_role"), ALIYUN_ACCESS_KEY.iter().find(|key| block.has(key))) {
        (false, Some(_)) => read_access_key(block),
        (true, Some(key)) => {
            block.problem_at(key, "`ram_role` is given as well: keep one of the two");
            ALIYUN_ACCESS_KEY.iter().chain(&["ram_role"]).for_each(|key| drop(block.optional(key)));
            None
        }
        (_, None) => {
            ALIYUN_ACCESS_KEY.iter().for_each(|key| drop(block.optional(key)));
            block.needed("ram_role", role, scalar::name).map(AliyunCredentials::RamRole)
        }
    }
}

fn read_access_key(block: &mut Section<'_>) -> Option<AliyunCredentials> {
    let _ = block.optional("ram_role");
    let names = ["access_key_id", "access_key_secret", "security_token"];
    let (id, secret, token) = service::access_key(block, names)?;
    Some(AliyunCredentials::AccessKey { id, secret, token })
}
