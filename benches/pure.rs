//! The pure parts on a packet's way: codec, digest, signature set, verdict.
#![expect(clippy::unwrap_used, reason = "a benchmark stops when something is off")]

use std::{hint::black_box, time::Duration};

use alloy_primitives::{Address, B256, Bytes};
use criterion::{Criterion, criterion_group, criterion_main};
use dvn_core::{
    attestation::Attestation,
    destination::{DestinationView, ReceiveConfig},
    ids::{BlockNumber, BlockRef, ChainTime, Confirmations, Eid, Nonce, Vid},
    job::Location,
    packet::{Header, Packet},
    policy::{Floor, judge},
    ports::{EvidenceBundle, Head, Observation, Signer},
    signature::{Committee, SignatureSet},
};
use dvn_hsm::LocalSigner;

fn packet() -> Packet {
    let header = Header {
        nonce: Nonce(7),
        src_eid: Eid(30101),
        sender: Address::repeat_byte(1).into_word(),
        dst_eid: Eid(30212),
        receiver: Address::repeat_byte(2).into_word(),
    };
    Packet { header, message: Bytes::from(vec![7; 256]) }
}

fn attestation() -> Attestation {
    Attestation {
        claim: packet().claim(),
        confirmations: Confirmations(15),
        expiration: ChainTime(1_893_456_000),
        vid: Vid(212),
        target: Address::repeat_byte(0x16),
    }
}

fn codec(criterion: &mut Criterion) {
    let encoded = packet().encode();
    criterion.bench_function("packet/decode and check guid", |bench| {
        bench.iter(|| Packet::decode(black_box(&encoded)).unwrap());
    });
    criterion.bench_function("attestation/digest", |bench| bench.iter(|| black_box(attestation()).digest()));
}

fn signatures(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let digest = attestation().digest();
    let signers: Vec<_> =
        (1..=3).map(|key| LocalSigner::from_hex_secret(format!("{key:064x}").into()).unwrap()).collect();
    let signed: Vec<_> = signers.iter().map(|signer| runtime.block_on(signer.sign_digest(digest)).unwrap()).collect();
    let committee = Committee { vid: Vid(212), quorum: 2, members: signers.iter().map(Signer::address).collect() };
    criterion.bench_function("signatures/local key signs", |bench| {
        bench.iter(|| runtime.block_on(signers[0].sign_digest(digest)).unwrap());
    });
    criterion.bench_function("signatures/set of 2 from 3", |bench| {
        bench.iter(|| SignatureSet::try_new(digest, &committee, signed.iter().copied()).unwrap().to_bytes());
    });
}

fn verdict(criterion: &mut Criterion) {
    let block = BlockRef { number: BlockNumber(1_000), hash: B256::repeat_byte(1) };
    let seen = Observation {
        claim: packet().claim(),
        location: Location { src_eid: Eid(30101), block, tx_hash: B256::repeat_byte(2), log_index: 3 },
        assigned: true,
        send_confirmations: Confirmations(15),
        head: Head { latest: BlockNumber(1_100), settled: BlockNumber(1_050) },
        evidence: EvidenceBundle::new("{}"),
    };
    let view = DestinationView {
        at: block,
        time: ChainTime(1_700_000_000),
        receive_lib: Address::repeat_byte(0x16),
        receive_lib_known: true,
        config: Some(ReceiveConfig { confirmations: Confirmations(15), lists_us: true }),
        stored: B256::ZERO,
        lazy_nonce: Nonce(0),
        record: None,
    };
    let floor = Floor { confirmations: Confirmations(12), irrevocable: Confirmations(0) };
    criterion.bench_function("policy/judge", |bench| {
        bench.iter(|| judge(black_box(&seen), black_box(&view), floor, None));
    });
}

criterion_group! {
    name = pure;
    config = Criterion::default().measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
    targets = codec, signatures, verdict
}
criterion_main!(pure);
