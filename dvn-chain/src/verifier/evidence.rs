//! What convinced us, as one JSON document for people and auditors.

use std::sync::Arc;

use dvn_core::{
    ids::BlockRef,
    job::Location,
    packet::Claim,
    ports::{Chain, EvidenceBundle, Head},
};
use serde_json::{Value, json};

use crate::{
    panel::{Agreed, Panel},
    receipts::{Reading, TransactionLogs},
    rpc::Log,
    state::SourceState,
};

/// Every fact with those who vouch for it.
#[derive(Debug)]
pub(super) struct Convinced<'a> {
    pub(super) chain: &'a Chain,
    pub(super) location: &'a Location,
    pub(super) head: Head,
    /// The final block that the packet's block was linked to.
    pub(super) anchor: BlockRef,
    pub(super) vouched_by: Vec<String>,
    pub(super) claim: &'a Claim,
    pub(super) assigned: bool,
    pub(super) logs: &'a TransactionLogs,
    pub(super) panel: &'a Panel,
    pub(super) receipts: &'a Agreed<Arc<Reading>>,
    pub(super) state: &'a Agreed<SourceState>,
}

pub(super) fn bundle(facts: &Convinced<'_>) -> EvidenceBundle {
    let Convinced { chain, location, head, claim, assigned, logs, panel, receipts, state, .. } = *facts;
    let threshold = panel.threshold();
    let document = json!({
        "kind": if receipts.value.root().is_some() { "proof" } else { "votes" },
        "chain": { "name": chain.name, "eid": chain.eid.0 },
        "block": reference(location.block),
        "anchor": reference(facts.anchor),
        "transaction": location.tx_hash,
        "log_index": location.log_index,
        "head": { "latest": head.latest.0, "settled": head.settled.0 },
        "claim": described(claim),
        "assigned": assigned,
        "status": logs.status,
        "logs": logs.logs.iter().map(log).collect::<Vec<_>>(),
        "send_confirmations": state.value.send_confirmations.0,
        "outbound_nonce": state.value.outbound_nonce.0,
        "proven_nonce": state.value.proven_nonce.map(|(at, nonce)| json!({ "nonce": nonce.0, "at": reference(at) })),
        "votes": {
            "seats": threshold.seats(),
            "threshold": threshold.need(),
            "block_hash": facts.vouched_by,
            "receipts": source_of(receipts),
            "state": state.voters,
        },
    });
    EvidenceBundle::new(document.to_string())
}

fn reference(block: BlockRef) -> Value {
    json!({ "number": block.number.0, "hash": block.hash })
}

/// How the logs are known: by the root that they hash to, or by those who voted for them.
fn source_of(receipts: &Agreed<Arc<Reading>>) -> Value {
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
