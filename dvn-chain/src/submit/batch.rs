//! How many attestations one transaction takes, and the gas that they need whatever a simulation says. Pure.

use dvn_core::{ports::SignedAttestation, signature::SIGNATURE_LEN};

use crate::profile::GasRules;

/// geth's and most other pools' limit on one transaction.
pub(super) const MOST_BYTES: usize = 128 * 1024;
/// EIP-7825's limit on one transaction's gas; elsewhere one that no sensible batch reaches.
pub(super) const MOST_GAS: u64 = 1 << 24;

/// All of a transaction but its calldata, generously.
const ENVELOPE: usize = 256;
/// `execute`'s selector, the array's offset and its length.
const CALL: usize = 68;
/// One instruction without its signatures.
const INSTRUCTION: usize = 512;
/// Signatures are padded to words.
const WORD: usize = 32;

/// Measured on the deployed code: what a transaction costs before its first instruction.
const BASE: u64 = 28_800;
const BASE_PER_SIGNATURE: u64 = 2_000;
/// What an instruction costs beside its signatures and the new slot of its record.
const PER_ITEM: u64 = 13_300;
const PER_SIGNATURE: u64 = 5_740;
/// Over the measured costs, in percent: they grow slightly faster than batches do.
const MARGIN_PERCENT: u64 = 5;
/// Part of a block that one transaction may take, so that there is a block that has room for it.
const BLOCK_SHARE: u64 = 2;
/// No chain has smaller blocks: a field that says less does not mean what it means elsewhere.
const LEAST_BLOCK: u64 = 1_000_000;

/// What a chain, as it is now, lets one transaction be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) gas: u64,
    pub(super) bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { gas: MOST_GAS, bytes: MOST_BYTES }
    }
}

impl Bounds {
    /// The bounds on a chain whose blocks take so much gas, where that is known.
    pub(super) fn of_block(gas_limit: Option<u64>) -> Self {
        let share = gas_limit.filter(|limit| *limit >= LEAST_BLOCK).map_or(MOST_GAS, |limit| limit / BLOCK_SHARE);
        Self { gas: share.min(MOST_GAS), bytes: MOST_BYTES }
    }

    /// How many of the first items fit; one always counts as fitting, since less is nothing. `seen` is what an item took in the
    /// newest simulation.
    pub(super) fn fitting(self, items: &[SignedAttestation], rules: GasRules, seen: u64) -> usize {
        let (mut bytes, mut gas, mut calldata) = (CALL.saturating_add(ENVELOPE), 0_u64, CALL);
        let mut fit: usize = 0;
        for item in items {
            bytes = bytes.saturating_add(size(item));
            calldata = calldata.saturating_add(size(item));
            gas = gas.saturating_add(item_gas(item, rules).max(seen));
            let needed = with_margin(base(item).saturating_add(gas)).max(rules.least(calldata));
            if bytes > self.bytes || needed > self.gas {
                break;
            }
            fit = fit.saturating_add(1);
        }
        fit.max(1)
    }

    /// How many items like this one fit.
    pub(super) fn most_items(self, like: &SignedAttestation, rules: GasRules, seen: u64) -> usize {
        let room = self.bytes.saturating_sub(CALL.saturating_add(ENVELOPE));
        let by_bytes = room.checked_div(size(like)).unwrap_or(usize::MAX);
        let per_item = with_margin(item_gas(like, rules).max(seen)).max(rules.least(size(like)));
        let by_gas = self.gas.saturating_sub(with_margin(base(like))).checked_div(per_item).unwrap_or(u64::MAX);
        by_bytes.min(usize::try_from(by_gas).unwrap_or(usize::MAX)).max(1)
    }
}

/// What a batch needs by the measured costs, whatever a simulation that swallows failures says.
pub(super) fn measured_gas(items: &[SignedAttestation], rules: GasRules) -> u64 {
    let base = items.iter().map(base).max().unwrap_or_default();
    with_margin(items.iter().map(|item| item_gas(item, rules)).fold(base, u64::saturating_add))
}

fn with_margin(gas: u64) -> u64 {
    gas.saturating_add(gas.saturating_mul(MARGIN_PERCENT) / 100)
}

fn signatures(item: &SignedAttestation) -> usize {
    item.signatures.iter().count()
}

fn size(item: &SignedAttestation) -> usize {
    let packed = signatures(item).saturating_mul(SIGNATURE_LEN);
    INSTRUCTION.saturating_add(packed.div_ceil(WORD).saturating_mul(WORD))
}

fn per_signature(item: &SignedAttestation, gas: u64) -> u64 {
    u64::try_from(signatures(item)).unwrap_or(u64::MAX).saturating_mul(gas)
}

fn base(item: &SignedAttestation) -> u64 {
    BASE.saturating_add(per_signature(item, BASE_PER_SIGNATURE))
}

/// A retraction writes over a record that is there.
fn item_gas(item: &SignedAttestation, rules: GasRules) -> u64 {
    let slot = if item.attestation.is_retraction() { 0 } else { rules.new_slot };
    PER_ITEM.saturating_add(per_signature(item, PER_SIGNATURE)).saturating_add(slot)
}

#[cfg(test)]
mod tests;
