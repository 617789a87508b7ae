//! Which packets one transaction sent, and which of them our DVN was paid for. A pure function of the transaction's logs.
//!
//! Neither event names the other, so they are paired by position. `EndpointV2.send` holds a lock for its whole body and
//! the send library takes calls from the endpoint only; hence between two `PacketSent` of the endpoint exactly one
//! `DVNFeePaid` comes from the library that the second one names. Anybody can emit the same topics from elsewhere, also
//! in the middle of a send (a hostile DVN's `assignJob`), so every emitter is checked.

use std::collections::{BTreeMap, BTreeSet};

use alloy::{
    primitives::{Address, B256, U256},
    sol_types::SolEvent,
};
use dvn_core::{
    ids::Eid,
    packet::{Claim, Header, Packet, PacketError},
};
use thiserror::Error;

use crate::{
    contracts::{Endpoint, LegacySendUln, SendUln},
    reader::SourceContracts,
    rpc::Log,
};

/// What a `PacketSent` of the endpoint turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// Our DVN is in the fee event that belongs to it, as required or optional or both; the fees of both are summed.
    Assigned { claim: Claim, send_lib: Address, fee: U256 },
    /// A genuine packet that others verify.
    NotAssigned { claim: Claim, send_lib: Address },
    /// Not to be attested.
    Suspicious(Suspicion),
}

/// Why a `PacketSent` is not to be attested.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum Suspicion {
    #[error("event does not decode")]
    Event,
    #[error("send library {0} is not configured")]
    UnknownLibrary(Address),
    #[error("no fee event of its send library precedes it")]
    NoFeeEvent,
    #[error("several fee events of its send library precede it")]
    SeveralFeeEvents,
    #[error("fee event of its send library does not decode")]
    FeeEvent,
    #[error("fee event has {fees} fees for {dvns} DVNs")]
    FeeCount { fees: usize, dvns: usize },
    #[error(transparent)]
    Packet(#[from] PacketError),
    #[error("packet says it was sent from eid {0}")]
    ForeignSource(Eid),
    #[error("sender is not an EVM address")]
    Sender,
    #[error("two logs of the transaction share an index")]
    SharedIndex,
}

impl Suspicion {
    /// A stable word for metrics.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::UnknownLibrary(_) => "unknown_library",
            Self::NoFeeEvent => "no_fee_event",
            Self::SeveralFeeEvents => "several_fee_events",
            Self::FeeEvent => "fee_event",
            Self::FeeCount { .. } => "fee_count",
            Self::Packet(_) => "packet",
            Self::ForeignSource(_) => "foreign_source",
            Self::Sender => "sender",
            Self::SharedIndex => "shared_index",
        }
    }
}

/// A finding with the `PacketSent` log that it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Paired {
    pub(crate) log_index: u64,
    /// The packet's header, whatever is suspicious about its send: the endpoint has counted it.
    pub(crate) header: Option<Header>,
    pub(crate) finding: Finding,
}

/// The topics that pairing reads.
pub(crate) const TOPICS: [B256; 2] = [Endpoint::PacketSent::SIGNATURE_HASH, SendUln::DVNFeePaid::SIGNATURE_HASH];

/// Judges every `PacketSent` of the endpoint in one transaction, in order. `logs` may hold any logs of that
/// transaction, but must hold all of the endpoint and of the configured send libraries.
pub(crate) fn pair(eid: Eid, contracts: &SourceContracts, logs: &[Log]) -> Vec<Paired> {
    let mut sorted: Vec<&Log> = logs.iter().collect();
    sorted.sort_by_key(|log| log.index);
    let indices: BTreeSet<u64> = sorted.iter().map(|log| log.index).collect();
    let unsound = indices.len() != sorted.len();
    // What each library was paid since the endpoint's last packet.
    let mut pending: BTreeMap<Address, Vec<&Log>> = BTreeMap::new();
    let mut found = Vec::new();
    for log in sorted {
        if log.address == contracts.endpoint && topic(log) == Some(Endpoint::PacketSent::SIGNATURE_HASH) {
            let judged = if unsound { Err(Suspicion::SharedIndex) } else { judge(eid, contracts, log, &pending) };
            let finding = judged.unwrap_or_else(Finding::Suspicious);
            found.push(Paired { log_index: log.index, header: header(eid, log), finding });
            pending.clear();
        } else if contracts.send_libs.contains(&log.address) && topic(log) == Some(SendUln::DVNFeePaid::SIGNATURE_HASH)
        {
            pending.entry(log.address).or_default().push(log);
        }
    }
    found
}

/// Whether the log is a packet of the first endpoint version's library, which this crate recognises and never attests.
pub(crate) fn is_legacy_packet(log: &Log) -> bool {
    topic(log) == Some(LegacySendUln::PacketSent::SIGNATURE_HASH)
}

fn header(eid: Eid, log: &Log) -> Option<Header> {
    let sent: Endpoint::PacketSent = decode(log)?;
    let header = Packet::decode(&sent.encodedPayload).ok()?.header;
    (header.src_eid == eid).then_some(header)
}

fn judge(
    eid: Eid,
    contracts: &SourceContracts,
    log: &Log,
    pending: &BTreeMap<Address, Vec<&Log>>,
) -> Result<Finding, Suspicion> {
    let sent: Endpoint::PacketSent = decode(log).ok_or(Suspicion::Event)?;
    let send_lib = sent.sendLibrary;
    if !contracts.send_libs.contains(&send_lib) {
        return Err(Suspicion::UnknownLibrary(send_lib));
    }
    let fees = match pending.get(&send_lib).map(Vec::as_slice) {
        None | Some([]) => return Err(Suspicion::NoFeeEvent),
        Some([fee_event]) => fees(fee_event, contracts.dvn)?,
        Some(_) => return Err(Suspicion::SeveralFeeEvents),
    };
    let packet = Packet::decode(&sent.encodedPayload)?;
    if packet.header.src_eid != eid {
        return Err(Suspicion::ForeignSource(packet.header.src_eid));
    }
    if !packet.header.sender.as_slice().starts_with(&[0; 12]) {
        return Err(Suspicion::Sender);
    }
    let claim = packet.claim();
    Ok(match fees {
        Some(fee) => Finding::Assigned { claim, send_lib, fee },
        None => Finding::NotAssigned { claim, send_lib },
    })
}

/// What the DVN was paid, or nothing where it is in neither list. A fee of 0 is an assignment too.
fn fees(log: &Log, dvn: Address) -> Result<Option<U256>, Suspicion> {
    let paid: SendUln::DVNFeePaid = decode(log).ok_or(Suspicion::FeeEvent)?;
    let dvns = paid.requiredDVNs.len().saturating_add(paid.optionalDVNs.len());
    if paid.fees.len() != dvns {
        return Err(Suspicion::FeeCount { fees: paid.fees.len(), dvns });
    }
    // A fee stands at its DVN's position in the required list followed by the optional one.
    let named = paid.requiredDVNs.iter().chain(&paid.optionalDVNs);
    let ours = named.zip(&paid.fees).filter(|(named, _)| **named == dvn).map(|(_, fee)| *fee);
    Ok(ours.reduce(U256::saturating_add))
}

fn topic(log: &Log) -> Option<B256> {
    log.topics.first().copied()
}

/// No field of these events is indexed, so there is exactly one topic.
fn decode<E: SolEvent>(log: &Log) -> Option<E> {
    if log.topics.len() != 1 {
        return None;
    }
    E::decode_raw_log_validate(log.topics.iter().copied(), &log.data).ok()
}

#[cfg(test)]
mod tests;
