use alloy_primitives::B256;
use dvn_core::{
    ids::{BlockNumber, BlockRef, ChainTime, Eid, Nonce, PayloadHash},
    job::Location,
    packet::{Claim, Header},
    ports::Retraction,
};
use serde::{Deserialize, Serialize};

/// A retraction as a peer asks for it.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(in crate::peers) struct AskedBack {
    src_eid: u32,
    sender: B256,
    dst_eid: u32,
    receiver: B256,
    nonce: u64,
    payload_hash: B256,
    block: u64,
    block_hash: B256,
    tx_hash: B256,
    log_index: u64,
    expiration: u64,
}

impl From<&Retraction> for AskedBack {
    fn from(retraction: &Retraction) -> Self {
        let Retraction { claim: Claim { header, payload_hash }, location, expiration } = *retraction;
        let Location { block, tx_hash, log_index, .. } = location;
        Self {
            src_eid: header.src_eid.0,
            sender: header.sender,
            dst_eid: header.dst_eid.0,
            receiver: header.receiver,
            nonce: header.nonce.0,
            payload_hash: payload_hash.0,
            block: block.number.0,
            block_hash: block.hash,
            tx_hash,
            log_index,
            expiration: expiration.0,
        }
    }
}

impl From<AskedBack> for Retraction {
    fn from(asked: AskedBack) -> Self {
        let (src_eid, dst_eid) = (Eid(asked.src_eid), Eid(asked.dst_eid));
        let (sender, receiver, nonce) = (asked.sender, asked.receiver, Nonce(asked.nonce));
        let header = Header { nonce, src_eid, sender, dst_eid, receiver };
        let block = BlockRef { number: BlockNumber(asked.block), hash: asked.block_hash };
        let (tx_hash, log_index) = (asked.tx_hash, asked.log_index);
        Self {
            claim: Claim { header, payload_hash: PayloadHash(asked.payload_hash) },
            location: Location { src_eid, block, tx_hash, log_index },
            expiration: ChainTime(asked.expiration),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retraction_survives_the_wire() {
        let asked = AskedBack {
            src_eid: 30_101,
            sender: B256::repeat_byte(1),
            dst_eid: 30_212,
            receiver: B256::repeat_byte(2),
            nonce: 3,
            payload_hash: B256::repeat_byte(4),
            block: 5,
            block_hash: B256::repeat_byte(6),
            tx_hash: B256::repeat_byte(7),
            log_index: 8,
            expiration: u64::MAX,
        };
        let text = serde_json::to_string(&asked).unwrap();
        let retraction = Retraction::from(asked);
        assert_eq!(serde_json::to_string(&AskedBack::from(&retraction)).unwrap(), text);
        assert!(serde_json::from_str::<AskedBack>(&text.replace("nonce", "digest")).is_err());
    }
}
