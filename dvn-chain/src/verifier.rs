//! Turns a packet's location into evidence.
//!
//! Three parts stand behind it, each replaceable without touching the rest: the [`Anchor`](crate::Anchor) (height to
//! authentic block hash), the `Link` (from the newest final block down to the packet's) and the receipts (from
//! a block's hash to its logs). The packet's state at the source, its sender's configuration and its path's nonce, is read
//! beside them.

mod evidence;

use std::sync::Arc;

use async_trait::async_trait;
use dvn_core::{
    error::{VerifyError, VerifyErrorKind},
    ids::{BlockNumber, BlockRef},
    job::{Location, Refusal},
    packet::Claim,
    ports::{Chain, Head, Observation, Verification, Verifier},
};

use self::evidence::Convinced;
use crate::{
    pairing::Finding,
    panel::PanelError,
    reader::{EvmReader, ReadError},
    receipts::{Reading, TransactionLogs},
    state::SourceState,
};

/// Verifies packets of one EVM chain.
///
/// # Relies on
/// Fewer seats than the threshold lie in the same way at the same time.
#[derive(Debug)]
pub struct EvmVerifier {
    reader: Arc<EvmReader>,
}

/// A packet's log, decoded.
#[derive(Clone, Copy, Debug)]
struct Found {
    claim: Claim,
    send_lib: alloy::primitives::Address,
    assigned: bool,
}

/// The location's block, as far as the chain goes today.
enum Place {
    Canonical,
    Elsewhere,
}

impl EvmVerifier {
    /// A verifier that shares what this reader knows.
    #[must_use]
    pub const fn new(reader: Arc<EvmReader>) -> Self {
        Self { reader }
    }

    /// Whether the location's block is the one that stands at its height.
    async fn place(&self, location: &Location, head: Head, anchor: BlockRef) -> Result<Place, VerifyError> {
        let number = location.block.number;
        if number > head.latest {
            let detail = format!("the newest block that enough seats have is {}", head.latest);
            return Err(self.missing(number, detail));
        }
        let is_settled = number <= anchor.number;
        let block = self.reader.block_at(head, anchor, number).await;
        let block = block.map_err(|it| self.read_error(it, number, is_settled))?;
        Ok(if block == location.block { Place::Canonical } else { Place::Elsewhere })
    }

    /// The packet's log at the location in a canonical block, or nothing where there is none of ours to attest.
    fn found<'a>(&self, location: &Location, reading: &'a Reading) -> Option<(Found, &'a TransactionLogs)> {
        let Some(logs) = reading.at(location) else {
            return self.reject(location, "transaction has no log of the endpoint in this block");
        };
        if logs.status != Some(1) {
            return self.reject(location, "transaction did not succeed");
        }
        let paired = self.reader.paired(logs);
        let Some(paired) = paired.into_iter().find(|paired| paired.log_index == location.log_index) else {
            return self.reject(location, "log is no packet of the endpoint");
        };
        let found = match paired.finding {
            Finding::Assigned { claim, send_lib, .. } => Found { claim, send_lib, assigned: true },
            Finding::NotAssigned { claim, send_lib } => Found { claim, send_lib, assigned: false },
            Finding::Suspicious(suspicion) => return self.reject(location, &suspicion.to_string()),
        };
        Some((found, logs))
    }

    fn reject<T>(&self, location: &Location, reason: &str) -> Option<T> {
        let Location { block, tx_hash, log_index, .. } = location;
        let chain = &self.reader.panel.chain().name;
        tracing::warn!(chain, %block, %tx_hash, log_index, reason, "not a packet to attest");
        None
    }

    /// The log says that a packet was sent, the endpoint's own counter denies it.
    fn beyond_nonce(&self, location: &Location, is_settled: bool, detail: String) -> Result<Verification, VerifyError> {
        if is_settled {
            _ = self.reject::<()>(location, &detail);
            return Ok(Verification::Rejected { refusal: Refusal::NonceAhead, is_settled });
        }
        // The block may have left the chain between the two readings; only a final block settles it.
        Err(self.missing(location.block.number, detail))
    }

    fn missing(&self, number: BlockNumber, detail: String) -> VerifyError {
        VerifyError::new(VerifyErrorKind::Missing).chain(&self.reader.panel.chain().name).block(number).because(detail)
    }

    /// Seats that differ about a block that is not final may stand on two sides of a reorg; about a final one, somebody
    /// lies.
    fn error(&self, error: PanelError, number: BlockNumber, is_settled: bool) -> VerifyError {
        let chain = self.reader.panel.chain();
        let is_contradiction = is_settled && error.is_contradiction();
        let kind = if is_contradiction { VerifyErrorKind::Contradiction } else { VerifyErrorKind::Missing };
        let evidence = if is_contradiction { error.evidence(chain) } else { None };
        VerifyError::new(kind).chain(&chain.name).block(number).because(error.to_string()).shown_by(evidence)
    }

    fn read_error(&self, error: ReadError, number: BlockNumber, is_settled: bool) -> VerifyError {
        let chain = self.reader.panel.chain();
        let kind = match error {
            ReadError::Panel(error) => return self.error(error, number, is_settled),
            ReadError::Store(_) if error.is_contradiction() => VerifyErrorKind::Contradiction,
            ReadError::Store(_) => VerifyErrorKind::Store,
        };
        let evidence = error.evidence(chain);
        VerifyError::new(kind).chain(&chain.name).block(number).shown_by(evidence).caused_by(error)
    }
}

#[async_trait]
impl Verifier for EvmVerifier {
    fn chain(&self) -> &Chain {
        self.reader.panel.chain()
    }

    async fn verify(&self, location: &Location) -> Result<Verification, VerifyError> {
        let chain = self.reader.panel.chain();
        if location.src_eid != chain.eid {
            let detail = format!("asked about eid {}", location.src_eid);
            return Err(VerifyError::new(VerifyErrorKind::Foreign).chain(&chain.name).because(detail));
        }
        let number = location.block.number;
        // What the head's poll finds of a contradiction is about final blocks.
        let (head, anchor) = self.reader.head().await.map_err(|it| self.read_error(it, number, true))?;
        if let Some(left) = self.reader.cooling_down() {
            let detail = format!("nothing is verified for another {} s", left.as_secs().saturating_add(1));
            return Err(VerifyError::new(VerifyErrorKind::Recovering).chain(&chain.name).because(detail));
        }
        let is_settled = number <= anchor.number;
        if let Place::Elsewhere = self.place(location, head, anchor).await? {
            return Ok(Verification::Orphaned);
        }
        let receipts = self.reader.receipts.of_block(location.block, location.tx_hash, is_settled).await;
        let receipts = receipts.map_err(|it| self.error(it, number, is_settled))?;
        let Some((found, logs)) = self.found(location, &receipts.value) else {
            return Ok(Verification::Rejected { refusal: Refusal::NotGenuine, is_settled });
        };
        let (all, wanted) = (self.reader.packets(&receipts.value), (found.claim, found.send_lib));
        let under = is_settled.then_some(anchor);
        let state = self.reader.states.of(location.block.hash, &all, &wanted, head.latest, under).await;
        // The configuration and the vote on the nonce are read at the tip, where seats may honestly stand on two sides of a
        // reorg.
        let state = state.map_err(|it| self.error(it, head.latest, false))?;
        if let Some(detail) = ahead(&found.claim, &state.value) {
            return self.beyond_nonce(location, is_settled, detail);
        }
        let evidence = evidence::bundle(&Convinced {
            chain,
            location,
            head,
            anchor,
            vouched_by: self.reader.vouched_by(anchor),
            claim: &found.claim,
            assigned: found.assigned,
            logs,
            panel: &self.reader.panel,
            receipts: &receipts,
            state: &state,
        });
        let (location, send_confirmations) = (*location, state.value.send_confirmations);
        let (claim, assigned) = (found.claim, found.assigned);
        Ok(Verification::Found(Box::new(Observation { claim, location, assigned, send_confirmations, head, evidence })))
    }
}

/// Which count denies the packet, if one does.
fn ahead(claim: &Claim, state: &SourceState) -> Option<String> {
    let nonce = claim.header.nonce;
    if state.outbound_nonce < nonce {
        let count = state.outbound_nonce;
        return Some(format!("endpoint counts {count} packets on the path, fewer than the log's nonce {nonce}"));
    }
    let (at, proven) = state.proven_nonce?;
    (proven < nonce)
        .then(|| format!("state of {at} proves {proven} packets on the path, fewer than the log's nonce {nonce}"))
}
