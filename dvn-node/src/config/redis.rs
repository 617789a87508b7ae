//! Where several processes hand work to each other.

use std::path::PathBuf;

pub use dvn_store::{RedisKind as RedisMode, RedisTls};
use secrecy::SecretString;

use super::{
    reader::{Field, Section},
    scalar,
};

/// Redis as the queue of jobs, in place of one inside the process.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Redis {
    /// Hosts and ports: the server, or the sentinels, or some nodes of the cluster.
    pub addresses: Vec<(String, u16)>,
    /// What answers there.
    pub mode: RedisMode,
    /// The user of its access list; nothing for the one that everybody is.
    pub user: Option<String>,
    /// The password.
    pub password: Option<SecretString>,
    /// The number of the database; 0 by default, and always in a cluster.
    pub db: u32,
    /// What protects the connection; nothing for a plain one.
    pub tls: Option<RedisTls>,
    /// What its keys begin with; `dvn` by default. Processes of one member share it, others must not.
    pub prefix: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    Single,
    Sentinel,
    Cluster,
}

pub(super) fn read(mut section: Section<'_>) -> Option<Redis> {
    const MODES: &[(&str, Word)] =
        &[("single", Word::Single), ("sentinel", Word::Sentinel), ("cluster", Word::Cluster)];
    let addresses = section.required("addr", "host:port").map(Field::one_or_more).unwrap_or_default();
    let count = addresses.len();
    let addresses: Option<Vec<_>> =
        addresses.iter().map(|field| field.needed("host:port", scalar::host_port)).collect();
    let word = section.parsed("mode", scalar::choice(MODES)).unwrap_or(Word::Single);
    let master = section.parsed("master", scalar::text);
    let sentinel_password = section.given_secret("sentinel_password");
    let mode = match (word, master) {
        (Word::Sentinel, Some(master)) => sentinel_password.map(|password| RedisMode::Sentinel { master, password }),
        (Word::Sentinel, None) => {
            section.problem_at("master", "missing: the name under which the sentinels know who leads");
            None
        }
        (_, Some(_)) => {
            section.problem_at("master", "is for `mode: sentinel` alone: remove it, or write the mode");
            None
        }
        (Word::Cluster, None) => Some(RedisMode::Cluster),
        (Word::Single, None) => Some(RedisMode::Single),
    };
    if word == Word::Single && count > 1 {
        section.problem_at(
            "addr",
            format!("lists {count} addresses: write `mode: sentinel` or `mode: cluster`, or keep one"),
        );
    }
    let user = section.parsed("user", scalar::text);
    let password = section.given_secret("password");
    let db = section.parsed("db", scalar::number(0..=1_000_000_u32)).unwrap_or_default();
    if word == Word::Cluster && db > 0 {
        section.problem_at("db", "a cluster has database 0 alone");
    }
    let tls = section.given_section("tls").map(read_tls);
    let prefix = section.parsed("prefix", scalar::name).unwrap_or_else(|| "dvn".to_owned());
    section.finish();
    Some(Redis { addresses: addresses?, mode: mode?, user, password: password?, db, tls, prefix })
}

fn read_tls(mut tls: Section<'_>) -> RedisTls {
    let ca = tls.parsed("ca_file", scalar::text).map(PathBuf::from);
    tls.finish();
    RedisTls { ca }
}
