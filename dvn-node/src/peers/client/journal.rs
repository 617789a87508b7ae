//! A peer's journal: heard with each proposal, asked for with each look.

use dvn_core::error::{CosignError, CosignErrorKind};
use tracing::error;

use super::{LOOK, Peer, innermost, lock, read};
use crate::peers::{
    memory::Judged,
    wire::{Health, Look, ShownJournal},
};

impl Peer {
    /// Takes what the peer shows of its journal with a proposal.
    ///
    /// # Errors
    /// [`CosignErrorKind::Refused`], from the first conflict on until this node ends.
    pub(in crate::peers) fn hear(&self, shown: ShownJournal) -> Result<(), CosignError> {
        let judged = lock(&self.memory).hear(shown);
        self.conclude(judged).map_err(refused)
    }

    /// Asks the node at the peer's own address whether this is its journal. One that cannot be reached is no liar.
    ///
    /// # Errors
    /// [`CosignErrorKind::Refused`] where it is not: somebody else has the peer's certificate and a copy of its journal.
    pub(in crate::peers) async fn confirm(&self, shown: ShownJournal) -> Result<(), CosignError> {
        match tokio::time::timeout(LOOK, self.health(Some(shown))).await {
            Ok(Ok(health)) => self.judge(&health, Some(shown)).map_err(refused),
            Ok(Err(_)) | Err(_) => Ok(()),
        }
    }

    /// Looks at the peer once.
    pub(super) async fn look(&self) -> Result<(), String> {
        let seen = lock(&self.memory).seen();
        let health = self.health(seen).await?;
        let (expected, found) = (self.address, health.signer);
        if found != expected {
            return Err(format!("its key is {found}, and configured is {expected}"));
        }
        self.judge(&health, seen)?;
        *lock(&self.others) = health.others;
        Ok(())
    }

    async fn health(&self, asked: Option<ShownJournal>) -> Result<Health, String> {
        let look = Look { rows: asked.map(|asked| asked.rows) };
        let mut url = self.health.clone();
        url.set_query(look.rows.map(|rows| format!("rows={rows}")).as_deref());
        read(self.http.get(url).send().await.map_err(innermost)?).await
    }

    /// The name first: of another journal's rows nothing follows.
    fn judge(&self, health: &Health, asked: Option<ShownJournal>) -> Result<(), String> {
        let judged = lock(&self.memory).hear(health.journal);
        self.conclude(judged)?;
        let Some(asked) = asked else { return Ok(()) };
        let judged = lock(&self.memory).answer(asked, health.row_hash);
        self.conclude(judged)
    }

    /// Says an alarm once, aloud.
    fn conclude(&self, judged: Judged) -> Result<(), String> {
        match judged {
            Judged::Fits => Ok(()),
            Judged::Known(conflict) => Err(conflict),
            Judged::Alarm(conflict) => {
                error!(peer = self.name, conflict, "peer_journal_conflict: nothing of this peer counts any more");
                metrics::counter!("dvn_peer_journal_conflicts_total", "peer" => self.name.clone()).increment(1);
                Err(conflict)
            }
        }
    }

    /// Why nothing of this peer counts, if so.
    pub(super) fn refuse_conflict(&self) -> Result<(), CosignError> {
        lock(&self.memory).conflict().map_or(Ok(()), |conflict| Err(refused(conflict.to_owned())))
    }
}

fn refused(conflict: String) -> CosignError {
    CosignError::new(CosignErrorKind::Refused).because(conflict)
}
