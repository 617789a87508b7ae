//! Recorded storage proofs, and everything that is wrong with a forged one.

use alloy::{
    primitives::{Address, Bytes, U64, U256, address, b256, keccak256},
    rlp,
};
use alloy_trie::{EMPTY_ROOT_HASH, KECCAK_EMPTY};

use super::*;

/// A recorded block's state root, the proof, and the slot that it is about.
struct Recorded {
    root: B256,
    slot: B256,
    proof: StorageProof,
}

impl Recorded {
    fn of(file: &str) -> Self {
        let (_, of) = recorded("proofs").into_iter().find(|(name, _)| name == file).unwrap();
        Self::from(&of)
    }

    fn from(of: &Value) -> Self {
        let header: Header = parsed(&of["block"]);
        assert_eq!(header.hash(), Ok(parsed(&of["block"]["hash"])));
        let proof: StorageProof = parsed(&of["proof"]);
        Self { root: header.state_root, slot: proof.storage_proof[0].key.into(), proof }
    }

    fn proven(&self) -> Result<Vec<U256>, ProofError> {
        prove_storage(self.root, self.proof.address, &[self.slot], &self.proof)
    }

    fn edited(&self, edit: impl FnOnce(&mut StorageProof)) -> Result<Vec<U256>, ProofError> {
        let mut proof = self.proof.clone();
        edit(&mut proof);
        prove_storage(self.root, self.proof.address, &[self.slot], &proof)
    }
}

fn weth() -> Recorded {
    Recorded::of("ethereum-23223655-weth.json")
}

#[test]
fn recorded_proofs_give_their_values() {
    for (file, of) in recorded("proofs") {
        let of = Recorded::from(&of);
        assert_eq!(of.proven(), Ok(vec![of.proof.storage_proof[0].value]), "{file}");
    }
}

#[test]
fn the_endpoint_keeps_its_count_where_it_is_looked_for() {
    let of = Recorded::of("anvil-outbound-nonce.json");
    let (sender, receiver) = (Address::repeat_byte(0x11), Address::repeat_byte(0x22).into_word());
    let slot = outbound_nonce_slot(sender, 30110, receiver, 3);
    assert_eq!(prove_storage(of.root, of.proof.address, &[slot], &of.proof), Ok(vec![U256::from(4242)]));
    for other in [
        outbound_nonce_slot(sender, 30110, receiver, 2),
        outbound_nonce_slot(sender, 30111, receiver, 3),
        outbound_nonce_slot(sender, 30110, sender.into_word(), 3),
        outbound_nonce_slot(Address::repeat_byte(0x22), 30110, receiver, 3),
    ] {
        assert_eq!(prove_storage(of.root, of.proof.address, &[other], &of.proof), Err(ProofError::OtherSlots));
    }
}

#[test]
fn the_history_contract_keeps_hashes_where_they_are_looked_for() {
    let of = Recorded::of("anvil-history.json");
    let hash = b256!("0xd4840a9c89ff519a45501f2232f5fd386123ae666ecd349cfd4aa4cb7f7c6b11");
    for number in [10, 10 + 8191] {
        let slot = history_slot(number, 8191);
        assert_eq!(prove_storage(of.root, HISTORY_CONTRACT, &[slot], &of.proof), Ok(vec![hash.into()]));
    }
    assert_ne!(history_slot(10 + 8191, 393_168), history_slot(10, 393_168));
    assert_eq!(history_slot(7, 0), B256::ZERO);
}

#[test]
fn a_forged_answer_does_not_prove() {
    for (file, of) in recorded("proofs") {
        let of = Recorded::from(&of);
        let slot = Err(ProofError::Slot(of.slot));
        let account = Err(ProofError::Account);
        let one = U256::from(1);
        assert_eq!(of.edited(|it| it.storage_proof[0].value ^= one), slot, "{file}");
        assert_eq!(of.edited(|it| it.storage_proof[0].value = U256::ZERO), slot, "{file}");
        assert_eq!(of.edited(|it| it.balance ^= one), account, "{file}");
        assert_eq!(of.edited(|it| it.nonce ^= U64::from(1)), account, "{file}");
        assert_eq!(of.edited(|it| it.code_hash.0[9] ^= 1), account, "{file}");
        assert_eq!(of.edited(|it| it.storage_hash.0[9] ^= 1), account, "{file}");
        assert_eq!(of.edited(|it| it.account_proof.clear()), account, "{file}");
        assert_eq!(of.edited(|it| it.storage_proof[0].proof.clear()), slot, "{file}");
        let other = Recorded { root: B256::repeat_byte(1), ..of };
        assert_eq!(other.proven(), account, "{file}");
    }
}

#[test]
fn a_proof_of_another_account_or_slot_does_not_count() {
    let of = weth();
    let others = Address::repeat_byte(7);
    let result = prove_storage(of.root, others, &[of.slot], &of.proof);
    assert_eq!(result, Err(ProofError::OtherAccount(of.proof.address)));
    assert_eq!(of.edited(|it| it.address = others), Err(ProofError::OtherAccount(others)));

    let asked = |slots: &[B256]| prove_storage(of.root, of.proof.address, slots, &of.proof);
    assert_eq!(asked(&[B256::ZERO]), Err(ProofError::OtherSlots));
    assert_eq!(asked(&[]), Err(ProofError::OtherSlots));
    assert_eq!(asked(&[of.slot, B256::ZERO]), Err(ProofError::OtherSlots));
    assert_eq!(asked(&[of.slot, of.slot]), Err(ProofError::OtherSlots));
    let twice = of.edited(|it| it.storage_proof.push(it.storage_proof[0].clone()));
    assert_eq!(twice, Err(ProofError::OtherSlots));
    // The answer says that it is about the slot that was asked for, and is not.
    let zero = prove_storage(of.root, of.proof.address, &[B256::ZERO], &{
        let mut proof = of.proof.clone();
        proof.storage_proof[0].key = U256::ZERO;
        proof
    });
    assert_eq!(zero, Err(ProofError::Slot(B256::ZERO)));
}

#[test]
fn a_node_that_is_edited_dropped_or_added_does_not_prove() {
    let of = weth();
    for at in 0..of.proof.account_proof.len() {
        let nodes = |it: &mut StorageProof, edit: fn(&mut Vec<Bytes>, usize)| edit(&mut it.account_proof, at);
        for edit in EDITS {
            assert_eq!(of.edited(|it| nodes(it, edit)), Err(ProofError::Account), "node {at}");
        }
    }
    for at in 0..of.proof.storage_proof[0].proof.len() {
        let nodes = |it: &mut StorageProof, edit: fn(&mut Vec<Bytes>, usize)| edit(&mut it.storage_proof[0].proof, at);
        for edit in EDITS {
            assert_eq!(of.edited(|it| nodes(it, edit)), Err(ProofError::Slot(of.slot)), "node {at}");
        }
    }
}

const EDITS: [fn(&mut Vec<Bytes>, usize); 6] = [
    |nodes, at| _ = nodes.remove(at),
    |nodes, at| nodes.insert(at, nodes[at].clone()),
    |nodes, at| nodes[at] = Bytes::new(),
    |nodes, at| nodes[at] = [0x80].into(),
    |nodes, at| nodes[at] = nodes[at].slice(..nodes[at].len() - 1),
    |nodes, at| {
        let mut node = nodes[at].to_vec();
        let byte = node.len() / 2;
        node[byte] ^= 1;
        nodes[at] = node.into();
    },
];

#[test]
fn an_absent_slot_is_zero_and_nothing_else() {
    // The endpoint has few slots: the top node of its storage shows that a slot is not there, once one is found whose
    // path leaves the trie at that node.
    let of = Recorded::of("anvil-outbound-nonce.json");
    let claimed = |key: u64, value: u64| {
        let top = of.proof.storage_proof[0].proof[0].clone();
        let slot = SlotProof { key: U256::from(key), value: U256::from(value), proof: vec![top] };
        let proof = StorageProof { storage_proof: vec![slot], ..of.proof.clone() };
        prove_storage(of.root, proof.address, &[U256::from(key).into()], &proof)
    };
    let absent = (1_000..1_100).find(|key| claimed(*key, 0).is_ok()).unwrap();
    assert_eq!(claimed(absent, 0), Ok(vec![U256::ZERO]));
    assert_eq!(claimed(absent, 1), Err(ProofError::Slot(U256::from(absent).into())));
    // A node cut off before the path leaves the trie proves nothing.
    assert!((1_000..1_100).any(|key| claimed(key, 0).is_err()));
    assert_eq!(
        of.edited(|it| (it.storage_proof[0].value, _) = (U256::ZERO, it.storage_proof[0].proof.pop())),
        Err(ProofError::Slot(of.slot))
    );
}

/// A state with one account and the answer about it: its leaf is the only node.
fn alone(nonce: u64, storage_hash: B256) -> (B256, StorageProof) {
    let address = address!("0x1a44076050125825900e736c501f859c50fE728c");
    let account = alloy_trie::TrieAccount::new(nonce, U256::ZERO, storage_hash, KECCAK_EMPTY);
    let mut path = vec![0x20];
    path.extend(keccak256(address));
    let leaf: Bytes = rlp::encode(vec![Bytes::from(path), rlp::encode(account).into()]).into();
    let root = keccak256(&leaf);
    let proof = json!({
        "address": address, "accountProof": [leaf], "balance": "0x0", "codeHash": KECCAK_EMPTY,
        "nonce": U64::from(nonce), "storageHash": storage_hash,
        "storageProof": [{ "key": "0x3", "value": "0x0", "proof": [] }],
    });
    (root, parsed(&proof))
}

#[test]
fn empty_storage_is_zero_only_where_the_account_proves_it() {
    let slot = B256::with_last_byte(3);
    let (root, proof) = alone(1, EMPTY_ROOT_HASH);
    assert_eq!(prove_storage(root, proof.address, &[slot], &proof), Ok(vec![U256::ZERO]));
    let mut not_empty = proof.clone();
    not_empty.storage_proof[0].value = U256::from(1);
    assert_eq!(prove_storage(root, proof.address, &[slot], &not_empty), Err(ProofError::Slot(slot)));

    let (root, mut hidden) = alone(1, B256::repeat_byte(5));
    assert_eq!(prove_storage(root, hidden.address, &[slot], &hidden), Err(ProofError::Slot(slot)));
    hidden.storage_hash = EMPTY_ROOT_HASH;
    assert_eq!(prove_storage(root, hidden.address, &[slot], &hidden), Err(ProofError::Account));
    // Nor does it help to say that there is no such account.
    hidden.nonce = U64::ZERO;
    assert_eq!(prove_storage(root, hidden.address, &[slot], &hidden), Err(ProofError::Account));
}

#[test]
fn an_absent_account_is_proven_by_exclusion_whatever_its_hashes_are_called() {
    let (root, mut proof) = alone(1, EMPTY_ROOT_HASH);
    let slot = B256::with_last_byte(3);
    proof.address = Address::repeat_byte(9);
    proof.nonce = U64::ZERO;
    assert_eq!(prove_storage(root, proof.address, &[slot], &proof), Ok(vec![U256::ZERO]));
    (proof.code_hash, proof.storage_hash) = (B256::ZERO, B256::ZERO);
    assert_eq!(prove_storage(root, proof.address, &[slot], &proof), Ok(vec![U256::ZERO]));
    proof.nonce = U64::from(1);
    assert_eq!(prove_storage(root, proof.address, &[slot], &proof), Err(ProofError::Account));
}
