//! The two state reads at the source: what the sender asks for, and an independent count that a forged log would have to
//! forge too.

use alloy::primitives::Address;
use dvn_core::{
    ids::{BlockNumber, Confirmations, Nonce},
    packet::Claim,
};

use crate::{
    call::{Answers, Call},
    contracts::{Endpoint, Uln},
    panel::{Agreed, Panel, PanelError},
    source::SourceContracts,
};

/// What the source's contracts say about a packet's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SourceState {
    /// `SendUln302.getUlnConfig(sender, dstEid).confirmations`; 0 where the sender has no configuration any more.
    pub(super) send_confirmations: Confirmations,
    /// `EndpointV2.outboundNonce(sender, dstEid, receiver)`.
    pub(super) outbound_nonce: Nonce,
}

pub(super) async fn read(
    panel: &Panel,
    contracts: &SourceContracts,
    send_lib: Address,
    claim: &Claim,
    at: BlockNumber,
) -> Result<Agreed<SourceState>, PanelError> {
    let header = &claim.header;
    let sender = Address::from_word(header.sender);
    let config = Uln::getUlnConfigCall { oapp: sender, remoteEid: header.dst_eid.0 };
    let nonce = Endpoint::outboundNonceCall { sender, dstEid: header.dst_eid.0, receiver: header.receiver };
    let calls = [Call::view(send_lib, &config, at), Call::view(contracts.endpoint, &nonce, at)];
    let question = |seat: std::sync::Arc<crate::seat::Seat>| {
        let calls = calls.to_vec();
        async move {
            let mut answers = Answers::new(seat.batch(calls).await?);
            let config = answers.returned_or_reverted::<Uln::getUlnConfigCall>()?;
            let nonce = answers.returned::<Endpoint::outboundNonceCall>()?;
            let send_confirmations = Confirmations(config.map_or(0, |config| config.confirmations));
            Ok(Some(SourceState { send_confirmations, outbound_nonce: Nonce(nonce) }))
        }
    };
    panel.agree("send configuration and nonce", question).await
}
