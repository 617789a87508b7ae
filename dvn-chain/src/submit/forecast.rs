//! All that a new transaction is decided by, asked of every seat in one request: the market, the sender's account, the gas that
//! the batch takes, and what each of its instructions would do.
//!
//! `DVN.execute` swallows the failure of an instruction, so that an estimate of the whole shows none.

use alloy::primitives::{U64, U256};
use dvn_core::{
    error::{SubmitError, SubmitErrorKind},
    ids::{BlockNumber, Vid},
    ports::SignedAttestation,
};

use super::{
    EvmSubmitter,
    batch::Bounds,
    fees::{self, Market, Quote},
    transaction,
};
use crate::{
    call::{Answers, Call},
    contracts::Dvn,
    panel::{Absence, Ballot, median},
    seat::SeatError,
};

/// What the seats say about a batch.
#[derive(Debug)]
pub(super) struct Forecast {
    pub(super) market: Market,
    pub(super) account: Account,
    pub(super) bounds: Bounds,
    /// Of the whole batch; what refuses it where it cannot be made at all.
    pub(super) estimate: Result<u64, SubmitError>,
    /// What the threshold of seats sees fail: the position in the batch, and why.
    pub(super) failing: Vec<(usize, String)>,
}

/// The sender's account as the threshold of seats has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Account {
    pub(super) head: BlockNumber,
    pub(super) count: u64,
    pub(super) balance: U256,
}

/// What one seat says.
#[derive(Debug)]
struct Told {
    quote: Quote,
    head: BlockNumber,
    count: u64,
    balance: U256,
    estimate: Result<u64, SeatError>,
    /// Why an instruction would fail, in their order; nothing where it would not, or where the seat cannot say.
    failures: Vec<Option<String>>,
}

/// Longest part of a seat's words that is kept.
const MOST_WORDS: usize = 200;

/// Asks about these attestations in one transaction.
pub(super) async fn forecast(lane: &EvmSubmitter, items: &[SignedAttestation]) -> Result<Forecast, SubmitError> {
    let sender = lane.sender.address();
    let mut calls = Vec::from(fees::questions());
    calls.extend([Call::transaction_count(sender), Call::balance(sender)]);
    calls.push(Call::estimate_gas(sender, lane.config.dvn, &transaction::execute_call(items)));
    calls.push(Call::view_now(lane.config.dvn, &Dvn::vidCall {}));
    for item in items {
        calls.extend(trials(lane, item));
    }
    let ballot = lane
        .panel
        .gather(|seat| {
            let calls = calls.clone();
            async move { told(items, Answers::new(seat.batch(calls).await?)).map(Some) }
        })
        .await;
    let missing = |error| lane.missing(&error);
    let quotes: Vec<Quote> = ballot.votes.iter().map(|vote| vote.value.quote).collect();
    if !lane.panel.suffices(&ballot.votes) {
        return Err(lane.missing(&lane.panel.missing("state before a transaction", &ballot)));
    }
    let market =
        fees::agreed(&quotes, lane.config.gas).ok_or_else(|| missing(lane.panel.missing("gas price", &ballot)))?;
    let head = lane.panel.reached("newest block", &ballot, |it| it.head).map_err(missing)?;
    let count = lane.panel.reached("sender's nonce", &ballot, |it| it.count).map_err(missing)?;
    let balance = lane.panel.reached("sender's balance", &ballot, |it| it.balance).map_err(missing)?;
    Ok(Forecast {
        market,
        account: Account { head, count, balance },
        bounds: Bounds::of_block(median(quotes.iter().filter_map(|quote| quote.block_gas))),
        estimate: estimate(lane, &ballot),
        failing: failing(lane, &ballot, items.len()),
    })
}

/// Of attestations that cannot be sent together: which of them cannot be sent alone either, and why. Nothing where none can be,
/// since then it is not about any of them.
pub(super) async fn suspects(
    lane: &EvmSubmitter,
    items: &[SignedAttestation],
) -> Result<Vec<(usize, String)>, SubmitError> {
    let sender = lane.sender.address();
    let alone = |item| transaction::execute_call(std::slice::from_ref(item));
    let calls: Vec<Call> = items.iter().map(|item| Call::estimate_gas(sender, lane.config.dvn, &alone(item))).collect();
    let ballot = lane
        .panel
        .gather(|seat| {
            let calls = calls.clone();
            async move {
                let mut answers = Answers::new(seat.batch(calls).await?);
                Ok(Some(items.iter().map(|_| refusal(&answers.next::<U64>())).collect::<Vec<_>>()))
            }
        })
        .await;
    let suspects = sufficient(lane, &ballot, items.len(), |failures: &Vec<Option<String>>| failures);
    Ok(if suspects.len() < items.len() { suspects } else { Vec::new() })
}

/// The largest estimate, but no more than twice the middle one, so that one seat alone cannot make us buy a block.
pub(super) fn largest_honest(estimates: impl Iterator<Item = u64> + Clone) -> Option<u64> {
    let middle = median(estimates.clone())?;
    let most = middle.saturating_mul(2);
    Some(estimates.filter(|gas| *gas <= most).max().unwrap_or(middle))
}

/// As the contract treats an instruction: its signatures, then the call in the contract's name.
fn trials(lane: &EvmSubmitter, item: &SignedAttestation) -> [Call; 2] {
    let (attestation, dvn) = (&item.attestation, lane.config.dvn);
    let signatures = Dvn::verifySignaturesCall { hash: attestation.hash(), signatures: item.signatures.to_bytes() };
    [Call::view_now(dvn, &signatures), Call::trial(dvn, attestation.target, &attestation.call_data())]
}

fn told(items: &[SignedAttestation], mut answers: Answers) -> Result<Told, SeatError> {
    let (quote, head) = fees::quote(&mut answers)?;
    let (count, balance): (U64, U256) = (answers.next()?, answers.next()?);
    let estimate = answers.next::<U64>().map(|gas| gas.to());
    let vid = answers.returned::<Dvn::vidCall>().ok().map(Vid);
    let failures = items.iter().map(|item| failure(item, vid, &mut answers)).collect();
    Ok(Told { quote, head, count: count.to(), balance, estimate, failures })
}

fn failure(item: &SignedAttestation, vid: Option<Vid>, answers: &mut Answers) -> Option<String> {
    // Both answers are taken, whatever they are.
    let signatures = answers.returned::<Dvn::verifySignaturesCall>();
    let call = answers.raw();
    if let Some(vid) = vid.filter(|vid| *vid != item.attestation.vid) {
        return Some(format!("it is for vid {}, the contract's is {vid}", item.attestation.vid));
    }
    if let Some(verdict) = signatures.ok().filter(|verdict| !verdict.valid) {
        return Some(format!("the DVN contract refuses the signatures with error {}", verdict.error));
    }
    match call {
        Err(error) if error.is_revert() => Some(shortened(&format!("the receive library refuses the call: {error}"))),
        _ => None,
    }
}

/// A node that says no, in whatever words; a node that says nothing says nothing about the item.
fn refusal<T>(answer: &Result<T, SeatError>) -> Option<String> {
    match answer {
        Err(error @ SeatError::Node { .. }) => Some(shortened(&error.to_string())),
        _ => None,
    }
}

fn shortened(words: &str) -> String {
    words.chars().take(MOST_WORDS).collect()
}

fn failing(lane: &EvmSubmitter, ballot: &Ballot<Told>, items: usize) -> Vec<(usize, String)> {
    sufficient(lane, ballot, items, |told| &told.failures)
}

/// The items that voters who suffice see fail. Fewer may lie, and what they call bad is sent and costs gas at worst.
fn sufficient<T>(
    lane: &EvmSubmitter,
    ballot: &Ballot<T>,
    items: usize,
    failures: impl Fn(&T) -> &Vec<Option<String>>,
) -> Vec<(usize, String)> {
    let about = |item: usize| {
        let told = ballot.votes.iter();
        let told = told.filter_map(|vote| Some((vote.seat, failures(&vote.value).get(item)?.as_ref()?)));
        let told: Vec<(usize, &String)> = told.collect();
        let lacks = lane.panel.electorate().shortfall(told.iter().map(|(seat, _)| *seat));
        let (_, reason) = told.first()?;
        lacks.is_none().then(|| (item, (*reason).clone()))
    };
    (0..items).filter_map(about).collect()
}

/// A simulation that reverts is a refusal; one that no seat could run is silence.
fn estimate(lane: &EvmSubmitter, ballot: &Ballot<Told>) -> Result<u64, SubmitError> {
    let told = ballot.votes.iter().map(|vote| &vote.value.estimate);
    if let Some(estimate) = largest_honest(told.clone().filter_map(|it| it.as_ref().ok().copied())) {
        return Ok(estimate);
    }
    let reason = told.into_iter().find_map(refusal);
    Err(refused(lane, reason, ballot))
}

/// Why no seat gave an estimate.
pub(super) fn refused<T>(lane: &EvmSubmitter, reason: Option<String>, ballot: &Ballot<T>) -> SubmitError {
    let absent = || {
        ballot.absent.iter().find_map(|(_, absence)| match absence {
            Absence::Failed(error @ SeatError::Node { .. }) => Some(error.to_string()),
            _ => None,
        })
    };
    match reason.or_else(absent) {
        Some(reason) => lane.fail(SubmitErrorKind::Rejected, format!("simulation failed: {reason}")),
        None => lane.missing(&lane.panel.missing("gas estimate", ballot)),
    }
}
