//! Keeps the audit log's head in a file and in metrics while the node runs, and says so when the log is not what it was.

use std::{path::PathBuf, sync::Arc, time::Duration};

use dvn_core::ports::{AuditHead, AuditLog, Clock, SystemClock};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::audit_head::{KeptHead, as_number, contradiction};

const EVERY: Duration = Duration::from_secs(10);

/// What keeps the head. A log that was tampered with stops nothing: whoever can write the database must not be able to stop
/// the node by it. It pages, and the file stays as it is, as a witness.
#[derive(Debug)]
pub(super) struct Keeper {
    audit: Arc<dyn AuditLog>,
    path: PathBuf,
    kept: Option<KeptHead>,
    is_intact: bool,
}

impl Keeper {
    /// Reads what the file keeps from the last time.
    pub(super) fn open(audit: Arc<dyn AuditLog>, path: PathBuf) -> Self {
        let (kept, is_intact) = match KeptHead::read(&path) {
            Ok(kept) => (kept, true),
            Err(error) => {
                tell(&path, &format!("the file cannot be read: {error}"));
                (None, false)
            }
        };
        Self { audit, path, kept, is_intact }
    }

    /// Runs until `stop`, then once more.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        self.round().await;
        match stop.run_until_cancelled(self.audit.verify()).await {
            Some(Ok(AuditHead { rows, hash })) => info!(rows, %hash, "audit log is intact"),
            Some(Err(error)) if error.kind() == dvn_core::error::StoreErrorKind::Corrupt => {
                self.doubt(&error.to_string());
            }
            Some(Err(error)) => warn!(%error, "audit log could not be verified"),
            None => {}
        }
        while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
            self.round().await;
        }
        self.round().await;
    }

    async fn round(&mut self) {
        if let Err(error) = self.keep().await {
            warn!(error, path = %self.path.display(), "the audit log's head could not be kept");
        }
        metrics::gauge!("dvn_audit_intact").set(if self.is_intact { 1.0 } else { 0.0 });
    }

    async fn keep(&mut self) -> Result<(), String> {
        let head = self.audit.head().await.map_err(|error| error.to_string())?;
        gauges(head);
        if !self.is_intact || self.kept.as_ref().map(KeptHead::head) == Some(head) {
            return Ok(());
        }
        if let Some(kept) = &self.kept
            && let Some(told) = contradiction(&*self.audit, kept).await.map_err(|error| error.to_string())?
        {
            self.doubt(&told);
            return Ok(());
        }
        let (kept, path) = (KeptHead::new(head, SystemClock::new().now()), self.path.clone());
        let writing = kept.clone();
        let written = tokio::task::spawn_blocking(move || writing.write(&path)).await;
        written.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        self.kept = Some(kept);
        Ok(())
    }

    fn doubt(&mut self, told: &str) {
        self.is_intact = false;
        tell(&self.path, told);
        metrics::gauge!("dvn_audit_intact").set(0.0);
    }
}

fn tell(path: &std::path::Path, reason: &str) {
    error!(
        reason,
        path = %path.display(),
        "THE AUDIT LOG WAS TAMPERED WITH: `dvn-node audit verify` says more; the file keeps the last head that was true"
    );
}

#[expect(clippy::cast_precision_loss, reason = "6 bytes and a count, both below 2^53")]
fn gauges(AuditHead { rows, hash }: AuditHead) {
    metrics::gauge!("dvn_audit_rows").set(rows as f64);
    metrics::gauge!("dvn_audit_head").set(as_number(hash) as f64);
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use dvn_core::ports::AuditEntry;
    use dvn_store::Sqlite;

    use super::*;

    fn entry() -> AuditEntry {
        AuditEntry {
            at: UNIX_EPOCH,
            actor: "engine".to_owned(),
            action: "halt".to_owned(),
            guid: None,
            evidence: None,
            detail: "{}".to_owned(),
        }
    }

    #[tokio::test]
    async fn the_file_follows_the_log_and_stays_a_witness_against_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.head");
        let audit = Sqlite::in_memory().await.unwrap().store().audit;
        audit.append(&[entry(), entry()]).await.unwrap();
        let stop = CancellationToken::new();
        let running = tokio::spawn(Keeper::open(audit.clone(), path.clone()).run(stop.clone()));
        while KeptHead::read(&path).unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        audit.append(&[entry()]).await.unwrap();
        stop.cancel();
        running.await.unwrap();
        let kept = KeptHead::read(&path).unwrap().unwrap();
        assert_eq!(kept.head(), audit.head().await.unwrap(), "the last round is after the end");

        // The node comes back to a log that lost a row, and one that never heard of the file.
        let shorter = Sqlite::in_memory().await.unwrap().store().audit;
        shorter.append(&[entry(), entry()]).await.unwrap();
        let mut keeper = Keeper::open(shorter.clone(), path.clone());
        keeper.round().await;
        shorter.append(&[entry(), entry()]).await.unwrap();
        keeper.round().await;
        assert!(!keeper.is_intact);
        assert_eq!(KeptHead::read(&path).unwrap(), Some(kept), "the witness is left alone");

        std::fs::write(&path, "x").unwrap();
        let mut keeper = Keeper::open(shorter, path.clone());
        keeper.round().await;
        assert_eq!(std::fs::read(&path).unwrap(), b"x");
    }
}
