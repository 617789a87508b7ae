//! Send configurations and nonces by vote of all seats at one height.

use std::{collections::BTreeMap, sync::Arc};

use alloy::{
    primitives::{Address, Bytes, U256},
    sol_types::SolCall,
};
use dvn_core::{
    ids::{BlockNumber, Confirmations, Nonce},
    packet::Path,
};

use super::Asked;
use crate::{
    bundle::{self, Returned},
    call::{Answers, Call},
    contracts::{Endpoint, Uln},
    panel::{Agreed, Panel, PanelError},
    seat::{Seat, SeatError, Told},
};

/// What the contracts say about each path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Views {
    confirmations: BTreeMap<(Path, Address), Confirmations>,
    nonces: BTreeMap<Path, Nonce>,
}

impl Views {
    pub(super) fn of(&self, path: Path, send_lib: Address) -> Option<(Confirmations, Nonce)> {
        Some((*self.confirmations.get(&(path, send_lib))?, *self.nonces.get(&path)?))
    }

    pub(super) fn nonce(&self, path: Path) -> Option<Nonce> {
        self.nonces.get(&path).copied()
    }
}

/// The calls that are made, in order, and whose answer each one is.
struct Plan {
    configs: Vec<(Path, Address)>,
    paths: Vec<Path>,
    calls: Vec<(Address, Vec<u8>)>,
}

impl Plan {
    fn new(endpoint: Address, all: &[Asked]) -> Self {
        let mut configs: Vec<(Path, Address)> = all.iter().map(|(claim, lib)| (claim.header.path(), *lib)).collect();
        configs.sort_unstable();
        configs.dedup();
        let mut paths: Vec<Path> = configs.iter().map(|(path, _)| *path).collect();
        paths.dedup();
        let of_config = configs.iter().map(|(path, lib)| (*lib, config_call(path).abi_encode()));
        let calls = of_config.chain(paths.iter().map(|path| (endpoint, nonce_call(path).abi_encode()))).collect();
        Self { configs, paths, calls }
    }

    /// Nothing where an answer is none of its contract's.
    fn read(&self, returned: &[Returned]) -> Result<Views, SeatError> {
        let mut views = Views::default();
        let (configs, nonces) = returned.split_at_checked(self.configs.len()).ok_or_else(unfit)?;
        for (key, words) in self.configs.iter().zip(configs) {
            // A configuration that reverts is none: the sender asks for nothing any more.
            let confirmations = words.as_ref().map(config).transpose()?.unwrap_or_default();
            views.confirmations.insert(*key, confirmations);
        }
        for (path, words) in self.paths.iter().zip(nonces) {
            views.nonces.insert(*path, nonce(words.as_ref().ok_or_else(unfit)?)?);
        }
        Ok(views)
    }
}

/// Asks every seat for all of it at once.
pub(super) async fn read(
    panel: &Panel,
    endpoint: Address,
    all: &[Asked],
    at: BlockNumber,
) -> Result<Agreed<Views>, PanelError> {
    let plan = Plan::new(endpoint, all);
    let plan = &plan;
    let question = |seat: Arc<Seat>| async move {
        let (mut returned, mut raw) = (Vec::new(), String::new());
        for calls in plan.calls.chunks(bundle::MOST) {
            let told = bundled(&seat, calls, at).await?;
            raw.push_str(&told.raw);
            returned.extend(told.value);
        }
        Ok(Some(Told { value: plan.read(&returned)?, raw: raw.into() }))
    };
    let agreed = panel.agree("send configurations and nonces", question).await?;
    Ok(agreed.map(|told| told.value))
}

/// The calls in one, or one by one where a node does not run code that is nowhere.
async fn bundled(seat: &Seat, calls: &[(Address, Vec<u8>)], at: BlockNumber) -> Result<Told<Vec<Returned>>, SeatError> {
    match seat.told::<Bytes>(Call::program(&bundle::encode(calls), at)).await {
        Ok(told) => told.try_map(|bytes| bundle::decode(calls.len(), &bytes).ok_or_else(unfit)),
        Err(error @ SeatError::Node { .. }) if !error.is_pruned() => separate(seat, calls, at).await,
        Err(error) => Err(error),
    }
}

async fn separate(
    seat: &Seat,
    calls: &[(Address, Vec<u8>)],
    at: BlockNumber,
) -> Result<Told<Vec<Returned>>, SeatError> {
    let asked = calls.iter().map(|(to, data)| Call::raw_view(*to, &Bytes::copy_from_slice(data), at)).collect();
    let mut answers = Answers::new(seat.batch(asked).await?);
    let mut returned = Vec::with_capacity(calls.len());
    for _ in calls {
        returned.push(match answers.next::<Bytes>() {
            Ok(bytes) => Some(first_words(&bytes)),
            Err(error) if error.is_revert() => None,
            Err(error) => return Err(error),
        });
    }
    let raw = serde_json::to_string(&returned.iter().map(|it| it.map(Bytes::from)).collect::<Vec<_>>());
    Ok(Told { value: returned, raw: raw.unwrap_or_default().into() })
}

fn first_words(bytes: &[u8]) -> [u8; 64] {
    let mut words = [0; 64];
    words.iter_mut().zip(bytes).for_each(|(word, byte)| *word = *byte);
    words
}

fn config_call(path: &Path) -> Uln::getUlnConfigCall {
    Uln::getUlnConfigCall { oapp: Address::from_word(path.sender), remoteEid: path.dst_eid.0 }
}

fn nonce_call(path: &Path) -> Endpoint::outboundNonceCall {
    let (sender, receiver) = (Address::from_word(path.sender), path.receiver);
    Endpoint::outboundNonceCall { sender, dstEid: path.dst_eid.0, receiver }
}

/// `UlnConfig` is a dynamic struct: its offset, then its fields, of which confirmations are the first.
fn config(words: &[u8; 64]) -> Result<Confirmations, SeatError> {
    let (offset, confirmations) = halves(words);
    if offset != U256::from(32) {
        return Err(unfit());
    }
    Ok(Confirmations(u64::try_from(confirmations).map_err(|_| unfit())?))
}

fn nonce(words: &[u8; 64]) -> Result<Nonce, SeatError> {
    let (nonce, rest) = halves(words);
    if !rest.is_zero() {
        return Err(unfit());
    }
    Ok(Nonce(u64::try_from(nonce).map_err(|_| unfit())?))
}

fn halves(words: &[u8; 64]) -> (U256, U256) {
    let (first, second) = words.split_at(32);
    (U256::from_be_slice(first), U256::from_be_slice(second))
}

fn unfit() -> SeatError {
    SeatError::malformed("a view function returned something else than its type")
}
