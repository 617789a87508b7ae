//! A packet that nobody sent, as a branch that LayerZero's contracts seem to agree with.

use alloy_primitives::{U256, keccak256};
use alloy_sol_types::SolEvent;

use super::ForgedBranch;
use crate::{
    bindings::{Endpoint, SendUln},
    devnet::{Chain, Forgery, PacketFields},
};

/// Where `EndpointV2` keeps `outboundNonce`, a mapping from sender to destination to receiver.
const OUTBOUND_NONCE: u64 = 3;

impl ForgedBranch {
    /// What the send of this packet would have left on `source`: `DVNFeePaid` from the send library, which names our
    /// DVN, `PacketSent` from the endpoint, and the endpoint's `outboundNonce` of the path at the packet's nonce.
    #[must_use]
    pub fn packet(self, source: &Chain, fields: &PacketFields) -> Self {
        let at = source.addresses();
        let forgery = Forgery::of(source, fields);
        let paid =
            SendUln::DVNFeePaid { requiredDVNs: forgery.required, optionalDVNs: forgery.optional, fees: forgery.fees };
        let sent = Endpoint::PacketSent {
            encodedPayload: forgery.encoded,
            options: forgery.options,
            sendLibrary: forgery.send_library,
        };
        let (paid, sent) = (paid.encode_log_data(), sent.encode_log_data());
        self.log(at.send_lib, paid.topics(), paid.data.clone())
            .log(at.endpoint, sent.topics(), sent.data.clone())
            .storage(at.endpoint, outbound_nonce_slot(fields), U256::from(fields.nonce))
    }
}

/// The slot of `EndpointV2.outboundNonce` for the path of a packet.
pub(super) fn outbound_nonce_slot(fields: &PacketFields) -> U256 {
    let of_sender = keccak256([fields.sender.0, U256::from(OUTBOUND_NONCE).to_be_bytes()].concat());
    let of_destination = keccak256([U256::from(fields.dst_eid).to_be_bytes(), of_sender.0].concat());
    keccak256([fields.receiver.0, of_destination.0].concat()).into()
}
