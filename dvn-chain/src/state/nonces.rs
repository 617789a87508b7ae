//! Nonces by a storage proof under an authentic state root: nobody is believed.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use alloy::primitives::{Address, B256, U256};
use dvn_core::{
    ids::{BlockRef, Nonce},
    packet::Path,
};

use super::{Asked, views::Views};
use crate::{
    call::Call,
    headers::Headers,
    panel::Panel,
    proof::{self, StorageProof},
    seat::{Seat, SeatError},
};

/// Where `outboundNonce` stands in `EndpointV2`'s storage, behind the owner and the two inbound mappings.
const OUTBOUND_NONCE: u64 = 3;
/// After so many readings in a row for which no seat gave a proof, only every so many are tried: the nodes prune their state
/// sooner than blocks become final, or do not know the method.
const TRIES: u32 = 3;
const PAUSE: u32 = 64;

/// Proves nonces under the state root of a final block.
#[derive(Debug)]
pub(super) struct Nonces {
    panel: Arc<Panel>,
    headers: Arc<Headers>,
    endpoint: Address,
    /// Readings in a row without a proof.
    failures: AtomicU32,
    /// Whether a proof once agreed with the getter, so that the slot is the right one.
    calibrated: AtomicBool,
}

impl Nonces {
    pub(super) const fn new(panel: Arc<Panel>, headers: Arc<Headers>, endpoint: Address) -> Self {
        let (failures, calibrated) = (AtomicU32::new(0), AtomicBool::new(false));
        Self { panel, headers, endpoint, failures, calibrated }
    }

    /// The nonce of every path at this block, or nothing where no seat proves it.
    pub(super) async fn at(&self, anchor: BlockRef, all: &[Asked]) -> Option<BTreeMap<Path, Nonce>> {
        let failures = self.failures.load(Ordering::Relaxed);
        if failures >= TRIES && failures.checked_rem(PAUSE) != Some(0) {
            self.failures.store(failures.saturating_add(1), Ordering::Relaxed);
            return None;
        }
        let proven = self.prove(anchor, all).await;
        let failures = if proven.is_some() { 0 } else { failures.saturating_add(1) };
        self.failures.store(failures, Ordering::Relaxed);
        proven
    }

    async fn prove(&self, anchor: BlockRef, all: &[Asked]) -> Option<BTreeMap<Path, Nonce>> {
        let root = self.headers.fetched(&self.panel, anchor.hash).await.ok()?.state_root;
        let mut paths: Vec<Path> = all.iter().map(|(claim, _)| claim.header.path()).collect();
        paths.sort_unstable();
        paths.dedup();
        let slots: Vec<B256> = paths.iter().map(slot).collect();
        let (slots, endpoint) = (&slots, self.endpoint);
        let question = |seat: Arc<Seat>| async move {
            let proof: StorageProof = seat.call(Call::proof(endpoint, slots, anchor.number)).await?;
            let values = proof::prove_storage(root, endpoint, slots, &proof);
            values.map(Some).map_err(|error| SeatError::malformed(error.to_string()))
        };
        match self.panel.first("proof of nonces", question).await {
            Ok(values) => Some(paths.into_iter().zip(values.value.into_iter().map(nonce)).collect()),
            Err(error) => {
                tracing::debug!(chain = self.panel.chain().name, %error, "nonces are not proven, only voted on");
                None
            }
        }
    }

    /// Whether the slot is the right one: once, a proof for packets that are in the anchor's past must show as many as the
    /// getter, or at least theirs. Endpoints with another layout are voted on alone.
    pub(super) fn are_calibrated(&self, all: &[Asked], proven: &BTreeMap<Path, Nonce>, voted: &Views) -> bool {
        if self.calibrated.load(Ordering::Relaxed) {
            return true;
        }
        let fits = all.iter().all(|(claim, _)| {
            let path = claim.header.path();
            let (proven, voted) =
                (proven.get(&path).copied().unwrap_or_default(), voted.nonce(path).unwrap_or_default());
            proven >= claim.header.nonce && proven <= voted
        });
        if fits {
            self.calibrated.store(true, Ordering::Relaxed);
        } else {
            let chain = &self.panel.chain().name;
            tracing::warn!(chain, "storage slot of outboundNonce does not fit the getter; nonces are voted on");
        }
        fits
    }
}

fn slot(path: &Path) -> B256 {
    proof::outbound_nonce_slot(Address::from_word(path.sender), path.dst_eid.0, path.receiver, OUTBOUND_NONCE)
}

/// The mapping's values are `uint64`; a larger one is none of this contract's and counts as no packet at all.
fn nonce(value: U256) -> Nonce {
    Nonce(u64::try_from(value).unwrap_or_default())
}
