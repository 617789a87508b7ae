//! What an executor does on the destination: commit what is verified, then deliver.

use alloy_primitives::{Address, U256, keccak256};
use alloy_sol_types::SolCall;

use super::{Chain, Devnet, DevnetError, SentPacket};
use crate::{
    bindings::{Endpoint, EndpointView, OApp, Origin, ReceiveUln, ReceiveView},
    keys,
    rpc::Receipt,
};

/// What `ReceiveUln302View` says about a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum VerificationState {
    /// DVNs are missing.
    Verifying,
    /// Enough DVNs verified it, and nobody committed it.
    Verifiable,
    /// Committed, maybe delivered.
    Verified,
    /// The receiver does not accept the path.
    NotInitializable,
}

/// What came of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Delivery {
    /// The application has the message, now or from before.
    Delivered,
    /// Not verified, or an earlier packet of the path is not.
    NotYet,
}

/// Values of the views' enumerations.
const EXECUTABLE: u8 = 2;
const EXECUTED: u8 = 3;

impl Devnet {
    /// What the destination's view says about the packet.
    ///
    /// # Errors
    /// When the destination is not of this network, the view reverts, or the node cannot be reached.
    pub async fn verification_state(&self, packet: &SentPacket) -> Result<VerificationState, DevnetError> {
        let destination = self.destination(packet)?;
        let call = ReceiveView::verifiableCall { header: packet.header.clone(), payloadHash: packet.payload_hash };
        match destination.rpc().call(destination.addresses().receive_view, &call).await? {
            0 => Ok(VerificationState::Verifying),
            1 => Ok(VerificationState::Verifiable),
            2 => Ok(VerificationState::Verified),
            3 => Ok(VerificationState::NotInitializable),
            other => Err(DevnetError::Invalid { reason: format!("the view gave the unknown state {other}") }),
        }
    }

    /// Commits the verification of a packet; everybody may.
    ///
    /// # Errors
    /// When the receive library refuses, as while DVNs are missing, and when the node cannot be reached.
    pub async fn commit(&self, packet: &SentPacket) -> Result<Receipt, DevnetError> {
        let destination = self.destination(packet)?;
        let call =
            ReceiveUln::commitVerificationCall { header: packet.header.clone(), payloadHash: packet.payload_hash };
        execute(destination, destination.addresses().receive_lib, &call).await
    }

    /// Commits the packet if that is possible and not done, then delivers it if that is possible and not done.
    ///
    /// # Errors
    /// When a transaction reverts or the node cannot be reached. A packet that is not verified is no error.
    pub async fn deliver(&self, packet: &SentPacket) -> Result<Delivery, DevnetError> {
        if self.verification_state(packet).await? == VerificationState::Verifiable {
            self.commit(packet).await?;
        }
        match self.executable(packet).await? {
            EXECUTED => return Ok(Delivery::Delivered),
            EXECUTABLE => {}
            _ => return Ok(Delivery::NotYet),
        }
        let destination = self.destination(packet)?;
        let call = Endpoint::lzReceiveCall {
            origin: origin(packet),
            receiver: receiver(packet),
            guid: packet.guid,
            message: packet.fields.message.clone(),
            extraData: Default::default(),
        };
        execute(destination, destination.addresses().endpoint, &call).await?;
        Ok(Delivery::Delivered)
    }

    /// Whether the endpoint holds this packet's payload hash, or delivered it.
    ///
    /// # Errors
    /// When the destination is not of this network or its node cannot be reached.
    pub async fn committed(&self, packet: &SentPacket) -> Result<bool, DevnetError> {
        let destination = self.destination(packet)?;
        let call = Endpoint::inboundPayloadHashCall {
            receiver: receiver(packet),
            srcEid: packet.fields.src_eid,
            sender: packet.fields.sender,
            nonce: packet.fields.nonce,
        };
        let stored = destination.rpc().call(destination.addresses().endpoint, &call).await?;
        Ok(stored == packet.payload_hash || (stored.is_zero() && self.delivered(packet).await?))
    }

    /// Whether the receiving application was given the message.
    ///
    /// # Errors
    /// When the destination is not of this network or its node cannot be reached.
    pub async fn delivered(&self, packet: &SentPacket) -> Result<bool, DevnetError> {
        let logs = self.destination(packet)?.rpc().logs::<OApp::Received>(receiver(packet)).await?;
        Ok(logs.iter().filter_map(|log| log.decode::<OApp::Received>()).any(|received| received.guid == packet.guid))
    }

    /// The confirmations that the receive library has from `dvn` for the packet; `None` when it has no record, which
    /// is also so after the packet was committed.
    ///
    /// # Errors
    /// When the destination is not of this network or its node cannot be reached.
    pub async fn hash_lookup(&self, packet: &SentPacket, dvn: Address) -> Result<Option<u64>, DevnetError> {
        let destination = self.destination(packet)?;
        let call =
            ReceiveUln::hashLookupCall { headerHash: keccak256(&packet.header), payloadHash: packet.payload_hash, dvn };
        let record = destination.rpc().call(destination.addresses().receive_lib, &call).await?;
        Ok(record.submitted.then_some(record.confirmations))
    }

    async fn executable(&self, packet: &SentPacket) -> Result<u8, DevnetError> {
        let destination = self.destination(packet)?;
        let call = EndpointView::executableCall { origin: origin(packet), receiver: receiver(packet) };
        Ok(destination.rpc().call(destination.addresses().endpoint_view, &call).await?)
    }

    fn destination(&self, packet: &SentPacket) -> Result<&Chain, DevnetError> {
        self.chain_by_eid(packet.fields.dst_eid)
    }
}

async fn execute<C: SolCall>(chain: &Chain, to: Address, call: &C) -> Result<Receipt, DevnetError> {
    chain.transact(&keys::executor(), to, U256::ZERO, call.abi_encode().into()).await
}

const fn origin(packet: &SentPacket) -> Origin {
    Origin { srcEid: packet.fields.src_eid, sender: packet.fields.sender, nonce: packet.fields.nonce }
}

/// The low 20 bytes, as the receive library takes them.
fn receiver(packet: &SentPacket) -> Address {
    Address::from_word(packet.fields.receiver)
}
