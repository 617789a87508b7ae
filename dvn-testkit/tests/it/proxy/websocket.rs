//! The same faults over WebSocket, and what subscriptions tell.

use std::time::Duration;

use dvn_testkit::proxy::{Fault, ForgedBranch, Hostile, Rule};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

use super::{Stage, request, stage};

/// A guard against waiting for ever, far above what any answer takes.
const PATIENCE: Duration = Duration::from_secs(60);

struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Stage {
    async fn socket(&self) -> Socket {
        Socket(connect_async(self.proxy.ws_url().as_str()).await.unwrap().0)
    }

    /// Mines a log while there is a rule for what subscriptions tell, until it met the head and the log.
    async fn emit_under(&self, fault: Fault) {
        let id = self.proxy.add(Rule::new(fault).method("eth_subscription"));
        self.emit().await;
        while self.proxy.fired(id) != Some(2) {
            tokio::task::yield_now().await;
        }
        self.proxy.remove(id);
    }
}

impl Socket {
    async fn send(&mut self, message: Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    /// The next text; `None` when the socket is closed, in whichever way.
    async fn text(&mut self) -> Option<String> {
        tokio::time::timeout(PATIENCE, self.untimed()).await.unwrap()
    }

    async fn untimed(&mut self) -> Option<String> {
        loop {
            match self.0.next().await?.ok()? {
                Message::Text(text) => return Some(text.to_string()),
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }

    async fn next(&mut self) -> Value {
        serde_json::from_str(&self.text().await.unwrap()).unwrap()
    }

    async fn ask(&mut self, id: u64, method: &str, params: Value) -> Value {
        self.send(request(id, method, params)).await;
        let answer = self.next().await;
        assert_eq!(answer["id"], id);
        answer
    }

    async fn subscribe(&mut self, to: Value) {
        assert!(self.ask(1, "eth_subscribe", to).await["result"].is_string());
    }
}

#[tokio::test]
async fn calls_have_their_faults() {
    let Some(stage) = stage("ws-calls").await else { return };
    let mut socket = stage.socket().await;
    assert_eq!(socket.ask(1, "eth_blockNumber", json!([])).await["result"], "0xa");
    stage.proxy.add(Rule::new(Fault::StaleHead { blocks: 2 }).method("eth_blockNumber"));
    assert_eq!(socket.ask(2, "eth_blockNumber", json!([])).await["result"], "0x8");
    assert_eq!(socket.ask(3, "eth_chainId", json!([])).await["result"], "0x7a69");
    stage.proxy.add(Rule::new(Fault::Hang).method("net_version"));
    socket.send(request(4, "net_version", json!([]))).await;
    let batch = json!([request(5, "eth_chainId", json!([])), request(6, "eth_blockNumber", json!([]))]);
    socket.send(batch).await;
    let answer = socket.next().await;
    assert_eq!((&answer[0]["result"], &answer[1]["result"]), (&json!("0x7a69"), &json!("0x8")));
    let traffic = stage.proxy.traffic();
    let answered: Vec<_> = traffic.iter().map(|it| (it.method.as_str(), it.response_bytes > 0)).collect();
    assert_eq!(
        answered[..4],
        [("eth_blockNumber", true), ("eth_blockNumber", true), ("eth_chainId", true), ("net_version", false)]
    );
}

#[tokio::test]
async fn the_socket_is_closed_and_filled() {
    let Some(stage) = stage("ws-transport").await else { return };
    for fault in [Fault::Reset, Fault::Status { code: 503, retry_after: None }] {
        let mut socket = stage.socket().await;
        stage.proxy.add(Rule::new(fault).method("eth_chainId").times(1));
        socket.send(request(1, "eth_chainId", json!([]))).await;
        assert_eq!(socket.text().await, None);
    }
    let mut socket = stage.socket().await;
    let rule = |kind| Rule::new(Fault::Hostile { kind }).method("eth_chainId").times(1);
    stage.proxy.add(rule(Hostile::Oversized { bytes: 1_000_000 }));
    let answer = socket.ask(1, "eth_chainId", json!([])).await;
    assert_eq!(answer["result"].as_str().unwrap().len(), 1_000_002);
    stage.proxy.add(rule(Hostile::NotJson));
    socket.send(request(2, "eth_chainId", json!([]))).await;
    assert!(serde_json::from_str::<Value>(&socket.text().await.unwrap()).is_err());
    assert_eq!(socket.ask(3, "eth_chainId", json!([])).await["result"], "0x7a69");
}

#[tokio::test]
async fn notifications_are_kept_back_and_changed() {
    let Some(stage) = stage("ws-heads").await else { return };
    let mut socket = stage.socket().await;
    socket.subscribe(json!(["newHeads"])).await;
    let dropped = stage.proxy.add(Rule::new(Fault::Hang).method("eth_subscription").times(1));
    let changed = Fault::Mutate { pointer: "/gasLimit".to_owned(), value: json!("0x1") };
    stage.proxy.add(Rule::new(changed).method("eth_subscription").times(1));
    for _ in 0..3 {
        stage.anvil.mine(1).await.unwrap();
    }
    let (first, second) = (socket.next().await, socket.next().await);
    let heads = [&first, &second].map(|it| it["params"]["result"]["number"].as_str().unwrap());
    assert_eq!((heads, stage.proxy.fired(dropped)), (["0xc", "0xd"], Some(1)));
    assert_eq!(first["params"]["result"]["gasLimit"], "0x1");
    assert_ne!(second["params"]["result"]["gasLimit"], "0x1");
    stage.proxy.add(Rule::new(Fault::Reset).method("eth_subscription"));
    stage.anvil.mine(1).await.unwrap();
    assert_eq!(socket.text().await, None);
}

#[tokio::test]
async fn a_node_that_is_behind_tells_older_heads_and_no_logs() {
    let Some(stage) = stage("ws-stale").await else { return };
    let mut socket = stage.socket().await;
    socket.subscribe(json!(["newHeads"])).await;
    socket.subscribe(json!(["logs", {}])).await;
    stage.emit_under(Fault::StaleHead { blocks: 3 }).await;
    let head = socket.next().await["params"]["result"].clone();
    let block = stage.result("eth_getBlockByNumber", json!(["0x8", false])).await;
    assert_eq!((&head["number"], &head["hash"]), (&json!("0x8"), &block["hash"]));
    stage.emit_under(Fault::DropLogs { address: None, topic: None }).await;
    assert_eq!(socket.next().await["params"]["result"]["number"], "0xc");
    stage.emit().await;
    // Head and log come in any order.
    let told = [socket.next().await, socket.next().await];
    assert!(told.iter().any(|it| it["params"]["result"]["blockNumber"] == "0xd"), "{told:?}");
}

#[tokio::test]
async fn new_heads_are_those_of_a_forged_branch() {
    let Some(stage) = stage("ws-forged").await else { return };
    let mut socket = stage.socket().await;
    socket.subscribe(json!(["newHeads"])).await;
    stage.fault(Fault::Forge(ForgedBranch::at(9)));
    stage.anvil.mine(1).await.unwrap();
    let head = socket.next().await["params"]["result"].clone();
    let block = stage.result("eth_getBlockByNumber", json!(["0xb", false])).await;
    assert_eq!((&head["hash"], &head["parentHash"]), (&block["hash"], &block["parentHash"]));
    assert_ne!(block["hash"], stage.truth("eth_getBlockByNumber", json!(["0xb", false])).await["hash"]);
}
