use alloy::primitives::{Address, B256};
use dvn_core::{
    attestation::Attestation,
    ids::{ChainTime, Confirmations, Eid, JobId, Nonce, PayloadHash, Vid},
    packet::{Claim, Header},
    signature::{Committee, SignatureSet},
};
use k256::ecdsa::SigningKey;

use super::*;
use crate::{ChainClass, submit::transaction};

fn items(count: usize, quorum: u8, confirmations: u64) -> Vec<SignedAttestation> {
    let keys: Vec<SigningKey> = (1..=quorum).map(|byte| SigningKey::from_slice(&[byte; 32]).unwrap()).collect();
    let members = keys.iter().map(Address::from_private_key).collect();
    let committee = Committee { vid: Vid(1), quorum: quorum.into(), members };
    let header = Header { nonce: Nonce(1), src_eid: Eid(1), sender: B256::ZERO, dst_eid: Eid(2), receiver: B256::ZERO };
    let claim = Claim { header, payload_hash: PayloadHash(B256::ZERO) };
    let (confirmations, expiration) = (Confirmations(confirmations), ChainTime(9));
    let attestation = Attestation { claim, confirmations, expiration, vid: Vid(1), target: Address::ZERO };
    let digest = attestation.digest();
    let signed = keys.iter().map(|key| key.sign_prehash_recoverable(digest.as_slice()).unwrap().into());
    let signatures = SignatureSet::try_new(digest, &committee, signed).unwrap();
    vec![SignedAttestation { job: JobId(B256::ZERO), attestation, signatures }; count]
}

fn rules(class: ChainClass) -> GasRules {
    class.profile().gas
}

#[test]
fn bytes_bind_first_and_as_pools_count_them() {
    for (quorum, most) in [(1, 215), (2, 194), (3, 177)] {
        let many = items(400, quorum, 1);
        let rules = rules(ChainClass::Ethereum);
        assert_eq!(Bounds::default().fitting(&many, rules, 0), most);
        assert_eq!(Bounds::default().most_items(&many[0], rules, 0), most);
        assert!(transaction::execute_call(&many[..most]).len() + 160 <= MOST_BYTES);
    }
}

#[test]
fn calldata_is_as_long_as_it_is_thought_to_be() {
    for quorum in 1..=3 {
        let two = items(2, quorum, 1);
        assert_eq!(transaction::execute_call(&two).len(), CALL + 2 * size(&two[0]));
    }
}

#[test]
fn the_measured_costs_are_those_of_real_transactions() {
    // Gas used on a local node, with so many signatures and items.
    for (quorum, count, used) in [
        (1, 1, 69_718),
        (1, 25, 1_004_929),
        (2, 1, 77_433),
        (2, 25, 1_150_572),
        (2, 200, 9_010_380),
        (3, 1, 85_172),
        (3, 100, 5_091_831),
    ] {
        let gas = measured_gas(&items(count, quorum, 1), rules(ChainClass::Ethereum));
        assert!(gas >= used && gas * 100 <= used * 107, "{quorum} {count}: {gas} for {used}");
    }
    // A retraction of one record took 57,533.
    let gas = measured_gas(&items(1, 2, 0), rules(ChainClass::Ethereum));
    assert!((57_533..62_000).contains(&gas), "{gas}");
}

#[test]
fn a_new_slot_is_dearer_on_conflux_and_calldata_has_its_price() {
    let one = items(1, 2, 1);
    let (usual, conflux) = (rules(ChainClass::Ethereum), rules(ChainClass::Conflux));
    assert_eq!(measured_gas(&one, conflux) - measured_gas(&one, usual), 21_000);
    // 100 gas a byte: 672 bytes an item are 67,200 gas, which is less than what it takes.
    let many = items(400, 2, 1);
    let bounds = Bounds { gas: 3_000_000, ..Bounds::default() };
    let fit = bounds.fitting(&many, conflux, 0);
    assert!(measured_gas(&many[..fit], conflux) <= bounds.gas && measured_gas(&many[..=fit], conflux) > bounds.gas);
    let dear = GasRules { least_per_calldata_byte: 1_000, ..conflux };
    assert_eq!(bounds.fitting(&many, dear, 0), 4);
}

#[test]
fn a_block_bounds_a_batch_where_its_field_means_something() {
    let many = items(400, 2, 1);
    let rules = rules(ChainClass::Ethereum);
    let small = Bounds::of_block(Some(4_000_000));
    assert_eq!(small.gas, 2_000_000);
    let fit = small.fitting(&many, rules, 0);
    assert!((35..45).contains(&fit), "{fit}");
    // Arbitrum's field is astronomic, and Conflux's is zero in most blocks.
    assert_eq!(Bounds::of_block(Some(1 << 50)), Bounds::default());
    assert_eq!(Bounds::of_block(Some(0)), Bounds::default());
    assert_eq!(Bounds::of_block(None), Bounds::default());
}

#[test]
fn what_simulations_show_counts_where_it_is_more() {
    let many = items(400, 2, 1);
    let rules = rules(ChainClass::Arbitrum);
    let bounds = Bounds::default();
    let fit = bounds.fitting(&many, rules, 500_000);
    assert!(fit < 33 && fit > 28, "{fit}");
    assert_eq!(bounds.fitting(&many, rules, u64::MAX), 1, "one always goes");
}
