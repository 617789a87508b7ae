//! One call, answered with a fault.

use serde_json::{Value, json};

use super::{
    Fault, Hostile,
    block::{BlockId, head, quantity, reads_state},
    call::{self, Call, Failure, Outcome},
    edit,
    lag::Lag,
    rules::Verdict,
    upstream::Upstream,
};

/// The text of the answer that the fault makes of a call.
pub(super) async fn text(verdict: &Verdict, call: &Call, upstream: &Upstream) -> Result<String, Failure> {
    match verdict.fault() {
        Fault::Hostile { kind: Hostile::WrongId } => {
            let other = json!(call.id.as_u64().map_or(u64::MAX, |id| id.wrapping_add(1_000_000)));
            call::answer(&other, upstream.call(&call.method, &call.params).await)
        }
        Fault::Hostile { kind: Hostile::Nan } => Ok(format!(r#"{{"jsonrpc":"2.0","id":{},"result":NaN}}"#, call.id)),
        _ => call::answer(&call.id, outcome(verdict, call, upstream).await),
    }
}

/// What the fault makes of a call. Faults of the transport are none of its business: the truth, then.
async fn outcome(verdict: &Verdict, call: &Call, upstream: &Upstream) -> Outcome {
    let truth = || upstream.call(&call.method, &call.params);
    if let Some(lag) = Lag::of(verdict.fault()) {
        return lag.answer(call, upstream).await;
    }
    match verdict.fault() {
        Fault::RpcError { code, message } => Err(Failure::refused(*code, message)),
        Fault::Null => Ok(Value::Null),
        Fault::Empty => Ok(json!([])),
        Fault::NullReceipts if is_receipts(&call.method) => Ok(Value::Null),
        Fault::ChainId { id } if call.method == "eth_chainId" => Ok(quantity(*id)),
        Fault::ChainId { id } if call.method == "net_version" => Ok(json!(id.to_string())),
        Fault::PruneState { blocks } if reads_state(&call.method) => pruned(*blocks, call, upstream).await,
        Fault::Route { url } => upstream.at(url).call(&call.method, &call.params).await,
        Fault::Alternate { urls } => {
            let count = u64::try_from(urls.len()).unwrap_or(u64::MAX);
            let index = verdict.turn.checked_rem(count).and_then(|index| usize::try_from(index).ok());
            match index.and_then(|index| urls.get(index)) {
                Some(url) => upstream.at(url).call(&call.method, &call.params).await,
                None => truth().await,
            }
        }
        Fault::DropLogs { .. } if !has_logs(&call.method) => truth().await,
        Fault::DropLogs { .. } | Fault::Mutate { .. } | Fault::Remove { .. } => {
            let mut result = truth().await?;
            edited(verdict.fault(), &mut result);
            Ok(result)
        }
        _ => match &verdict.entry.forger {
            Some(forger) => forger.answer(call).await,
            None => truth().await,
        },
    }
}

/// Changes a result as the fault says, if it is one that changes results.
pub(super) fn edited(fault: &Fault, result: &mut Value) {
    match fault {
        Fault::DropLogs { address, topic } => edit::drop_logs(result, *address, *topic),
        Fault::Mutate { pointer, value } => edit::set(result, pointer, value),
        Fault::Remove { pointer } => edit::remove(result, pointer),
        _ => {}
    }
}

fn is_receipts(method: &str) -> bool {
    matches!(method, "eth_getTransactionReceipt" | "eth_getBlockReceipts")
}

fn has_logs(method: &str) -> bool {
    is_receipts(method) || method == "eth_getLogs"
}

/// State at an old block, from a node without an archive.
async fn pruned(kept: u64, call: &Call, upstream: &Upstream) -> Outcome {
    let explicit = call.block().filter(|block| matches!(block, BlockId::Number(_) | BlockId::Hash(_)));
    let height = match explicit {
        Some(block) => block.height(upstream).await?,
        None => None,
    };
    let oldest = head(upstream).await?.saturating_sub(kept);
    let Some(height) = height.filter(|height| *height < oldest) else {
        return upstream.call(&call.method, &call.params).await;
    };
    let block = upstream.call("eth_getBlockByNumber", &json!([quantity(height), false])).await?;
    let root = block.get("stateRoot").and_then(Value::as_str).unwrap_or_default();
    let node = root.trim_start_matches("0x");
    Err(Failure::refused(-32000, format!("missing trie node {node} (path ) state {root} is not available")))
}
