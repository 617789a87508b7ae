//! Public facts about LayerZero V2 chains that catch a mistyped number before the first connection, and that tell what
//! to write where something is missing. Nothing here is used in place of what the operator wrote.
//!
//! From LayerZero's published deployments (`@layerzerolabs/lz-definitions` 3.1 for eids, the address book for contracts).

use dvn_chain::ChainClass;

/// `EndpointV2` of the mainnets below.
pub(super) const ENDPOINT_MAINNET: &str = "0x1a44076050125825900e736c501f859c50fE728c";
/// `EndpointV2` of the testnets below.
pub(super) const ENDPOINT_TESTNET: &str = "0x6EDCE65403992e310A62460808c4b910D972f10f";

/// The least eid of a V2 endpoint; smaller ones are V1 ids or no eids at all.
pub(super) const FIRST_V2_EID: u32 = 30_000;

/// A chain whose numbers and libraries are published.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) name: &'static str,
    pub(super) eid: u32,
    pub(super) chain_id: u64,
    pub(super) class: ChainClass,
    /// `SendUln302`.
    pub(super) send_lib: &'static str,
    /// `ReceiveUln302`.
    pub(super) receive_lib: &'static str,
}

impl Known {
    /// Its `EndpointV2`.
    pub(super) const fn endpoint(&self) -> &'static str {
        if self.eid < 40_000 { ENDPOINT_MAINNET } else { ENDPOINT_TESTNET }
    }
}

pub(super) fn by_chain_id(chain_id: u64) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.chain_id == chain_id)
}

pub(super) fn by_eid(eid: u32) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.eid == eid)
}

/// Eids that circulate in examples and belong to nobody, with the chain that is meant.
pub(super) fn mistaken(eid: u32) -> Option<&'static Known> {
    match eid {
        30_250 => by_eid(30_212),
        _ => None,
    }
}

const fn known(
    (name, class): (&'static str, ChainClass),
    (eid, chain_id): (u32, u64),
    send_lib: &'static str,
    receive_lib: &'static str,
) -> Known {
    Known { name, eid, chain_id, class, send_lib, receive_lib }
}

#[rustfmt::skip]
const KNOWN: &[Known] = &[
    known(("Ethereum", ChainClass::Ethereum), (30_101, 1), "0xbB2Ea70C9E858123480642Cf96acbcCE1372dCe1", "0xc02Ab410f0734EFa3F14628780e6e695156024C2"),
    known(("Arbitrum One", ChainClass::Arbitrum), (30_110, 42_161), "0x975bcD720be66659e3EB3C0e4F1866a3020E493A", "0x7B9E184e07a6EE1aC23eAe0fe8D6Be2f663f05e6"),
    known(("Conflux eSpace", ChainClass::Conflux), (30_212, 1_030), "0xb360A579Dc6f77d6a3E8710A9d983811129C428d", "0x16Cc4EF7c128d7FEa96Cf46FFD9dD20f76170347"),
    known(("Base", ChainClass::OpStack), (30_184, 8_453), "0xB5320B0B3a13cC860893E2Bd79FCd7e13484Dda2", "0xc70AB6f32772f59fBfc23889Caf4Ba3376C84bAf"),
    known(("OP Mainnet", ChainClass::OpStack), (30_111, 10), "0x1322871e4ab09Bc7f5717189434f97bBD9546e95", "0x3c4962Ff6258dcfCafD23a814237B7d6Eb712063"),
    known(("BNB Smart Chain", ChainClass::Bsc), (30_102, 56), "0x9F8C645f2D0b2159767Bd6E0839DE4BE49e823DE", "0xB217266c3A98C8B2709Ee26836C98cf12f6cCEC1"),
    known(("Polygon PoS", ChainClass::Polygon), (30_109, 137), "0x6c26c61a97006888ea9E4FA36584c7df57Cd9dA3", "0x1322871e4ab09Bc7f5717189434f97bBD9546e95"),
    known(("Avalanche C-Chain", ChainClass::Generic), (30_106, 43_114), "0x197D1333DEA5Fe0D6600E9b396c7f1B1cFCc558a", "0xbf3521d309642FA9B1c91A08609505BA09752c61"),
    known(("Sepolia", ChainClass::Ethereum), (40_161, 11_155_111), "0xcc1ae8Cf5D3904Cef3360A9532B477529b177cCE", "0xdAf00F5eE2158dD58E0d3857851c432E34A3A851"),
    known(("Arbitrum Sepolia", ChainClass::Arbitrum), (40_231, 421_614), "0x4f7cd4DA19ABB31b0eC98b9066B9e857B1bf9C0E", "0x75Db67CDab2824970131D5aa9CECfC9F69c69636"),
    known(("Conflux eSpace Testnet", ChainClass::Conflux), (40_211, 71), "0x9325bE62062a8844839C0fF9cbb0bA97b2d9EAF9", "0x99710d5cd4650A0E6b34438d0bD860F5A426EFd6"),
    known(("Base Sepolia", ChainClass::OpStack), (40_245, 84_532), "0xC1868e054425D378095A003EcbA3823a5D0135C9", "0x12523de19dc41c91F7d2093E0CFbB76b17012C8d"),
    known(("OP Sepolia", ChainClass::OpStack), (40_232, 11_155_420), "0xB31D2cb502E25B30C651842C7C3293c51Fe6d16f", "0x9284fd59B95b9143AF0b9795CAC16eb3C723C9Ca"),
    known(("BNB Smart Chain Testnet", ChainClass::Bsc), (40_102, 97), "0x55f16c442907e86D764AFdc2a07C2de3BdAc8BB7", "0x188d4bbCeD671A7aA2b5055937F79510A32e9683"),
    known(("Polygon Amoy", ChainClass::Polygon), (40_267, 80_002), "0x1d186C560281B8F1AF831957ED5047fD3AB902F9", "0x53fd4C4fBBd53F6bC58CaE6704b92dB1f360A648"),
    known(("Avalanche Fuji", ChainClass::Generic), (40_106, 43_113), "0x69BF5f48d2072DfeBc670A1D19dff91D0F4E8170", "0x819F0FAF2cb1Fba15b9cB24c9A2BDaDb0f895daf"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::scalar;

    #[test]
    fn numbers_are_unique_and_addresses_are_checksummed() {
        let eids: BTreeSet<_> = KNOWN.iter().map(|it| it.eid).collect();
        let chain_ids: BTreeSet<_> = KNOWN.iter().map(|it| it.chain_id).collect();
        assert_eq!((eids.len(), chain_ids.len()), (KNOWN.len(), KNOWN.len()));
        for it in KNOWN {
            for text in [it.send_lib, it.receive_lib, it.endpoint()] {
                assert_eq!(scalar::address(text).unwrap().to_checksum(None), text, "{}", it.name);
            }
        }
    }

    #[test]
    fn conflux_is_not_30250() {
        assert_eq!(by_chain_id(1030).unwrap().eid, 30_212);
        assert_eq!(by_eid(30_250), None);
        assert_eq!(mistaken(30_250).unwrap().chain_id, 1030);
    }
}
