//! Forged logs are where they should be, and the kit's own reading is not taken in by them.

use alloy_primitives::{B256, Bytes};
use dvn_testkit::devnet::{Chain, Decoys, Forgery, PacketFields, SendRequest, SentPackets, Side, UlnSettings};

use crate::support::{DVN_FEE_PAID, EXECUTOR_FEE_PAID, PACKET_SENT, messages, pair, start, topic, topics};

/// A packet that nobody sent, on a path that exists.
fn unsent(source: &Chain, destination: &Chain) -> PacketFields {
    PacketFields {
        nonce: 77,
        src_eid: source.eid(),
        sender: source.addresses().oapp.into_word(),
        dst_eid: destination.eid(),
        receiver: destination.addresses().oapp.into_word(),
        message: Bytes::from_static(b"all your tokens"),
    }
}

fn assert_genuine(sent: &SentPackets, count: u64) {
    let nonces: Vec<_> = sent.packets.iter().map(|packet| packet.fields.nonce).collect();
    assert_eq!(nonces, (1..=count).collect::<Vec<_>>());
}

#[tokio::test]
async fn look_alikes_come_before_between_and_after_the_genuine_logs() {
    let Some(devnet) = start("decoys", pair()).await else { return };
    let (source, destination) = (devnet.chain("ethereum").unwrap(), devnet.chain("conflux").unwrap());
    let decoys = Decoys::everywhere(source, &unsent(source, destination));
    let sent = devnet.send_with_decoys(source, destination, &messages(2), decoys).await.unwrap();

    let forged: &[B256] = &[DVN_FEE_PAID, PACKET_SENT];
    let genuine: &[B256] = &[EXECUTOR_FEE_PAID, DVN_FEE_PAID, PACKET_SENT];
    assert_eq!(topics(&sent), [forged, genuine, forged, genuine, forged].concat());
    assert_genuine(&sent, 2);
    // The forged packets differ from genuine ones in nothing but who emitted them.
    let decoy = source.addresses().decoy;
    let packets = sent.receipt.logs.iter().filter(|log| topic(log) == PACKET_SENT);
    assert_eq!(packets.filter(|log| log.address == decoy).count(), 3);
}

#[tokio::test]
async fn a_hostile_dvn_forges_logs_in_the_middle_of_a_send() {
    let Some(devnet) = start("hostile", pair()).await else { return };
    let (source, destination) = (devnet.chain("ethereum").unwrap(), devnet.chain("conflux").unwrap());
    let at = source.addresses();
    let settings = UlnSettings::requiring([at.dvn, at.hostile_dvn]);
    source.set_oapp_uln_config(Side::Send, at.oapp, destination.eid(), &settings).await.unwrap();
    let forgery = Forgery::of(source, &unsent(source, destination));
    source.arm_hostile_dvn(Some(forgery)).await.unwrap();

    let sent = SendRequest::new(source, destination, &messages(1)).send().await.unwrap();
    let expected = [EXECUTOR_FEE_PAID, DVN_FEE_PAID, PACKET_SENT, DVN_FEE_PAID, PACKET_SENT];
    assert_eq!(topics(&sent), expected);
    let emitters: Vec<_> = sent.receipt.logs.iter().map(|log| log.address).collect();
    assert_eq!(emitters, [at.send_lib, at.hostile_dvn, at.hostile_dvn, at.send_lib, at.endpoint]);
    assert_genuine(&sent, 1);

    source.arm_hostile_dvn(None).await.unwrap();
    let sent = SendRequest::new(source, destination, &messages(1)).send().await.unwrap();
    assert_eq!(topics(&sent), [EXECUTOR_FEE_PAID, DVN_FEE_PAID, PACKET_SENT]);
}
