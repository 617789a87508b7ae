//! What to pay for gas: enough to be mined, never more than the operator allows. Pure but for the asking.

use alloy::primitives::U128;
use dvn_core::ids::{BlockNumber, ChainTime};

use crate::{
    call::{Answers, Call},
    panel::{Panel, PanelError, median},
    profile::GasRules,
    rpc::RpcBlock,
    seat::SeatError,
};

/// The most that may be paid for a unit of gas, in wei.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain pair of settings")]
pub struct FeeCaps {
    /// Highest `maxFeePerGas`, or `gasPrice` of a legacy transaction.
    pub max_fee: u128,
    /// Highest `maxPriorityFeePerGas`.
    pub max_priority_fee: u128,
}

/// The market as the seats see it, in wei.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Market {
    /// Nothing on a chain without EIP-1559.
    pub(super) base_fee: Option<u128>,
    /// The usual tip, or the whole gas price on a chain without EIP-1559.
    pub(super) tip: u128,
    /// The newest block's time.
    pub(super) time: ChainTime,
}

/// A price for a transaction, in wei.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Price {
    pub(super) max_fee: u128,
    pub(super) priority_fee: u128,
    pub(super) legacy: bool,
}

/// What the chain wants now is above the cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AboveCap {
    pub(super) wanted: u128,
}

/// What one seat says about prices.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quote {
    base_fee: Option<u128>,
    price: u128,
    /// Nothing on nodes that lack the method: those without EIP-1559, and some with it.
    tip: Option<u128>,
    time: ChainTime,
    /// Gas of a block, where the node says so.
    pub(super) block_gas: Option<u64>,
}

/// What [`quote`] reads the answers of.
pub(super) fn questions() -> [Call; 3] {
    [Call::block_by_tag("latest"), Call::gas_price(), Call::priority_fee()]
}

/// One seat's quote, and its newest block.
pub(super) fn quote(answers: &mut Answers) -> Result<(Quote, BlockNumber), SeatError> {
    let block: RpcBlock = answers.next()?;
    let price: U128 = answers.next()?;
    let tip: Option<U128> = answers.next().ok();
    let quote = Quote {
        base_fee: block.base_fee_per_gas.map(|fee| fee.to()),
        price: price.to(),
        tip: tip.map(|tip| tip.to()),
        time: ChainTime(block.timestamp.to()),
        block_gas: block.gas_limit.map(|limit| limit.to()),
    };
    Ok((quote, block.number()))
}

/// The market alone.
pub(super) async fn market(panel: &Panel, rules: GasRules) -> Result<Market, PanelError> {
    let ballot = panel
        .gather(|seat| async move {
            let mut answers = Answers::new(seat.batch(Vec::from(questions())).await?);
            quote(&mut answers).map(|(quote, _)| Some(quote))
        })
        .await;
    if !panel.suffices(&ballot.votes) {
        return Err(panel.missing("gas price", &ballot));
    }
    let quotes: Vec<Quote> = ballot.votes.iter().map(|vote| vote.value).collect();
    agreed(&quotes, rules).ok_or_else(|| panel.missing("gas price", &ballot))
}

/// Prices are measurements, so the middle one counts: no minority of seats makes us overpay or get stuck. Nothing without any.
pub(super) fn agreed(quotes: &[Quote], rules: GasRules) -> Option<Market> {
    let base_fee = median(quotes.iter().map(|quote| quote.base_fee)).flatten();
    let price = median(quotes.iter().map(|quote| quote.price))?;
    let time = median(quotes.iter().map(|quote| quote.time))?;
    let tip = match base_fee {
        _ if !rules.tips => 0,
        Some(base_fee) if !rules.legacy => {
            median(quotes.iter().filter_map(|quote| quote.tip)).unwrap_or_else(|| price.saturating_sub(base_fee))
        }
        _ => price,
    };
    Some(Market { base_fee, tip, time })
}

/// The price of a new transaction: twice the base fee, so that it stays good for half a dozen full blocks, and the tip.
///
/// # Errors
/// [`AboveCap`] where even the base fee alone, or the whole price of a legacy transaction, is above the cap.
pub(super) fn fresh(market: &Market, rules: GasRules, caps: FeeCaps) -> Result<Price, AboveCap> {
    match market.base_fee {
        Some(base_fee) if !rules.legacy => {
            if base_fee > caps.max_fee {
                return Err(AboveCap { wanted: base_fee });
            }
            let tip = market.tip.min(caps.max_priority_fee);
            let max_fee = base_fee.saturating_mul(2).saturating_add(tip).min(caps.max_fee);
            Ok(Price { max_fee, priority_fee: tip.min(max_fee), legacy: false })
        }
        base_fee => {
            // A chain with a base fee and without tips takes the base fee itself as the price.
            let price = market.tip.max(base_fee.unwrap_or_default());
            if price > caps.max_fee {
                Err(AboveCap { wanted: price })
            } else {
                Ok(Price { max_fee: price, priority_fee: 0, legacy: true })
            }
        }
    }
}

/// The price that replaces an older one: `max(old, min(3 × fresh, max(1.1 × old, fresh)))`, fee and tip apart, capped.
/// Nothing where the caps leave less than the tenth more that pools ask for, or nothing more at all.
pub(super) fn replacement(old: Price, fresh: Price, caps: FeeCaps) -> Option<Price> {
    let max_fee = escalated(old.max_fee, fresh.max_fee).min(caps.max_fee);
    let priority_fee = escalated(old.priority_fee, fresh.priority_fee).min(caps.max_priority_fee).min(max_fee);
    let enough = max_fee >= raised(old.max_fee) && (old.legacy || priority_fee >= raised(old.priority_fee));
    enough.then_some(Price { max_fee, priority_fee, legacy: old.legacy })
}

fn escalated(old: u128, fresh: u128) -> u128 {
    old.max(fresh.saturating_mul(3).min(raised(old).max(fresh)))
}

/// A tenth more, rounded up; pools compare with at least this. Nothing plus a tenth is nothing.
const fn raised(old: u128) -> u128 {
    old.saturating_add(old.div_ceil(10))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPS: FeeCaps = FeeCaps { max_fee: 1_000, max_priority_fee: 50 };
    const USUAL: GasRules = crate::ChainClass::Ethereum.profile().gas;

    fn market(base_fee: u128, tip: u128) -> Market {
        Market { base_fee: Some(base_fee), tip, time: ChainTime(0) }
    }

    fn price(max_fee: u128, priority_fee: u128) -> Price {
        Price { max_fee, priority_fee, legacy: false }
    }

    #[test]
    fn a_fresh_price_leaves_room_for_a_rising_base_fee() {
        assert_eq!(fresh(&market(100, 20), USUAL, CAPS), Ok(price(220, 20)));
    }

    #[test]
    fn caps_hold_and_a_tip_never_exceeds_the_fee() {
        assert_eq!(fresh(&market(900, 80), USUAL, CAPS), Ok(price(1_000, 50)));
        let caps = FeeCaps { max_fee: 10, max_priority_fee: 50 };
        assert_eq!(fresh(&market(4, 80), USUAL, caps), Ok(price(10, 10)));
    }

    #[test]
    fn a_base_fee_above_the_cap_stops() {
        assert_eq!(fresh(&market(1_001, 0), USUAL, CAPS), Err(AboveCap { wanted: 1_001 }));
        assert!(fresh(&market(1_000, 0), USUAL, CAPS).is_ok());
    }

    #[test]
    fn chains_without_a_base_fee_take_the_gas_price() {
        let old = Market { base_fee: None, tip: 30, time: ChainTime(0) };
        assert_eq!(fresh(&old, USUAL, CAPS), Ok(Price { max_fee: 30, priority_fee: 0, legacy: true }));
        let dear = Market { tip: 1_001, ..old };
        assert_eq!(fresh(&dear, USUAL, CAPS), Err(AboveCap { wanted: 1_001 }));
    }

    #[test]
    fn a_replacement_pays_a_tenth_more_or_the_fresh_price() {
        assert_eq!(replacement(price(200, 20), price(150, 10), CAPS), Some(price(220, 22)));
        assert_eq!(replacement(price(200, 20), price(300, 30), CAPS), Some(price(300, 30)));
    }

    #[test]
    fn a_fallen_market_does_not_chase_the_price_up() {
        // Already more than three times the fresh price: nothing is gained by paying more.
        assert_eq!(replacement(price(600, 40), price(100, 10), CAPS), None);
    }

    #[test]
    fn at_the_cap_the_old_transaction_stays() {
        assert_eq!(replacement(price(950, 20), price(990, 30), CAPS), None);
        assert_eq!(replacement(price(200, 48), price(300, 60), CAPS), None);
    }

    #[test]
    fn no_tip_needs_no_raise() {
        assert_eq!(replacement(price(200, 0), price(150, 0), CAPS), Some(price(220, 0)));
    }
}
