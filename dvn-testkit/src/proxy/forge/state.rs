//! The little state of a forged branch, and proofs out of it.

use std::collections::BTreeMap;

use alloy::rlp;
use alloy_primitives::{Address, B256, Bytes, U256, address, keccak256};
use alloy_trie::{
    EMPTY_ROOT_HASH, HashBuilder, KECCAK_EMPTY, Nibbles, TrieAccount,
    proof::{ProofNodes, ProofRetainer},
};
use serde_json::{Value, json};

use crate::proxy::call::Failure;

/// Where EIP-2935 keeps block hashes.
pub(super) const HISTORY: Address = address!("0x0000F90827F1C53a10cb7A02335B175320002935");
/// How many it keeps.
pub(super) const RING: u64 = 8191;

/// Accounts, each with the hash of its code and its storage.
#[derive(Debug, Clone, Default)]
pub(super) struct State(BTreeMap<Address, Account>);

#[derive(Debug, Clone, Default)]
struct Account {
    code_hash: B256,
    slots: BTreeMap<U256, U256>,
}

impl State {
    pub(super) fn add(&mut self, account: Address, code: &[u8]) {
        self.0.entry(account).or_default().code_hash = keccak256(code);
    }

    pub(super) fn set(&mut self, account: Address, slot: U256, value: U256) {
        self.0.entry(account).or_default().slots.insert(slot, value);
    }

    pub(super) fn accounts(&self) -> impl Iterator<Item = Address> + '_ {
        self.0.keys().copied()
    }

    pub(super) fn root(&self) -> B256 {
        self.trie(&[]).0
    }

    /// The answer to `eth_getProof`; accounts and slots that are not there are proven to be absent.
    pub(super) fn proof(&self, account: &Value, keys: &Value) -> Result<Value, Failure> {
        let invalid = |what| Failure::refused(-32602, format!("invalid {what}"));
        let address: Address = serde_json::from_value(account.clone()).map_err(|_| invalid("address"))?;
        let (_, nodes) = self.trie(&[keccak256(address)]);
        let absent = Account::default();
        let found = self.0.get(&address);
        let storage = found.unwrap_or(&absent);
        let mut slots = Vec::new();
        for key in keys.as_array().into_iter().flatten() {
            slots.push(key.as_str().and_then(|key| key.parse::<U256>().ok()).ok_or_else(|| invalid("storage key"))?);
        }
        let hashed: Vec<_> = slots.iter().map(|slot| keccak256(B256::from(*slot))).collect();
        let (storage_root, storage_nodes) = storage.trie(&hashed);
        let keys = keys.as_array().into_iter().flatten();
        let storage_proofs = keys.zip(&slots).zip(&hashed).map(|((key, slot), hashed)| {
            let value = storage.slots.get(slot).copied().unwrap_or_default();
            json!({ "key": key, "value": value, "proof": path(&storage_nodes, *hashed) })
        });
        Ok(json!({
            "address": address,
            "accountProof": path(&nodes, keccak256(address)),
            "balance": "0x0",
            "codeHash": found.map_or(KECCAK_EMPTY, |account| account.code_hash),
            "nonce": if found.is_some() { "0x1" } else { "0x0" },
            "storageHash": storage_root,
            "storageProof": storage_proofs.collect::<Value>(),
        }))
    }

    fn trie(&self, targets: &[B256]) -> (B256, ProofNodes) {
        let leaf = |account: &Account| TrieAccount {
            nonce: 1,
            balance: U256::ZERO,
            storage_root: account.trie(&[]).0,
            code_hash: account.code_hash,
        };
        trie(self.0.iter().map(|(address, account)| (keccak256(address), rlp::encode(leaf(account)))), targets)
    }
}

impl Account {
    fn trie(&self, targets: &[B256]) -> (B256, ProofNodes) {
        // A slot that holds nothing is not in the trie.
        let slots = self.slots.iter().filter(|(_, value)| !value.is_zero());
        trie(slots.map(|(slot, value)| (keccak256(B256::from(*slot)), rlp::encode(value))), targets)
    }
}

fn trie(leaves: impl Iterator<Item = (B256, Vec<u8>)>, targets: &[B256]) -> (B256, ProofNodes) {
    let sorted: BTreeMap<_, _> = leaves.collect();
    if sorted.is_empty() {
        return (EMPTY_ROOT_HASH, ProofNodes::default());
    }
    let retainer = targets.iter().map(Nibbles::unpack).collect::<ProofRetainer>();
    let mut builder = HashBuilder::default().with_proof_retainer(retainer);
    for (key, value) in sorted {
        builder.add_leaf(Nibbles::unpack(key), &value);
    }
    let root = builder.root();
    (root, builder.take_proof_nodes())
}

fn path(nodes: &ProofNodes, key: B256) -> Vec<Bytes> {
    nodes.matching_nodes_sorted(&Nibbles::unpack(key)).into_iter().map(|(_, node)| node).collect()
}
