//! JSON-RPC 2.0 over HTTP: what goes out, and what may come back.

use std::{fmt, sync::Arc};

use alloy::primitives::Bytes;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::{Value, json, value::RawValue};

use super::SeatError;
use crate::call::Call;

/// Longest answer to one call that is read: the receipts of a full block take a few megabytes, everything else far less.
/// It bounds memory whatever is sent, compressed or not; the seat's timeout bounds the time.
const fn most_bytes(method: &str) -> usize {
    const MEBI: usize = 1024 * 1024;
    match method.as_bytes() {
        b"eth_getBlockReceipts" | b"eth_getLogs" => 64 * MEBI,
        _ => 2 * MEBI,
    }
}

/// Longest answer to these calls together.
pub(super) fn cap(calls: &[Call]) -> usize {
    // A batch is read into generic values, which take several times their text, so its parts share a tighter bound.
    const MOST: usize = 8 * 1024 * 1024;
    match calls {
        [call] => most_bytes(call.method),
        calls => calls.iter().map(|call| most_bytes(call.method).min(MOST)).fold(0, usize::max).max(MOST),
    }
}

/// An answer's bytes with its HTTP status.
#[derive(Debug)]
pub(super) struct Reply {
    status: reqwest::StatusCode,
    body: Vec<u8>,
}

#[derive(Deserialize)]
struct Answer<T> {
    #[serde(default)]
    id: Value,
    // An absent result and a null one differ: many methods answer null for what they do not know.
    #[serde(default = "absent", deserialize_with = "present", bound(deserialize = "T: Deserialize<'de>"))]
    result: Option<T>,
    #[serde(default)]
    error: Option<NodeError>,
}

#[derive(Deserialize)]
struct NodeError {
    #[serde(default)]
    code: Value,
    #[serde(default)]
    message: String,
    #[serde(default)]
    data: Value,
}

pub(super) fn single(id: u64, call: &Call) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": call.method, "params": call.params })
}

/// The calls get ascending ids from `first` on.
pub(super) fn batch(first: u64, calls: &[Call]) -> Value {
    (first..).zip(calls).map(|(id, call)| single(id, call)).collect()
}

/// Sends the request and reads at most so many bytes of the answer, after decompression.
pub(super) async fn send(request: reqwest::RequestBuilder, most: usize) -> Result<Reply, SeatError> {
    let mut response = request.send().await.map_err(connection)?;
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(connection)? {
        if body.len().saturating_add(chunk.len()) > most {
            return Err(SeatError::TooLong(most));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Reply { status, body })
}

pub(super) fn read_single<T: DeserializeOwned>(id: u64, reply: Reply) -> Result<T, SeatError> {
    let answer: Answer<T> = serde_json::from_slice(&reply.body).map_err(|error| not_json(&reply, &error))?;
    if answer.error.is_none() && answer.id != id {
        return Err(SeatError::malformed("answer to another question"));
    }
    result(answer)
}

/// A result with its text as it came.
pub(super) fn read_told<T: DeserializeOwned>(id: u64, reply: Reply) -> Result<Told<T>, SeatError> {
    let raw: Box<RawValue> = read_single(id, reply)?;
    let value = serde_json::from_str(raw.get()).map_err(|error| SeatError::malformed(error.to_string()))?;
    Ok(Told { value, raw: Arc::from(raw.get()) })
}

/// An answer's meaning, which is voted on, with its text, which is kept as evidence.
#[derive(Clone)]
pub(crate) struct Told<T> {
    pub(crate) value: T,
    pub(crate) raw: Arc<str>,
}

impl<T> Told<T> {
    pub(crate) fn map<U>(self, with: impl FnOnce(T) -> U) -> Told<U> {
        Told { value: with(self.value), raw: self.raw }
    }

    pub(crate) fn try_map<U, E>(self, with: impl FnOnce(T) -> Result<U, E>) -> Result<Told<U>, E> {
        Ok(Told { value: with(self.value)?, raw: self.raw })
    }
}

impl<T> Told<Option<T>> {
    pub(crate) fn transpose(self) -> Option<Told<T>> {
        let Self { value, raw } = self;
        value.map(|value| Told { value, raw })
    }
}

impl<T: PartialEq> PartialEq for Told<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T> fmt::Debug for Told<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.raw)
    }
}

/// The answers in the order of the questions, or nothing where the node answered the batch as a whole: it may take none.
pub(super) fn read_batch(
    first: u64,
    count: usize,
    reply: Reply,
) -> Result<Option<Vec<Result<Value, SeatError>>>, SeatError> {
    if reply.body.trim_ascii_start().first() == Some(&b'{') {
        return Ok(None);
    }
    let answers: Vec<Answer<Value>> = serde_json::from_slice(&reply.body).map_err(|error| not_json(&reply, &error))?;
    let mut slots: Vec<Option<Answer<Value>>> = Vec::new();
    slots.resize_with(count, || None);
    for answer in answers {
        let offset = answer.id.as_u64().and_then(|id| id.checked_sub(first)).and_then(|at| usize::try_from(at).ok());
        match offset.and_then(|at| slots.get_mut(at)) {
            Some(slot @ None) => *slot = Some(answer),
            _ => return Err(SeatError::malformed("batch answer with an id that was not asked or comes twice")),
        }
    }
    let missing = || Err(SeatError::malformed("batch answer lacks a result"));
    Ok(Some(slots.into_iter().map(|slot| slot.map_or_else(missing, result)).collect()))
}

fn result<T>(answer: Answer<T>) -> Result<T, SeatError> {
    match (answer.error, answer.result) {
        (Some(error), _) => Err(SeatError::Node {
            code: error.code.as_i64().unwrap_or_default(),
            message: error.message,
            data: revert_data(&error.data),
        }),
        (None, Some(result)) => Ok(result),
        (None, None) => Err(SeatError::malformed("neither result nor error")),
    }
}

fn revert_data(data: &Value) -> Option<Bytes> {
    data.as_str().and_then(|text| text.parse().ok())
}

fn not_json(reply: &Reply, error: &serde_json::Error) -> SeatError {
    if reply.status.is_success() {
        SeatError::malformed(error.to_string())
    } else {
        SeatError::Http(reply.status.as_u16())
    }
}

fn connection(error: reqwest::Error) -> SeatError {
    if error.is_timeout() {
        return SeatError::Timeout;
    }
    // The error itself prints the URL; its innermost cause says what failed.
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    SeatError::Connection(cause.to_string())
}

const fn absent<T>() -> Option<T> {
    None
}

fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(body: &str) -> Reply {
        Reply { status: reqwest::StatusCode::OK, body: body.as_bytes().to_vec() }
    }

    #[test]
    fn null_is_a_result_and_nothing_is_not() {
        assert_eq!(read_single::<Option<u8>>(1, reply(r#"{"id":1,"result":null}"#)), Ok(None));
        assert!(matches!(read_single::<Option<u8>>(1, reply(r#"{"id":1}"#)), Err(SeatError::Malformed(_))));
    }

    #[test]
    fn an_answer_to_another_question_is_malformed() {
        assert!(matches!(read_single::<u8>(2, reply(r#"{"id":1,"result":7}"#)), Err(SeatError::Malformed(_))));
    }

    #[test]
    fn batches_are_put_in_order_and_never_doubled() {
        let body = r#"[{"id":8,"result":"b"},{"id":7,"result":"a"}]"#;
        let answers = read_batch(7, 2, reply(body)).unwrap().unwrap();
        assert_eq!(answers, [Ok(json!("a")), Ok(json!("b"))]);
        let doubled = r#"[{"id":7,"result":"a"},{"id":7,"result":"b"}]"#;
        assert!(read_batch(7, 2, reply(doubled)).is_err());
        let short = read_batch(7, 2, reply(r#"[{"id":7,"result":"a"}]"#)).unwrap().unwrap();
        assert!(short[1].is_err());
    }

    #[test]
    fn an_error_in_place_of_a_batch_is_told_apart() {
        assert_eq!(read_batch(1, 1, reply(r#"{"error":{"code":-32600,"message":"no batches"}}"#)), Ok(None));
    }
}
