//! The configuration: from YAML to values that need no further check.
//!
//! [`Config::parse`] reports every problem at once, each with its path, its line and what to do. Secrets come from
//! variables and files through [`Env`] and never appear in a problem, nor in the `Debug` of what was parsed.
//!
//! One file per section: [`Service`], [`Source`] and [`Target`] with their [`Network`], [`Rpc`] and contracts, [`Key`]
//! for everything that signs, [`Signing`].

mod cross;
mod env;
mod key;
mod known;
mod network;
mod postgres;
mod problem;
mod reader;
mod redis;
mod reserved;
mod rpc;
mod scalar;
mod secret;
mod secret_url;
mod service;
mod signing;
mod source;
mod target;
mod yaml;

use std::path::{Path, PathBuf};

use thiserror::Error;

#[cfg(feature = "gcp-kms")]
pub use self::key::Gcp;
#[cfg(feature = "aliyun")]
pub use self::key::{Aliyun, AliyunCredentials};
#[cfg(feature = "aws-kms")]
pub use self::key::{AwsCredentials, AwsKms};
pub(crate) use self::network::finality_name;
pub use self::{
    env::{Env, ProcessEnv},
    key::{Device, Key, Pkcs11},
    network::Network,
    postgres::{Postgres, PostgresTls},
    problem::{ConfigError, Problem},
    redis::{Redis, RedisMode, RedisTls},
    rpc::{Headers, Rpc, Seat},
    secret_url::SecretUrl,
    service::{Environment, LogFormat, Service},
    signing::{Cosigning, Peer, Signing, Tls},
    source::{Source, SourceContracts},
    target::{Batch, Fees, Target, TargetContracts},
};
use self::{
    reader::{Reader, Section},
    source::SourceDraft,
    target::TargetDraft,
};

/// A whole, valid configuration.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The process itself.
    pub service: Service,
    /// Chains to watch, at least one, in the file's order; no two share an eid or a chain id.
    pub sources: Vec<Source>,
    /// Chains to write to, likewise.
    pub targets: Vec<Target>,
    /// The attesting key of every target that has none of its own.
    pub hsm: Key,
    /// How a quorum of signatures comes together.
    pub signing: Signing,
    /// What is kept in PostgreSQL; without it in SQLite in `service.data_dir`.
    pub postgres: Option<Postgres>,
    /// The queue in Redis; without it inside the process.
    pub redis: Option<Redis>,
    /// What is tolerated in dev and would be a problem in production, and what has no effect in this build.
    pub warnings: Vec<Problem>,
}

/// Why a configuration cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file cannot be read.
    #[error("configuration file {} cannot be read", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Its content has problems.
    #[error(transparent)]
    Invalid(#[from] ConfigError),
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// [`LoadError`]: the file cannot be read, or has problems.
    pub fn load(path: &Path, env: &dyn Env) -> Result<Self, LoadError> {
        let text = env.file(path).map_err(|source| LoadError::Read { path: path.to_owned(), source })?;
        Ok(Self::parse(&text, env)?)
    }

    /// Checks a text. Nothing but `env` is looked at: no network, no device.
    ///
    /// # Errors
    /// [`ConfigError`] lists every problem.
    pub fn parse(text: &str, env: &dyn Env) -> Result<Self, ConfigError> {
        let tree = yaml::parse(text).map_err(|error| {
            ConfigError::new(vec![Problem { path: String::new(), line: error.line, message: error.message }])
        })?;
        let reader = Reader::new(env);
        let config = read(Section::root(&reader, &tree));
        let (mut config, warnings) = reader.verdict(config)?;
        config.warnings = warnings;
        Ok(config)
    }
}

/// Reads all sections before it gives up on any, so that every problem is found.
fn read(mut root: Section<'_>) -> Option<Config> {
    // First, since the environment decides how strict the rest is.
    let service = service::read(root.section("service"));
    let mut sources = drafts(&mut root, "source_chains", SourceDraft::read);
    let mut targets = drafts(&mut root, "target_chains", TargetDraft::read);
    let hsm = root.required("hsm", "the attesting key; say which `provider` holds it");
    let hsm = hsm.and_then(|field| key::read(field.section()));
    let signing = signing::read(root.section("signing"), service.as_ref());
    let postgres = root.given_section("postgres").map(postgres::read);
    let redis = root.given_section("redis").map(redis::read);
    reserved::read(&mut root);
    let reader = root.reader;
    root.finish();

    cross::share_rpc(reader, &mut sources, &mut targets);
    cross::check(reader, &sources, &targets, hsm.as_ref());
    let (sources, targets) = (source::complete(reader, sources), target::complete(reader, targets));
    Some(Config {
        service: service?,
        sources: sources?,
        targets: targets?,
        hsm: hsm?,
        signing: signing?,
        postgres: postgres.map_or(Some(None), |it| it.map(Some))?,
        redis: redis.map_or(Some(None), |it| it.map(Some))?,
        warnings: Vec::new(),
    })
}

fn drafts<'a, D>(root: &mut Section<'a>, key: &str, read: impl Fn(String, Section<'a>) -> D) -> Vec<D> {
    let chains: Vec<_> = root.section(key).named();
    if chains.is_empty() {
        root.problem_at(key, "missing: name at least one chain");
    }
    chains.into_iter().map(|(name, section)| read(name, section)).collect()
}

#[cfg(test)]
mod tests;
