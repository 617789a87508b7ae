//! What convinced us, as one JSON document for people and auditors.

use dvn_core::{
    job::Location,
    packet::Claim,
    ports::{Chain, EvidenceBundle, Head},
};
use serde_json::{Value, json};

use super::{
    receipts::{Reading, TransactionLogs},
    state::SourceState,
};
use crate::{
    anchor::Anchored,
    panel::{Agreed, Panel},
    rpc::Log,
};

/// Every fact with those who vouch for it.
#[derive(Debug)]
pub(super) struct Convinced<'a> {
    pub(super) chain: &'a Chain,
    pub(super) location: &'a Location,
    pub(super) head: Head,
    pub(super) claim: &'a Claim,
    pub(super) assigned: bool,
    pub(super) logs: &'a TransactionLogs,
    pub(super) panel: &'a Panel,
    pub(super) anchor: &'a Agreed<Anchored>,
    pub(super) receipts: &'a Agreed<Reading>,
    pub(super) state: &'a Agreed<SourceState>,
}

pub(super) fn bundle(facts: &Convinced<'_>) -> EvidenceBundle {
    let Convinced { chain, location, head, claim, assigned, logs, panel, anchor, receipts, state } = *facts;
    let threshold = panel.threshold();
    let document = json!({
        "kind": if receipts.value.root().is_some() { "proof" } else { "votes" },
        "chain": { "name": chain.name, "eid": chain.eid.0 },
        "block": { "number": location.block.number.0, "hash": location.block.hash, "time": anchor.value.time.0 },
        "transaction": location.tx_hash,
        "log_index": location.log_index,
        "head": { "latest": head.latest.0, "settled": head.settled.0 },
        "claim": described(claim),
        "assigned": assigned,
        "status": logs.status,
        "logs": logs.logs.iter().map(log).collect::<Vec<_>>(),
        "send_confirmations": state.value.send_confirmations.0,
        "outbound_nonce": state.value.outbound_nonce.0,
        "votes": {
            "seats": threshold.seats(),
            "threshold": threshold.need(),
            "block_hash": anchor.voters,
            "receipts": source_of(receipts),
            "state": state.voters,
        },
    });
    EvidenceBundle::new(document.to_string())
}

/// How the logs are known: by the root that they hash to, or by those who voted for them.
fn source_of(receipts: &Agreed<Reading>) -> Value {
    match receipts.value.root() {
        Some(root) => json!({ "proven": root, "served_by": receipts.voters }),
        None => json!({ "voted": receipts.voters }),
    }
}

fn described(claim: &Claim) -> Value {
    let header = &claim.header;
    json!({
        "guid": header.guid().0,
        "nonce": header.nonce.0,
        "src_eid": header.src_eid.0,
        "sender": header.sender,
        "dst_eid": header.dst_eid.0,
        "receiver": header.receiver,
        "payload_hash": claim.payload_hash.0,
    })
}

fn log(log: &Log) -> Value {
    json!({ "index": log.index, "address": log.address, "topics": log.topics, "data": log.data })
}
