//! Headers by their hash. Whoever served one, it is what its hash says, so that it needs to be fetched and checked once.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use alloy::primitives::B256;

use crate::{
    call::Call,
    panel::{Panel, PanelError},
    proof::Header,
    rpc::RpcBlock,
    seat::{Seat, SeatError, Told},
};

/// How many headers are kept, about a kilobyte each.
const MOST: usize = 4_096;

/// Authentic headers, newest kept.
#[derive(Debug, Default)]
pub(crate) struct Headers(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    by_hash: HashMap<B256, Arc<Header>>,
    order: VecDeque<B256>,
}

impl Headers {
    /// One seat's block, checked and kept where headers can be hashed.
    pub(crate) async fn told(
        headers: Option<&Self>,
        seat: &Seat,
        call: Call,
    ) -> Result<Option<Told<RpcBlock>>, SeatError> {
        let told = seat.told::<Option<RpcBlock>>(call).await?.transpose();
        if let (Some(headers), Some(told)) = (headers, &told) {
            headers.learn(told)?;
        }
        Ok(told)
    }

    /// Keeps a told block's header, if it hashes to the name that it was given.
    pub(crate) fn learn(&self, told: &Told<RpcBlock>) -> Result<Arc<Header>, SeatError> {
        let hash = told.value.hash;
        if let Some(known) = self.known(hash) {
            return Ok(known);
        }
        let header: Header =
            serde_json::from_str(&told.raw).map_err(|error| SeatError::malformed(error.to_string()))?;
        let computed = header.hash().map_err(|error| SeatError::malformed(error.to_string()))?;
        if computed != hash {
            return Err(SeatError::malformed(format!("header of {hash} hashes to {computed}")));
        }
        Ok(self.keep(hash, header))
    }

    /// The header with this hash, if it was seen lately.
    pub(crate) fn known(&self, hash: B256) -> Option<Arc<Header>> {
        self.lock().by_hash.get(&hash).cloned()
    }

    /// The header with this hash, from whichever seat has it.
    pub(crate) async fn fetched(&self, panel: &Panel, hash: B256) -> Result<Arc<Header>, PanelError> {
        if let Some(known) = self.known(hash) {
            return Ok(known);
        }
        let question = |seat: Arc<Seat>| async move {
            let Some(told) = seat.told::<Option<RpcBlock>>(Call::block_by_hash(hash)).await?.transpose() else {
                return Ok(None);
            };
            if told.value.hash != hash {
                return Err(SeatError::malformed("block with another hash"));
            }
            self.learn(&told).map(Some)
        };
        Ok(panel.first("header", question).await?.value)
    }

    fn keep(&self, hash: B256, header: Header) -> Arc<Header> {
        let header = Arc::new(header);
        let mut kept = self.lock();
        if kept.by_hash.insert(hash, Arc::clone(&header)).is_none() {
            kept.order.push_back(hash);
        }
        if kept.order.len() > MOST
            && let Some(oldest) = kept.order.pop_front()
        {
            kept.by_hash.remove(&oldest);
        }
        header
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        // A panicked holder leaves a header less or more behind, each as good as its hash.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
