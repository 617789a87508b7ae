//! The forged transaction at the end of the first forged block.

use alloy_primitives::{Address, B256, Bloom, Bytes, TxKind, U64, U256, keccak256};
use alloy_trie::root::ordered_trie_root_encoded;
use serde_json::{Map, Value, json};

use super::{Addition, ForgedBranch, encode};
use crate::{
    keys,
    proxy::{block::quantity, call::Failure, upstream::Upstream},
    transaction::{Call, sign},
};

const GAS: u64 = 100_000;

/// Adds the transaction to a real block: what is added, with a zero where the block's hash belongs, and the members of
/// the header that change with it.
pub(super) async fn add(
    branch: &ForgedBranch,
    upstream: &Upstream,
    real: &Value,
) -> Result<(Addition, Map<String, Value>), Failure> {
    let receipts: Vec<Value> = upstream.ask("eth_getBlockReceipts", &json!([quantity(branch.height())])).await?;
    let chain_id: U64 = upstream.ask("eth_chainId", &json!([])).await?;
    let to = branch.logs().first().map_or(Address::ZERO, |log| log.address);
    let call = Call { to: TxKind::Call(to), value: U256::ZERO, input: Bytes::new() };
    let raw = sign(&keys::deployer(), chain_id.to(), branch.height(), GAS, call);
    let addition = addition(branch, real, &receipts, raw, to)?;

    let mut encoded = receipts.iter().map(encode::receipt).collect::<Result<Vec<_>, _>>()?;
    encoded.push(encode::receipt(&addition.receipt)?);
    let blooms = [encode::data(real, "logsBloom")?, encode::data(&addition.receipt, "logsBloom")?];
    let bloom =
        blooms.iter().filter(|bloom| bloom.len() == 256).fold(Bloom::ZERO, |all, one| all | Bloom::from_slice(one));
    let gas_used = encode::quantity(real, "gasUsed")?.saturating_add(U256::from(GAS));
    let members = [
        ("receiptsRoot", json!(ordered_trie_root_encoded(&encoded))),
        ("transactionsRoot", json!(transactions_root(upstream, real, &addition).await?)),
        ("logsBloom", json!(bloom)),
        ("gasUsed", json!(gas_used)),
    ];
    Ok((addition, members.map(|(name, value)| (name.to_owned(), value)).into_iter().collect()))
}

fn addition(
    branch: &ForgedBranch,
    real: &Value,
    receipts: &[Value],
    raw: Bytes,
    to: Address,
) -> Result<Addition, Failure> {
    let hash = keccak256(&raw);
    let labels = json!({
        "blockHash": B256::ZERO,
        "blockNumber": quantity(branch.height()),
        "transactionHash": hash,
        "transactionIndex": U64::from(receipts.len()),
    });
    let logs = forged_logs(branch, real, receipts, &labels);
    let before = receipts.last().map_or(Ok(U256::ZERO), |receipt| encode::quantity(receipt, "cumulativeGasUsed"))?;
    let price = real.get("baseFeePerGas").filter(|fee| !fee.is_null()).cloned().unwrap_or_else(|| quantity(0));
    let from = keys::deployer().address();
    let receipt = json!({
        "type": "0x2", "status": "0x1", "from": from, "to": to, "contractAddress": null,
        "cumulativeGasUsed": before.saturating_add(U256::from(GAS)), "gasUsed": quantity(GAS),
        "effectiveGasPrice": price, "logsBloom": encode::bloom(&logs)?, "logs": logs,
    });
    let transaction = json!({
        "hash": hash, "type": "0x2", "from": from, "to": to, "input": "0x", "value": "0x0", "accessList": [],
        "nonce": quantity(branch.height()), "gas": quantity(GAS), "gasPrice": price, "blockHash": B256::ZERO,
        "blockNumber": quantity(branch.height()), "transactionIndex": U64::from(receipts.len()),
    });
    Ok(Addition { hash, raw, transaction, receipt: merged(&labels, receipt) })
}

/// The logs behind those of the real block.
fn forged_logs(branch: &ForgedBranch, real: &Value, receipts: &[Value], labels: &Value) -> Vec<Value> {
    let real_logs = receipts.iter().filter_map(|receipt| receipt.get("logs")?.as_array()).map(Vec::len);
    let first = real_logs.fold(0, usize::saturating_add);
    let forged = branch.logs().iter().zip(first..).map(|(log, index)| {
        let own = json!({
            "address": log.address, "topics": log.topics, "data": log.data, "logIndex": U64::from(index),
            "blockTimestamp": real.get("timestamp"), "removed": false,
        });
        merged(labels, own)
    });
    forged.collect()
}

fn merged(labels: &Value, own: Value) -> Value {
    let labels = labels.as_object().cloned().unwrap_or_default();
    let Value::Object(own) = own else { return own };
    Value::Object(labels.into_iter().chain(own).collect())
}

/// The root with the forged transaction. A node that does not give raw transactions gets a hash of both instead: only
/// the header commits to it.
async fn transactions_root(upstream: &Upstream, real: &Value, addition: &Addition) -> Result<B256, Failure> {
    let hashes = real.get("transactions").and_then(Value::as_array).into_iter().flatten();
    let params: Vec<_> = hashes.map(|hash| json!([hash])).collect();
    let outcomes = upstream.batch("eth_getRawTransactionByHash", &params).await?;
    let raw = |outcome| serde_json::from_value::<Bytes>(outcome).ok();
    let all: Option<Vec<_>> = outcomes.into_iter().map(|outcome| outcome.ok().and_then(raw)).collect();
    Ok(match all {
        Some(all) => ordered_trie_root_encoded(&all.into_iter().chain([addition.raw.clone()]).collect::<Vec<_>>()),
        None => keccak256([encode::hash(real, "transactionsRoot")?, addition.hash].concat()),
    })
}
