//! What each class of chain needs: defaults that a configuration may override field by field.
#![expect(clippy::exhaustive_structs, reason = "plain records of settings")]

use std::time::Duration;

use crate::proof::ReceiptTypes;

/// Which block tag makes a block final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the tags of the Ethereum JSON-RPC specification that can settle a block")]
pub enum Finality {
    /// The `finalized` tag.
    Finalized,
    /// The `safe` tag.
    Safe,
    /// No tag: the newest block less the operator's confirmations.
    Latest,
}

/// A kind of chain, as far as reading and paying differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChainClass {
    /// Ethereum and its test networks.
    Ethereum,
    /// Optimism, Base and other chains of the OP Stack.
    OpStack,
    /// Arbitrum One and other Nitro chains.
    Arbitrum,
    /// Polygon PoS.
    Polygon,
    /// BNB Smart Chain.
    Bsc,
    /// Conflux eSpace.
    Conflux,
    /// Anything else that speaks the Ethereum JSON-RPC.
    Generic,
}

/// How gas is bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GasRules {
    /// What is added to an estimate, in percent of it.
    pub margin_percent: u64,
    /// Least gas limit per byte of calldata; 0 where the chain has no such rule.
    pub least_per_calldata_byte: u64,
    /// What a storage slot that was empty costs.
    pub new_slot: u64,
    /// The most that a limit may be, in percent of an estimate, where unused gas is paid for as well.
    pub most_percent: Option<u64>,
    /// Whether a priority fee buys anything.
    pub tips: bool,
    /// Whether transactions are of the legacy type even where blocks have a base fee.
    pub legacy: bool,
}

/// The defaults of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The tag that settles a block.
    pub finality: Finality,
    /// Usual time between blocks; paces polling.
    pub block_time: Duration,
    /// How many blocks one `eth_getLogs` asks for at first.
    pub log_range: u64,
    /// How gas is bought.
    pub gas: GasRules,
    /// How long a packet waits, as depth, whose attestation could not be taken back.
    pub irrevocable_delay: Duration,
    /// The receipt types with which a block's hash proves its logs; nothing where they are voted on.
    pub proof: Option<ReceiptTypes>,
    /// How many ancestors' hashes the history contract of EIP-2935 keeps; nothing where the chain has none.
    pub history: Option<u64>,
}

impl ChainClass {
    /// The defaults of this class.
    #[must_use]
    pub const fn profile(self) -> Profile {
        let (block_time, log_range) = match self {
            Self::Ethereum => (Duration::from_secs(12), 2_000),
            Self::OpStack => (Duration::from_secs(2), 5_000),
            Self::Arbitrum => (Duration::from_millis(250), 10_000),
            Self::Polygon | Self::Generic => (Duration::from_secs(2), 2_000),
            Self::Bsc => (Duration::from_millis(750), 2_000),
            // conflux-rust refuses a range of more than 1,000 epochs.
            Self::Conflux => (Duration::from_millis(1_250), 1_000),
        };
        Profile {
            finality: Finality::Finalized,
            block_time,
            log_range,
            gas: self.gas(),
            irrevocable_delay: Duration::from_secs(if matches!(self, Self::Conflux) { 3_600 } else { 1_800 }),
            proof: self.proof(),
            history: self.history(),
        }
    }

    /// Only classes whose encodings were checked against recorded blocks. Polygon and BNB Smart Chain were not; a Conflux
    /// eSpace hash is that of the core chain's header, which no `eth_` method gives.
    const fn proof(self) -> Option<ReceiptTypes> {
        match self {
            Self::Ethereum => Some(ReceiptTypes { extra: &[] }),
            Self::OpStack => Some(ReceiptTypes { extra: &[0x7e] }),
            Self::Arbitrum => Some(ReceiptTypes { extra: &[0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x78] }),
            Self::Polygon | Self::Bsc | Self::Conflux | Self::Generic => None,
        }
    }

    /// EIP-2935 as deployed: `HISTORY_SERVE_WINDOW` is 8191 on Ethereum (Prague), the OP Stack (Isthmus), BNB Smart Chain
    /// (Prague) and Polygon (Bhilai), and 393168 on Nitro from ArbOS 40 on.
    const fn history(self) -> Option<u64> {
        match self {
            Self::Ethereum | Self::OpStack | Self::Bsc | Self::Polygon => Some(8_191),
            Self::Arbitrum => Some(393_168),
            Self::Conflux | Self::Generic => None,
        }
    }

    const fn gas(self) -> GasRules {
        let usual = GasRules {
            margin_percent: 15,
            least_per_calldata_byte: 0,
            new_slot: 20_000,
            most_percent: None,
            tips: true,
            legacy: false,
        };
        match self {
            // The estimate holds the L1 data fee, which moves until inclusion; the sequencer ignores tips.
            Self::Arbitrum => GasRules { margin_percent: 20, tips: false, ..usual },
            // Three quarters of the limit are charged even if unused; CIP-130 asks for 100 gas a calldata byte.
            Self::Conflux => GasRules {
                margin_percent: 10,
                least_per_calldata_byte: 100,
                new_slot: 40_000,
                most_percent: Some(133),
                ..usual
            },
            Self::Ethereum | Self::OpStack | Self::Polygon | Self::Bsc | Self::Generic => usual,
        }
    }
}

impl GasRules {
    /// The gas limit for an estimate, for what such a call is known to need at least, and for a length of calldata.
    #[must_use]
    pub const fn limit(&self, estimate: u64, known: u64, calldata: u64) -> u64 {
        let margin = estimate.saturating_mul(self.margin_percent) / 100;
        let limit = larger(estimate.saturating_add(margin), known);
        let limit = match self.most_percent {
            Some(percent) => smaller(limit, estimate.saturating_mul(percent) / 100),
            None => limit,
        };
        larger(limit, calldata.saturating_mul(self.least_per_calldata_byte))
    }

    /// The least gas limit for a length of calldata.
    pub(crate) fn least(&self, calldata: usize) -> u64 {
        u64::try_from(calldata).unwrap_or(u64::MAX).saturating_mul(self.least_per_calldata_byte)
    }
}

const fn larger(one: u64, other: u64) -> u64 {
    if one > other { one } else { other }
}

const fn smaller(one: u64, other: u64) -> u64 {
    if one < other { one } else { other }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conflux_pays_for_the_limit_so_the_margin_is_small_and_calldata_binds_on_batches() {
        let gas = ChainClass::Conflux.profile().gas;
        assert_eq!(gas.limit(100_000, 0, 740), 110_000);
        assert_eq!(gas.limit(1_000_000, 0, 13_508), 1_350_800);
    }

    #[test]
    fn arbitrum_has_no_tip_and_a_wide_margin() {
        let gas = ChainClass::Arbitrum.profile().gas;
        assert!(!gas.tips);
        assert_eq!(gas.limit(100_000, 0, 740), 120_000);
        assert_eq!(ChainClass::Ethereum.profile().gas.limit(100_000, 0, 740), 115_000);
    }

    #[test]
    fn an_estimate_that_settled_too_low_is_not_the_limit_and_conflux_stays_within_a_third() {
        assert_eq!(ChainClass::Ethereum.profile().gas.limit(40_000, 81_000, 740), 81_000);
        assert_eq!(ChainClass::Conflux.profile().gas.limit(90_000, 102_000, 740), 102_000);
        assert_eq!(ChainClass::Conflux.profile().gas.limit(60_000, 102_000, 740), 79_800);
    }
}
