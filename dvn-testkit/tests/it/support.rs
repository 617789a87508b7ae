//! What all tests start from.

use alloy_primitives::{B256, b256};
use dvn_testkit::{
    devnet::{ChainSpec, Devnet, DevnetBuilder, SentPackets},
    keys::{self, Key},
    rpc::Log,
    toolchain::Toolchain,
};

pub(crate) const PACKET_SENT: B256 = b256!("0x1ab700d4ced0c005b164c0f789fd09fcbb0156d4c2041b8a3bfbcd961cd1567f");
pub(crate) const DVN_FEE_PAID: B256 = b256!("0x07ea52d82345d6e838192107d8fd7123d9c2ec8e916cd0aad13fd2b60db24644");
pub(crate) const EXECUTOR_FEE_PAID: B256 = b256!("0x61ed099e74a97a1d7f8bb0952a88ca8b7b8ebd00c126ea04671f92a81213318a");

/// Ethereum to Conflux, one signer.
pub(crate) fn pair() -> DevnetBuilder {
    Devnet::builder().chain(ChainSpec::ethereum().with_confirmations(3)).chain(ChainSpec::conflux())
}

/// The network, or nothing where the toolchain is absent.
pub(crate) async fn start(test: &str, builder: DevnetBuilder) -> Option<Devnet> {
    let toolchain = Toolchain::for_test(test)?;
    Some(builder.start(&toolchain).await.unwrap())
}

pub(crate) fn signers(count: usize) -> Vec<Key> {
    (0..count).map(keys::signer).collect()
}

pub(crate) fn messages(count: u8) -> Vec<Vec<u8>> {
    (0..count).map(|number| vec![b'm', number]).collect()
}

/// The first topic of every log, in order.
pub(crate) fn topics(sent: &SentPackets) -> Vec<B256> {
    sent.receipt.logs.iter().map(topic).collect()
}

pub(crate) fn topic(log: &Log) -> B256 {
    log.data.topics()[0]
}
