//! What the tests sign, and a way around the store.

use std::{path::Path, time::UNIX_EPOCH};

use dvn_core::{
    alloy_primitives::{Address, B256, Bytes},
    attestation::Attestation,
    ids::{ChainTime, Confirmations, Eid, Guid, Nonce, Vid},
    packet::{Header, Packet},
    ports::{Intent, Purpose},
};
use dvn_store::Sqlite;
use sqlx::{
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};

pub(crate) fn header(nonce: u64) -> Header {
    Header {
        nonce: Nonce(nonce),
        src_eid: Eid(30101),
        sender: B256::repeat_byte(1),
        dst_eid: Eid(30212),
        receiver: B256::repeat_byte(2),
    }
}

pub(crate) fn guid(nonce: u64) -> Guid {
    header(nonce).guid()
}

/// An intent at second 100, with 15 confirmations until second 600.
pub(crate) fn intent(nonce: u64, message: &str) -> Intent {
    let packet = Packet { header: header(nonce), message: Bytes::copy_from_slice(message.as_bytes()) };
    Intent {
        purpose: Purpose::Sign,
        attestation: Attestation {
            claim: packet.claim(),
            confirmations: Confirmations(15),
            expiration: ChainTime(600),
            vid: Vid(212),
            target: Address::repeat_byte(3),
        },
        signer: Address::repeat_byte(4),
        source_block: B256::repeat_byte(5),
        evidence: B256::repeat_byte(6),
        now: ChainTime(100),
        at: UNIX_EPOCH,
    }
}

/// A store with a journal, which is begun where there is none.
pub(crate) async fn open(data_dir: impl AsRef<Path>) -> Sqlite {
    let sqlite = Sqlite::open(data_dir).await.unwrap();
    let journal = sqlite.store().journal;
    if journal.state().await.is_err() {
        journal.begin(None).await.unwrap();
    }
    sqlite
}

/// A connection of somebody who does not use this crate.
pub(crate) async fn raw(data_dir: &Path, foreign_keys: bool) -> SqlitePool {
    let options = SqliteConnectOptions::new().filename(data_dir.join("dvn.db")).foreign_keys(foreign_keys);
    // One connection, so that its pragmas hold for every statement.
    SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap()
}
