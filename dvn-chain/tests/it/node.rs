//! A scripted JSON-RPC node on a local port.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use axum::{Json, Router, extract::State, routing::post};
use dvn_chain::{Panel, RedactedUrl, Seat, SeatConfig};
use dvn_core::{ids::Eid, ports::Chain, quorum::Threshold};
use serde_json::{Value, json};

use crate::world::World;

/// What a node answers: a result, or an error's code and message.
pub(crate) type Answer = Result<Value, (i64, String)>;
type Override = Box<dyn Fn(&Value) -> Option<Answer> + Send>;

/// How a node behaves, and what it was asked.
#[derive(Default)]
pub(crate) struct Script {
    pub(crate) world: World,
    overrides: HashMap<&'static str, Override>,
    pub(crate) asked: Vec<(String, Value)>,
    pub(crate) silent: bool,
    /// Answers with an HTTP status, as a gateway without a node behind it does.
    pub(crate) breaks: bool,
    pub(crate) refuses_batches: bool,
}

/// A node that tells of a world of its own.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) address: String,
    script: Arc<Mutex<Script>>,
}

impl Node {
    pub(crate) async fn start(world: World) -> Self {
        let script = Arc::new(Mutex::new(Script { world, ..Script::default() }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let app = Router::new().fallback(post(serve)).with_state(Arc::clone(&script));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address, script }
    }

    pub(crate) fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    /// Answers a method by a function of its parameters; `None` falls back to the world.
    pub(crate) fn answer(&self, method: &'static str, with: impl Fn(&Value) -> Option<Answer> + Send + 'static) {
        self.script().overrides.insert(method, Box::new(with));
    }

    pub(crate) fn asked(&self, method: &str) -> Vec<Value> {
        let script = self.script();
        script.asked.iter().filter(|(name, _)| name == method).map(|(_, params)| params.clone()).collect()
    }
}

async fn serve(
    State(script): State<Arc<Mutex<Script>>>,
    Json(body): Json<Value>,
) -> Result<Json<Value>, axum::http::StatusCode> {
    if script.lock().unwrap().silent {
        std::future::pending::<()>().await;
    }
    let mut script = script.lock().unwrap();
    if script.breaks {
        return Err(axum::http::StatusCode::BAD_GATEWAY);
    }
    Ok(Json(match body {
        Value::Array(_) if script.refuses_batches => {
            json!({ "jsonrpc": "2.0", "id": null, "error": { "code": -32600, "message": "batches are not supported" } })
        }
        Value::Array(calls) => calls.iter().map(|call| one(&mut script, call)).collect(),
        call => one(&mut script, &call),
    }))
}

fn one(script: &mut Script, call: &Value) -> Value {
    let (method, params) = (call["method"].as_str().unwrap().to_owned(), call["params"].clone());
    script.asked.push((method.clone(), params.clone()));
    let scripted = script.overrides.get(method.as_str()).and_then(|with| with(&params));
    match scripted.unwrap_or_else(|| script.world.answer(&method, &params)) {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": call["id"], "result": result }),
        Err((code, message)) => {
            json!({ "jsonrpc": "2.0", "id": call["id"], "error": { "code": code, "message": message } })
        }
    }
}

/// Nodes that all tell of the same world, and a panel over them.
pub(crate) async fn panel(world: &World, eid: Eid, seats: usize, need: usize) -> (Vec<Node>, Arc<Panel>) {
    let mut nodes = Vec::new();
    for _ in 0..seats {
        nodes.push(Node::start(world.clone()).await);
    }
    let panel = panel_of(&nodes, eid, need, Duration::from_secs(60), Duration::from_secs(60));
    (nodes, panel)
}

/// A panel over these nodes with this deadline and grace. The grace is long unless a test is about silence, so that no
/// dissent comes too late on a slow machine.
pub(crate) fn panel_of(nodes: &[Node], eid: Eid, need: usize, deadline: Duration, grace: Duration) -> Arc<Panel> {
    let seats = nodes.iter().map(|node| Arc::new(seat(&format!("http://{}/", node.address)))).collect();
    let chain = Chain { name: "testchain".to_owned(), eid };
    let threshold = Threshold::try_new(nodes.len(), need).unwrap();
    Arc::new(Panel::try_new(chain, seats, threshold).unwrap().with_patience(deadline, grace))
}

pub(crate) fn seat(url: &str) -> Seat {
    let url: RedactedUrl = url.parse().unwrap();
    Seat::try_new("testchain", SeatConfig::new(url, "acme".to_owned(), "geth".to_owned())).unwrap()
}
