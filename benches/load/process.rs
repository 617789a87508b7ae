//! A node whose log is read all the time, so that it never waits for a reader.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use dvn_testkit::node::{NodeConfig, NodeError, NodeProcess, fetch};
use tokio::{sync::oneshot, task::JoinHandle};

use super::LoadError;

/// For each state and guid, when the node's log first said that the packet came to it.
type Moves = Arc<Mutex<BTreeMap<String, HashMap<String, Instant>>>>;

pub(super) struct Running {
    pub(super) name: String,
    /// Of the process.
    pub(super) id: u32,
    http: SocketAddr,
    moves: Moves,
    end: oneshot::Sender<()>,
    task: JoinHandle<NodeProcess>,
}

impl Running {
    pub(super) async fn spawn(binary: &Path, config: &NodeConfig, file: &Path, log: &Path) -> Result<Self, LoadError> {
        let node = NodeProcess::spawn(binary, file, &config.environment(), config.port, log).await?;
        let id = node.id().ok_or_else(|| LoadError::Incomplete(format!("{} ended at once", config.name)))?;
        let (http, moves) = (node.http(), Moves::default());
        let (end, ended) = oneshot::channel();
        let task = tokio::spawn(listen(node, Arc::clone(&moves), ended));
        Ok(Self { name: config.name.clone(), id, http, moves, end, task })
    }

    pub(super) async fn until_ready(&self, patience: Duration) -> Result<(), LoadError> {
        let begun = Instant::now();
        while begun.elapsed() < patience {
            if self.task.is_finished() {
                break;
            }
            if self.fetch("ready").await.is_some_and(|(status, _)| status == 200) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(NodeError::NotReady(patience).into())
    }

    pub(super) async fn fetch(&self, path: &str) -> Option<(u16, String)> {
        fetch(&self.http.to_string(), path).await
    }

    /// How many packets came to this state, as the node's log says.
    pub(super) fn moved_to(&self, state: &str) -> usize {
        self.moves.lock().unwrap_or_else(PoisonError::into_inner).get(state).map_or(0, HashMap::len)
    }

    /// When the node's log said that a packet came to this state.
    pub(super) fn moved_at(&self, guid: &str, state: &str) -> Option<Instant> {
        self.moves.lock().unwrap_or_else(PoisonError::into_inner).get(state)?.get(guid).copied()
    }

    pub(super) async fn stop(self) -> Result<(), LoadError> {
        // A task that has ended by itself needs no word.
        let _ = self.end.send(());
        let node = self.task.await.map_err(std::io::Error::other)?;
        let status = node.stop().await?;
        if status.success() { Ok(()) } else { Err(NodeError::Ended(status).into()) }
    }
}

async fn listen(mut node: NodeProcess, moves: Moves, mut ended: oneshot::Receiver<()>) -> NodeProcess {
    loop {
        let event = tokio::select! {
            _ = &mut ended => return node,
            event = node.next_event() => event,
        };
        let Some(event) = event else { return node };
        let state = event.text("to");
        if !state.is_empty() {
            let mut moves = moves.lock().unwrap_or_else(PoisonError::into_inner);
            moves.entry(state).or_default().entry(event.text("guid")).or_insert(event.at);
        }
    }
}
