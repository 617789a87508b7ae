//! Quotas: who must be among those who agree.

use std::{sync::Arc, time::Duration};

use dvn_chain::{ChainClass, EvmReader, EvmSource, Panel, PanelSetupError, Seat, SeatConfig, SourceConfig};
use dvn_core::{
    error::ChainSourceErrorKind,
    ids::Confirmations,
    ports::{Chain, ChainSource},
    quorum::{Quotas, Threshold},
};

use crate::{
    fakes::Hashes,
    node::{self, Node},
    world::{self, World},
};

fn panel(nodes: &[Node], operators: &[&str], quotas: Quotas) -> Result<Panel, PanelSetupError> {
    let seat = |(node, operator): (&Node, &&str)| {
        let url = format!("http://{}/", node.address).parse().unwrap();
        let config = SeatConfig::new(url, (*operator).to_owned(), "geth".to_owned());
        Arc::new(Seat::try_new("testchain", config).unwrap())
    };
    let seats = nodes.iter().zip(operators).map(seat).collect();
    let chain = Chain { name: "testchain".to_owned(), eid: world::SRC };
    let panel = Panel::try_new(chain, seats, Threshold::try_new(nodes.len(), 3).unwrap())?;
    panel.with_patience(Duration::from_millis(400), Duration::from_millis(100)).with_quotas(quotas)
}

/// T04: three seats of one operator agree, the fourth is down: the number is there and the fact is not.
#[tokio::test]
async fn t04_three_votes_of_one_operator_make_no_fact() {
    let (nodes, _) = node::panel(&World::default(), world::SRC, 4, 3).await;
    let quotas = Quotas { operators: 2, ..Quotas::default() };
    let operators = ["acme", "acme", "acme", "other"];
    let panel = Arc::new(panel(&nodes, &operators, quotas).unwrap());
    let config = SourceConfig::new(world::contracts(), &ChainClass::Generic.profile(), Confirmations(10));
    let config = SourceConfig { block_time: Duration::ZERO, ..config };
    let source = EvmSource::new(Arc::new(EvmReader::new(panel, config, Arc::new(Hashes::default()))));
    source.next_head(None).await.unwrap();
    nodes[3].script().silent = true;
    nodes.iter().for_each(|node| (node.script().world.head, node.script().world.finalized) = (110, 90));
    let error = source.next_head(None).await.unwrap_err();
    assert_eq!(error.kind(), ChainSourceErrorKind::Missing);
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("domain_quota: 1 of 2 operators"), "{cause}");
    nodes[3].script().silent = false;
    nodes[0].script().silent = true;
    source.next_head(None).await.unwrap();
}

#[tokio::test]
async fn a_quota_that_the_seats_cannot_meet_is_refused() {
    let (nodes, _) = node::panel(&World::default(), world::SRC, 3, 3).await;
    let error = panel(&nodes, &["self", "acme", "acme"], Quotas { own: 2, ..Quotas::default() }).unwrap_err();
    assert_eq!(error.to_string(), "quota of 2 seats of our own, but the seats have only 1");
}
