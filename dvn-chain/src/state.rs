//! State at the source: what the senders of a block's packets ask for, and an independent count of their packets that a
//! forged log would have to forge too. One question for all packets of a block.

mod nonces;
mod views;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use alloy::primitives::{Address, B256};
use dvn_core::{
    ids::{BlockNumber, BlockRef, Confirmations, Nonce},
    packet::{Claim, Path},
};

use self::{nonces::Nonces, views::Views};
use crate::{
    headers::Headers,
    panel::{Agreed, Panel, PanelError},
    shared::{Cell, Shared},
};

/// A packet whose state is asked for: its claim and the library that sent it.
pub(crate) type Asked = (Claim, Address);

/// What the source's contracts say about a packet's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SourceState {
    /// `SendUln302.getUlnConfig(sender, dstEid).confirmations`; 0 where the sender has no configuration any more.
    pub(crate) send_confirmations: Confirmations,
    /// `EndpointV2.outboundNonce(sender, dstEid, receiver)`, by vote at the newest block.
    pub(crate) outbound_nonce: Nonce,
    /// The same by proof at the newest final block, where the chain and a seat support it.
    pub(crate) proven_nonce: Option<(BlockRef, Nonce)>,
}

/// The state of all packets of a block, as read at one height.
#[derive(Clone, Debug)]
struct Reading {
    views: Agreed<Views>,
    proven: Option<(BlockRef, BTreeMap<Path, Nonce>)>,
}

/// Reads the state of packets, block by block.
#[derive(Debug)]
pub(crate) struct States {
    panel: Arc<Panel>,
    endpoint: Address,
    nonces: Option<Nonces>,
    block_time: Duration,
    recent: Shared<Key, Arc<Reading>>,
    /// The packets that were read last under a final block.
    latest: Mutex<Vec<Asked>>,
}

/// A block's packets, read at a height, and whether the block was final then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    block: B256,
    at: BlockNumber,
    is_final: bool,
}

/// How long a reading serves before what can change, the sender's configuration, is asked for again: at least a block. A
/// packet is looked at when its block is seen, when it is verified and when it is signed.
const FRESH: Duration = Duration::from_secs(10);
/// The same of a reading that was made when the block was final. The count only grows, the configuration is that of a
/// moment when the packet could not be undone any more, and another question would tell the seats which packet is about to
/// be signed.
const FRESH_IF_FINAL: Duration = Duration::from_secs(3_600);

/// Readings that are remembered.
const REMEMBERED: usize = 256;

impl States {
    pub(crate) fn new(
        panel: Arc<Panel>,
        endpoint: Address,
        headers: Option<Arc<Headers>>,
        block_time: Duration,
    ) -> Self {
        let nonces = headers.map(|headers| Nonces::new(Arc::clone(&panel), headers, endpoint));
        Self { panel, endpoint, nonces, block_time, recent: Shared::new(REMEMBERED), latest: Mutex::default() }
    }

    /// Forgets what was read.
    pub(crate) fn forget(&self) {
        self.recent.clear();
    }

    /// The packets that were read last under a final block; none before the first.
    pub(crate) fn latest(&self) -> Vec<Asked> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The state of one of the block's packets: `all` are read together, at `at` and, where it is given, under the final
    /// block `anchor`, which is not below the packets' block.
    pub(crate) async fn of(
        &self,
        block: B256,
        all: &[Asked],
        wanted: &Asked,
        at: BlockNumber,
        anchor: Option<BlockRef>,
    ) -> Result<Agreed<SourceState>, PanelError> {
        let reading = self.prepared(block, all, at, anchor).await?;
        let (claim, send_lib) = wanted;
        let path = claim.header.path();
        let Some((send_confirmations, outbound_nonce)) = reading.views.value.of(path, *send_lib) else {
            // Not one of the block's packets, as the caller promised; read it alone.
            let alone = self.read(std::slice::from_ref(wanted), at, anchor).await?;
            let of = alone.views.value.of(path, *send_lib).ok_or_else(PanelError::unsettled)?;
            return Ok(state(&alone, path, of));
        };
        Ok(state(&reading, path, (send_confirmations, outbound_nonce)))
    }

    /// Reads the state of all of a block's packets ahead of anybody who asks.
    pub(crate) async fn prepare(
        &self,
        block: B256,
        all: &[Asked],
        at: BlockNumber,
        anchor: Option<BlockRef>,
    ) -> Result<(), PanelError> {
        self.prepared(block, all, at, anchor).await.map(drop)
    }

    /// Reads the state of all of a block's packets, unless that was done under about the same head.
    async fn prepared(
        &self,
        block: B256,
        all: &[Asked],
        at: BlockNumber,
        anchor: Option<BlockRef>,
    ) -> Result<Arc<Reading>, PanelError> {
        if anchor.is_some() {
            *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = all.to_vec();
        }
        let cell = self.cell(Key { block, at, is_final: anchor.is_some() });
        Ok(Arc::clone(cell.get_or_try_init(|| self.read(all, at, anchor)).await?))
    }

    async fn read(&self, all: &[Asked], at: BlockNumber, anchor: Option<BlockRef>) -> Result<Arc<Reading>, PanelError> {
        let voted = views::read(&self.panel, self.endpoint, all, at);
        let proven = async {
            match (&self.nonces, anchor) {
                (Some(nonces), Some(anchor)) => Some((anchor, nonces.at(anchor, all).await?)),
                _ => None,
            }
        };
        let (views, proven) = tokio::join!(voted, proven);
        let views = views?;
        let proven = proven.filter(|(_, nonces)| match &self.nonces {
            Some(proofs) => proofs.are_calibrated(all, nonces, &views.value),
            None => false,
        });
        Ok(Arc::new(Reading { views, proven }))
    }

    /// A reading that was made for the same block not long before serves too.
    fn cell(&self, key: Key) -> Cell<Arc<Reading>> {
        let age = if key.is_final { FRESH_IF_FINAL } else { FRESH };
        let blocks = age.as_millis().checked_div(self.block_time.as_millis()).unwrap_or_default();
        let oldest = u64::try_from(blocks).unwrap_or(u64::MAX).max(1);
        self.recent.cell_like(key, |known, key| {
            (known.block, known.is_final) == (key.block, key.is_final)
                && known.at <= key.at
                && key.at.0.saturating_sub(known.at.0) <= oldest
        })
    }
}

fn state(reading: &Reading, path: Path, of: (Confirmations, Nonce)) -> Agreed<SourceState> {
    let (send_confirmations, outbound_nonce) = of;
    let proven = reading.proven.as_ref();
    let proven_nonce = proven.and_then(|(at, nonces)| Some((*at, *nonces.get(&path)?)));
    let value = SourceState { send_confirmations, outbound_nonce, proven_nonce };
    Agreed { value, voters: reading.views.voters.clone() }
}
