use dvn_testkit::devnet::{Decoys, Forgery, PacketFields, SendRequest, SentPacket, Side, UlnSettings};

use crate::setup::{Net, Node, TEMPTATION};

/// A packet on the genuine one's path, with a nonce and a message that nobody sent.
fn forged(genuine: &SentPacket, nonce: u64) -> PacketFields {
    PacketFields { nonce, message: b"drain everything".as_slice().into(), ..genuine.fields.clone() }
}

#[tokio::test(flavor = "multi_thread")]
async fn t48_look_alikes_before_between_and_after_get_nothing_signed() {
    let Some(net) = Net::pair("look-alikes").await else { return };
    let node = Node::of(&net);
    let process = node.start().await;
    let (ethereum, conflux) = (net.chain("ethereum"), net.chain("conflux"));
    let mut packets = net.send("ethereum", 1).await;
    let forged = forged(&packets[0], 1_000);
    let messages = [b"one".to_vec(), b"two".to_vec(), b"three".to_vec()];
    let sent = net.devnet.send_with_decoys(ethereum, conflux, &messages, Decoys::everywhere(ethereum, &forged)).await;
    packets.extend(sent.unwrap().packets);
    net.until_exactly(&packets).await;
    tokio::time::sleep(TEMPTATION).await;
    net.assert_exactly(&packets).await;
    assert!(!node.log().contains(&forged.guid().to_string()), "the forged packet became a job");
    assert!(process.stop().await.unwrap().success());
}

/// A hostile DVN of the application's choice emits the look-alikes inside the genuine send, between the genuine events.
#[tokio::test(flavor = "multi_thread")]
async fn t48_look_alikes_in_the_middle_of_a_send_get_nothing_signed() {
    let Some(net) = Net::pair("a hostile DVN").await else { return };
    let node = Node::of(&net);
    let process = node.start().await;
    let (ethereum, conflux) = (net.chain("ethereum"), net.chain("conflux"));
    let mut packets = net.send("ethereum", 1).await;
    let forged = forged(&packets[0], 77);

    let (ours, hostile) = (ethereum.addresses().dvn, ethereum.addresses().hostile_dvn);
    let both = UlnSettings::requiring([ours, hostile]);
    ethereum.set_oapp_uln_config(Side::Send, ethereum.addresses().oapp, conflux.eid(), &both).await.unwrap();
    ethereum.arm_hostile_dvn(Some(Forgery::of(ethereum, &forged))).await.unwrap();
    packets.extend(net.send("ethereum", 2).await);
    ethereum.arm_hostile_dvn(None).await.unwrap();

    net.until_exactly(&packets).await;
    tokio::time::sleep(TEMPTATION).await;
    net.assert_exactly(&packets).await;
    assert!(process.stop().await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packet_of_another_dvn_is_not_attested() {
    let Some(net) = Net::pair("another DVN").await else { return };
    let node = Node::of(&net);
    let process = node.start().await;
    let (ethereum, conflux) = (net.chain("ethereum"), net.chain("conflux"));
    let foreign = ethereum.deploy_oapp().await.unwrap();
    let only_other = UlnSettings::requiring([ethereum.addresses().other_dvn]);
    ethereum.set_oapp_uln_config(Side::Send, foreign, conflux.eid(), &only_other).await.unwrap();
    let theirs = SendRequest::new(ethereum, conflux, &[b"theirs".to_vec()]).from_oapp(foreign).send().await.unwrap();
    assert_eq!(theirs.packets[0].required_dvns, [ethereum.addresses().other_dvn]);

    let ours = net.send("ethereum", 1).await;
    net.until_exactly(&ours).await;
    tokio::time::sleep(TEMPTATION).await;
    net.assert_exactly(&ours).await;
    assert!(process.stop().await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dvn_that_is_required_and_optional_attests_once() {
    let Some(net) = Net::pair("required and optional").await else { return };
    let node = Node::of(&net);
    let process = node.start().await;
    let (ethereum, conflux) = (net.chain("ethereum"), net.chain("conflux"));
    let ours = ethereum.addresses().dvn;
    let twice = UlnSettings { optional: Some(vec![ours]), threshold: 1, ..UlnSettings::requiring([ours]) };
    ethereum.set_oapp_uln_config(Side::Send, ethereum.addresses().oapp, conflux.eid(), &twice).await.unwrap();
    let packets = net.send("ethereum", 2).await;
    assert_eq!((&packets[0].required_dvns, &packets[0].optional_dvns), (&vec![ours], &vec![ours]));
    net.until_exactly(&packets).await;
    assert!(process.stop().await.unwrap().success());
}

/// The sender asks for more confirmations than the default, and the receiver for more still.
#[tokio::test(flavor = "multi_thread")]
async fn the_larger_of_both_configurations_is_attested() {
    let Some(net) = Net::pair("confirmations").await else { return };
    let node = Node::of(&net);
    let process = node.start().await;
    let (ethereum, conflux) = (net.chain("ethereum"), net.chain("conflux"));
    for (side, chain, remote, confirmations) in
        [(Side::Send, ethereum, conflux, 5), (Side::Receive, conflux, ethereum, 9)]
    {
        let settings = UlnSettings { confirmations: Some(confirmations), ..UlnSettings::default() };
        chain.set_oapp_uln_config(side, chain.addresses().oapp, remote.eid(), &settings).await.unwrap();
    }
    let packets = net.send("ethereum", 1).await;
    net.until_exactly(&packets).await;
    let logs = conflux.payload_verified_logs().await.unwrap();
    assert_eq!(logs.iter().map(|log| log.confirmations).collect::<Vec<_>>(), [9]);
    let depth = ethereum.rpc().block_number().await.unwrap();
    assert!(depth >= 9);
    assert!(process.stop().await.unwrap().success());
}
