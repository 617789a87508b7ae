//! The one transaction that this crate makes: a call of `DVN.execute`.

use alloy::{
    consensus::{SignableTransaction, Transaction, TxEip1559, TxEnvelope, TxLegacy, transaction::RlpEcdsaEncodableTx},
    eips::eip2718::{Decodable2718, Encodable2718},
    primitives::{Address, Bytes, Signature, TxKind, U256},
    sol_types::SolCall,
};
use dvn_core::{
    error::SignError,
    ports::{Attempt, Clock, SignedAttestation, Signer},
    signature::{self, SignatureError},
};
use thiserror::Error;

use super::fees::Price;
use crate::contracts::{Dvn, ExecuteParam};

/// Why a transaction could not be signed.
#[derive(Debug, Error)]
pub(super) enum TransactionError {
    #[error("key gave no signature")]
    Sign(#[from] SignError),
    #[error("key gave a wrong signature")]
    Signature(#[from] SignatureError),
    #[error("kept transaction does not decode")]
    Kept,
}

/// All of a transaction but its price and signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) chain_id: u64,
    pub(super) nonce: u64,
    pub(super) gas_limit: u64,
    pub(super) to: Address,
    pub(super) input: Bytes,
}

/// The calldata of `DVN.execute` for a batch, in its order.
pub(super) fn execute_call(batch: &[SignedAttestation]) -> Bytes {
    let params = batch.iter().map(|item| ExecuteParam {
        vid: item.attestation.vid.0,
        target: item.attestation.target,
        callData: item.attestation.call_data(),
        expiration: U256::from(item.attestation.expiration.0),
        signatures: item.signatures.to_bytes(),
    });
    Dvn::executeCall { params: params.collect() }.abi_encode().into()
}

impl Order {
    /// The order inside a kept transaction, for signing it again at another price.
    pub(super) fn kept(raw: &Bytes) -> Result<Self, TransactionError> {
        let kept = TxEnvelope::decode_2718_exact(raw).map_err(|_| TransactionError::Kept)?;
        let (Some(chain_id), Some(to)) = (kept.chain_id(), kept.to()) else {
            return Err(TransactionError::Kept);
        };
        let (nonce, gas_limit, input) = (kept.nonce(), kept.gas_limit(), kept.input().clone());
        Ok(Self { chain_id, nonce, gas_limit, to, input })
    }

    /// Signs the order at a price.
    pub(super) async fn signed(
        self,
        price: Price,
        signer: &dyn Signer,
        clock: &dyn Clock,
    ) -> Result<Attempt, TransactionError> {
        let Self { chain_id, nonce, gas_limit, to, input } = self;
        let (to, value) = (TxKind::Call(to), U256::ZERO);
        let (max_fee, priority_fee) = (price.max_fee, price.priority_fee);
        if price.legacy {
            let transaction =
                TxLegacy { chain_id: Some(chain_id), nonce, gas_price: max_fee, gas_limit, to, value, input };
            return attempt(transaction, price, signer, clock).await;
        }
        let transaction = TxEip1559 {
            chain_id,
            nonce,
            gas_limit,
            max_fee_per_gas: max_fee,
            max_priority_fee_per_gas: priority_fee,
            to,
            value,
            access_list: Default::default(),
            input,
        };
        attempt(transaction, price, signer, clock).await
    }
}

/// Whether an attempt is of the legacy type.
pub(super) fn is_legacy(raw: &Bytes) -> bool {
    // EIP-2718: a typed transaction starts with its type, a legacy one with an RLP list.
    raw.first().is_some_and(|byte| *byte >= 0xc0)
}

async fn attempt<T>(
    transaction: T,
    price: Price,
    signer: &dyn Signer,
    clock: &dyn Clock,
) -> Result<Attempt, TransactionError>
where
    T: SignableTransaction<Signature> + RlpEcdsaEncodableTx + Send,
    TxEnvelope: From<alloy::consensus::Signed<T>>,
{
    let digest = transaction.signature_hash();
    let signature = signer.sign_digest(digest).await?;
    signature::check(digest, &signature, signer.address())?;
    let envelope = TxEnvelope::from(transaction.into_signed(signature));
    let (tx_hash, raw) = (*envelope.tx_hash(), envelope.encoded_2718().into());
    Ok(Attempt { tx_hash, raw, max_fee: price.max_fee, priority_fee: price.priority_fee, at: clock.now() })
}

#[cfg(test)]
mod tests;
