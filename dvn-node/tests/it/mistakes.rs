//! Mistakes in the configuration: those that the file shows, and those that only the chains can tell.

use alloy_primitives::{Bytes, keccak256};
use dvn_testkit::{devnet::ChainSpec, keys};

use crate::setup::{Net, Node, PATIENCE, text};

#[tokio::test(flavor = "multi_thread")]
async fn what_the_chains_contradict_stops_the_start() {
    let Some(net) = Net::pair("mistakes").await else { return };
    let (ethereum, conflux) = (net.chain("ethereum"), net.chain("conflux"));
    let nobody = "0x00000000000000000000000000000000000dEaD1";
    let quoted = |address: alloy_primitives::Address| format!("\"{address}\"");
    let cases = [
        ("chain_id: 1\n", "chain_id: 5\n", vec!["source_chains.ethereum.chain_id", "configured 5", "found 1"]),
        ("eid: 30212\n", "eid: 30250\n", vec!["target_chains.conflux.eid", "configured 30250", "found 30212"]),
        (&quoted(ethereum.addresses().dvn), &format!("\"{nobody}\""), vec!["source_chains.ethereum.contracts.dvn"]),
        (
            &quoted(ethereum.addresses().send_lib),
            &format!("\"{nobody}\""),
            vec!["source_chains.ethereum.contracts.send_lib"],
        ),
        (
            &quoted(conflux.addresses().receive_lib),
            &format!("\"{nobody}\""),
            vec!["target_chains.conflux.contracts.receive_lib"],
        ),
        (
            "local: { private_key_env: DVN_DEV_SENDER }",
            "local: { private_key_env: DVN_DEV_KEY }",
            vec!["target_chains.conflux.sender", "ADMIN_ROLE"],
        ),
        ("hsm:\n", "hsm:\n  address: \"0x2222222222222222222222222222222222222222\"\n", vec!["hsm.address"]),
    ];
    for (right, wrong, expected) in cases {
        let mut node = Node::of(&net);
        assert!(node.text.contains(right), "{right} is not in\n{}", node.text);
        node.text = node.text.replace(right, wrong);
        let mut process = node.spawn().await;
        let ended = tokio::time::timeout(PATIENCE, process.wait()).await.expect("the node should not start").unwrap();
        let code = if wrong.starts_with("hsm") { 3 } else { 2 };
        assert_eq!(ended.code(), Some(code), "{wrong}\n{}", node.log());
        for word in expected {
            assert!(node.log().contains(word), "{word} is not in\n{}", node.log());
        }
        node.assert_no_secrets();
    }
}

/// T37: the digest of an attestation holds neither chain nor contract. Two contracts with one `vid` that list one key take
/// each other's signatures, as the contracts themselves say here; so the node does not start with both.
#[tokio::test(flavor = "multi_thread")]
async fn t37_one_key_with_one_vid_on_two_contracts_is_refused() {
    // vid is eid modulo 30,000, on the live chains too.
    let twin = ChainSpec::new("twin", 1_031, 60_212);
    let other = ChainSpec::new("other", 1_032, 30_213);
    let specs = vec![ChainSpec::ethereum(), ChainSpec::conflux(), twin, other];
    let Some(net) = Net::start("one key for two contracts", specs).await else { return };
    let [conflux, twin] = ["conflux", "twin"].map(|name| net.chain(name));
    assert_eq!(conflux.vid(), twin.vid());
    let (target, expiration) = (conflux.addresses().receive_lib, 4_000_000_000);
    let hash = conflux.on_chain_hash(conflux.vid(), target, Bytes::new(), expiration).await.unwrap();
    assert_eq!(hash, twin.on_chain_hash(twin.vid(), target, Bytes::new(), expiration).await.unwrap());
    let digest = keccak256([b"\x19Ethereum Signed Message:\n32".as_slice(), hash.as_slice()].concat());
    let signature = keys::signer(0).sign(&digest).as_bytes();
    for chain in [conflux, twin] {
        assert_eq!(chain.verify_signatures(hash, signature.into()).await.unwrap(), (true, 0));
    }

    let mut node = Node::of(&net);
    node.text = node.config.for_devnet(&net.devnet, &["conflux", "twin", "other"]).unwrap();
    let mut process = node.spawn().await;
    let ended = tokio::time::timeout(PATIENCE, process.wait()).await.expect("the node should not start").unwrap();
    assert_eq!(ended.code(), Some(2), "{}", node.log());
    for word in ["target_chains.twin.signer", "target_chains.conflux", "vid 212", "give each a key of its own"] {
        assert!(node.log().contains(word), "{word} is not in\n{}", node.log());
    }
    node.text = node.config.for_devnet(&net.devnet, &["conflux", "other"]).unwrap();
    // The third chain is a source now, of which there is more than one.
    let process = node.start().await;
    assert!(process.stop().await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_file_shows_stops_the_start() {
    let Some(net) = Net::pair("mistakes in the file").await else { return };
    let url = net.chain("ethereum").url().as_str().trim_end_matches('/').to_owned();
    let seats = format!("rpc: {{ threshold: 3, seats: [ {{ url: \"{url}\" }}, {{ url: \"{url}/second\" }} ] }}\n");
    let short = Node::of(&net).text.lines().find(|line| line.contains(&url)).unwrap().trim().to_owned() + "\n";
    let endpoint = format!("endpoint: \"{}\"", net.chain("ethereum").addresses().endpoint);
    let cases = [
        ("block_time:", "blok_time:", vec!["source_chains.ethereum.blok_time", "block_time"]),
        (&endpoint, "endpoint: \"0x1234\"", vec!["source_chains.ethereum.contracts.endpoint", "0x1234"]),
        (&short, &seats, vec!["source_chains.ethereum.rpc.threshold", "threshold is 3, but there are only 2 seats"]),
        ("DVN_DEV_KEY", "NO_SUCH_VARIABLE", vec!["hsm.local.private_key_env", "NO_SUCH_VARIABLE"]),
        ("environment: dev", "environment: production", vec!["hsm.provider", "local"]),
    ];
    for (right, wrong, expected) in cases {
        let mut node = Node::of(&net);
        assert!(node.text.contains(right), "{right} is not in\n{}", node.text);
        node.text = node.text.replacen(right, wrong, 1);
        let output = node.command(&["run"]);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{wrong}\n{told}");
        for word in expected {
            assert!(told.contains(word), "{word} is not in\n{told}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_seat_delays_its_chain_and_not_the_start() {
    let Some(net) = Net::pair("a silent seat").await else { return };
    let node = Node::of(&net);
    net.chain("ethereum").anvil().pause().unwrap();
    let mut process = node.spawn().await;
    process.until_event(PATIENCE, |event| event.text("message") == "running").await.unwrap();
    assert_eq!(process.fetch("health").await.unwrap().0, 200);
    assert_eq!(process.fetch("ready").await.unwrap().0, 503);
    net.chain("ethereum").anvil().resume().unwrap();
    process.until_ready(PATIENCE).await.unwrap();
    let packets = net.send("ethereum", 1).await;
    net.until_exactly(&packets).await;
    assert!(process.stop().await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_offline_check_says_what_the_node_would_do() {
    let Some(net) = Net::pair("check").await else { return };
    let mut node = Node::of(&net);
    let good = node.command(&["check"]);
    assert!(good.status.success(), "{}", text(&good.stderr));
    node.text = node.text.replace("confirmations: 1", "confirmatons: 1");
    let bad = node.command(&["check"]);
    assert_eq!(bad.status.code(), Some(2));
    let told = text(&bad.stderr);
    assert!(told.contains("confirmatons") && told.contains("confirmations"), "{told}");
}
