//! A node whose log is read all the time, so that it never waits for a reader.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use dvn_testkit::node::{NodeConfig, NodeError, NodeProcess, fetch};
use tokio::{sync::oneshot, task::JoinHandle};

use super::LoadError;

pub(super) struct Running {
    pub(super) name: String,
    /// Of the process.
    pub(super) id: u32,
    http: SocketAddr,
    moves: Arc<Mutex<BTreeMap<String, usize>>>,
    end: oneshot::Sender<()>,
    task: JoinHandle<NodeProcess>,
}

impl Running {
    pub(super) async fn spawn(binary: &Path, config: &NodeConfig, file: &Path, log: &Path) -> Result<Self, LoadError> {
        let node = NodeProcess::spawn(binary, file, &config.environment(), config.port, log).await?;
        let id = node.id().ok_or_else(|| LoadError::Incomplete(format!("{} ended at once", config.name)))?;
        let (http, moves) = (node.http(), Arc::<Mutex<BTreeMap<String, usize>>>::default());
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
        self.moves.lock().unwrap_or_else(PoisonError::into_inner).get(state).copied().unwrap_or_default()
    }

    pub(super) async fn stop(self) -> Result<(), LoadError> {
        // A task that has ended by itself needs no word.
        let _ = self.end.send(());
        let node = self.task.await.map_err(std::io::Error::other)?;
        let status = node.stop().await?;
        if status.success() { Ok(()) } else { Err(NodeError::Ended(status).into()) }
    }
}

async fn listen(
    mut node: NodeProcess,
    moves: Arc<Mutex<BTreeMap<String, usize>>>,
    mut ended: oneshot::Receiver<()>,
) -> NodeProcess {
    loop {
        let event = tokio::select! {
            _ = &mut ended => return node,
            event = node.next_event() => event,
        };
        let Some(event) = event else { return node };
        let state = event.text("to");
        if !state.is_empty() {
            let mut moves = moves.lock().unwrap_or_else(PoisonError::into_inner);
            let count = moves.entry(state).or_default();
            *count = count.saturating_add(1);
        }
    }
}
