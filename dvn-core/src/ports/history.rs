use alloy_primitives::{Address, B256, Signature};

use crate::{
    attestation::Attestation,
    ids::{BlockNumber, BlockRef, Confirmations},
    packet::Claim,
};

/// A `PayloadVerified` of our DVN contract, as the destination shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what a submitter, an embedder's too, has to say")]
pub struct Shown {
    /// Its block.
    pub block: BlockRef,
    /// Its transaction.
    pub tx_hash: B256,
    /// Slot and payload.
    pub claim: Claim,
    /// What is stated; 0 takes an earlier attestation back.
    pub confirmations: Confirmations,
    /// The receive library that says so.
    pub target: Address,
    /// The signed calls of the transaction that can have caused it: for the same target, and with its very header,
    /// payload and confirmations. None where the transaction does not show them, since it went through another contract
    /// or does not decode: who signed is unknown then.
    pub causes: Vec<Cause>,
}

/// A signed call of `DVN.execute`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a plain pair")]
pub struct Cause {
    /// What was signed.
    pub attestation: Attestation,
    /// By whom, in the call's order. Only what the contract may have accepted is here, and whether they are the contract's
    /// signers is not looked at.
    pub signers: Vec<(Address, Signature)>,
}

/// A change of our DVN contract. The signers and the quorum that it began with are in no event; they are read by
/// [`Submitter::committee`](super::Submitter::committee).
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what a submitter, an embedder's too, has to say")]
pub struct ContractChange {
    /// Its block.
    pub block: BlockRef,
    /// Its transaction.
    pub tx_hash: B256,
    /// What changed.
    pub kind: ChangeKind,
}

/// What changed about a DVN contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChangeKind {
    /// `UpdateSigner`.
    Signer {
        /// Who.
        signer: Address,
        /// Whether it may sign from now on.
        active: bool,
    },
    /// `UpdateQuorum`: how many signatures are needed from now on.
    Quorum(u64),
    /// `RoleGranted` or `RoleRevoked`.
    Role {
        /// Which role.
        role: B256,
        /// Whose.
        account: Address,
        /// Whether it has the role from now on.
        granted: bool,
    },
}

/// What a destination shows in the name of our DVN contract in some of its blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what a submitter, an embedder's too, has to say")]
pub struct History {
    /// The last block that was read: not above the last one asked for, perhaps below it.
    pub through: BlockNumber,
    /// In order of block and log.
    pub shown: Vec<Shown>,
    /// In order of block and log.
    pub changes: Vec<ContractChange>,
}
