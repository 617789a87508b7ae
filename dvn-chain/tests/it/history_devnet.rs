//! What the real contracts show in our name.

use std::time::Duration;

use alloy::primitives::{Address, B256, Bytes, b256, hex, keccak256};
use dvn_chain::EvmSubmitter;
use dvn_core::{
    attestation::Attestation,
    ids::{BlockNumber, BlockRef, ChainTime, Confirmations, Vid},
    ports::{Cause, ChangeKind, ContractChange, History, Shown, SignedAttestation, Submitter},
};
use dvn_testkit::{
    devnet::{self, Devnet, DvnChange},
    keys::{self, Key},
    rpc::Receipt,
};

use crate::devnet::{observations, settled, signed, start, submitter};

const ADMIN_ROLE: B256 = b256!("a49807205ce4d355092ef5a8a18f56e8913cf4a201fbe287825b095693c21775");

fn signers() -> [Key; 2] {
    [keys::signer(0), keys::signer(1)]
}

/// All of these blocks. A node tells of a receipt before it counts the block.
async fn read(submitter: &EvmSubmitter, from: BlockNumber, to: BlockNumber) -> History {
    while submitter.head().await.unwrap().latest < to {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let history = submitter.history(from, to).await.unwrap();
    assert_eq!(history.through, to);
    history
}

async fn next_block(submitter: &EvmSubmitter) -> BlockNumber {
    submitter.head().await.unwrap().latest.above(1)
}

fn place(receipt: &Receipt) -> (BlockRef, B256) {
    let number = BlockNumber(receipt.block_number.to());
    (BlockRef { number, hash: receipt.block_hash }, receipt.transaction_hash)
}

/// Packets that wait for our attestation.
async fn batch(devnet: &Devnet, submitter: &EvmSubmitter, messages: &[Vec<u8>]) -> Vec<SignedAttestation> {
    let (ethereum, conflux) = (devnet.chain("ethereum").unwrap(), devnet.chain("conflux").unwrap());
    devnet.send(ethereum, conflux, messages).await.unwrap();
    ethereum.anvil().mine(5).await.unwrap();
    let mut batch = Vec::new();
    for seen in observations(ethereum).await {
        batch.push(signed(submitter, seen.claim).await);
    }
    batch
}

fn shown(item: &SignedAttestation, (block, tx_hash): (BlockRef, B256)) -> Shown {
    let Attestation { claim, confirmations, target, .. } = item.attestation;
    let causes = vec![Cause { attestation: item.attestation, signers: item.signatures.iter().collect() }];
    Shown { block, tx_hash, claim, confirmations, target, causes }
}

#[tokio::test]
async fn an_attestation_shows_with_both_of_its_signers() {
    let Some(devnet) = start().await else { return };
    let conflux = devnet.chain("conflux").unwrap();
    let submitter = submitter(conflux);
    let from = next_block(&submitter).await;
    let mut batch = batch(&devnet, &submitter, &[b"one".to_vec(), b"two".to_vec(), b"three".to_vec()]).await;
    let honest = batch.clone();
    // Sent with another expiration than it was signed for: refused, and not shown.
    batch[1].attestation.expiration = batch[1].attestation.expiration.plus(1);
    submitter.submit(batch).await.unwrap();
    settled(&submitter).await;
    let logs = conflux.payload_verified_logs().await.unwrap();
    let place = |at: usize| {
        let number = BlockNumber(logs[at].block_number);
        (number, logs[at].transaction)
    };
    let history = read(&submitter, from, place(1).0).await;
    assert_eq!(history.changes, []);
    let block = history.shown[0].block;
    assert_eq!((block.number, history.shown[0].tx_hash), place(0));
    let expected = [shown(&honest[0], (block, place(0).1)), shown(&honest[2], (block, place(1).1))];
    assert_eq!(history.shown, expected);
    let mut who: Vec<Address> = history.shown[0].causes[0].signers.iter().map(|(signer, _)| *signer).collect();
    let mut expected = signers().map(|key| key.address());
    who.sort();
    expected.sort();
    assert_eq!(who, expected);
}

#[tokio::test]
async fn a_retraction_by_anyone_with_our_keys_shows() {
    let Some(devnet) = start().await else { return };
    let conflux = devnet.chain("conflux").unwrap();
    let submitter = submitter(conflux);
    let sent = devnet.send(devnet.chain("ethereum").unwrap(), conflux, &[b"one".to_vec()]).await.unwrap();
    let from = next_block(&submitter).await;
    // Made and signed without this project's code, and sent by somebody else's account.
    let instruction = conflux.attestation(&sent.packets[0], 0).await.unwrap();
    let signatures = instruction.sign(&signers());
    let expiration = instruction.expiration;
    let signed = [(instruction, signatures)];
    let receipt = conflux.execute(conflux.addresses().dvn, &keys::deployer(), &signed).await.unwrap();
    let history = read(&submitter, from, place(&receipt).0.number).await;
    let [shown] = &history.shown[..] else { panic!("expected one event, got {history:?}") };
    assert_eq!((shown.block, shown.tx_hash), place(&receipt));
    assert_eq!((shown.confirmations, shown.target), (Confirmations(0), conflux.addresses().receive_lib));
    assert_eq!(shown.claim.header.encode(), sent.packets[0].header);
    assert_eq!(shown.claim.payload_hash.0, sent.packets[0].payload_hash);
    let cause = &shown.causes[0];
    assert_eq!((cause.attestation.expiration, cause.attestation.vid), (ChainTime(expiration), Vid(conflux.vid())));
    assert_eq!(cause.signers.len(), 2);
    for (signer, signature) in &cause.signers {
        assert!(signers().iter().any(|key| key.address() == *signer));
        let digest = cause.attestation.digest();
        assert_eq!(signature.recover_address_from_prehash(&digest).unwrap(), *signer);
    }
}

/// A contract that calls `to` with whatever it is called with, and reverts where that does.
async fn intermediary(chain: &devnet::Chain, to: Address) -> Address {
    let code: Bytes =
        [&hex!("365f5f375f5f365f5f73")[..], to.as_slice(), &hex!("5af115602557005b5f5ffd")].concat().into();
    let address = Address::from_word(keccak256("intermediary"));
    let _: serde_json::Value = chain.anvil().rpc("anvil_setCode", (address, code)).await.unwrap();
    address
}

#[tokio::test]
async fn who_signed_what_came_through_another_contract_is_unknown() {
    let Some(devnet) = start().await else { return };
    let conflux = devnet.chain("conflux").unwrap();
    let submitter = submitter(conflux);
    let item = batch(&devnet, &submitter, &[b"one".to_vec()]).await.remove(0);
    let through = intermediary(conflux, conflux.addresses().dvn).await;
    let grant = DvnChange::Role { role: ADMIN_ROLE, account: through, granted: true };
    conflux.change_dvn_as(&keys::deployer(), grant).await.unwrap();
    let from = next_block(&submitter).await;
    let instruction = devnet::Attestation {
        vid: item.attestation.vid.0,
        target: item.attestation.target,
        call_data: item.attestation.call_data(),
        expiration: item.attestation.expiration.0,
    };
    let signatures = instruction.sign(&signers());
    let receipt = conflux.execute(through, &keys::executor(), &[(instruction, signatures)]).await.unwrap();
    let expected = Shown { causes: vec![], ..shown(&item, place(&receipt)) };
    assert_eq!(read(&submitter, from, expected.block.number).await.shown, [expected]);
}

/// Lets our DVN change itself, by the signatures of both signers.
async fn changed(chain: &devnet::Chain, change: DvnChange) -> Receipt {
    let instruction = chain.dvn_change(change).await.unwrap();
    let signatures = instruction.sign(&signers());
    chain.execute(chain.addresses().dvn, &keys::submitter(0), &[(instruction, signatures)]).await.unwrap()
}

#[tokio::test]
async fn changes_of_the_contract_show() {
    let Some(devnet) = start().await else { return };
    let conflux = devnet.chain("conflux").unwrap();
    let submitter = submitter(conflux);
    let from = next_block(&submitter).await;
    let (signer, account) = (keys::signer(2).address(), Address::repeat_byte(0xac));
    let allowlist = keccak256("ALLOWLIST");
    let mut expected = Vec::new();
    let mut note = |receipt: &Receipt, kind| {
        let (block, tx_hash) = place(receipt);
        expected.push(ContractChange { block, tx_hash, kind });
    };
    for active in [true, false] {
        let receipt = changed(conflux, DvnChange::Signer { signer, active }).await;
        note(&receipt, ChangeKind::Signer { signer, active });
    }
    for granted in [true, false] {
        let receipt = changed(conflux, DvnChange::Role { role: allowlist, account, granted }).await;
        note(&receipt, ChangeKind::Role { role: allowlist, account, granted });
        let change = DvnChange::Role { role: ADMIN_ROLE, account, granted };
        let receipt = conflux.change_dvn_as(&keys::deployer(), change).await.unwrap();
        note(&receipt, ChangeKind::Role { role: ADMIN_ROLE, account, granted });
    }
    let receipt = changed(conflux, DvnChange::Quorum(1)).await;
    note(&receipt, ChangeKind::Quorum(1));
    let history = read(&submitter, from, place(&receipt).0.number).await;
    assert_eq!(history.changes, expected);
    assert_eq!(history.shown, []);
}

#[tokio::test]
async fn of_its_deployment_only_roles_show() {
    let Some(devnet) = start().await else { return };
    let conflux = devnet.chain("conflux").unwrap();
    let submitter = submitter(conflux);
    let to = submitter.head().await.unwrap().latest;
    let history = read(&submitter, BlockNumber(0), to).await;
    let kind = ChangeKind::Role { role: ADMIN_ROLE, account: keys::submitter(0).address(), granted: true };
    assert!(history.changes.iter().any(|change| change.kind == kind), "{history:?}");
    // The constructor tells nobody of its signers and its quorum; the contract is asked for those.
    assert!(history.changes.iter().all(|change| matches!(change.kind, ChangeKind::Role { .. })), "{history:?}");
}
