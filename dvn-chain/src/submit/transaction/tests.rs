use std::time::SystemTime;

use alloy::primitives::{B256, address, b256, hex, keccak256};
use async_trait::async_trait;
use dvn_core::{
    attestation::Attestation,
    ids::{ChainTime, Confirmations, Eid, Nonce, Vid},
    packet::{Header, Packet},
    signature::{Committee, SignatureSet},
};

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
        assert_eq!(attempt.tx_hash, keccak256(&attempt.raw));
    }
}

#[tokio::test]
async fn rubbish_is_no_kept_transaction() {
    assert!(matches!(Order::kept(&Bytes::from_static(&[2, 0xc0])), Err(TransactionError::Kept)));
    let mut longer = signed(order(), price(false)).await.raw.to_vec();
    longer.push(0);
    assert!(Order::kept(&longer.into()).is_err());
}

/// The golden vector: made by three independent tools and accepted by the deployed DVN contract of LayerZero V2 on a
/// local chain. Keys 2 and 3 signed it.
#[test]
fn the_golden_call_is_byte_for_byte() {
    let header = Header {
        nonce: Nonce(1),
        src_eid: Eid(30101),
        sender: address!("1111111111111111111111111111111111111111").into_word(),
        dst_eid: Eid(30212),
        receiver: address!("2222222222222222222222222222222222222222").into_word(),
    };
    let claim = Packet { header, message: Bytes::from_static(b"hello") }.claim();
    let attestation = Attestation {
        claim,
        confirmations: Confirmations(15),
        expiration: ChainTime(1_893_456_000),
        vid: Vid(212),
        target: address!("16Cc4EF7c128d7FEa96Cf46FFD9dD20f76170347"),
    };
    let signers = ["2B5AD5c4795c026514f8317c7a215E218DcCD6cF", "6813Eb9362372EEF6200f3b1dbC3f819671cBA69"];
    let committee = Committee { vid: Vid(212), quorum: 2, members: signers.map(|it| it.parse().unwrap()).to_vec() };
    let signatures = [
        hex!(
            "d0f2e17ad75005e955b02cd720e05118cea19ba785ee29ab58e4990c3de6a6e94da45cf65f1b848491ee9cc18d57563e9b549d3cc4c0dda2dd17f6fe039d1f8f1c"
        ),
        hex!(
            "4688a00e74324d70aba9b1283cd20c204cd442af109212a0934998478792476f55bc2f837f93544ca13ac43226e70c9bfbe4e3b8a83f6e57ba41d9f3d6974b8d1c"
        ),
    ];
    let signatures = signatures.map(|bytes| Signature::from_raw(&bytes).unwrap());
    let signatures = SignatureSet::try_new(attestation.digest(), &committee, signatures).unwrap();
    let call = execute_call(&[SignedAttestation { job: claim.job_id(), attestation, signatures }]);
    assert_eq!(call.len(), 740);
    assert_eq!(keccak256(&call), b256!("3022be7493ef8c1e01fcd08de8a0608aba6192f7742939f710c542ba0b73f2d7"));
}
