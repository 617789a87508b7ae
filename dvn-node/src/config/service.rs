use std::{net::SocketAddr, path::PathBuf};

use tracing_subscriber::EnvFilter;

use super::{reader::Section, scalar};

/// How strict the node is with its own configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a node guards value or it does not")]
pub enum Environment {
    /// Real value: every safety rule holds. The default, so that forgetting the key is on the strict side.
    #[default]
    Production,
    /// A developer's machine: keys in variables, single seats and unknown eids are fine.
    Dev,
}

impl Environment {
    /// The word of the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Production => "production",
            Self::Dev => "dev",
        }
    }
}

/// The shape of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogFormat {
    /// For people. The default, since the first reader is one.
    #[default]
    Text,
    /// One JSON object a line, for collectors.
    Json,
}

const AUDIT_HEAD: &str = "audit.head";
const MIN_FREE_DISK: u64 = 256 << 20;

/// The process itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Service {
    /// The node's name in logs, leases and on the status page.
    pub name: String,
    /// Where it runs, for people.
    pub region: Option<String>,
    /// A level or a tracing filter; `info` by default, which says each decision once.
    pub log_level: String,
    /// The shape of log lines.
    pub log_format: LogFormat,
    /// How strict to be.
    pub environment: Environment,
    /// The embedded store's folder; `./data` by default, in the folder that the node is started in.
    pub data_dir: PathBuf,
    /// Where the audit log's head is kept for whoever checks the log; `audit.head` in `data_dir` by default, which shows rows
    /// that were cut off by accident: one that somebody else keeps shows those that were cut off on purpose.
    pub audit_head_file: PathBuf,
    /// How many bytes must be free where the store is for anything to be attested; 256 MiB by default, which holds some hundred
    /// thousand records of whatever else goes on.
    pub min_free_disk: u64,
    /// Where `/health`, `/ready`, `/metrics` and the status page are served; `0.0.0.0:8080` by default, as containers are
    /// probed from outside. Nothing there changes state.
    pub listen: SocketAddr,
}

pub(super) fn read(mut section: Section<'_>) -> Option<Service> {
    const ENVIRONMENTS: &[(&str, Environment)] = &[("production", Environment::Production), ("dev", Environment::Dev)];
    const FORMATS: &[(&str, LogFormat)] = &[("text", LogFormat::Text), ("json", LogFormat::Json)];

    let environment = section.parsed("environment", scalar::choice(ENVIRONMENTS)).unwrap_or_default();
    section.reader.environment.set(environment);
    let name = section.needed("name", "a name for this node, such as dvn-node-1", scalar::name);
    let region = section.parsed("region", scalar::text);
    let log_level = section.parsed("log_level", filter).unwrap_or_else(|| "info".to_owned());
    let log_format = section.parsed("log_format", scalar::choice(FORMATS)).unwrap_or_default();
    let data_dir = section.parsed("data_dir", scalar::text).unwrap_or_else(|| "./data".to_owned());
    let head_file = section.parsed("audit_head_file", scalar::text).map(PathBuf::from);
    let data_dir = PathBuf::from(data_dir);
    let audit_head_file = head_file.unwrap_or_else(|| data_dir.join(AUDIT_HEAD));
    let min_free_disk = section.parsed("min_free_disk", scalar::bytes).unwrap_or(MIN_FREE_DISK);
    let listen = section.parsed("listen", scalar::socket).unwrap_or(SocketAddr::from(([0, 0, 0, 0], 8080)));
    section.finish();
    Some(Service {
        name: name?,
        region,
        log_level,
        log_format,
        environment,
        data_dir,
        audit_head_file,
        min_free_disk,
        listen,
    })
}

fn filter(text: &str) -> Result<String, String> {
    let valid = !text.trim().is_empty() && EnvFilter::builder().parse(text).is_ok();
    // A lone word is a level; the filter's own syntax would take a mistyped one for a module's name.
    let lone = text.chars().all(char::is_alphanumeric);
    if valid && (!lone || text.parse::<tracing::Level>().is_ok() || text == "off") {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "`{text}` is neither a level (error, warn, info, debug, trace) nor a filter such as info,dvn_chain=debug"
        ))
    }
}
