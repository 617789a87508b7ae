//! What happened on a chain, for counting in tests.

use alloy_primitives::{Address, B256, Bytes, U64};
use alloy_sol_types::SolCall;
use serde::Deserialize;

use super::{Chain, DevnetError};
use crate::bindings::{Dvn, OApp, ReceiveUln, SendUln};

/// Blocks in one request.
const CHUNK: usize = 200;

/// A verification that the receive library recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PayloadVerified {
    /// The transaction.
    pub transaction: B256,
    /// The height of its block.
    pub block_number: u64,
    /// The contract that verified.
    pub dvn: Address,
    /// The packet's header.
    pub header: Bytes,
    /// The hash of guid and message.
    pub payload_hash: B256,
    /// The attested confirmations.
    pub confirmations: u64,
}

impl Chain {
    /// Every verification by our DVN, in order; the same packet as often as it was verified.
    ///
    /// # Errors
    /// When the node cannot be reached.
    pub async fn payload_verified_logs(&self) -> Result<Vec<PayloadVerified>, DevnetError> {
        self.payload_verified_logs_of(self.addresses().dvn).await
    }

    /// Every verification by the contract or account `dvn`, in order.
    ///
    /// # Errors
    /// When the node cannot be reached.
    pub async fn payload_verified_logs_of(&self, dvn: Address) -> Result<Vec<PayloadVerified>, DevnetError> {
        let logs = self.rpc().logs::<ReceiveUln::PayloadVerified>(self.addresses().receive_lib).await?;
        let events = logs.iter().filter_map(|log| Some((log, log.decode::<ReceiveUln::PayloadVerified>()?)));
        let ours = events.filter(|(_, event)| event.dvn == dvn);
        let verified = ours.map(|(log, event)| PayloadVerified {
            transaction: log.transaction_hash,
            block_number: log.block_number.to(),
            dvn: event.dvn,
            header: event.header,
            payload_hash: event.proofHash,
            confirmations: event.confirmations.saturating_to(),
        });
        Ok(verified.collect())
    }

    /// The mined calls of `execute` of our DVN, in order, whoever made them and whatever came of them.
    ///
    /// # Errors
    /// When the node cannot be reached.
    pub async fn execute_transactions(&self) -> Result<Vec<B256>, DevnetError> {
        let height = self.rpc().block_number().await?;
        let numbers: Vec<_> = (0..=height).map(|number| (U64::from(number), true)).collect();
        let mut found = Vec::new();
        for chunk in numbers.chunks(CHUNK) {
            let blocks: Vec<Block> = self.rpc().batch("eth_getBlockByNumber", chunk).await?;
            let transactions = blocks.into_iter().flat_map(|block| block.transactions);
            let executes = transactions.filter(|transaction| transaction.is_execute_of(self.addresses().dvn));
            found.extend(executes.map(|transaction| transaction.hash));
        }
        Ok(found)
    }

    /// How many messages our application received.
    ///
    /// # Errors
    /// When the node cannot be reached.
    pub async fn delivered_count(&self) -> Result<u64, DevnetError> {
        Ok(self.rpc().call(self.addresses().oapp, &OApp::deliveredCall {}).await?.saturating_to())
    }

    /// What the send library holds for `worker` (a DVN or the executor), in wei.
    ///
    /// # Errors
    /// When the node cannot be reached.
    pub async fn accrued_fees(&self, worker: Address) -> Result<alloy_primitives::U256, DevnetError> {
        Ok(self.rpc().call(self.addresses().send_lib, &SendUln::feesCall { worker }).await?)
    }
}

#[derive(Debug, Deserialize)]
struct Block {
    transactions: Vec<Transaction>,
}

#[derive(Debug, Deserialize)]
struct Transaction {
    hash: B256,
    to: Option<Address>,
    input: Bytes,
}

impl Transaction {
    fn is_execute_of(&self, dvn: Address) -> bool {
        self.to == Some(dvn) && self.input.starts_with(&Dvn::executeCall::SELECTOR)
    }
}
