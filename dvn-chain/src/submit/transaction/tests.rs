use std::time::SystemTime;

use alloy::primitives::{B256, address};
use async_trait::async_trait;

use super::*;

/// A signer that returns what it was told to, for the address it was told.
#[derive(Debug)]
struct Canned {
    address: Address,
    signature: Signature,
}

#[async_trait]
impl Signer for Canned {
    fn address(&self) -> Address {
        self.address
    }

    async fn sign_digest(&self, _: B256) -> Result<Signature, SignError> {
        Ok(self.signature)
    }
}

#[derive(Debug)]
struct Epoch;

impl Clock for Epoch {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }
}

fn order() -> Order {
    let to = address!("8D183A062e99cad6f3723E6d836F9EA13886B173");
    Order { chain_id: 1030, nonce: 7, gas_limit: 100_000, to, input: Bytes::from_static(&[1, 2, 3]) }
}

fn price(legacy: bool) -> Price {
    Price { max_fee: 30, priority_fee: if legacy { 0 } else { 2 }, legacy }
}

/// Any r and s recover to some key, so the address that fits a canned signature is found by recovering it.
async fn signed(order: Order, price: Price) -> Attempt {
    let signature = Signature::from_scalars_and_parity(B256::with_last_byte(1), B256::with_last_byte(1), false);
    let probe = Canned { address: Address::ZERO, signature };
    let address = match order.clone().signed(price, &probe, &Epoch).await {
        Err(TransactionError::Signature(SignatureError::WrongSigner { recovered, .. })) => recovered,
        other => panic!("expected the wrong signer, got {other:?}"),
    };
    order.signed(price, &Canned { address, signature }, &Epoch).await.unwrap()
}

#[tokio::test]
async fn a_signature_of_another_key_is_refused() {
    // The helper above asserts it on its way.
    signed(order(), price(false)).await;
}

#[tokio::test]
async fn a_kept_transaction_gives_back_its_order() {
    for legacy in [false, true] {
        let attempt = signed(order(), price(legacy)).await;
        assert_eq!(Order::kept(&attempt.raw).unwrap(), order());
        assert_eq!(is_legacy(&attempt.raw), legacy);
        let kept = TxEnvelope::decode_2718_exact(&attempt.raw).unwrap();
        assert_eq!((*kept.tx_hash(), kept.max_fee_per_gas()), (attempt.tx_hash, 30));
        assert_eq!(attempt.tx_hash, alloy::primitives::keccak256(&attempt.raw));
    }
}

#[tokio::test]
async fn rubbish_is_no_kept_transaction() {
    assert!(matches!(Order::kept(&Bytes::from_static(&[2, 0xc0])), Err(TransactionError::Kept)));
    let mut longer = signed(order(), price(false)).await.raw.to_vec();
    longer.push(0);
    assert!(Order::kept(&longer.into()).is_err());
}
