//! JSON-RPC messages, as far as the proxy looks into them.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// One call as a client wrote it.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) id: Value,
    pub(super) method: String,
    pub(super) params: Value,
}

impl Call {
    /// `None` for what is no call; the node may say what it thinks of it.
    pub(super) fn read(message: &Value) -> Option<Self> {
        let method = message.get("method")?.as_str()?.to_owned();
        let member = |name| message.get(name).cloned().unwrap_or(Value::Null);
        Some(Self { id: member("id"), method, params: member("params") })
    }

    /// The parameter at `position`, `null` where it is missing.
    pub(super) fn param(&self, position: usize) -> &Value {
        self.params.get(position).unwrap_or(&Value::Null)
    }

    /// The parameters with another one at `position`.
    pub(super) fn with_param(&self, position: usize, value: Value) -> Value {
        let mut params = self.params.as_array().cloned().unwrap_or_default();
        while params.len() <= position {
            params.push(Value::Null);
        }
        if let Some(place) = params.get_mut(position) {
            *place = value;
        }
        Value::Array(params)
    }
}

/// The error member of an answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ErrorObject {
    pub(super) code: i64,
    pub(super) message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) data: Option<Value>,
}

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("the node refused: {}", .0.message)]
    Refused(ErrorObject),
    #[error("the node behind the proxy cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    #[error("the node behind the proxy answered something strange: {0}")]
    Strange(String),
}

impl Failure {
    pub(super) fn refused(code: i64, message: impl Into<String>) -> Self {
        Self::Refused(ErrorObject { code, message: message.into(), data: None })
    }

    pub(super) fn strange(what: impl Into<String>) -> Self {
        Self::Strange(what.into())
    }
}

/// What a node makes of a call.
pub(super) type Outcome = Result<Value, Failure>;

pub(super) fn request(id: &Value, method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

/// The text of an answer. A node that cannot be reached is left to the caller: it is no answer.
pub(super) fn answer(id: &Value, outcome: Outcome) -> Result<String, Failure> {
    match outcome {
        Ok(result) => Ok(json!({ "jsonrpc": "2.0", "id": id, "result": result }).to_string()),
        Err(Failure::Refused(error)) => Ok(json!({ "jsonrpc": "2.0", "id": id, "error": error }).to_string()),
        Err(failure) => Err(failure),
    }
}

/// Reads an answer. `Null` results count as results.
pub(super) fn outcome(mut answer: Value) -> Outcome {
    if let Some(error) = answer.get_mut("error").map(Value::take) {
        let error: ErrorObject =
            serde_json::from_value(error).map_err(|e| Failure::strange(format!("an error object: {e}")))?;
        return Err(Failure::Refused(error));
    }
    match answer.get_mut("result") {
        Some(result) => Ok(result.take()),
        None => Err(Failure::strange("neither a result nor an error")),
    }
}
