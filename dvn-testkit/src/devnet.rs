//! Chains with the real LayerZero contracts on them, wired to each other.

use crate::{
    anvil::AnvilError, contracts::ContractsError, keys, rpc::Receipt, rpc::RpcError, toolchain::ToolchainError,
};

mod attestation;
mod builder;
mod chain;
mod deployment;
mod dvn_change;
mod executor;
mod observation;
mod packet;
mod script;
mod sending;
mod uln_config;
mod wiring;

pub use attestation::Attestation;
pub use builder::{ChainSpec, DevnetBuilder, Mining};
pub use chain::Chain;
pub use deployment::Addresses;
pub use dvn_change::DvnChange;
pub use executor::{Delivery, VerificationState};
pub use observation::PayloadVerified;
pub use packet::{PacketFields, SentPacket, SentPackets};
pub use sending::{Decoys, Forgery, LookAlike, SendRequest};
pub use uln_config::{Side, UlnSettings};

/// A set of running chains, every one wired to every other. Dropping it kills the nodes.
#[derive(Debug)]
pub struct Devnet {
    chains: Vec<Chain>,
}

impl Devnet {
    /// Starts with no chains; see [`DevnetBuilder`].
    pub fn builder() -> DevnetBuilder {
        DevnetBuilder::default()
    }

    /// The chains, in the order in which they were added.
    pub fn chains(&self) -> &[Chain] {
        &self.chains
    }

    /// The chain with this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn chain(&self, name: &str) -> Result<&Chain, DevnetError> {
        self.chains.iter().find(|c| c.name() == name).ok_or_else(|| DevnetError::UnknownChain { what: name.to_owned() })
    }

    /// The chain with this endpoint id.
    ///
    /// # Errors
    /// When there is none.
    pub fn chain_by_eid(&self, eid: u32) -> Result<&Chain, DevnetError> {
        let found = self.chains.iter().find(|c| c.eid() == eid);
        found.ok_or_else(|| DevnetError::UnknownChain { what: format!("eid {eid}") })
    }

    /// Sends `messages` from the application of `source` to that of `destination`, all in one transaction, and waits
    /// until it is mined.
    ///
    /// # Errors
    /// As for [`SendRequest::send`].
    pub async fn send(
        &self,
        source: &Chain,
        destination: &Chain,
        messages: &[Vec<u8>],
    ) -> Result<SentPackets, DevnetError> {
        SendRequest::new(source, destination, messages).send().await
    }

    /// The same, with forged logs around the genuine ones.
    ///
    /// # Errors
    /// As for [`SendRequest::send`].
    pub async fn send_with_decoys(
        &self,
        source: &Chain,
        destination: &Chain,
        messages: &[Vec<u8>],
        decoys: Decoys,
    ) -> Result<SentPackets, DevnetError> {
        SendRequest::new(source, destination, messages).with_decoys(decoys).send().await
    }

    /// Lets the DVN that is not ours verify a packet with this number of confirmations.
    ///
    /// # Errors
    /// When the destination is not of this network, and as for [`Chain::execute`].
    pub async fn verify_with_other_dvn(&self, packet: &SentPacket, confirmations: u64) -> Result<Receipt, DevnetError> {
        let destination = self.chain_by_eid(packet.fields.dst_eid)?;
        let key = keys::other_signer();
        let mut attestation = destination.attestation(packet, confirmations).await?;
        attestation.vid = destination.other_vid();
        let signatures = attestation.sign(std::slice::from_ref(&key));
        destination.execute(destination.addresses().other_dvn, &key, &[(attestation, signatures)]).await
    }
}

/// Why a development network could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DevnetError {
    /// The toolchain is not usable.
    #[error("the test toolchain is not usable")]
    Toolchain(#[from] ToolchainError),
    /// A contract is not usable.
    #[error("the contracts are not usable")]
    Contracts(#[from] ContractsError),
    /// A node did not come up.
    #[error("a local node did not come up")]
    Anvil(#[from] AnvilError),
    /// A node or a contract refused.
    #[error("a local node refused")]
    Rpc(#[from] RpcError),
    /// The description of the network contradicts itself.
    #[error("invalid network: {reason}")]
    Invalid {
        /// What is wrong and what to do.
        reason: String,
    },
    /// A step of the deployment reverted.
    #[error("{step} reverted on {chain}")]
    Step {
        /// The chain's name.
        chain: String,
        /// The step.
        step: String,
    },
    /// A mined transaction reverted.
    #[error("transaction {transaction} reverted on {chain}")]
    Reverted {
        /// The chain's name.
        chain: String,
        /// Which one.
        transaction: alloy_primitives::B256,
    },
    /// No chain of that name or id.
    #[error("there is no chain {what} in this network")]
    UnknownChain {
        /// The name or id that was asked for.
        what: String,
    },
    /// A transaction did not leave the logs that a send leaves.
    #[error("transaction {transaction} holds no well-formed packet: {reason}")]
    Packet {
        /// Which one.
        transaction: alloy_primitives::B256,
        /// What is wrong.
        reason: &'static str,
    },
}
