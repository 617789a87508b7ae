use dvn_core::{attestation::Attestation, ids, packet::Packet, signature::SignatureSet};
use dvn_testkit::{devnet::ChainSpec, keys, node::NodeKeys, softhsm::SoftHsm};
use serde_json::Value;

use crate::setup::{Net, Node, PATIENCE, text};

#[tokio::test(flavor = "multi_thread")]
async fn packets_of_two_sources_are_attested_committed_and_told_about() {
    let specs = vec![
        ChainSpec::ethereum().with_confirmations(2),
        ChainSpec::arbitrum().with_confirmations(3),
        ChainSpec::conflux(),
    ];
    let Some(net) = Net::start("two sources", specs).await else { return };
    let node = Node::of(&net);
    let mut process = node.start().await;

    let mut packets = net.send("ethereum", 1).await;
    let together = net.send_together("arbitrum", 4).await;
    packets.extend(together.packets.clone());
    packets.extend(net.send("ethereum", 3).await);
    net.until_exactly(&packets).await;
    net.deliver(&packets).await;
    for _ in &packets {
        process.until_event(PATIENCE, |event| event.is_move_to("committed")).await.unwrap();
    }

    let status: Value = serde_json::from_slice(&node.command(&["status", "--json"]).stdout).unwrap();
    assert!(status.to_string().contains("committed"), "{status}");
    let guid = packets[0].guid.to_string();
    let story = text(&node.command(&["packet", &guid, "--evidence"]).stdout);
    for word in ["observed", "verified", "signed", "submitted", "attested", "committed"] {
        assert!(story.contains(word), "{word} is not in\n{story}");
    }
    let by_transaction = node.command(&["packet", "--tx", &together.transaction.to_string()]);
    for packet in &together.packets {
        assert!(text(&by_transaction.stdout).contains(&packet.guid.to_string()), "{}", text(&by_transaction.stderr));
    }

    let (code, metrics) = process.fetch("metrics").await.unwrap();
    assert_eq!(code, 200);
    for line in [
        "dvn_events_received_total{chain=\"arbitrum\",status=\"observed\"} 4",
        "dvn_events_received_total{chain=\"ethereum\",status=\"observed\"} 4",
        "dvn_submission_success_total{target_chain=\"conflux\"} 8",
        "dvn_verification_latency_seconds_count{chain=\"ethereum\"} 4",
        "# TYPE dvn_signing_errors_total counter",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    assert_eq!(process.fetch("health").await.unwrap().0, 200);
    assert!(process.fetch("").await.unwrap().1.contains("conflux"));
    let log = node.log();
    // One that is final when it is first seen does not wait.
    for state in ["verified", "signed", "submitted", "attested", "committed"] {
        let told = log.lines().any(|line| line.contains(&guid) && line.contains(&format!("\"to\":\"{state}\"")));
        assert!(told, "the log does not tell that {guid} became {state}");
    }
    assert!(process.stop().await.unwrap().success());
    node.assert_no_secrets();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_holds_the_keys() {
    let Some(net) = Net::pair("a token").await else { return };
    if SoftHsm::for_test("a token").is_none() {
        return;
    }
    let mut node = Node::of(&net);
    let [signing, sending] = NodeKeys::LABELS;
    let folder = tempfile::tempdir().unwrap();
    let (signer, sender) = (keys::signer(0), keys::submitter(0));
    let token = SoftHsm::create(folder.path(), "s3cret-pin-4711", &[(signing, &signer), (sending, &sender)]).unwrap();
    node.config.keys = NodeKeys::SoftHsm(token);
    node.text = node.config.for_devnet(&net.devnet, &["conflux"]).unwrap();
    let process = node.start().await;
    let packets = net.send("ethereum", 5).await;
    net.until_exactly(&packets).await;
    assert!(process.stop().await.unwrap().success());
    node.assert_no_secrets();
}

/// The core's own reading of digest and signature set, against the deployed contract's.
#[tokio::test(flavor = "multi_thread")]
async fn the_deployed_contract_agrees_about_hash_and_signatures() {
    let Some(net) = Net::pair("hash and signatures").await else { return };
    let conflux = net.chain("conflux");
    let sent = net.send("ethereum", 1).await.remove(0);
    let packet = Packet::decode(&sent.encoded).unwrap();
    assert_eq!((packet.header.guid().0, packet.payload_hash().0), (sent.guid, sent.payload_hash));
    let attestation = Attestation {
        claim: packet.claim(),
        confirmations: ids::Confirmations(15),
        expiration: ids::ChainTime(1_893_456_000),
        vid: ids::Vid(conflux.vid()),
        target: conflux.addresses().receive_lib,
    };
    let on_chain = conflux
        .on_chain_hash(attestation.vid.0, attestation.target, attestation.call_data(), attestation.expiration.0)
        .await
        .unwrap();
    assert_eq!(attestation.hash(), on_chain);

    let signer = keys::signer(0);
    let committee = dvn_core::signature::Committee { vid: attestation.vid, quorum: 1, members: vec![signer.address()] };
    let set = SignatureSet::try_new(attestation.digest(), &committee, [signer.sign(&attestation.digest())]).unwrap();
    assert_eq!(conflux.verify_signatures(on_chain, set.to_bytes()).await.unwrap(), (true, 0));
    let stranger = keys::other_signer().sign(&attestation.digest());
    let refused = conflux.verify_signatures(on_chain, stranger.as_bytes().into()).await.unwrap();
    assert!(!refused.0);
}
