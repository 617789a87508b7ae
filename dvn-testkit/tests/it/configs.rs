//! Applications with their own lists of DVNs.

use alloy_primitives::U256;
use dvn_testkit::{
    devnet::{Delivery, SendRequest, Side, UlnSettings, VerificationState},
    keys,
};

use crate::support::{messages, pair, signers, start};

#[tokio::test]
async fn one_dvn_may_be_required_and_optional_and_is_paid_twice() {
    let Some(devnet) = start("twice", pair()).await else { return };
    let (source, destination) = (devnet.chain("ethereum").unwrap(), devnet.chain("conflux").unwrap());
    let at = source.addresses();
    let twice = UlnSettings {
        required: Some(vec![at.dvn]),
        optional: Some(vec![at.other_dvn, at.dvn]),
        threshold: 1,
        ..UlnSettings::default()
    };
    source.set_oapp_uln_config(Side::Send, at.oapp, destination.eid(), &twice).await.unwrap();
    let sent = devnet.send(source, destination, &messages(1)).await.unwrap();
    let packet = &sent.packets[0];
    assert_eq!((packet.required_dvns.len(), packet.optional_dvns.len(), packet.fees.len()), (1, 2, 3));
    assert_eq!(packet.fee_of(at.dvn), packet.fees[0] * U256::from(2));
}

#[tokio::test]
async fn packets_of_an_application_can_be_for_the_other_dvn_alone() {
    let Some(devnet) = start("other", pair()).await else { return };
    let (source, destination) = (devnet.chain("ethereum").unwrap(), devnet.chain("conflux").unwrap());
    let (sender, receiver) = (source.deploy_oapp().await.unwrap(), destination.deploy_oapp().await.unwrap());
    let theirs = UlnSettings::requiring([source.addresses().other_dvn]);
    source.set_oapp_uln_config(Side::Send, sender, destination.eid(), &theirs).await.unwrap();
    let theirs = UlnSettings::requiring([destination.addresses().other_dvn]);
    destination.set_oapp_uln_config(Side::Receive, receiver, source.eid(), &theirs).await.unwrap();

    let request = SendRequest::new(source, destination, &messages(1)).from_oapp(sender).to(receiver);
    let packet = request.send().await.unwrap().packets.remove(0);
    assert_eq!(packet.required_dvns, [source.addresses().other_dvn]);
    devnet.verify_with_other_dvn(&packet, source.confirmations()).await.unwrap();
    assert_eq!(devnet.deliver(&packet).await.unwrap(), Delivery::Delivered);
    let other = destination.addresses().other_dvn;
    assert_eq!(destination.payload_verified_logs_of(other).await.unwrap().len(), 1);
    assert_eq!(destination.payload_verified_logs().await.unwrap(), []);
}

#[tokio::test]
async fn confirmations_are_those_of_the_receiving_side() {
    let Some(devnet) = start("confirmations", pair()).await else { return };
    let (source, destination) = (devnet.chain("ethereum").unwrap(), devnet.chain("conflux").unwrap());
    let (remote, oapp) = (source.eid(), destination.addresses().oapp);
    let eight = UlnSettings { confirmations: Some(8), ..UlnSettings::default() };
    destination.set_oapp_uln_config(Side::Receive, oapp, remote, &eight).await.unwrap();
    let packet = devnet.send(source, destination, &messages(1)).await.unwrap().packets.remove(0);
    for (confirmations, expected) in [(7, VerificationState::Verifying), (8, VerificationState::Verifiable)] {
        let attestation = destination.attestation(&packet, confirmations).await.unwrap();
        let signatures = attestation.sign(&signers(1));
        let dvn = destination.addresses().dvn;
        destination.execute(dvn, &keys::submitter(0), &[(attestation, signatures)]).await.unwrap();
        assert_eq!(devnet.verification_state(&packet).await.unwrap(), expected);
    }
}
