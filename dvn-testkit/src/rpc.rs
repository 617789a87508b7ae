//! A small JSON-RPC client for local nodes: typed calls, receipts and logs, and nothing about agreement or retries.

use std::{fmt::Debug, time::Duration};

use alloy::{rpc::client::RpcClient, transports::TransportError};
use alloy_primitives::{Address, B256, Bytes, LogData, U64};
use alloy_sol_types::{SolCall, SolEvent};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use url::Url;

const POLL: Duration = Duration::from_millis(5);

/// Requests in one batch: a local node answers as many within a fraction of a second.
const BATCH: usize = 100;

/// A guard against waiting for ever for a node that mines nothing, far above any interval that tests use.
const RECEIPT_TIMEOUT: Duration = Duration::from_secs(120);

/// A connection to one node. Clones are cheap.
#[derive(Debug, Clone)]
pub struct Rpc {
    client: RpcClient,
    url: Url,
}

impl Rpc {
    /// A client for the node at `url`. Nothing is sent yet.
    pub fn new(url: Url) -> Self {
        // Tests share a network between runtimes, and a pooled connection dies with the runtime that opened it.
        let http = reqwest::Client::builder().pool_max_idle_per_host(0).no_proxy().build().unwrap_or_default();
        Self { client: RpcClient::new_http_with_client(http, url.clone()), url }
    }

    /// Where the node listens.
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// Any method with any parameters.
    ///
    /// # Errors
    /// When the node cannot be reached, refuses the request, or answers something that is not an `R`.
    pub async fn request<P, R>(&self, method: &'static str, params: P) -> Result<R, RpcError>
    where
        P: RpcParams,
        R: DeserializeOwned + Debug + Send + Sync + Unpin + 'static,
    {
        self.client.request(method, params).await.map_err(|source| RpcError::request(method, source))
    }

    /// The same method once for each element of `params`, in one HTTP request; the answers in the same order.
    ///
    /// # Errors
    /// As for [`Rpc::request`], for the first request that fails.
    pub async fn batch<P, R>(&self, method: &'static str, params: &[P]) -> Result<Vec<R>, RpcError>
    where
        P: RpcParams,
        R: DeserializeOwned + Debug + Send + Sync + Unpin + 'static,
    {
        if params.is_empty() {
            return Ok(Vec::new());
        }
        let failed = |source| RpcError::request(method, source);
        let mut batch = self.client.new_batch();
        let waiters: Result<Vec<_>, _> = params.iter().map(|p| batch.add_call::<_, R>(method, p)).collect();
        let waiters = waiters.map_err(failed)?;
        batch.await.map_err(failed)?;
        futures::future::try_join_all(waiters).await.map_err(failed)
    }

    /// Calls a view function at the latest block.
    ///
    /// # Errors
    /// As for [`Rpc::request`]; [`RpcError::Reverted`] when the function reverts; [`RpcError::Abi`] when the answer
    /// has another shape.
    pub async fn call<C: SolCall>(&self, to: Address, call: &C) -> Result<C::Return, RpcError> {
        let answer: Bytes = self.request("eth_call", view(to, call)).await?;
        decode::<C>(&answer)
    }

    /// Calls view functions of one kind at the latest block, a hundred in one HTTP request; the answers in the same order.
    ///
    /// # Errors
    /// As for [`Rpc::call`], for the first call that fails.
    pub async fn call_each<C: SolCall>(&self, calls: &[(Address, C)]) -> Result<Vec<C::Return>, RpcError> {
        let requests: Vec<_> = calls.iter().map(|(to, call)| view(*to, call)).collect();
        let mut answers = Vec::with_capacity(calls.len());
        for some in requests.chunks(BATCH) {
            let some: Vec<Bytes> = self.batch("eth_call", some).await?;
            for answer in &some {
                answers.push(decode::<C>(answer)?);
            }
        }
        Ok(answers)
    }

    /// The height of the latest block.
    ///
    /// # Errors
    /// As for [`Rpc::request`].
    pub async fn block_number(&self) -> Result<u64, RpcError> {
        Ok(self.request::<_, U64>("eth_blockNumber", ()).await?.to())
    }

    /// The receipt of a transaction, or `None` while it is not mined.
    ///
    /// # Errors
    /// As for [`Rpc::request`].
    pub async fn receipt(&self, transaction: B256) -> Result<Option<Receipt>, RpcError> {
        self.request("eth_getTransactionReceipt", (transaction,)).await
    }

    /// The receipt of a transaction, as soon as it is mined.
    ///
    /// # Errors
    /// As for [`Rpc::request`], and [`RpcError::NotMined`] when nobody mines it for two minutes.
    ///
    /// # Cancel safety
    /// Only reads; may be dropped and called again.
    pub async fn wait_for_receipt(&self, transaction: B256) -> Result<Receipt, RpcError> {
        let polling = async {
            loop {
                if let Some(receipt) = self.receipt(transaction).await? {
                    return Ok(receipt);
                }
                tokio::time::sleep(POLL).await;
            }
        };
        tokio::time::timeout(RECEIPT_TIMEOUT, polling).await.unwrap_or(Err(RpcError::NotMined { transaction }))
    }

    /// All logs of event `E` that `address` ever emitted, in order.
    ///
    /// # Errors
    /// As for [`Rpc::request`].
    pub async fn logs<E: SolEvent>(&self, address: Address) -> Result<Vec<Log>, RpcError> {
        let filter: Value = json!({ "fromBlock": "earliest", "address": address, "topics": [E::SIGNATURE_HASH] });
        self.request("eth_getLogs", (filter,)).await
    }
}

fn view<C: SolCall>(to: Address, call: &C) -> (Value, &'static str) {
    (json!({ "to": to, "data": Bytes::from(call.abi_encode()) }), "latest")
}

fn decode<C: SolCall>(answer: &Bytes) -> Result<C::Return, RpcError> {
    C::abi_decode_returns(answer).map_err(|source| RpcError::Abi { what: C::SIGNATURE, source })
}

/// What can be the parameters of a request: tuples and arrays of plain data are.
pub trait RpcParams: Serialize + Clone + Debug + Send + Sync + Unpin {}

impl<T: Serialize + Clone + Debug + Send + Sync + Unpin> RpcParams for T {}

/// What a mined transaction left behind.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Receipt {
    /// The transaction.
    pub transaction_hash: B256,
    /// The block that holds it.
    pub block_hash: B256,
    /// That block's height.
    pub block_number: U64,
    /// The contract that it created, if it did.
    pub contract_address: Option<Address>,
    /// 1 when it was executed, 0 when it reverted.
    pub status: U64,
    /// Gas that it consumed.
    pub gas_used: U64,
    /// What it emitted, in order.
    pub logs: Vec<Log>,
}

/// One log, as a node tells it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Log {
    /// The contract that emitted it.
    pub address: Address,
    /// Topics and data.
    #[serde(flatten)]
    pub data: LogData,
    /// The block that holds it.
    pub block_hash: B256,
    /// That block's height.
    pub block_number: U64,
    /// The transaction that emitted it.
    pub transaction_hash: B256,
    /// Its position in the block.
    pub log_index: U64,
}

impl Log {
    /// The event `E`, if this log is one.
    pub fn decode<E: SolEvent>(&self) -> Option<E> {
        E::decode_log_data(&self.data).ok()
    }
}

/// Why a local node did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RpcError {
    /// The contract refused; the reason is its revert data.
    #[error("{method} reverted with {data}: {message}")]
    Reverted {
        /// The method that was asked for.
        method: &'static str,
        /// Selector and arguments of the contract's error; empty when it gave none.
        data: Bytes,
        /// The node's own words.
        message: String,
    },
    /// The node refused the request or could not be reached.
    #[error("{method} failed")]
    Request {
        /// The method that was asked for.
        method: &'static str,
        /// What the transport says.
        source: TransportError,
    },
    /// A contract answered something else than its interface says.
    #[error("the answer to {what} cannot be decoded")]
    Abi {
        /// The function.
        what: &'static str,
        /// What is wrong.
        source: alloy_sol_types::Error,
    },
    /// Nobody mined the transaction.
    #[error("transaction {transaction} was not mined")]
    NotMined {
        /// Which one.
        transaction: B256,
    },
}

impl RpcError {
    fn request(method: &'static str, source: TransportError) -> Self {
        let Some(payload) = source.as_error_resp() else { return Self::Request { method, source } };
        match payload.as_revert_data() {
            Some(data) => Self::Reverted { method, data, message: payload.message.to_string() },
            None => Self::Request { method, source },
        }
    }
}
