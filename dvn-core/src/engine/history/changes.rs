//! Changes of our DVN contract. No code here can sign one, so each comes from somebody else.

use serde_json::json;
use tracing::{error, info};

use super::{HistoryError, Watched, key_of_change};
use crate::{
    engine::{Engine, Lane},
    ids::Eid,
    ports::{ChangeKind, ContractChange},
};

impl Engine {
    /// Tells of a change. One that contradicts what this node was told about its quorum stops the destination.
    pub(super) async fn explain_change(
        &self,
        eid: Eid,
        lane: &Lane,
        change: &ContractChange,
        watched: &mut Watched,
    ) -> Result<(), HistoryError> {
        if !watched.is_new(key_of_change(change)) {
            return Ok(());
        }
        let chain = &lane.submitter.chain().name;
        let (what, contradicts) = self.judged(eid, lane, &change.kind);
        let (block, tx_hash) = (change.block, change.tx_hash);
        if contradicts {
            error!(chain, what, %block, %tx_hash, "the DVN contract was changed, against what this node was told");
        } else {
            info!(chain, what, %block, %tx_hash, "the DVN contract was changed, to what this node was told");
        }
        let labels = [("chain", chain.clone()), ("expected", (!contradicts).to_string())];
        metrics::counter!("dvn_contract_changes_total", &labels).increment(1);
        let detail = json!({ "chain": chain, "what": what, "block": block.number.0, "tx": tx_hash });
        self.audit("auditor", "contract_changed", None, detail).await?;
        if contradicts && !matches!(change.kind, ChangeKind::Role { .. }) {
            let reason = format!("the DVN contract of {chain} was changed in transaction {tx_hash}: {what}");
            self.halt_chain(eid, &reason, None).await?;
        }
        Ok(())
    }

    /// The change in words, and whether it is against this node's configuration. Roles are in no configuration.
    fn judged(&self, eid: Eid, lane: &Lane, kind: &ChangeKind) -> (String, bool) {
        match kind {
            ChangeKind::Signer { signer, active } => {
                let is_known = self.cosigners.iter().any(|it| it.address(eid) == Some(*signer));
                let word = if *active { "signs from now on" } else { "signs no more" };
                (format!("{signer} {word}"), is_known != *active)
            }
            ChangeKind::Quorum(quorum) => {
                let expected = lane.quorum.is_none_or(|expected| u64::try_from(expected).ok() == Some(*quorum));
                (format!("{quorum} signatures are needed from now on"), !expected)
            }
            ChangeKind::Role { role, account, granted } => {
                let word = if *granted { "has" } else { "has no more" };
                (format!("{account} {word} role {role}"), true)
            }
        }
    }
}
