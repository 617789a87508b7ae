//! How this process hands out work, and what it is called among those that share it.

use std::sync::Arc;

use dvn_core::ports::JobQueue;
use dvn_store::{RedisOptions, RedisOptionsError, RedisQueue};

use crate::config::Config;

/// This process among those that share a store. A name of its own each time, also where two were configured alike: one that
/// thinks that it leads and one that does must be told apart.
pub(crate) fn instance(config: &Config) -> String {
    let name = &config.service.name;
    if config.postgres.is_none() { name.clone() } else { format!("{name}/{:016x}", rand::random::<u64>()) }
}

/// The queue in Redis, if there is one.
pub(crate) fn open(config: &Config, instance: &str) -> Result<Option<Arc<dyn JobQueue>>, RedisOptionsError> {
    let Some(given) = &config.redis else { return Ok(None) };
    let mut options = RedisOptions::new("", instance);
    options.addresses = given.addresses.iter().map(|(host, port)| format!("{host}:{port}")).collect();
    options.kind = given.mode.clone();
    options.user.clone_from(&given.user);
    options.password.clone_from(&given.password);
    options.db = given.db;
    options.tls.clone_from(&given.tls);
    options.prefix.clone_from(&given.prefix);
    Ok(Some(Arc::new(RedisQueue::start(options)?)))
}
