use std::{ops::RangeInclusive, sync::Arc, time::Duration};

use alloy::primitives::U64;
use dvn_chain::{ChainClass, EvmReader, EvmSource, Finality, Panel, SourceConfig};
use dvn_core::{
    error::ChainSourceErrorKind,
    ids::{BlockNumber, Confirmations},
    ports::{ChainSource, Head, Scan},
};
use serde_json::{Value, json};

use crate::{
    fakes::Hashes,
    node::{self, Node},
    world::{self, World},
};

fn source(panel: Arc<Panel>, log_range: u64) -> EvmSource {
    with(panel, SourceConfig { log_range, ..config() })
}

fn config() -> SourceConfig {
    SourceConfig::new(world::contracts(), &ChainClass::Generic.profile(), Confirmations(10))
}

fn with(panel: Arc<Panel>, config: SourceConfig) -> EvmSource {
    EvmSource::new(Arc::new(EvmReader::new(panel, config, Arc::new(Hashes::default()))))
}

fn range(from: u64, to: u64) -> RangeInclusive<BlockNumber> {
    BlockNumber(from)..=BlockNumber(to)
}

fn nonces(scan: &Scan) -> Vec<u64> {
    scan.assignments.iter().map(|it| it.claim.header.nonce.0).collect()
}

/// Refuses ranges of more than this many blocks, and keeps to itself what it was asked.
fn limit(node: &Node, most: u64) {
    node.answer("eth_getLogs", move |params| {
        (width(params) > most).then(|| Err((-32005, "query returned more than 10000 results".to_owned())))
    });
}

fn width(params: &Value) -> u64 {
    let number = |key: &str| params[0][key].as_str().unwrap().parse::<U64>().unwrap().to::<u64>();
    number("toBlock") - number("fromBlock") + 1
}

#[tokio::test]
async fn the_head_is_what_the_threshold_reached() {
    let (nodes, panel) = node::panel(&World::default(), world::SRC, 3, 2).await;
    nodes[0].script().world.head = 120;
    nodes[0].script().world.finalized = 110;
    nodes[1].script().world.head = 99;
    let head = source(Arc::clone(&panel), 100).next_head(None).await.unwrap();
    assert_eq!(head, Head { latest: BlockNumber(100), settled: BlockNumber(80) });
    let latest = SourceConfig { finality: Finality::Latest, ..config() };
    let head = with(panel, latest).next_head(None).await.unwrap();
    assert_eq!(head, Head { latest: BlockNumber(100), settled: BlockNumber(90) });
}

#[tokio::test]
async fn nothing_is_settled_above_the_newest_block() {
    let world = World { finalized: 120, ..World::default() };
    let (_nodes, panel) = node::panel(&world, world::SRC, 3, 2).await;
    let head = source(panel, 100).next_head(None).await.unwrap();
    assert_eq!(head, Head { latest: BlockNumber(100), settled: BlockNumber(100) });
}

#[tokio::test]
async fn the_next_head_is_waited_for() {
    let (nodes, panel) = node::panel(&World::default(), world::SRC, 1, 1).await;
    let source = with(panel, SourceConfig { block_time: Duration::from_millis(100), ..config() });
    let seen = source.next_head(None).await.unwrap();
    let bump = async {
        while nodes[0].asked("eth_getBlockByNumber").len() < 3 {
            tokio::task::yield_now().await;
        }
        nodes[0].script().world.head = 101;
    };
    let (next, ()) = tokio::join!(source.next_head(Some(seen)), bump);
    assert_eq!(next.unwrap().latest, BlockNumber(101));
}

#[tokio::test]
async fn a_node_that_wants_smaller_ranges_gets_them_and_the_range_grows_back() {
    let mut world = World::default();
    (1..=9).for_each(|nonce| _ = world.send(nonce * 10, nonce));
    let (nodes, panel) = node::panel(&world, world::SRC, 1, 1).await;
    limit(&nodes[0], 10);
    let source = source(panel, 64);
    let scan = source.scan(range(1, 100)).await.unwrap();
    assert_eq!((nonces(&scan), scan.through), ((1..=9).collect(), BlockNumber(100)));
    let widths: Vec<u64> = nodes[0].asked("eth_getLogs").iter().map(width).collect();
    assert_eq!(&widths[..5], [64, 32, 16, 8, 8]);
    limit(&nodes[0], 1_000);
    // What was refused is tried again after a while.
    for _ in 0..9 {
        source.scan(range(1, 100)).await.unwrap();
    }
    assert_eq!(nodes[0].asked("eth_getLogs").last().map(width), Some(100));
}

#[tokio::test]
async fn a_range_that_is_refused_down_to_one_block_is_missing() {
    let (nodes, panel) = node::panel(&World::default(), world::SRC, 1, 1).await;
    limit(&nodes[0], 0);
    let error = source(panel, 64).scan(range(1, 100)).await.unwrap_err();
    assert_eq!(error.kind(), ChainSourceErrorKind::Missing);
}

#[tokio::test]
async fn t09_what_one_seat_hides_another_shows() {
    let mut world = World::default();
    world.send(50, 1);
    world.send(60, 2);
    let (nodes, panel) = node::panel(&world, world::SRC, 3, 2).await;
    nodes[0].script().world.blocks.remove(&50);
    nodes[1].script().world.blocks.remove(&50);
    let scan = source(panel, 100).scan(range(1, 80)).await.unwrap();
    assert_eq!(nonces(&scan), [1, 2]);
    let agreed: Vec<bool> = scan.assignments.iter().map(|it| it.agreed).collect();
    assert_eq!(agreed, [false, true], "one seat's word is a hint, two seats' word is agreed");
    assert_eq!(scan.assignments[1].location, world.location(60, 2));
}

#[tokio::test]
async fn a_claim_in_two_places_is_reported_where_most_seats_see_it() {
    let mut world = World::default();
    world.send(50, 1);
    let (nodes, panel) = node::panel(&world, world::SRC, 3, 2).await;
    nodes[0].script().world.fork = (40, 1);
    let scan = source(panel, 100).scan(range(1, 80)).await.unwrap();
    assert_eq!(scan.assignments.len(), 1);
    assert_eq!((scan.assignments[0].location, scan.assignments[0].agreed), (world.location(50, 1), true));
}

#[tokio::test]
async fn t10_a_seat_that_is_behind_does_not_count_as_having_read() {
    let (nodes, panel) = node::panel(&World::default(), world::SRC, 3, 2).await;
    nodes[0].script().world.head = 70;
    assert_eq!(source(Arc::clone(&panel), 100).scan(range(1, 80)).await.unwrap().through, BlockNumber(80));
    nodes[1].script().world.head = 70;
    // What the panel's seats said before of their heads is not asked again, so these are new ones.
    let panel = node::panel_of(&nodes, world::SRC, 2, Duration::from_secs(60), Duration::from_secs(60));
    assert_eq!(source(panel, 100).scan(range(1, 80)).await.unwrap_err().kind(), ChainSourceErrorKind::Missing);
}

#[tokio::test]
async fn t48_removed_logs_are_ignored_and_logs_outside_of_the_range_cost_the_vote() {
    let mut world = World::default();
    world.send(50, 1);
    let (nodes, panel) = node::panel(&world, world::SRC, 1, 1).await;
    let told = |change: fn(&mut Value)| {
        let world = world.clone();
        move |params: &Value| {
            let mut logs = world.clone().answer("eth_getLogs", params).unwrap();
            logs.as_array_mut().unwrap().iter_mut().for_each(change);
            Some(Ok(logs))
        }
    };
    nodes[0].answer("eth_getLogs", told(|log| log["removed"] = json!(true)));
    let source = source(panel, 100);
    assert_eq!(source.scan(range(1, 80)).await.unwrap().assignments, []);
    nodes[0].answer("eth_getLogs", told(|log| log["blockNumber"] = json!("0x5f")));
    assert_eq!(source.scan(range(1, 80)).await.unwrap_err().kind(), ChainSourceErrorKind::Missing);
}

/// A seat that bears little is asked more often, and the others are not asked for less because of it.
#[tokio::test]
async fn each_seat_is_asked_about_as_many_blocks_as_it_bears() {
    let mut world = World { head: 1_000, finalized: 1_000, ..World::default() };
    (1..=9).for_each(|nonce| _ = world.send(nonce * 100, nonce));
    let (nodes, panel) = node::panel(&world, world::SRC, 4, 3).await;
    limit(&nodes[0], 10);
    limit(&nodes[1], 100);
    let source = source(panel, 50);
    let scan = source.scan(range(1, 1_000)).await.unwrap();
    assert_eq!((nonces(&scan), scan.through), ((1..=9).collect(), BlockNumber(1_000)));
    let widest = |node: &Node| node.asked("eth_getLogs").iter().map(width).max().unwrap();
    assert_eq!(nodes[2..].iter().map(widest).collect::<Vec<_>>(), [400, 400], "they refuse nothing");
    let answered = |node: &Node, most: u64| -> u64 {
        node.asked("eth_getLogs").iter().map(width).filter(|width| *width <= most).sum()
    };
    assert_eq!((answered(&nodes[0], 10), answered(&nodes[1], 100)), (1_000, 1_000), "nothing is left out");
    let refused = |node: &Node, most: u64| node.asked("eth_getLogs").iter().filter(|it| width(it) > most).count();
    assert!(refused(&nodes[0], 10) < 10 && refused(&nodes[1], 100) < 5, "what is refused is remembered");
    // One seat that refuses everything costs its own vote alone.
    limit(&nodes[0], 0);
    assert_eq!(source.scan(range(1, 1_000)).await.unwrap().through, BlockNumber(1_000));
}
