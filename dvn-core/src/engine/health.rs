//! Whether the attesting keys still work while nothing is signed, so that an operator hears of it before a packet does.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Engine, pause, record::chain_of};

/// How soon a key that failed is looked at again, at the latest.
const AGAIN: Duration = Duration::from_secs(30);

pub(crate) async fn run(engine: Arc<Engine>, stop: CancellationToken) {
    let every = engine.tuning.key_check;
    let mut works = true;
    while pause(&stop, if works { every } else { every.min(AGAIN) }).await {
        let checked = tokio::select! {
            () = stop.cancelled() => return,
            checked = engine.attestor.check_keys() => checked,
        };
        let error = checked.err().map(|error| chain_of(&error));
        match &error {
            Some(error) => warn!(error, "attesting key does not work"),
            None if !works => info!("attesting key works again"),
            None => {}
        }
        works = error.is_none();
        metrics::gauge!("dvn_key_works").set(if works { 1.0 } else { 0.0 });
        engine.progress.key(error);
    }
}
