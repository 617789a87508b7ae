//! When the chains told what: new heads of all, pending transactions of the destinations.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use alloy_primitives::{B256, U64};
use dvn_testkit::devnet::Devnet;
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{net::TcpStream, task::JoinHandle};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

use super::LoadError;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;
type Times<K> = Arc<Mutex<HashMap<K, Instant>>>;

/// Subscriptions that live as long as this value.
pub(super) struct Watch {
    heads: BTreeMap<String, Times<u64>>,
    pending: BTreeMap<String, Times<B256>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Watch {
    /// Subscribes to the heads of every chain, and to the pending transactions of those named.
    pub(super) async fn start(devnet: &Devnet, destinations: Vec<String>) -> Result<Self, LoadError> {
        let mut watch = Self { heads: BTreeMap::new(), pending: BTreeMap::new(), tasks: Vec::new() };
        for chain in devnet.chains() {
            let (url, name) = (chain.anvil().ws_url(), chain.name().to_owned());
            let times = Times::<u64>::default();
            let socket = subscribe(&url, "newHeads").await?;
            watch.tasks.push(tokio::spawn(note(socket, Arc::clone(&times), |told| {
                let number: U64 = serde_json::from_value(told.get("number")?.clone()).ok()?;
                Some(number.to())
            })));
            watch.heads.insert(name.clone(), times);
            if destinations.contains(&name) {
                let times = Times::<B256>::default();
                let socket = subscribe(&url, "newPendingTransactions").await?;
                let hash = |told: &Value| serde_json::from_value(told.clone()).ok();
                watch.tasks.push(tokio::spawn(note(socket, Arc::clone(&times), hash)));
                watch.pending.insert(name, times);
            }
        }
        Ok(watch)
    }

    /// When a chain told this height.
    pub(super) fn head(&self, chain: &str, height: u64) -> Option<Instant> {
        look(self.heads.get(chain)?, &height)
    }

    /// When a destination told of this transaction.
    pub(super) fn pending(&self, chain: &str, transaction: B256) -> Option<Instant> {
        look(self.pending.get(chain)?, &transaction)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn look<K: std::hash::Hash + Eq>(times: &Times<K>, key: &K) -> Option<Instant> {
    times.lock().unwrap_or_else(PoisonError::into_inner).get(key).copied()
}

async fn subscribe(url: &str, what: &str) -> Result<Socket, LoadError> {
    let (mut socket, _) = connect_async(url).await.map_err(std::io::Error::other)?;
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": [what] });
    socket.send(Message::text(request.to_string())).await.map_err(std::io::Error::other)?;
    Ok(socket)
}

/// Notes when each thing was told first.
async fn note<K: std::hash::Hash + Eq>(mut socket: Socket, times: Times<K>, read: impl Fn(&Value) -> Option<K>) {
    while let Some(Ok(message)) = socket.next().await {
        let now = Instant::now();
        let Message::Text(text) = message else { continue };
        let told: Value = serde_json::from_str(&text).unwrap_or_default();
        if let Some(key) = told.pointer("/params/result").and_then(&read) {
            times.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_insert(now);
        }
    }
}
