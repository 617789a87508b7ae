//! Signed instructions to a DVN contract, made with keys in memory.
//!
//! This is written from the contracts and shares no code with the project's signing path, so that tests compare two
//! independent readings.

use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, TxKind, U64, U256, eip191_hash_message, keccak256};
use alloy_sol_types::SolCall;

use super::{Chain, DevnetError, PacketFields, SentPacket};
use crate::{
    bindings::{Dvn, Instruction, ReceiveUln},
    keys::Key,
    rpc::Receipt,
    transaction::{Call, sign},
};

const LIFETIME: Duration = Duration::from_secs(3600);

/// One instruction that a DVN carries out if enough of its signers signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "these are the fields that the contract hashes")]
pub struct Attestation {
    /// The verifier id of the DVN contract.
    pub vid: u32,
    /// The contract that it calls.
    pub target: Address,
    /// With what.
    pub call_data: Bytes,
    /// When it ends, in seconds of the destination's clock.
    pub expiration: u64,
}

impl Attestation {
    /// The hash that the contract computes (`DVN.hashCallData`): packed vid, target, expiration and call data.
    pub fn hash(&self) -> B256 {
        let vid = self.vid.to_be_bytes();
        let expiration = U256::from(self.expiration).to_be_bytes::<32>();
        keccak256([vid.as_slice(), self.target.as_slice(), &expiration, &self.call_data].concat())
    }

    /// What is signed: the hash as an Ethereum signed message (EIP-191).
    pub fn digest(&self) -> B256 {
        eip191_hash_message(self.hash())
    }

    /// One signature of each key, in the ascending order of addresses that the contract asks for.
    pub fn sign(&self, keys: &[Key]) -> Bytes {
        let mut keys: Vec<_> = keys.iter().collect();
        keys.sort_by_key(|key| key.address());
        let digest = self.digest();
        keys.into_iter().flat_map(|key| key.sign(&digest).as_bytes()).collect()
    }
}

fn execute_call(signed: &[(Attestation, Bytes)]) -> Bytes {
    let instruction = |(attestation, signatures): &(Attestation, Bytes)| Instruction {
        vid: attestation.vid,
        target: attestation.target,
        callData: attestation.call_data.clone(),
        expiration: U256::from(attestation.expiration),
        signatures: signatures.clone(),
    };
    Dvn::executeCall { params: signed.iter().map(instruction).collect() }.abi_encode().into()
}

impl Chain {
    /// What our DVN of this chain, the packet's destination, attests; valid for an hour.
    ///
    /// # Errors
    /// When the node cannot be reached.
    pub async fn attestation(&self, packet: &SentPacket, confirmations: u64) -> Result<Attestation, DevnetError> {
        self.attestation_of(&packet.fields, confirmations).await
    }

    /// The same for a packet that nobody needs to have sent: the contracts verify any.
    ///
    /// # Errors
    /// When the node cannot be reached.
    pub async fn attestation_of(&self, packet: &PacketFields, confirmations: u64) -> Result<Attestation, DevnetError> {
        let call =
            ReceiveUln::verifyCall { header: packet.header(), payloadHash: packet.payload_hash(), confirmations };
        Ok(Attestation {
            vid: self.vid(),
            target: self.addresses().receive_lib,
            call_data: call.abi_encode().into(),
            expiration: self.timestamp().await?.saturating_add(LIFETIME.as_secs()),
        })
    }

    /// Calls `execute` of the DVN contract `dvn`. It hardly ever reverts: only its logs say what came of it.
    ///
    /// # Errors
    /// When `submitter` is no admin of the DVN, and when the node cannot be reached.
    pub async fn execute(
        &self,
        dvn: Address,
        submitter: &Key,
        signed: &[(Attestation, Bytes)],
    ) -> Result<Receipt, DevnetError> {
        self.transact(submitter, dvn, U256::ZERO, execute_call(signed)).await
    }

    /// The raw transactions that call `execute` of our DVN with each of the batches, in this order, to be broadcast later.
    /// Nothing else may be sent with the key of `submitter` in between.
    ///
    /// # Errors
    /// When the node cannot be reached.
    pub async fn signed_executes(
        &self,
        submitter: &Key,
        gas: u64,
        batches: &[Vec<(Attestation, Bytes)>],
    ) -> Result<Vec<Bytes>, DevnetError> {
        let pending = (submitter.address(), "pending");
        let first: U64 = self.rpc().request("eth_getTransactionCount", pending).await?;
        let to = TxKind::Call(self.addresses().dvn);
        let calls = batches.iter().map(|batch| Call { to, value: U256::ZERO, input: execute_call(batch) });
        let signed = calls.zip(first.to::<u64>()..);
        Ok(signed.map(|(call, nonce)| sign(submitter, self.chain_id(), nonce, gas, call)).collect())
    }

    /// `hashCallData` of our DVN: the hash before the EIP-191 prefix, as the contract computes it.
    ///
    /// # Errors
    /// When the node cannot be reached.
    pub async fn on_chain_hash(
        &self,
        vid: u32,
        target: Address,
        call_data: Bytes,
        expiration: u64,
    ) -> Result<B256, DevnetError> {
        let call = Dvn::hashCallDataCall { vid, target, callData: call_data, expiration: U256::from(expiration) };
        Ok(self.rpc().call(self.addresses().dvn, &call).await?)
    }

    /// `verifySignatures` of our DVN for a hash before the prefix: whether they are valid, and the contract's error
    /// number (0 none, 1 signature, 2 duplicated signer, 3 not a signer).
    ///
    /// # Errors
    /// When the node cannot be reached.
    pub async fn verify_signatures(&self, hash: B256, signatures: Bytes) -> Result<(bool, u8), DevnetError> {
        let answer = self.rpc().call(self.addresses().dvn, &Dvn::verifySignaturesCall { hash, signatures }).await?;
        Ok((answer.valid, answer.error))
    }

    /// [`Chain::verify_signatures`] for many hashes with their signatures, in a few requests; the answers in their order.
    ///
    /// # Errors
    /// When the node cannot be reached.
    pub async fn verify_each(&self, signed: &[(B256, Bytes)]) -> Result<Vec<(bool, u8)>, DevnetError> {
        let dvn = self.addresses().dvn;
        let calls = signed.iter().map(|(hash, signatures)| {
            let call = Dvn::verifySignaturesCall { hash: *hash, signatures: signatures.clone() };
            (dvn, call)
        });
        let answers = self.rpc().call_each(&calls.collect::<Vec<_>>()).await?;
        Ok(answers.into_iter().map(|answer| (answer.valid, answer.error)).collect())
    }
}
