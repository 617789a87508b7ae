//! May this packet be signed now? A pure function of what was verified, what the destination says and what the
//! operator demands.

use std::time::Duration;

use crate::{
    destination::{Decision, DestinationView},
    ids::{BlockNumber, ChainTime, Confirmations},
    job::{Hold, Refusal},
    ports::Observation,
};

/// What the operator demands of a source chain, beyond what the OApps ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain record of settings")]
pub struct Floor {
    /// Least depth of a packet's block under the newest block. It lengthens the wait and is never attested.
    pub confirmations: Confirmations,
    /// The same for packets whose receiver counts a record of 0 confirmations as verified: what is attested there cannot be
    /// taken back, since a retraction states 0.
    pub irrevocable: Confirmations,
}

/// The policy's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "callers match on all of it, without a wildcard")]
pub enum Verdict {
    /// Sign, stating these confirmations.
    Sign {
        /// The larger of both configurations', at least 1.
        confirmations: Confirmations,
    },
    /// Too shallow or not final; look again when the source's newest block has this height.
    Wait {
        /// Height of the newest block that makes the packet deep enough.
        head: BlockNumber,
    },
    /// Nothing left to sign: the destination has it.
    Committed,
    /// Nothing left to sign: our record stands on the destination.
    Attested,
    /// Stopped.
    Hold(Hold),
    /// Never.
    Refuse(Refusal),
}

/// Judges one observation against one destination view.
///
/// `first_send` is the send configuration's confirmations as read when the packet was first seen: an OApp, or a worker
/// inside the same block, may lower them later, so the larger counts.
#[must_use]
pub fn judge(seen: &Observation, view: &DestinationView, floor: Floor, first_send: Option<Confirmations>) -> Verdict {
    if !seen.assigned {
        return Verdict::Refuse(Refusal::NotAssigned);
    }
    let receive = match view.decide(&seen.claim) {
        Decision::Committed => return Verdict::Committed,
        Decision::Attested => return Verdict::Attested,
        Decision::Hold(hold) => return Verdict::Hold(hold),
        Decision::Submit(config) => config.confirmations,
    };
    let send = seen.send_confirmations.max(first_send.unwrap_or_default());
    let stated = send.max(receive).max(Confirmations(1));
    let least = if receive == Confirmations(0) { floor.irrevocable } else { Confirmations(0) };
    let depth = stated.max(floor.confirmations).max(least);
    let block = seen.location.block.number;
    let deep_enough_at = block.above(depth.0);
    if seen.head.latest < deep_enough_at || seen.head.settled < block {
        return Verdict::Wait { head: deep_enough_at };
    }
    Verdict::Sign { confirmations: stated }
}

/// The expiration to propose: the destination's time plus the configured life, rounded up to a whole minute, so that
/// concurrent proposers mostly produce the same bytes.
#[must_use]
pub const fn expiration(now: ChainTime, life: Duration) -> ChainTime {
    const STEP: u64 = 60;
    let exact = now.0.saturating_add(life.as_secs());
    ChainTime(match exact.checked_next_multiple_of(STEP) {
        Some(rounded) => rounded,
        None => exact,
    })
}

/// How much later than this node's own bound a proposed expiration may be.
pub const EXPIRATION_SLACK: Duration = Duration::from_secs(120);

/// How far two clocks may differ.
const CLOCKS: Duration = Duration::from_secs(60);

/// How long signatures may be out that were made before now: a whole life, rounded up to a minute, with the slack that
/// proposers have, and what clocks may differ by.
#[must_use]
pub const fn longest_life(life: Duration) -> Duration {
    let rounded = life.saturating_add(Duration::from_secs(60));
    rounded.saturating_add(EXPIRATION_SLACK).saturating_add(CLOCKS)
}

/// Whether a proposed expiration lies ahead of the destination's time and within this node's own bound.
#[must_use]
pub const fn accepts_expiration(proposed: ChainTime, now: ChainTime, life: Duration) -> bool {
    let latest = expiration(now, life).plus(EXPIRATION_SLACK.as_secs());
    proposed.0 > now.0 && proposed.0 <= latest.0
}

#[cfg(test)]
mod tests;
