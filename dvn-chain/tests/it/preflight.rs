use alloy::primitives::{Address, U256};
use dvn_chain::preflight::{self, Expectations, Finding};
use dvn_core::ids::{Eid, Vid};
use serde_json::json;

use crate::{
    node,
    world::{self, World},
};

const SIGNER: Address = Address::repeat_byte(1);
const SENDER: Address = Address::repeat_byte(2);

fn expectations() -> Expectations {
    Expectations {
        chain_id: 1,
        eid: world::DST,
        endpoint: world::ENDPOINT,
        send_libs: vec![world::SEND_LIB],
        receive_libs: vec![world::RECEIVE_LIB],
        dvn: world::DVN,
        vid: Some(Vid(212)),
        quorum: Some(2),
        signer: Some(SIGNER),
        senders: vec![SENDER],
    }
}

fn good() -> World {
    let mut world = World::default();
    world.returns::<world::eidCall>(world::ENDPOINT, &world::DST.0);
    world.returns::<world::vidCall>(world::DVN, &212);
    world.returns::<world::quorumCall>(world::DVN, &2);
    world.returns::<world::signersCall>(world::DVN, &true);
    world.returns::<world::hasRoleCall>(world::DVN, &true);
    world
}

async fn run(world: &World, expected: &Expectations) -> Vec<Finding> {
    let (_nodes, panel) = node::panel(world, world::DST, 3, 2).await;
    preflight::check(&panel, expected).await
}

/// The key of the only finding, and whether it is fatal.
async fn only(world: &World, expected: &Expectations) -> (String, bool) {
    match run(world, expected).await.as_slice() {
        [one] => (one.key.clone(), one.fatal),
        others => panic!("expected one finding, got {others:?}"),
    }
}

#[tokio::test]
async fn a_chain_as_configured_has_no_findings() {
    assert_eq!(run(&good(), &expectations()).await, []);
}

#[tokio::test]
async fn facts_that_contradict_the_configuration_are_fatal() {
    let expected = expectations();
    let fatal = |key: &str| (key.to_owned(), true);
    assert_eq!(only(&good(), &Expectations { chain_id: 2, ..expected.clone() }).await, fatal("chain_id"));
    assert_eq!(only(&good(), &Expectations { eid: Eid(30250), ..expected.clone() }).await, fatal("eid"));
    assert_eq!(only(&good(), &Expectations { vid: Some(Vid(1)), ..expected.clone() }).await, fatal("contracts.dvn"));
    assert_eq!(only(&good(), &Expectations { quorum: Some(3), ..expected.clone() }).await, fatal("contracts.dvn"));
    let mut world = good();
    world.returns::<world::signersCall>(world::DVN, &false);
    assert_eq!(only(&world, &expected).await, fatal("signer"));
    let mut world = good();
    world.returns::<world::hasRoleCall>(world::DVN, &false);
    assert_eq!(only(&world, &expected).await, fatal("sender"));
}

#[tokio::test]
async fn an_address_without_code_is_fatal() {
    let (nodes, panel) = node::panel(&good(), world::DST, 3, 2).await;
    for node in &nodes {
        node.answer("eth_getCode", |params| (params[0] == json!(world::RECEIVE_LIB)).then(|| Ok(json!("0x"))));
    }
    let findings = preflight::check(&panel, &expectations()).await;
    assert_eq!(findings.len(), 1);
    assert_eq!((findings[0].key.as_str(), findings[0].fatal), ("contracts.receive_lib", true));
}

#[tokio::test]
async fn an_empty_account_is_told_and_not_fatal() {
    let world = World { balance: U256::ZERO, ..good() };
    assert_eq!(only(&world, &expectations()).await, ("sender".to_owned(), false));
}

#[tokio::test]
async fn silent_or_lone_seats_are_never_fatal() {
    let (nodes, panel) = node::panel(&good(), world::DST, 3, 2).await;
    nodes[0].script().world.returns::<world::eidCall>(world::ENDPOINT, &1);
    assert!(preflight::check(&panel, &expectations()).await.iter().all(|finding| !finding.fatal));
    for node in &nodes {
        node.answer("eth_blockNumber", |_| Some(Err((-32000, "starting".to_owned()))));
    }
    let findings = preflight::check(&panel, &expectations()).await;
    assert!(!findings.is_empty() && findings.iter().all(|finding| !finding.fatal && finding.found.is_none()));
}
