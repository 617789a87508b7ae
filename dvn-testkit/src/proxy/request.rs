//! The calls of one message, with what is decided about each.

use futures::future::join_all;
use hyper::body::Bytes;
use serde_json::Value;

use super::{
    Shared, answer,
    call::{Call, Failure},
    rule::Caller,
    rules::{Decision, Verdict},
    upstream::Forwarded,
};

/// A call, what is decided about it, and under which number it is remembered.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) message: Value,
    pub(super) call: Call,
    pub(super) decision: Decision,
    pub(super) sequence: u64,
}

/// The calls of an HTTP request or of a WebSocket message. None where it holds something else, which the node may
/// judge.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) items: Vec<Item>,
    pub(super) is_batch: bool,
}

impl Item {
    /// The fault for this call alone.
    pub(super) fn verdict(&self) -> Option<&Verdict> {
        self.decision.verdict.as_ref().filter(|verdict| !verdict.fault().breaks_transport())
    }

    /// The text of the answer with the call's fault; `None` without a fault.
    pub(super) async fn answer(&self, shared: &Shared) -> Result<Option<String>, Failure> {
        let Some(verdict) = self.verdict() else { return Ok(None) };
        let text = answer::text(verdict, &self.call, &shared.upstream).await?;
        shared.traffic.answered(self.sequence, text.len());
        Ok(Some(text))
    }
}

impl Request {
    /// Reads a message, decides about each of its calls, and remembers them.
    pub(super) fn read(body: &[u8], caller: &Caller, shared: &Shared) -> Self {
        let message: Value = serde_json::from_slice(body).unwrap_or_default();
        let (messages, is_batch) = match message {
            Value::Array(messages) => (messages, true),
            message => (vec![message], false),
        };
        let calls: Option<Vec<_>> = messages.iter().map(Call::read).collect();
        let Some(calls) = calls.filter(|calls| !calls.is_empty()) else {
            return Self { items: Vec::new(), is_batch: false };
        };
        let request = shared.traffic.next_request();
        let items = messages.into_iter().zip(calls).map(|(message, call)| {
            let decision = shared.rules.decide(&call, caller);
            let bytes = if is_batch { message.to_string().len() } else { body.len() };
            let sequence = shared.traffic.note(request, caller.address, &call, bytes, decision.fired.clone());
            Item { message, call, decision, sequence }
        });
        Self { items: items.collect(), is_batch }
    }

    /// The first call with a fault of the transport, which then concerns all.
    pub(super) fn broken(&self) -> Option<(&Item, &Verdict)> {
        let mut verdicts = self.items.iter().filter_map(|item| Some((item, item.decision.verdict.as_ref()?)));
        verdicts.find(|(_, verdict)| verdict.fault().breaks_transport())
    }

    /// The longest of the delays: the answers of one message come together.
    pub(super) async fn delay(&self) {
        let delay = self.items.iter().map(|item| item.decision.delay).max().unwrap_or_default();
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
    }

    /// Answers each call of a batch by itself; those without a fault go to the node together. Where the node refuses
    /// the whole batch there is nothing to mix, and its refusal comes back.
    pub(super) async fn batch(&self, caller: &Caller, shared: &Shared) -> Result<Result<String, Forwarded>, Failure> {
        let plain: Vec<_> = self.items.iter().filter(|item| item.verdict().is_none()).map(|it| &it.message).collect();
        let mut true_answers = Vec::new();
        if !plain.is_empty() {
            let message = Bytes::from(serde_json::to_vec(&plain).unwrap_or_default());
            let forwarded = shared.upstream.forward(message, &caller.headers).await?;
            match serde_json::from_slice(&forwarded.body) {
                Ok(Value::Array(answers)) => true_answers = answers,
                _ => return Ok(Err(forwarded)),
            }
        }
        let faulty = join_all(self.items.iter().map(|item| item.answer(shared))).await;
        let mut texts = Vec::new();
        for (item, faulty) in self.items.iter().zip(faulty) {
            let mut truth = true_answers.iter().filter(|answer| answer.get("id") == Some(&item.call.id));
            if let Some(text) = faulty? {
                texts.push(text);
            } else if let Some(text) = truth.next().map(Value::to_string) {
                shared.traffic.answered(item.sequence, text.len());
                texts.push(text);
            }
        }
        Ok(Ok(format!("[{}]", texts.join(","))))
    }
}
