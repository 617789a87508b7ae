use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxLegacy},
    eips::eip2718::Encodable2718,
    primitives::{Signature, TxKind, U256},
};

use super::*;

const TO: Address = Address::repeat_byte(0xd0);
const INPUT: Bytes = Bytes::from_static(&[1, 2, 3]);

fn raw<T: SignableTransaction<Signature>>(transaction: T) -> Bytes
where
    TxEnvelope: From<alloy::consensus::Signed<T>>,
{
    let signature = Signature::from_scalars_and_parity(B256::with_last_byte(1), B256::with_last_byte(1), false);
    TxEnvelope::from(transaction.into_signed(signature)).encoded_2718().into()
}

#[test]
fn an_encoding_with_the_right_hash_says_what_is_called() {
    let (to, gas_price) = (TxKind::Call(TO), 1);
    let legacy = raw(TxLegacy { chain_id: Some(1), gas_price, to, input: INPUT, ..TxLegacy::default() });
    let dynamic = raw(TxEip1559 { chain_id: 1, to, input: INPUT, ..TxEip1559::default() });
    for raw in [legacy, dynamic] {
        assert_eq!(decoded(&raw, keccak256(&raw)), Some(Sent { to: Some(TO), input: INPUT }));
        assert_eq!(decoded(&raw, B256::ZERO), None, "another transaction");
        let longer: Bytes = [&raw[..], &[0]].concat().into();
        assert_eq!(decoded(&longer, keccak256(&longer)), None);
    }
    let create = raw(TxLegacy { to: TxKind::Create, value: U256::ZERO, input: INPUT, ..TxLegacy::default() });
    assert_eq!(decoded(&create, keccak256(&create)), Some(Sent { to: None, input: INPUT }));
}

#[test]
fn a_kind_that_is_not_known_here_is_left_to_the_seats() {
    let deposit = Bytes::from_static(&[0x7e, 0xc0]);
    assert_eq!(decoded(&deposit, keccak256(&deposit)), None);
}
