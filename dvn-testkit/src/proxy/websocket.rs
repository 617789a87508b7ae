//! JSON-RPC over WebSocket: each client has a connection of its own to the node.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::{SinkExt, Stream, StreamExt, TryStreamExt};
use hyper::{
    Request, Response, StatusCode,
    header::{CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE},
    upgrade::OnUpgrade,
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::TcpStream, sync::mpsc, task::JoinSet};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{self, Message, Utf8Bytes, handshake::derive_accept_key, protocol::Role},
};

use super::{
    Fault, Hostile, Shared,
    answer::edited,
    body::{Body, whole},
    call::Call,
    edit,
    lag::Lag,
    request::{Item, Request as Calls},
    rule::Caller,
    rules::Verdict,
    server,
};

mod reply;

use reply::Reply;

/// Answers that may wait for a client that does not read, and requests for a node that does not.
const WAITING: usize = 64;

type Node = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A WebSocket that was agreed on and is not open yet.
#[derive(Debug)]
pub(super) struct Session {
    upgrade: OnUpgrade,
    node: Node,
    caller: Caller,
}

/// Agrees to a WebSocket if the node does too.
pub(super) async fn accept(
    mut request: Request<()>,
    caller: Caller,
    shared: &Shared,
    upgraded: mpsc::Sender<Session>,
) -> Response<Body> {
    let Some(key) = request.headers().get(SEC_WEBSOCKET_KEY).cloned() else {
        return server::text(StatusCode::BAD_REQUEST, "the request has no Sec-WebSocket-Key\n");
    };
    let mut url = shared.upstream.url().clone();
    // From http to ws and from https to wss; the builder of the proxy let nothing else in.
    let _ = url.set_scheme(if url.scheme() == "https" { "wss" } else { "ws" });
    let node = match connect_async(url.as_str()).await {
        Ok((node, _)) => node,
        Err(error) => return server::text(StatusCode::BAD_GATEWAY, format!("the node has no WebSocket: {error}\n")),
    };
    let session = Session { upgrade: hyper::upgrade::on(&mut request), node, caller };
    if upgraded.try_send(session).is_err() {
        return server::text(StatusCode::BAD_REQUEST, "one connection becomes one WebSocket\n");
    }
    let mut response = Response::new(whole(""));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    if let Ok(accepted) = HeaderValue::try_from(derive_accept_key(key.as_bytes())) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accepted);
    }
    response
}

/// What the directions of one WebSocket share.
#[derive(Debug, Clone)]
struct Wire {
    shared: Arc<Shared>,
    caller: Arc<Caller>,
    to_client: mpsc::Sender<Reply>,
    to_node: mpsc::Sender<Message>,
    /// Under which numbers the calls are remembered that the node has not answered yet, by their ids.
    asked: Arc<Mutex<HashMap<String, u64>>>,
}

impl Session {
    /// Runs until one of both sides is gone, or a rule ends it.
    pub(super) async fn run(self, shared: Arc<Shared>) {
        let Ok(upgraded) = self.upgrade.await else { return };
        let client = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
        let (client_sink, client_stream) = client.split();
        let (node_sink, node_stream) = self.node.split();
        let (to_client, replies) = mpsc::channel(WAITING);
        let (to_node, requests) = mpsc::channel(WAITING);
        let wire = Wire { shared, caller: Arc::new(self.caller), to_client, to_node, asked: Arc::default() };
        // Whichever ends first ends all: both sockets are dropped with this function.
        tokio::select! {
            () = reply::write(client_sink, replies) => {}
            () = pass_on(node_sink, requests) => {}
            () = wire.read_client(client_stream) => {}
            () = wire.read_node(node_stream) => {}
        }
    }
}

async fn pass_on(mut node: impl SinkExt<Message> + Unpin, mut requests: mpsc::Receiver<Message>) {
    while let Some(request) = requests.recv().await {
        if node.send(request).await.is_err() {
            return;
        }
    }
}

impl Wire {
    async fn read_client(&self, mut client: impl Stream<Item = tungstenite::Result<Message>> + Unpin) {
        // Delayed and faulty answers overtake each other, as they may.
        let mut works = JoinSet::new();
        while let Ok(Some(message)) = client.try_next().await {
            match message {
                Message::Text(text) => {
                    let wire = self.clone();
                    let calls = Calls::read(text.as_bytes(), &self.caller, &self.shared);
                    if calls.items.iter().all(|item| item.decision.fired.is_empty()) {
                        wire.ask(&calls, text).await;
                    } else {
                        works.spawn(async move { wire.answer(calls, text).await });
                    }
                }
                Message::Close(_) => return,
                // Pings are answered by the socket itself.
                _ => {}
            }
            while works.try_join_next().is_some() {}
        }
    }

    /// Passes calls on to the node.
    async fn ask(&self, calls: &Calls, text: Utf8Bytes) {
        for item in &calls.items {
            self.asked().insert(item.call.id.to_string(), item.sequence);
        }
        let _gone = self.to_node.send(Message::Text(text)).await;
    }

    async fn answer(&self, calls: Calls, text: Utf8Bytes) {
        calls.delay().await;
        let reply = if let Some((item, verdict)) = calls.broken() {
            match verdict.fault() {
                Fault::Hang => return,
                Fault::Hostile { kind } => self.hostile(kind, item, text).await,
                Fault::Status { code, .. } => Reply::Close(Some(*code)),
                _ => Reply::Close(None),
            }
        } else if !calls.items.iter().any(is_answered_here) {
            return self.ask(&calls, text).await;
        } else {
            match self.texts(&calls).await {
                Some(text) => Reply::Text(text),
                // The node is not reachable over HTTP: it is not there.
                None => Reply::Close(None),
            }
        };
        let _gone = self.to_client.send(reply).await;
    }

    /// Faulty answers are made of what the node says over HTTP.
    async fn texts(&self, calls: &Calls) -> Option<String> {
        if calls.is_batch {
            return match calls.batch(&self.caller, &self.shared).await.ok()? {
                Ok(text) => Some(text),
                Err(refused) => String::from_utf8(refused.body.to_vec()).ok(),
            };
        }
        calls.items.first()?.answer(&self.shared).await.ok()?
    }

    async fn hostile(&self, kind: &Hostile, item: &Item, text: Utf8Bytes) -> Reply {
        let truth = if kind.needs_truth() {
            let forwarded = self.shared.upstream.forward(text.into(), &self.caller.headers).await;
            forwarded.map(|it| it.body).unwrap_or_default()
        } else {
            Default::default()
        };
        let body = kind.body(&item.call.id, &truth);
        let (shared, sequence) = (self.shared.clone(), item.sequence);
        let counted = body.chunks().inspect(move |chunk| shared.traffic.answered(sequence, chunk.len()));
        Reply::Stream { chunks: counted.boxed(), is_text: !body.is_gzipped }
    }

    async fn read_node(&self, mut node: impl Stream<Item = tungstenite::Result<Message>> + Unpin) {
        while let Ok(Some(message)) = node.try_next().await {
            let Message::Text(text) = message else { continue };
            let message: Value = serde_json::from_slice(text.as_bytes()).unwrap_or_default();
            let reply = match Call::read(&message) {
                Some(notification) => self.notification(notification, message, text).await,
                None => {
                    self.count(&message, text.len());
                    Some(Reply::Text(text.to_string()))
                }
            };
            if let Some(reply) = reply
                && self.to_client.send(reply).await.is_err()
            {
                return;
            }
        }
    }

    /// What a subscription tells, with its faults; `None` where it is kept back. It keeps its place in the order.
    async fn notification(&self, call: Call, mut message: Value, text: Utf8Bytes) -> Option<Reply> {
        let decision = self.shared.rules.decide(&call, &self.caller);
        if !decision.delay.is_zero() {
            tokio::time::sleep(decision.delay).await;
        }
        let Some(verdict) = decision.verdict else { return Some(Reply::Text(text.to_string())) };
        match verdict.fault() {
            Fault::Reset => return Some(Reply::Close(None)),
            Fault::Status { code, .. } => return Some(Reply::Close(Some(*code))),
            _ => {}
        }
        let result = message.pointer_mut("/params/result")?;
        *result = self.told(&verdict, result.take()).await?;
        Some(Reply::Text(message.to_string()))
    }

    /// The result of a notification with a fault.
    async fn told(&self, verdict: &Verdict, mut result: Value) -> Option<Value> {
        if let Some(forger) = &verdict.entry.forger {
            return forger.notification(result).await.ok();
        }
        if let Some(lag) = Lag::of(verdict.fault()) {
            return lag.notification(result, &self.shared.upstream).await;
        }
        match verdict.fault() {
            Fault::Hang | Fault::Null | Fault::Empty => None,
            Fault::DropLogs { address, topic } => (!edit::matches(&result, *address, *topic)).then_some(result),
            fault => {
                edited(fault, &mut result);
                Some(result)
            }
        }
    }

    /// Remembers how long the answers to calls were that went to the node.
    fn count(&self, answer: &Value, length: usize) {
        let answers = answer.as_array().map_or(std::slice::from_ref(answer), Vec::as_slice);
        for one in answers {
            let id = one.get("id").map(Value::to_string).unwrap_or_default();
            if let Some(sequence) = self.asked().remove(&id) {
                let length = if answer.is_array() { one.to_string().len() } else { length };
                self.shared.traffic.answered(sequence, length);
            }
        }
    }

    fn asked(&self) -> MutexGuard<'_, HashMap<String, u64>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the call has an answer that is not the node's own. A subscription belongs to the connection to the node, and
/// only refusals can take the place of its answer.
fn is_answered_here(item: &Item) -> bool {
    let is_bound = matches!(item.call.method.as_str(), "eth_subscribe" | "eth_unsubscribe");
    item.verdict().is_some_and(|verdict| {
        let is_made_up = matches!(
            verdict.fault(),
            Fault::RpcError { .. } | Fault::Null | Fault::Empty | Fault::Hostile { kind: Hostile::Nan }
        );
        is_made_up || !is_bound
    })
}
