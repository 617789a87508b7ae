use alloy_primitives::{address, b256, bytes};
use proptest::prelude::*;

use super::*;

/// The golden packet, checked against the deployed contracts of LayerZero V2 on a local chain.
pub(crate) fn golden() -> Packet {
    let header = Header {
        nonce: Nonce(1),
        src_eid: Eid(30101),
        sender: address!("1111111111111111111111111111111111111111").into_word(),
        dst_eid: Eid(30212),
        receiver: address!("2222222222222222222222222222222222222222").into_word(),
    };
    Packet { header, message: bytes!("68656c6c6f") }
}

#[test]
fn the_golden_packet_encodes_byte_for_byte() {
    let packet = golden();
    let header = bytes!(
        "010000000000000001000075950000000000000000000000001111111111111111111111111111111111111111"
        "000076040000000000000000000000002222222222222222222222222222222222222222"
    );
    assert_eq!(packet.header.encode(), header);
    assert_eq!(packet.header.guid().0, b256!("e5db3389fefbadd69003c6833562f1f3206dea7ede54ffb2d722164265f15b65"));
    assert_eq!(packet.payload_hash().0, b256!("157a56abccb027fc0f4c2351f7833b0fa8762fad8a266d9ba1f5f10c10ad7ea4"));
    assert_eq!(packet.header.hash().0, b256!("fa0e9bc74c8db90a800cd286cd42ae9afbc85f2acdfb7329ae34d2e9c22c891c"));
    assert_eq!(Packet::decode(&packet.encode()), Ok(packet));
}

#[test]
fn wrong_lengths_are_refused() {
    let encoded = golden().encode();
    assert_eq!(Header::decode(&encoded[..80]), Err(PacketError::Length { actual: 80, expected: 81 }));
    assert_eq!(Header::decode(&encoded[..82]), Err(PacketError::Length { actual: 82, expected: 81 }));
    assert_eq!(Packet::decode(&encoded[..112]), Err(PacketError::Length { actual: 112, expected: 113 }));
    assert!(Packet::decode(&[]).is_err());
}

#[test]
fn another_version_is_refused() {
    let mut encoded = golden().encode().to_vec();
    encoded[0] = 2;
    assert_eq!(Packet::decode(&encoded), Err(PacketError::Version(2)));
}

#[test]
fn nonce_zero_is_refused() {
    let mut packet = golden();
    packet.header.nonce = Nonce(0);
    assert_eq!(Packet::decode(&packet.encode()), Err(PacketError::ZeroNonce));
}

#[test]
fn a_guid_that_is_not_the_headers_is_refused() {
    let mut encoded = golden().encode().to_vec();
    encoded[81] ^= 1;
    assert!(matches!(Packet::decode(&encoded), Err(PacketError::Guid { .. })));
}

#[test]
fn two_payloads_for_one_slot_are_two_jobs() {
    let one = golden().claim();
    let other = Packet { message: bytes!("00"), ..golden() }.claim();
    assert_eq!(one.header.guid(), other.header.guid());
    assert_ne!(one.job_id(), other.job_id());
}

proptest! {
    #[test]
    fn what_is_encoded_decodes_to_itself(
        nonce in 1u64.., src in any::<u32>(), dst in any::<u32>(), sender in any::<[u8; 32]>(),
        receiver in any::<[u8; 32]>(), message in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let header = Header {
            nonce: Nonce(nonce), src_eid: Eid(src), sender: sender.into(), dst_eid: Eid(dst), receiver: receiver.into(),
        };
        let packet = Packet { header, message: message.into() };
        prop_assert_eq!(Packet::decode(&packet.encode()), Ok(packet));
    }

    #[test]
    fn any_bytes_decode_to_what_encodes_to_them_or_not_at_all(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(packet) = Packet::decode(&bytes) {
            prop_assert_eq!(packet.encode().to_vec(), bytes);
        }
    }

    #[test]
    fn a_flipped_bit_never_decodes_to_the_same_claim(position in 0usize..118, bit in 0u8..8) {
        let mut encoded = golden().encode().to_vec();
        encoded[position] ^= 1 << bit;
        if let Ok(packet) = Packet::decode(&encoded) {
            prop_assert_ne!(packet.claim(), golden().claim());
        }
    }
}

/// T47: bytes that are nearly a packet, by a generator that gives the same ones every time. `DVN_FUZZ_INPUTS` asks for
/// more.
#[test]
fn t47_near_packets_decode_to_what_encodes_to_them_or_not_at_all() {
    let inputs: u64 = std::env::var("DVN_FUZZ_INPUTS").ok().and_then(|it| it.parse().ok()).unwrap_or(100_000);
    let golden = golden().encode().to_vec();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        // xorshift64: Marsaglia, "Xorshift RNGs", 2003.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    let mut decoded = 0;
    for _ in 0..inputs {
        let mut bytes = golden.clone();
        match random(4) {
            0 => bytes.truncate(random(golden.len())),
            1 => bytes.extend(std::iter::repeat_n(0xab, random(40))),
            _ => {}
        }
        for _ in 0..random(4) {
            if !bytes.is_empty() {
                let at = random(bytes.len());
                bytes[at] = u8::try_from(random(256)).unwrap();
            }
        }
        if let Ok(packet) = Packet::decode(&bytes) {
            decoded += 1;
            assert_eq!(packet.encode().to_vec(), bytes);
            let claim = packet.claim();
            assert_eq!(bytes[81..113], claim.header.guid().0[..]);
            assert_eq!(claim.payload_hash.0, keccak256(&bytes[81..]));
        }
    }
    assert!(decoded > inputs / 100, "the inputs are not near enough: {decoded}");
}
