//! One Anvil process with its own port, killed when it is dropped.

use std::{
    fmt::Debug,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use alloy_primitives::{B256, Bytes, U64, U256};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use crate::{
    rpc::{Rpc, RpcError, RpcParams},
    server::stopping,
};

/// How a node is started.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AnvilOptions {
    /// The EIP-155 chain id.
    pub chain_id: u64,
    /// `safe` is so many blocks behind `latest`, and `finalized` twice as many. Default 1.
    pub slots_in_an_epoch: u64,
    /// Gas of a block. Default 30 million.
    pub block_gas_limit: u64,
    /// Where the chain is kept while the node is started again, see [`Anvil::restart`]. Default none.
    pub state: Option<PathBuf>,
    /// More arguments for the command line. Default none.
    pub extra_args: Vec<String>,
}

impl AnvilOptions {
    /// A chain with this id, and the defaults.
    pub const fn new(chain_id: u64) -> Self {
        Self { chain_id, slots_in_an_epoch: 1, block_gas_limit: 30_000_000, state: None, extra_args: Vec::new() }
    }
}

/// A running local node that mines one block for each transaction until it is told otherwise.
#[derive(Debug)]
pub struct Anvil {
    child: Mutex<Child>,
    rpc: Rpc,
    binary: PathBuf,
    options: AnvilOptions,
}

impl Anvil {
    /// Starts the binary on a free port of the loopback interface and waits until it listens.
    ///
    /// # Errors
    /// When the binary cannot be started, or ends before it listens.
    pub async fn spawn(binary: &Path, options: &AnvilOptions) -> Result<Self, AnvilError> {
        let (child, url) = start(&mut command(binary, options, 0)).await?;
        let (child, rpc) = (Mutex::new(child.release()?), Rpc::new(url));
        Ok(Self { child, rpc, binary: binary.to_owned(), options: options.clone() })
    }

    /// Ends the node and starts it again on its chain and port, as somebody does who updates it: for a moment connections are
    /// refused, and transactions that were not mined are forgotten, as is how it mines. Needs [`AnvilOptions::state`]. Unix only.
    ///
    /// # Errors
    /// When it does not end in a minute, or does not start again; the node is gone then.
    pub async fn restart(&self) -> Result<(), AnvilError> {
        if self.options.state.is_none() {
            return Err(AnvilError::Spawn(io::Error::other("it keeps no state: set AnvilOptions::state")));
        }
        let (born, newest) = (self.time_of("earliest").await?, self.time_of("latest").await?);
        // It writes its chain when it is interrupted.
        self.signal("-INT").map_err(AnvilError::Spawn)?;
        let begun = Instant::now();
        while self.owned().try_wait().map_err(AnvilError::Spawn)?.is_none() {
            if begun.elapsed() > Duration::from_secs(60) {
                return Err(AnvilError::Spawn(io::Error::other("it does not end")));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let port = self.url().port().unwrap_or_default();
        // The first block is made anew, and is the same if it is of the same time; so the clock has to be set forward again.
        let mut command = command(&self.binary, &self.options, port);
        let (child, _) = start(command.args(["--timestamp", &born.to_string()])).await?;
        *self.owned() = child.release()?;
        let lost = U64::from(newest.saturating_sub(born));
        self.rpc::<Value>("evm_increaseTime", (lost,)).await.map(drop).map_err(unreadable)
    }

    async fn time_of(&self, block: &'static str) -> Result<u64, AnvilError> {
        let block: Value = self.rpc("eth_getBlockByNumber", (block, false)).await.map_err(unreadable)?;
        let time = block.get("timestamp").cloned().unwrap_or_default();
        serde_json::from_value::<U64>(time).map(|time| time.to()).map_err(unreadable)
    }

    fn owned(&self) -> std::sync::MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the node listens, for HTTP.
    pub const fn url(&self) -> &Url {
        self.rpc.url()
    }

    /// The same port for WebSocket.
    pub fn ws_url(&self) -> String {
        self.url().as_str().replacen("http", "ws", 1)
    }

    /// A client of this node.
    pub const fn rpc_client(&self) -> &Rpc {
        &self.rpc
    }

    /// Any method with any parameters.
    ///
    /// # Errors
    /// As for [`Rpc::request`].
    pub async fn rpc<R>(&self, method: &'static str, params: impl RpcParams) -> Result<R, RpcError>
    where
        R: DeserializeOwned + Debug + Send + Sync + Unpin + 'static,
    {
        self.rpc.request(method, params).await
    }

    /// Mines `blocks` blocks at once. Under interval mining this runs the chain's clock ahead.
    ///
    /// # Errors
    /// As for [`Rpc::request`].
    pub async fn mine(&self, blocks: u64) -> Result<(), RpcError> {
        self.done("anvil_mine", (U64::from(blocks),)).await
    }

    /// Mines a block for each transaction as it comes, or stops doing so.
    ///
    /// # Errors
    /// As for [`Rpc::request`].
    pub async fn set_automine(&self, on: bool) -> Result<(), RpcError> {
        self.done("evm_setAutomine", (on,)).await
    }

    /// Mines a block every `interval`, in whole seconds and rounded up; zero stops it. Also ends automining.
    ///
    /// # Errors
    /// As for [`Rpc::request`].
    pub async fn set_interval_mining(&self, interval: Duration) -> Result<(), RpcError> {
        let rounded_up = interval.as_secs().saturating_add(u64::from(interval.subsec_nanos() > 0));
        self.set_automine(false).await?;
        self.done("evm_setIntervalMining", (rounded_up,)).await
    }

    /// Replaces the last `depth` blocks by others. `transactions` are mined anew, each given by its signed bytes and the
    /// offset of its block in the replaced range; transactions that are not named are gone.
    ///
    /// # Errors
    /// As for [`Rpc::request`], also when the chain is shorter than `depth`.
    pub async fn reorg(&self, depth: u64, transactions: &[(Bytes, u64)]) -> Result<(), RpcError> {
        self.done("anvil_reorg", (depth, transactions)).await
    }

    /// Drops the last `depth` blocks. Subscribers are not told.
    ///
    /// # Errors
    /// As for [`Rpc::request`].
    pub async fn rollback(&self, depth: u64) -> Result<(), RpcError> {
        self.done("anvil_rollback", (depth,)).await
    }

    /// Remembers the state, to be restored once by [`Anvil::revert`].
    ///
    /// # Errors
    /// As for [`Rpc::request`].
    pub async fn snapshot(&self) -> Result<U256, RpcError> {
        self.rpc("evm_snapshot", ()).await
    }

    /// Restores a snapshot, which is used up; false when it is unknown.
    ///
    /// # Errors
    /// As for [`Rpc::request`].
    pub async fn revert(&self, snapshot: U256) -> Result<bool, RpcError> {
        self.rpc("evm_revert", (snapshot,)).await
    }

    /// The signed bytes of a transaction, to mine it anew in [`Anvil::reorg`].
    ///
    /// # Errors
    /// As for [`Rpc::request`].
    pub async fn raw_transaction(&self, hash: B256) -> Result<Bytes, RpcError> {
        self.rpc("eth_getRawTransactionByHash", (hash,)).await
    }

    /// Freezes the process: connections open and nothing answers. Unix only.
    ///
    /// On Linux this returns when every thread has stopped; elsewhere that may be a moment later.
    ///
    /// # Errors
    /// When the signal cannot be sent, or the process does not stop.
    pub fn pause(&self) -> io::Result<()> {
        stopping::wait(self.signal("-STOP")?)
    }

    /// Ends [`Anvil::pause`].
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn resume(&self) -> io::Result<()> {
        self.signal("-CONT").map(drop)
    }

    /// Kills the process for good: connections are refused.
    ///
    /// # Errors
    /// When the process cannot be killed.
    pub fn stop(&self) -> io::Result<()> {
        kill(&mut self.owned()).map(drop)
    }

    async fn done(&self, method: &'static str, params: impl RpcParams) -> Result<(), RpcError> {
        self.rpc::<Value>(method, params).await.map(drop)
    }

    /// Through the `kill` program, because a system call of our own would be unsafe code. Returns the process id.
    fn signal(&self, signal: &str) -> io::Result<u32> {
        let id = self.owned().id();
        let status = Command::new("kill").args([signal, &id.to_string()]).status()?;
        if status.success() { Ok(id) } else { Err(io::Error::other(format!("kill {signal} failed: {status}"))) }
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            tracing::warn!(%error, "a local node could not be killed");
        }
    }
}

/// Why a node did not come up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnvilError {
    /// The process could not be started.
    #[error("anvil cannot be started")]
    Spawn(#[source] io::Error),
    /// It ended, or closed its output, before it said where it listens.
    #[error("anvil ended before it listened; it printed: {output}")]
    Ended {
        /// All that it printed.
        output: String,
    },
    /// It said something strange about where it listens.
    #[error("anvil listens on an unusable address: {address}")]
    Address {
        /// What it said.
        address: String,
    },
}

/// Returns when it listens, and where.
async fn start(command: &mut Command) -> Result<(OwnedChild, Url), AnvilError> {
    let mut child = command.spawn().map_err(AnvilError::Spawn)?;
    let Some(stdout) = child.stdout.take() else {
        return Err(AnvilError::Spawn(io::Error::other("its standard output is not piped")));
    };
    // From here the process is owned, so that it is killed however this function ends.
    let unnamed = OwnedChild(Some(child));
    let address = tokio::task::spawn_blocking(move || listening_line(stdout))
        .await
        .map_err(|e| AnvilError::Spawn(io::Error::other(e)))??;
    let url = Url::parse(&format!("http://{address}")).map_err(|_| AnvilError::Address { address })?;
    Ok((unnamed, url))
}

fn command(binary: &Path, options: &AnvilOptions, port: u16) -> Command {
    let mut command = Command::new(binary);
    if let Some(state) = &options.state {
        command.arg("--preserve-historical-states").arg("--state").arg(state);
    }
    command
        .args(["--host", "127.0.0.1", "--port", &port.to_string(), "--accounts", "20"])
        .args(["--chain-id", &options.chain_id.to_string()])
        .args(["--slots-in-an-epoch", &options.slots_in_an_epoch.to_string()])
        .args(["--gas-limit", &options.block_gas_limit.to_string()])
        .args(&options.extra_args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    command
}

/// Reads until the node says where it listens, then leaves a thread to drain its output: a full pipe would stop it.
fn listening_line(stdout: ChildStdout) -> Result<String, AnvilError> {
    let mut lines = BufReader::new(stdout).lines();
    let mut printed = Vec::new();
    for line in lines.by_ref().map_while(Result::ok) {
        if let Some(address) = line.strip_prefix("Listening on ") {
            let address = address.to_owned();
            std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
            return Ok(address);
        }
        printed.push(line);
    }
    Err(AnvilError::Ended { output: printed.join("\n") })
}

fn unreadable(error: impl std::error::Error + Send + Sync + 'static) -> AnvilError {
    AnvilError::Spawn(io::Error::other(error))
}

fn kill(child: &mut Child) -> io::Result<ExitStatus> {
    child.kill()?;
    child.wait()
}

/// Kills the process unless it is released.
struct OwnedChild(Option<Child>);

impl OwnedChild {
    fn release(mut self) -> Result<Child, AnvilError> {
        self.0.take().ok_or_else(|| AnvilError::Spawn(io::Error::other("the process is gone")))
    }
}

impl Drop for OwnedChild {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _already_ended = kill(child);
        }
    }
}
