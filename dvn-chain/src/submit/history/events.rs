//! Which events are about our DVN contract, and what they say. Pure: asks nobody.

use alloy::{
    primitives::{Address, B256},
    sol_types::SolEvent,
};
use dvn_core::{
    ids::{Confirmations, PayloadHash},
    packet::{Claim, Header},
    ports::ChangeKind,
};

use crate::{
    contracts::{Dvn, ReceiveUln},
    rpc::Log,
};

/// The topics of all events that are read here.
pub(super) const TOPICS: [B256; 5] = [
    ReceiveUln::PayloadVerified::SIGNATURE_HASH,
    Dvn::UpdateSigner::SIGNATURE_HASH,
    Dvn::UpdateQuorum::SIGNATURE_HASH,
    Dvn::RoleGranted::SIGNATURE_HASH,
    Dvn::RoleRevoked::SIGNATURE_HASH,
];

/// What an event says of our DVN contract.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    Verified(Verified),
    Changed(ChangeKind),
    /// It is about ours, and says nothing that can be.
    Unreadable(String),
}

/// What our DVN contract verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verified {
    pub(super) claim: Claim,
    pub(super) confirmations: Confirmations,
    pub(super) target: Address,
}

/// The event in a log, if it is about our DVN contract: a receive library's about it, or its own.
pub(super) fn event(receive_libs: &[Address], dvn: Address, log: &Log) -> Option<Event> {
    let topic = *log.topics.first()?;
    if topic == ReceiveUln::PayloadVerified::SIGNATURE_HASH {
        if !receive_libs.contains(&log.address) {
            return None;
        }
        // Other DVNs' verifications are in the same library's logs.
        let event = decode::<ReceiveUln::PayloadVerified>(log, 1).filter(|event| event.dvn == dvn)?;
        return Some(verified(log.address, &event).map_or_else(Event::Unreadable, Event::Verified));
    }
    if log.address != dvn {
        return None;
    }
    let unreadable = || Event::Unreadable("its fields are not those of the contract's event".to_owned());
    Some(change(topic, log)?.map_or_else(unreadable, Event::Changed))
}

/// The library checks nothing, so that a header may be any bytes, as long as enough of the DVN's signers signed them.
fn verified(target: Address, event: &ReceiveUln::PayloadVerified) -> Result<Verified, String> {
    let header = Header::decode(&event.header).map_err(|error| error.to_string())?;
    let confirmations = u64::try_from(event.confirmations).map_err(|_| "confirmations are beyond all bounds")?;
    let claim = Claim { header, payload_hash: PayloadHash(event.proofHash) };
    Ok(Verified { claim, confirmations: Confirmations(confirmations), target })
}

/// Nothing for another event, and nothing inside where this one does not decode.
fn change(topic: B256, log: &Log) -> Option<Option<ChangeKind>> {
    let role = |role, account, granted| ChangeKind::Role { role, account, granted };
    Some(match topic {
        Dvn::UpdateSigner::SIGNATURE_HASH => decode::<Dvn::UpdateSigner>(log, 1)
            .map(|event| ChangeKind::Signer { signer: event.signer, active: event.active }),
        Dvn::UpdateQuorum::SIGNATURE_HASH => {
            decode::<Dvn::UpdateQuorum>(log, 1).map(|event| ChangeKind::Quorum(event.quorum))
        }
        Dvn::RoleGranted::SIGNATURE_HASH => {
            decode::<Dvn::RoleGranted>(log, 4).map(|event| role(event.role, event.account, true))
        }
        Dvn::RoleRevoked::SIGNATURE_HASH => {
            decode::<Dvn::RoleRevoked>(log, 4).map(|event| role(event.role, event.account, false))
        }
        _ => return None,
    })
}

fn decode<E: SolEvent>(log: &Log, topics: usize) -> Option<E> {
    if log.topics.len() != topics {
        return None;
    }
    E::decode_raw_log_validate(log.topics.iter().copied(), &log.data).ok()
}

#[cfg(test)]
mod tests;
