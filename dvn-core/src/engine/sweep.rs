//! Fills the queue from the store: jobs whose time has come, and jobs whose block has come. Losing the queue therefore
//! loses nothing.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{Engine, lock, pause, record::chain_of};
use crate::{error::StoreError, ports::Due};

/// How many jobs one sweep takes; the next one follows soon.
const SWEEP_LIMIT: usize = 1_000;

pub(crate) async fn run(engine: Arc<Engine>, stop: CancellationToken) {
    while pause(&stop, engine.tuning.sweep).await {
        if let Err(error) = engine.sweep().await {
            warn!(error = chain_of(&error), "sweep failed");
        }
    }
}

impl Engine {
    async fn sweep(&self) -> Result<(), StoreError> {
        self.notice_losses().await?;
        self.wake_the_rest().await?;
        let due = self.store.jobs.due(self.clock.now(), SWEEP_LIMIT).await?;
        self.enqueue(due).await;
        Ok(())
    }

    /// Says whether all are queued or in hand.
    pub(crate) async fn enqueue(&self, found: Vec<Due>) -> bool {
        for due in found {
            if lock(&self.in_hand).contains(&due.id) {
                continue;
            }
            if let Err(error) = self.queue.push(due).await {
                debug!(id = %due.id, %error, "left to the next sweep");
                return false;
            }
        }
        true
    }
}
