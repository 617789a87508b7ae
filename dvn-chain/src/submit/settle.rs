//! Looks after open transactions: what is mined is judged by its logs, what is forgotten is sent again, what is stuck
//! gets a better price.

use std::{sync::Arc, time::Duration};

use alloy::primitives::{U64, U256};
use dvn_core::{
    error::{SubmitError, SubmitErrorKind},
    ids::BlockNumber,
    ports::{Attempt, OutboxTransaction, Outcome, Settlement, Submitter},
    quorum::{Poll, Shortfall},
};

use super::{
    EvmSubmitter, broadcast, cancel,
    fees::{self, Price},
    gap,
    lane::{self, LaneMemory},
    outcome::{self, Mined},
    purse,
    transaction::{self, Order},
};
use crate::{
    anchor,
    call::{Answers, Call},
    panel::{Ballot, PanelError, median},
    rpc::{Receipt, RpcReceipt},
    seat::{Seat, SeatError},
};

/// What the seats say about a lane, read at once.
struct Snapshot {
    ballot: Ballot<Seen>,
    head: BlockNumber,
    /// The nonce that the chain takes next.
    count: u64,
    balance: U256,
    /// What all that is open may take, in wei.
    committed: u128,
}

/// What one seat says: a receipt or none for each attempt of each open transaction, in order, and what it took.
#[derive(Debug)]
struct Seen {
    head: BlockNumber,
    count: u64,
    balance: U256,
    receipts: Vec<Option<Receipt>>,
    paid: Vec<Option<u128>>,
}

/// Where a transaction stands.
enum Fate<'a> {
    /// By this form, with this receipt, which is at this place among all.
    Mined(&'a Attempt, Receipt, usize),
    /// The threshold of seats knows of no receipt and nobody knows one.
    Absent,
    /// Seats do not agree yet.
    Unclear,
}

pub(super) async fn settle(lane: &EvmSubmitter, memory: &mut LaneMemory) -> Result<Vec<Settlement>, SubmitError> {
    let open = lane.outbox.open(lane.lane_id()).await.map_err(|it| lane.store(it))?;
    if open.is_empty() {
        memory.clear();
        purse::look(lane, memory).await;
        return Ok(Vec::new());
    }
    let snapshot = snapshot(lane, &open).await?;
    purse::note_balance(lane, memory, snapshot.balance);
    // What an earlier process kept, and maybe did not come to note.
    for transaction in open.iter().filter(|it| !memory.charged.contains(&it.id)).collect::<Vec<_>>() {
        purse::charge(lane, transaction.id, purse::most_of(transaction)).await?;
        memory.charged.insert(transaction.id);
    }
    gap::note(lane, memory, (snapshot.head, snapshot.count), &open);
    let (mut settlements, mut failed) = (Vec::new(), None);
    let mut first: usize = 0;
    for transaction in &open {
        let outcomes = look_after(lane, memory, &snapshot, transaction, first).await;
        first = first.saturating_add(transaction.attempts.len());
        match outcomes {
            Ok(None) => {}
            // One that does nothing is about no job that could take note.
            Ok(Some(_)) if transaction.items.is_empty() => {
                lane.outbox.close(transaction.id).await.map_err(|it| lane.store(it))?;
                memory.forget(transaction.id);
            }
            Ok(Some(outcomes)) => {
                let (submission, reports) = (transaction.id, transaction.items.iter().zip(outcomes));
                settlements.extend(reports.map(|(item, outcome)| Settlement { submission, job: item.job, outcome }));
            }
            Err(error) if error.kind() == SubmitErrorKind::Contradiction => return Err(error),
            // One transaction's trouble must not keep back what is known of the others.
            Err(error) => {
                tracing::warn!(chain = lane.panel.chain().name, nonce = transaction.nonce, %error, "transaction could not be looked after");
                failed = Some(error);
            }
        }
    }
    if let Err(error) = gap::fill(lane, memory, snapshot.head).await {
        tracing::warn!(chain = lane.panel.chain().name, %error, "gap could not be filled");
        failed = failed.or(Some(error));
    }
    match failed {
        Some(error) if settlements.is_empty() => Err(error),
        _ => Ok(settlements),
    }
}

/// The outcomes of one transaction, whose first attempt is at `first` among all, or nothing while it is undecided.
async fn look_after(
    lane: &EvmSubmitter,
    memory: &mut LaneMemory,
    snapshot: &Snapshot,
    transaction: &OutboxTransaction,
    first: usize,
) -> Result<Option<Vec<Outcome>>, SubmitError> {
    let fate = fate(lane, snapshot, transaction, first).await?;
    if matches!(fate, Fate::Absent) && snapshot.count > transaction.nonce {
        return bypassed(lane, memory, snapshot, transaction).await;
    }
    memory.bypassed.remove(&transaction.id);
    match fate {
        Fate::Mined(attempt, receipt, at) => {
            let outcomes = judged(lane, transaction, attempt, &receipt).await?;
            let paid = snapshot.ballot.votes.iter().filter_map(|vote| *vote.value.paid.get(at)?);
            if let (Some(_), Some(paid)) = (&outcomes, median(paid)) {
                purse::charge(lane, transaction.id, paid).await?;
            }
            return Ok(outcomes);
        }
        Fate::Absent => push(lane, memory, snapshot, transaction).await?,
        Fate::Unclear => {}
    }
    Ok(None)
}

async fn snapshot(lane: &EvmSubmitter, open: &[OutboxTransaction]) -> Result<Snapshot, SubmitError> {
    let sender = lane.sender.address();
    let mut calls = vec![Call::block_number(), Call::transaction_count(sender), Call::balance(sender)];
    let hashes: Vec<_> = open.iter().flat_map(|it| it.attempts.iter().map(|attempt| attempt.tx_hash)).collect();
    calls.extend(hashes.iter().map(|hash| Call::receipt(*hash)));
    let question = |seat: Arc<Seat>| {
        let (calls, hashes) = (calls.clone(), &hashes);
        async move {
            let mut answers = Answers::new(seat.batch(calls).await?);
            let (head, count, balance): (U64, U64, U256) = (answers.next()?, answers.next()?, answers.next()?);
            let (mut receipts, mut paid) = (Vec::new(), Vec::new());
            for hash in hashes {
                let receipt: Option<RpcReceipt> = answers.next()?;
                if receipt.as_ref().is_some_and(|receipt| receipt.transaction_hash != *hash) {
                    return Err(SeatError::malformed("receipt of another transaction"));
                }
                paid.push(receipt.as_ref().and_then(RpcReceipt::paid));
                receipts.push(receipt.map(RpcReceipt::normalised).transpose()?);
            }
            Ok(Some(Seen { head: BlockNumber(head.to()), count: count.to(), balance, receipts, paid }))
        }
    };
    let ballot = lane.panel.gather(question).await;
    let head = lane.panel.reached("newest block", &ballot, |it| it.head).map_err(|it| lane.missing(&it))?;
    let count = lane.panel.reached("sender's nonce", &ballot, |it| it.count).map_err(|it| lane.missing(&it))?;
    let balance = lane.panel.reached("sender's balance", &ballot, |it| it.balance).map_err(|it| lane.missing(&it))?;
    let committed = open.iter().map(purse::most_of).fold(0, u128::saturating_add);
    Ok(Snapshot { ballot, head, count, balance, committed })
}

/// What the seats know of the attempts of one transaction, of which at most one can be mined.
async fn fate<'a>(
    lane: &EvmSubmitter,
    snapshot: &Snapshot,
    transaction: &'a OutboxTransaction,
    first: usize,
) -> Result<Fate<'a>, SubmitError> {
    let mut fate = Fate::Absent;
    for (at, attempt) in (first..).zip(&transaction.attempts) {
        let told = snapshot.ballot.votes.iter();
        let told = told.filter_map(|vote| Some((vote.seat, vote.value.receipts.get(at)?.as_ref()?)));
        match lane.panel.electorate().poll(told) {
            Poll::Agreed(receipt) => return Ok(Fate::Mined(attempt, receipt.clone(), at)),
            Poll::Missing(Shortfall::Votes { have: 0, .. }) => {}
            Poll::Missing(_) => fate = Fate::Unclear,
            Poll::Split(receipts) => {
                let highest = receipts.iter().map(|receipt| receipt.block.number).max().unwrap_or_default();
                let detail = format!("seats give different receipts of {}", attempt.tx_hash);
                dissent(lane, highest, detail).await?;
                fate = Fate::Unclear;
            }
        }
    }
    Ok(fate)
}

/// A dissent about something final is a contradiction; about anything newer it may be a reorg.
async fn dissent(lane: &EvmSubmitter, highest: BlockNumber, detail: String) -> Result<(), SubmitError> {
    if highest <= lane.head().await?.settled {
        return Err(lane.fail(SubmitErrorKind::Contradiction, detail));
    }
    tracing::debug!(chain = lane.panel.chain().name, detail, "waiting for seats to agree");
    Ok(())
}

/// The outcome of each item, or none while the receipt's block is not agreed to be canonical.
async fn judged(
    lane: &EvmSubmitter,
    transaction: &OutboxTransaction,
    attempt: &Attempt,
    receipt: &Receipt,
) -> Result<Option<Vec<Outcome>>, SubmitError> {
    let anchored = match anchor::block_at(&lane.panel, receipt.block.number).await {
        Ok(anchored) => anchored.value,
        Err(error @ PanelError::Contradiction { .. }) => {
            dissent(lane, receipt.block.number, error.to_string()).await?;
            return Ok(None);
        }
        Err(error @ PanelError::Missing { .. }) => return Err(lane.missing(&error)),
    };
    if anchored.block != receipt.block {
        return Ok(None);
    }
    if cancel::is_cancellation(lane, attempt) {
        return Ok(Some(transaction.items.iter().map(|_| Outcome::Cancelled).collect()));
    }
    let mined = Mined { tx_hash: attempt.tx_hash, receipt, time: anchored.time };
    Ok(Some(outcome::outcomes(&transaction.items, mined, lane.config.dvn).collect()))
}

/// The nonce is used, but not by us as far as the seats know. Believed once the head at which it was first seen so is
/// final, so that a receipt which merely comes late is not mistaken for none.
async fn bypassed(
    lane: &EvmSubmitter,
    memory: &mut LaneMemory,
    snapshot: &Snapshot,
    transaction: &OutboxTransaction,
) -> Result<Option<Vec<Outcome>>, SubmitError> {
    let since = *memory.bypassed.entry(transaction.id).or_insert(snapshot.head);
    if lane.head().await?.settled < since {
        return Ok(None);
    }
    purse::charge(lane, transaction.id, 0).await?;
    let (chain, nonce) = (&lane.panel.chain().name, transaction.nonce);
    tracing::error!(chain, nonce, sender = %lane.sender.address(), "nonce was used by a transaction that is not ours");
    metrics::counter!("dvn_foreign_transactions_total", "chain" => chain.clone()).increment(1);
    let reason = format!("nonce {nonce} was used by another transaction");
    Ok(Some(transaction.items.iter().map(|_| Outcome::Ineffective { reason: reason.clone() }).collect()))
}

/// Sends a transaction again, at a better price where it is next in its lane and old enough.
async fn push(
    lane: &EvmSubmitter,
    memory: &mut LaneMemory,
    snapshot: &Snapshot,
    transaction: &OutboxTransaction,
) -> Result<(), SubmitError> {
    let Some(newest) = transaction.attempts.last() else {
        return Ok(());
    };
    let now = lane.clock.now();
    let since = |at| now.duration_since(at).unwrap_or(Duration::ZERO);
    let is_stuck = transaction.nonce == snapshot.count && since(newest.at) >= lane.config.replace_after;
    if is_stuck && replace(lane, memory, snapshot, transaction, newest).await? {
        return Ok(());
    }
    let is_due = memory.sent.get(&transaction.id).is_none_or(|at| since(*at) >= lane.config.resend_after);
    if is_due {
        memory.sent.insert(transaction.id, now);
        broadcast::broadcast(&lane.panel, newest).await;
    }
    Ok(())
}

/// Signs the same call with the same nonce at a better price, unless the market or the caps leave none.
async fn replace(
    lane: &EvmSubmitter,
    memory: &mut LaneMemory,
    snapshot: &Snapshot,
    transaction: &OutboxTransaction,
    newest: &Attempt,
) -> Result<bool, SubmitError> {
    let (chain, nonce) = (&lane.panel.chain().name, transaction.nonce);
    let market = fees::market(&lane.panel, lane.config.gas).await.map_err(|it| lane.missing(&it))?;
    let legacy = transaction::is_legacy(&newest.raw);
    let old = Price { max_fee: newest.max_fee, priority_fee: newest.priority_fee, legacy };
    let fresh = fees::fresh(&market, lane.config.gas, lane.config.fees);
    let Some(price) = fresh.ok().and_then(|fresh| fees::replacement(old, fresh, lane.config.fees)) else {
        tracing::warn!(chain, nonce, max_fee = old.max_fee, "transaction is stuck and its price is not raised further");
        return Ok(false);
    };
    let order = Order::kept(&newest.raw).map_err(|it| lane::signer_error(lane, it))?;
    let most = purse::cost(order.gas_limit, price);
    let more = most.saturating_sub(purse::most_of(transaction));
    if snapshot.balance < U256::from(snapshot.committed.saturating_add(more)) {
        tracing::warn!(chain, nonce, balance = %snapshot.balance, "price is not raised beyond what the sender can pay");
        return Ok(false);
    }
    let is_bounded = transaction.items.iter().any(|it| !it.attestation.is_retraction());
    if is_bounded && !cancel::is_cancellation(lane, newest) && !purse::allows(lane, memory, more).await? {
        return Ok(false);
    }
    let attempt = order.signed(price, &*lane.sender, &*lane.clock).await.map_err(|it| lane::signer_error(lane, it))?;
    lane.outbox.replace(transaction.id, attempt.clone(), lane.fence().as_ref()).await.map_err(|it| lane.store(it))?;
    purse::charge(lane, transaction.id, most).await?;
    tracing::info!(chain, nonce, tx_hash = %attempt.tx_hash, max_fee = price.max_fee, "transaction is replaced at a better price");
    memory.sent.insert(transaction.id, attempt.at);
    broadcast::broadcast(&lane.panel, &attempt).await;
    Ok(true)
}
