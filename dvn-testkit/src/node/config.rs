use std::{collections::BTreeMap, fmt::Write as _, path::PathBuf};

use alloy_primitives::Address;
use url::Url;

use super::{NodeDatabase, NodeRedis};
use crate::{
    devnet::{Chain, Devnet},
    keys::{self, Key},
    softhsm::{SoftHsm, TOKEN_LABEL},
    tls::TlsFiles,
};

/// Where a node's attesting and sending keys are.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "tests name every case")]
pub enum NodeKeys {
    /// In variables of its environment.
    Local {
        /// The attesting key.
        signer: Box<Key>,
        /// The key that pays gas.
        sender: Box<Key>,
    },
    /// On a token that holds them as `dvn-signing-key` and `dvn-sender`.
    SoftHsm(SoftHsm),
    /// The attesting key in any device, and a sender in a variable of the node's environment.
    Device {
        /// The lines of the block `hsm`, without indentation.
        block: Vec<String>,
        /// What it takes from the environment.
        environment: Vec<(String, String)>,
        /// The key that pays gas.
        sender: Box<Key>,
    },
}

impl NodeKeys {
    /// The labels under which a token holds both keys.
    pub const LABELS: [&'static str; 2] = ["dvn-signing-key", "dvn-sender"];

    /// The development keys that a devnet knows without being told.
    #[must_use]
    pub fn local() -> Self {
        Self::Local { signer: Box::new(keys::signer(0)), sender: Box::new(keys::submitter(0)) }
    }

    fn block(&self, index: usize, indent: &str) -> String {
        match self {
            Self::Local { .. } => {
                let variable = ["DVN_DEV_KEY", SENDER_VARIABLE].get(index).copied().unwrap_or_default();
                local_block(variable, indent)
            }
            Self::Device { block, .. } if index == 0 => block.iter().map(|line| format!("{indent}{line}\n")).collect(),
            Self::Device { .. } => local_block(SENDER_VARIABLE, indent),
            Self::SoftHsm(token) => {
                let (library, label) = (token.path().display(), Self::LABELS.get(index).copied().unwrap_or_default());
                let pkcs11 = format!(
                    "{{ library: \"{library}\", token_label: {TOKEN_LABEL}, key_label: {label}, pin_env: HSM_PIN }}"
                );
                format!("{indent}provider: pkcs11\n{indent}pkcs11: {pkcs11}\n")
            }
        }
    }

    fn environment(&self) -> Vec<(String, String)> {
        match self {
            Self::Local { signer, sender } => vec![
                ("DVN_DEV_KEY".to_owned(), format!("{}", signer.secret())),
                (SENDER_VARIABLE.to_owned(), format!("{}", sender.secret())),
            ],
            Self::Device { environment, sender, .. } => {
                let mut environment = environment.clone();
                environment.push((SENDER_VARIABLE.to_owned(), format!("{}", sender.secret())));
                environment
            }
            Self::SoftHsm(token) => {
                let mut environment = token.environment();
                environment.push(("HSM_PIN".to_owned(), token.pin().to_owned()));
                environment
            }
        }
    }
}

const SENDER_VARIABLE: &str = "DVN_DEV_SENDER";

fn local_block(variable: &str, indent: &str) -> String {
    format!("{indent}provider: local\n{indent}local: {{ private_key_env: {variable} }}\n")
}

/// Who is asked about one chain, and how many of them must say the same.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a plain record of settings")]
pub struct NodeSeats {
    /// `rpc.threshold`.
    pub threshold: usize,
    /// `rpc.seats`.
    pub seats: Vec<NodeSeat>,
    /// Those of `rpc.seats` with `role: audit`.
    pub audit: Vec<NodeSeat>,
}

/// One endpoint of a chain.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a plain record of settings")]
pub struct NodeSeat {
    /// Where it listens. The query of the configuration is appended.
    pub url: Url,
    /// Who runs it.
    pub operator: String,
    /// Its client family.
    pub client: String,
}

/// The quorum that a node belongs to.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a plain record of settings")]
pub struct NodeQuorum {
    /// `signing.quorum`.
    pub quorum: usize,
    /// Port of `signing.listen`, on the loopback address.
    pub port: u16,
    /// `signing.tls`.
    pub tls: TlsFiles,
    /// `signing.peers`.
    pub peers: Vec<NodePeer>,
}

/// Another node of the quorum.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a plain record of settings")]
pub struct NodePeer {
    /// Its `service.name`.
    pub name: String,
    /// Port of its `signing.listen`, on the loopback address.
    pub port: u16,
    /// The address of its attesting key.
    pub address: Address,
}

/// What a node's configuration file says.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NodeConfig {
    /// `service.name`.
    pub name: String,
    /// `service.data_dir`.
    pub data_dir: PathBuf,
    /// Port of `service.listen`, on the loopback address.
    pub port: u16,
    /// Its keys.
    pub keys: NodeKeys,
    /// `finality` of every chain.
    pub finality: &'static str,
    /// The floor of every source chain.
    pub confirmations: u64,
    /// `start_block` of every source chain; without it a new node starts at the final head.
    pub start_block: Option<u64>,
    /// A query that is appended to every RPC URL, as providers that want a key in it do. Local nodes ignore it.
    pub url_query: Option<String>,
    /// Who is asked about a chain, by its name; a chain that is not here is asked at its own address alone.
    pub seats: BTreeMap<String, NodeSeats>,
    /// Every chain's block time, in milliseconds.
    pub block_time_ms: u64,
    /// `cool_down` of every source chain, in milliseconds.
    pub cool_down_ms: u64,
    /// Whether voting seats of sources push new heads, from the same port as they answer at.
    pub pushes_heads: bool,
    /// `class` of every chain; without it that of a well-known chain id, else generic.
    pub class: Option<String>,
    /// `batch.max_items` of every target chain; the node's own default without it.
    pub batch_items: Option<usize>,
    /// Its peers; a node of its own has none.
    pub quorum: Option<NodeQuorum>,
    /// `postgres`; without it the embedded store.
    pub postgres: Option<NodeDatabase>,
    /// `redis`; without it the queue inside the process.
    pub redis: Option<NodeRedis>,
}

impl NodeConfig {
    /// A node with development keys, final blocks and a free port.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>, port: u16) -> Self {
        Self {
            name: "dvn-node-1".to_owned(),
            data_dir: data_dir.into(),
            port,
            keys: NodeKeys::local(),
            finality: "finalized",
            confirmations: 1,
            start_block: Some(0),
            url_query: None,
            seats: BTreeMap::new(),
            block_time_ms: 1_000,
            cool_down_ms: 30_000,
            pushes_heads: false,
            class: None,
            batch_items: None,
            quorum: None,
            postgres: None,
            redis: None,
        }
    }

    /// The file: `sources` are watched, `targets` are written to.
    #[must_use]
    pub fn render(&self, sources: &[&Chain], targets: &[&Chain]) -> String {
        let mut yaml = String::new();
        let Self { name, data_dir, port, .. } = self;
        let _ = write!(
            yaml,
            "service:\n  name: {name}\n  environment: dev\n  log_level: info\n  log_format: json\n  \
             data_dir: \"{}\"\n  listen: \"127.0.0.1:{port}\"\n\nsource_chains:\n",
            data_dir.display()
        );
        for chain in sources {
            yaml.push_str(&self.source(chain));
        }
        yaml.push_str("\ntarget_chains:\n");
        for chain in targets {
            yaml.push_str(&self.target(chain));
        }
        let _ = write!(yaml, "\nhsm:\n{}\nsigning:\n{}", self.keys.block(0, "  "), self.signing());
        yaml.extend(self.postgres.as_ref().map(NodeDatabase::block));
        yaml.extend(self.redis.as_ref().map(NodeRedis::block));
        yaml
    }

    fn signing(&self) -> String {
        let Some(NodeQuorum { quorum, port, tls, peers }) = &self.quorum else {
            return "  quorum: 1\n  total_signers: 1\n".to_owned();
        };
        let total = peers.len().saturating_add(1);
        let mut yaml = format!("  quorum: {quorum}\n  total_signers: {total}\n  listen: \"127.0.0.1:{port}\"\n");
        let TlsFiles { cert, key, ca } = tls;
        let (cert, key, ca) = (cert.display(), key.display(), ca.display());
        let _ = writeln!(yaml, "  tls: {{ cert: \"{cert}\", key_file: \"{key}\", ca: \"{ca}\" }}\n  peers:");
        for NodePeer { name, port, address } in peers {
            let url = format!("https://127.0.0.1:{port}");
            let _ = writeln!(yaml, "    - {{ name: {name}, url: \"{url}\", address: \"{address}\" }}");
        }
        yaml
    }

    /// What the node's process needs in its environment.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        let servers =
            [self.postgres.as_ref().map(NodeDatabase::variable), self.redis.as_ref().map(NodeRedis::variable)];
        self.keys.environment().into_iter().chain(servers.into_iter().flatten()).collect()
    }

    /// Everything that must never be printed by the node.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        let mut secrets: Vec<String> = match &self.keys {
            NodeKeys::Local { signer, sender } => [signer, sender]
                .iter()
                .map(|key| format!("{}", key.secret()).trim_start_matches("0x").to_owned())
                .collect(),
            NodeKeys::SoftHsm(token) => vec![token.pin().to_owned()],
            NodeKeys::Device { environment, sender, .. } => {
                let mut secrets: Vec<String> = environment.iter().map(|(_, value)| value.clone()).collect();
                secrets.push(format!("{}", sender.secret()).trim_start_matches("0x").to_owned());
                secrets
            }
        };
        secrets.extend(self.url_query.clone());
        secrets.extend(self.postgres.as_ref().map(|it| it.password.clone()));
        secrets.extend(self.redis.as_ref().map(|it| it.password.clone()));
        secrets
    }

    fn network(&self, chain: &Chain, pushes_heads: bool) -> String {
        let mut yaml = format!(
            "  {}:\n    chain_id: {}\n    eid: {}\n{}    finality: {}\n    block_time: {}ms\n",
            chain.name(),
            chain.chain_id(),
            chain.eid(),
            self.rpc(chain, pushes_heads),
            self.finality,
            self.block_time_ms
        );
        if let Some(class) = &self.class {
            let _ = writeln!(yaml, "    class: {class}");
        }
        yaml
    }

    /// The chain's seats, or the short form for the one that it has by itself.
    fn rpc(&self, chain: &Chain, pushes_heads: bool) -> String {
        let Some(NodeSeats { threshold, seats, audit }) = self.seats.get(chain.name()) else {
            return format!("    rpc_url: \"{}\"\n", self.address(chain.url()));
        };
        let mut yaml = format!("    rpc:\n      threshold: {threshold}\n      seats:\n");
        let voting = seats.iter().map(|seat| (seat, "vote"));
        for (NodeSeat { url, operator, client }, role) in voting.chain(audit.iter().map(|seat| (seat, "audit"))) {
            let url = self.address(url);
            let ws = if pushes_heads && role == "vote" {
                format!(" ws: \"{}\",", url.replacen("http", "ws", 1))
            } else {
                String::new()
            };
            let _ = writeln!(
                yaml,
                "        - {{ url: \"{url}\",{ws} operator: {operator}, client: {client}, role: {role} }}"
            );
        }
        yaml
    }

    fn address(&self, url: &Url) -> String {
        let query = self.url_query.as_ref().map_or_else(String::new, |query| format!("?{query}"));
        format!("{}{query}", url.as_str().trim_end_matches('/'))
    }

    fn source(&self, chain: &Chain) -> String {
        let mut yaml = self.network(chain, self.pushes_heads);
        let addresses = chain.addresses();
        let _ = writeln!(yaml, "    confirmations: {}\n    cool_down: {}ms", self.confirmations, self.cool_down_ms);
        if let Some(block) = self.start_block {
            let _ = writeln!(yaml, "    start_block: {block}");
        }
        let _ = write!(
            yaml,
            "    contracts:\n      endpoint: \"{}\"\n      send_lib: \"{}\"\n      dvn: \"{}\"\n",
            addresses.endpoint, addresses.send_lib, addresses.dvn
        );
        yaml
    }

    fn target(&self, chain: &Chain) -> String {
        let mut yaml = self.network(chain, false);
        let addresses = chain.addresses();
        let _ = write!(
            yaml,
            "    contracts:\n      endpoint: \"{}\"\n      receive_lib: \"{}\"\n      dvn: \"{}\"\n    sender:\n{}",
            addresses.endpoint,
            addresses.receive_lib,
            addresses.dvn,
            self.keys.block(1, "      ")
        );
        if let Some(items) = self.batch_items {
            let _ = writeln!(yaml, "    batch: {{ max_items: {items} }}");
        }
        yaml
    }

    /// The file for a whole devnet: the chains named are targets, all others sources.
    ///
    /// # Errors
    /// When there is no chain of that name.
    pub fn for_devnet(&self, devnet: &Devnet, targets: &[&str]) -> Result<String, crate::devnet::DevnetError> {
        let chosen = targets.iter().map(|name| devnet.chain(name)).collect::<Result<Vec<_>, _>>()?;
        let sources: Vec<_> = devnet.chains().iter().filter(|chain| !targets.contains(&chain.name())).collect();
        Ok(self.render(&sources, &chosen))
    }
}
