//! The second look forgets what the first one saw.

use std::time::Duration;

use dvn_chain::{ChainClass, EvmAuditor, SourceConfig};
use dvn_core::{
    ids::Confirmations,
    job::Location,
    ports::{Verification, Verifier},
};

use crate::{
    node::{self, Node},
    world::{self, World},
};

const FINAL: u64 = 70;

/// A chain whose facts are voted on, with one final packet.
async fn attested() -> (Vec<Node>, EvmAuditor, Location) {
    let mut world = world::source_world();
    world.send(FINAL, 1);
    let (nodes, panel) = node::panel(&world, world::SRC, 3, 2).await;
    let config = SourceConfig::new(world::contracts(), &ChainClass::Generic.profile(), Confirmations(10));
    (nodes, EvmAuditor::new(panel, config), world.location(FINAL, 1))
}

/// Whoever lied when the packet was verified tells the truth by now: it was never there.
fn come_clean(nodes: &[Node]) {
    for node in nodes {
        let World { head, finalized, .. } = node.script().world;
        node.script().world = World { head, finalized, ..world::source_world() };
    }
}

async fn is_found(auditor: &EvmAuditor, location: &Location) -> bool {
    matches!(auditor.verify(location).await, Ok(Verification::Found(_)))
}

/// T19: the packet that never existed is found out by the next look, whatever the one before believed.
#[tokio::test]
async fn t19_what_an_earlier_look_learned_does_not_serve_for_ever() {
    let (nodes, auditor, location) = attested().await;
    let auditor = auditor.with_freshness(Duration::ZERO);
    assert!(is_found(&auditor, &location).await);
    come_clean(&nodes);
    assert!(!is_found(&auditor, &location).await);
}

/// The packets of a block share a look.
#[tokio::test]
async fn what_was_learned_a_moment_ago_is_not_asked_again() {
    let (nodes, auditor, location) = attested().await;
    let auditor = auditor.with_freshness(Duration::from_secs(3_600));
    assert!(is_found(&auditor, &location).await);
    let asked = || nodes.iter().map(|node| node.asked("eth_getBlockReceipts").len()).sum::<usize>();
    let before = asked();
    assert!(is_found(&auditor, &location).await);
    assert_eq!(asked(), before);
}
