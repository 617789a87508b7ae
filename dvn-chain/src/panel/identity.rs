//! Is a seat on the chain that it is configured for? Asked when a seat is first used, after the way to it broke, and now
//! and then: behind one URL another node may answer tomorrow.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use alloy::primitives::{B256, U64};
use dvn_core::quorum::Electorate;
use tokio::time::Instant;

use crate::{
    call::{Answers, Call},
    rpc::RpcBlock,
    seat::{Seat, SeatError},
};

/// How long a seat's identity is believed while nothing breaks.
const SESSION: Duration = Duration::from_secs(10 * 60);

/// What a chain is known by, and what each seat said of it.
#[derive(Debug)]
pub(super) struct Identity {
    chain_id: u64,
    known: Mutex<Known>,
    sessions: Vec<tokio::sync::Mutex<Option<Session>>>,
}

#[derive(Debug, Default)]
struct Known {
    /// The first block's hash, once voters who suffice gave it; it never changes.
    genesis: Option<B256>,
    told: Vec<Option<B256>>,
}

#[derive(Clone, Debug)]
struct Session {
    since: Instant,
    breaks: u64,
    verdict: Result<(), SeatError>,
}

impl Identity {
    pub(super) fn new(chain_id: u64, seats: usize) -> Self {
        let sessions = (0..seats).map(|_| tokio::sync::Mutex::default()).collect();
        Self { chain_id, known: Mutex::new(Known { genesis: None, told: vec![None; seats] }), sessions }
    }

    /// Whether the seat may vote.
    pub(super) async fn check(&self, position: usize, seat: &Seat, electorate: &Electorate) -> Result<(), SeatError> {
        let Some(session) = self.sessions.get(position) else {
            return Err(SeatError::Foreign("has no place in its panel".to_owned()));
        };
        let mut session = session.lock().await;
        let breaks = seat.breaks();
        if let Some(held) = session.as_ref().filter(|it| it.breaks == breaks && it.since.elapsed() < SESSION) {
            held.verdict.clone()?;
            return self.check_genesis(position);
        }
        let verdict = self.ask(position, seat, electorate).await;
        // A seat that did not answer is asked again next time.
        let lasts = matches!(verdict, Ok(()) | Err(SeatError::Foreign(_)));
        *session = lasts.then(|| Session { since: Instant::now(), breaks, verdict: verdict.clone() });
        verdict?;
        self.check_genesis(position)
    }

    /// Whether the seat's first block is another than the one that is known by now.
    pub(super) fn check_genesis(&self, position: usize) -> Result<(), SeatError> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match (known.genesis, known.told.get(position).copied().flatten()) {
            (Some(genesis), Some(told)) if genesis != told => {
                Err(SeatError::Foreign(format!("its first block is {told}, the chain's is {genesis}")))
            }
            _ => Ok(()),
        }
    }

    async fn ask(&self, position: usize, seat: &Seat, electorate: &Electorate) -> Result<(), SeatError> {
        let calls = vec![Call::chain_id(), Call::block_by_number(0_u64.into())];
        let mut answers = Answers::new(seat.batch(calls).await?);
        let chain_id: u64 = answers.next::<U64>()?.to();
        if chain_id != self.chain_id {
            return Err(SeatError::Foreign(format!("its chain id is {chain_id}, configured is {}", self.chain_id)));
        }
        // Nodes that keep no first block are known by the chain id alone.
        let genesis = answers.next::<Option<RpcBlock>>().ok().flatten().map(|block| block.hash);
        self.learn(position, genesis, electorate);
        Ok(())
    }

    fn learn(&self, position: usize, genesis: Option<B256>, electorate: &Electorate) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(told) = known.told.get_mut(position) {
            *told = genesis;
        }
        if known.genesis.is_none() && genesis.is_some() {
            let same = known.told.iter().enumerate().filter(|(_, told)| **told == genesis).map(|(seat, _)| seat);
            if electorate.shortfall(same).is_none() {
                known.genesis = genesis;
            }
        }
    }
}
