//! What went through.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use serde_json::{Value, json};

use super::{RuleId, call::Call};

/// How many exchanges are remembered; older ones are forgotten.
const CAPACITY: usize = 100_000;

/// One call that a client made.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Exchange {
    /// Its number, from 0, in the order in which calls were read.
    pub sequence: u64,
    /// The number of the HTTP request or WebSocket message that held it. Calls of one batch share it.
    pub request: u64,
    /// When it was read.
    pub at: Instant,
    /// Who made it.
    pub client: SocketAddr,
    /// The method.
    pub method: String,
    /// The parameters.
    pub params: Value,
    /// The rules that fired, those that only delayed it too.
    pub fired: Vec<RuleId>,
    /// How long the call is, as JSON.
    pub request_bytes: u64,
    /// How long its answer is so far; 0 until there is one. A fault of the transport counts for each call of a batch.
    pub response_bytes: u64,
}

/// The newest exchanges, and the numbers of the next ones.
#[derive(Debug)]
pub(super) struct Traffic {
    started: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    exchanges: VecDeque<Exchange>,
    next: u64,
    next_request: u64,
}

impl Traffic {
    pub(super) fn new() -> Self {
        Self { started: Instant::now(), state: Mutex::default() }
    }

    pub(super) fn next_request(&self) -> u64 {
        let mut state = self.state();
        let number = state.next_request;
        state.next_request = number.saturating_add(1);
        number
    }

    /// Notes a call and returns its number.
    pub(super) fn note(&self, request: u64, client: SocketAddr, call: &Call, bytes: usize, fired: Vec<RuleId>) -> u64 {
        let mut state = self.state();
        let sequence = state.next;
        state.next = sequence.saturating_add(1);
        if state.exchanges.len() >= CAPACITY {
            state.exchanges.pop_front();
        }
        state.exchanges.push_back(Exchange {
            sequence,
            request,
            at: Instant::now(),
            client,
            method: call.method.clone(),
            params: call.params.clone(),
            fired,
            request_bytes: u64::try_from(bytes).unwrap_or(u64::MAX),
            response_bytes: 0,
        });
        sequence
    }

    /// Adds to an answer's length, unless the call is forgotten.
    pub(super) fn answered(&self, sequence: u64, bytes: usize) {
        let mut state = self.state();
        let first = state.exchanges.front().map_or(0, |exchange| exchange.sequence);
        let place = sequence.checked_sub(first).and_then(|place| usize::try_from(place).ok());
        if let Some(exchange) = place.and_then(|place| state.exchanges.get_mut(place)) {
            let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
            exchange.response_bytes = exchange.response_bytes.saturating_add(bytes);
        }
    }

    pub(super) fn all(&self) -> Vec<Exchange> {
        self.state().exchanges.iter().cloned().collect()
    }

    pub(super) fn forget(&self) {
        self.state().exchanges.clear();
    }

    /// For the control interface, with milliseconds since the start in the place of instants.
    pub(super) fn to_json(&self) -> Value {
        let exchanges = self.all();
        let write = |it: &Exchange| {
            let at = it.at.saturating_duration_since(self.started);
            json!({
                "sequence": it.sequence,
                "request": it.request,
                "at_ms": u64::try_from(at.as_millis()).unwrap_or(u64::MAX),
                "client": it.client,
                "method": it.method,
                "params": it.params,
                "fired": it.fired,
                "request_bytes": it.request_bytes,
                "response_bytes": it.response_bytes,
            })
        };
        exchanges.iter().map(write).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
