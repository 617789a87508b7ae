//! What a quorum of signers may change about their own DVN contract: it calls itself.

use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::SolCall;

use super::{Attestation, Chain, DevnetError};
use crate::{bindings::Dvn, keys::Key, rpc::Receipt};

const LIFETIME: Duration = Duration::from_secs(3600);

/// A change of a DVN contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DvnChange {
    /// `setSigner`: by the contract itself, through a signed instruction.
    Signer {
        /// Who.
        signer: Address,
        /// Whether it may sign from then on.
        active: bool,
    },
    /// `setQuorum`: by the contract itself.
    Quorum(u64),
    /// `grantRole` or `revokeRole`: by an admin for `ADMIN_ROLE`, and by the contract itself for the others.
    Role {
        /// Which.
        role: B256,
        /// Whose.
        account: Address,
        /// Whether it has the role from then on.
        granted: bool,
    },
}

impl DvnChange {
    fn call_data(self) -> Bytes {
        let call = match self {
            Self::Signer { signer, active } => Dvn::setSignerCall { signer, active }.abi_encode(),
            Self::Quorum(quorum) => Dvn::setQuorumCall { quorum }.abi_encode(),
            Self::Role { role, account, granted: true } => Dvn::grantRoleCall { role, account }.abi_encode(),
            Self::Role { role, account, granted: false } => Dvn::revokeRoleCall { role, account }.abi_encode(),
        };
        call.into()
    }
}

impl Chain {
    /// The instruction to our DVN to change itself; valid for an hour.
    ///
    /// # Errors
    /// When the node cannot be reached.
    pub async fn dvn_change(&self, change: DvnChange) -> Result<Attestation, DevnetError> {
        Ok(Attestation {
            vid: self.vid(),
            target: self.addresses().dvn,
            call_data: change.call_data(),
            expiration: self.timestamp().await?.saturating_add(LIFETIME.as_secs()),
        })
    }

    /// Lets an admin change our DVN directly, as only roles of admins are.
    ///
    /// # Errors
    /// When the contract refuses it, and when the node cannot be reached.
    pub async fn change_dvn_as(&self, admin: &Key, change: DvnChange) -> Result<Receipt, DevnetError> {
        self.transact(admin, self.addresses().dvn, U256::ZERO, change.call_data()).await
    }
}
