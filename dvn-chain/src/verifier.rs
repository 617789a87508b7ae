//! Turns a packet's location into evidence.
//!
//! Three parts stand behind it, each replaceable without touching the rest: the anchor (height to authenticated block
//! hash, by the agreement of seats), the receipts (block hash to logs, by proof where the chain's class allows it and by
//! vote elsewhere) and the state reads (send configuration and nonce, by vote).

mod evidence;
mod proven;
mod receipts;
mod state;

use std::sync::Arc;

use async_trait::async_trait;
use dvn_core::{
    error::{StoreError, StoreErrorKind, VerifyError, VerifyErrorKind},
    ids::{BlockNumber, Confirmations},
    job::{Location, Refusal},
    packet::Claim,
    ports::{Chain, FinalizedHashes, Head, Observation, Verification, Verifier},
};

use self::{
    evidence::Convinced,
    receipts::{Receipts, TransactionLogs},
    state::SourceState,
};
use crate::{
    anchor::{self, Anchored},
    head,
    pairing::{self, Finding},
    panel::{Agreed, Panel, PanelError},
    profile::Finality,
    proof::ReceiptTypes,
    source::SourceContracts,
};

/// How packets of a source chain are verified.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain record of settings")]
pub struct VerifierConfig {
    /// The chain's contracts.
    pub contracts: SourceContracts,
    /// Which tag settles a block.
    pub finality: Finality,
    /// The operator's confirmations: with [`Finality::Latest`] they alone settle a block.
    pub floor: Confirmations,
    /// The receipt types with which a block's hash proves its logs; nothing where seats vote on the logs.
    pub proof: Option<ReceiptTypes>,
}

/// Verifies packets of one EVM chain. Every seat of the panel is asked about the block hash and the state; a block's logs
/// are proven from the agreed hash, or voted on where [`VerifierConfig::proof`] is empty.
///
/// # Relies on
/// Fewer seats than the threshold lie in the same way at the same time.
#[derive(Debug)]
pub struct EvmVerifier {
    panel: Arc<Panel>,
    config: VerifierConfig,
    finalized: Arc<dyn FinalizedHashes>,
    receipts: Receipts,
}

impl EvmVerifier {
    /// A verifier over this panel's chain, which remembers final hashes in `finalized`.
    #[must_use]
    pub fn new(panel: Arc<Panel>, config: VerifierConfig, finalized: Arc<dyn FinalizedHashes>) -> Self {
        let receipts = Receipts::new(Arc::clone(&panel), &config.contracts, config.proof);
        Self { panel, config, finalized, receipts }
    }

    /// The agreed block at the location's height. What is settled must never have been another.
    async fn anchored(&self, number: BlockNumber, head: Head) -> Result<Agreed<Anchored>, VerifyError> {
        let is_settled = number <= head.settled;
        let anchored = anchor::anchor(&self.panel, number).await.map_err(|it| self.error(it, number, is_settled))?;
        if is_settled {
            let block = anchored.value.block;
            let recorded = self.finalized.record(self.panel.chain().eid, block).await;
            recorded.map_err(|error| self.store_error(error, number))?;
        }
        Ok(anchored)
    }

    /// The packet's log at the location in a canonical block, or nothing where there is none of ours to attest.
    fn found<'a>(
        &self,
        location: &Location,
        logs: Option<&'a TransactionLogs>,
    ) -> Option<(Found, &'a TransactionLogs)> {
        let Some(logs) = logs else {
            return self.reject(location, "transaction has no log of the endpoint in this block");
        };
        if logs.status != Some(1) {
            return self.reject(location, "transaction did not succeed");
        }
        let paired = pairing::pair(self.panel.chain().eid, &self.config.contracts, &logs.logs);
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
        tracing::warn!(chain = self.panel.chain().name, %block, %tx_hash, log_index, reason, "not a packet to attest");
        None
    }

    /// Seats that differ about a block that is not final may stand on two sides of a reorg; about a final one, somebody
    /// lies.
    fn error(&self, error: PanelError, number: BlockNumber, is_settled: bool) -> VerifyError {
        let kind = match error {
            PanelError::Contradiction { .. } if is_settled => VerifyErrorKind::Contradiction,
            PanelError::Contradiction { .. } | PanelError::Missing { .. } => VerifyErrorKind::Missing,
        };
        VerifyError::new(kind).chain(&self.panel.chain().name).block(number).because(error.to_string())
    }

    fn store_error(&self, error: StoreError, number: BlockNumber) -> VerifyError {
        let kind = match error.kind() {
            StoreErrorKind::FinalityChanged => VerifyErrorKind::Contradiction,
            _ => VerifyErrorKind::Store,
        };
        VerifyError::new(kind).chain(&self.panel.chain().name).block(number).caused_by(error)
    }
}

/// A packet's log, decoded.
#[derive(Clone, Copy, Debug)]
struct Found {
    claim: Claim,
    send_lib: alloy::primitives::Address,
    assigned: bool,
}

#[async_trait]
impl Verifier for EvmVerifier {
    fn chain(&self) -> &Chain {
        self.panel.chain()
    }

    async fn verify(&self, location: &Location) -> Result<Verification, VerifyError> {
        let chain = self.panel.chain();
        if location.src_eid != chain.eid {
            let detail = format!("asked about eid {}", location.src_eid);
            return Err(VerifyError::new(VerifyErrorKind::Foreign).chain(&chain.name).because(detail));
        }
        let number = location.block.number;
        let head = head::head(&self.panel, self.config.finality, self.config.floor).await;
        let head = head.map_err(|it| self.error(it, number, false))?;
        let is_settled = number <= head.settled;
        let anchored = self.anchored(number, head).await?;
        if anchored.value.block != location.block {
            return Ok(Verification::Orphaned);
        }
        let receipts = self.receipts.of_block(location.block, location.tx_hash, is_settled).await;
        let receipts = receipts.map_err(|it| self.error(it, number, is_settled))?;
        let Some((found, logs)) = self.found(location, receipts.value.at(location)) else {
            return Ok(Verification::Rejected { refusal: Refusal::NotGenuine, is_settled });
        };
        let at = head.latest.max(number);
        let state = state::read(&self.panel, &self.config.contracts, found.send_lib, &found.claim, at).await;
        // Both are read at the tip, where seats may honestly stand on two sides of a reorg.
        let state = state.map_err(|it| self.error(it, at, false))?;
        let SourceState { send_confirmations, outbound_nonce } = state.value;
        if outbound_nonce < found.claim.header.nonce {
            return self.beyond_nonce(location, is_settled, state.value);
        }
        let evidence = evidence::bundle(&Convinced {
            chain,
            location,
            head,
            claim: &found.claim,
            assigned: found.assigned,
            logs,
            panel: &self.panel,
            anchor: &anchored,
            receipts: &receipts,
            state: &state,
        });
        let claim = found.claim;
        let (location, assigned) = (*location, found.assigned);
        Ok(Verification::Found(Box::new(Observation { claim, location, assigned, send_confirmations, head, evidence })))
    }
}

impl EvmVerifier {
    /// The log says that a packet was sent, the endpoint's own counter denies it.
    fn beyond_nonce(
        &self,
        location: &Location,
        is_settled: bool,
        state: SourceState,
    ) -> Result<Verification, VerifyError> {
        let detail =
            format!("endpoint counts {} packets on the path, fewer than the log's nonce", state.outbound_nonce);
        if is_settled {
            _ = self.reject::<()>(location, &detail);
            return Ok(Verification::Rejected { refusal: Refusal::NotGenuine, is_settled });
        }
        // The block may have left the chain between the two readings; only a final block settles it.
        let number = location.block.number;
        Err(VerifyError::new(VerifyErrorKind::Missing).chain(&self.panel.chain().name).block(number).because(detail))
    }
}
