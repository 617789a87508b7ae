//! What seats say of final blocks, and what becomes of those who take it back.

use std::{sync::Arc, time::Duration};

use alloy::primitives::B256;
use async_trait::async_trait;
use dvn_chain::{
    Anchor, Authentic, ChainClass, EvmReader, EvmSource, EvmVerifier, Finality, Panel, PanelError, SourceConfig,
};
use dvn_core::{
    error::{ChainSourceErrorKind, VerifyErrorKind},
    ids::{BlockNumber, BlockRef, Confirmations},
    ports::{ChainSource, Head, Verifier},
    quorum::Shortfall,
};
use serde_json::{Value, json};

use crate::{
    fakes::Hashes,
    node::{self, Node},
    world::{self, World},
};

fn reader(panel: &Arc<Panel>, hashes: &Arc<Hashes>) -> Arc<EvmReader> {
    let config = SourceConfig::new(world::contracts(), &ChainClass::Generic.profile(), Confirmations(10));
    let config = SourceConfig { block_time: Duration::ZERO, ..config };
    Arc::new(EvmReader::new(Arc::clone(panel), config, hashes.clone()))
}

struct Setup {
    nodes: Vec<Node>,
    panel: Arc<Panel>,
    hashes: Arc<Hashes>,
    source: EvmSource,
}

impl Setup {
    /// Four seats, three of which must agree.
    async fn new() -> Self {
        let (nodes, panel) = node::panel(&World::default(), world::SRC, 4, 3).await;
        let hashes = Arc::new(Hashes::default());
        let source = EvmSource::new(reader(&panel, &hashes));
        Self { nodes, panel, hashes, source }
    }

    fn each(&self, seats: std::ops::Range<usize>, change: impl Fn(&mut World)) {
        self.nodes[seats].iter().for_each(|node| change(&mut node.script().world));
    }

    async fn head(&self) -> Head {
        self.source.next_head(None).await.unwrap()
    }

    async fn kind(&self) -> ChainSourceErrorKind {
        self.source.next_head(None).await.unwrap_err().kind()
    }
}

const fn head(latest: u64, settled: u64) -> Head {
    Head { latest: BlockNumber(latest), settled: BlockNumber(settled) }
}

/// T14, first half: a seat whose own final block goes back loses its vote until it is where it was.
#[tokio::test]
async fn t14_a_seat_whose_finality_goes_back_has_no_vote() {
    let setup = Setup::new().await;
    assert_eq!(setup.head().await, head(100, 80));
    // With one seat silent the other three must all count.
    setup.nodes[3].answer("eth_getBlockByNumber", |_| Some(Err((-32000, "busy".to_owned()))));
    setup.each(0..3, |world| (world.head, world.finalized) = (110, 90));
    setup.each(0..1, |world| world.finalized = 70);
    assert_eq!(setup.kind().await, ChainSourceErrorKind::Missing);
    setup.each(0..1, |world| world.finalized = 80);
    assert_eq!(setup.head().await, head(110, 80), "its word counts again, as far as it goes");
    setup.each(0..1, |world| world.finalized = 90);
    assert_eq!(setup.head().await, head(110, 90));
}

/// T14, second half: the same final height with another hash, from one seat over time.
#[tokio::test]
async fn t14_a_final_hash_that_one_seat_changes_is_a_contradiction() {
    let setup = Setup::new().await;
    setup.head().await;
    setup.each(2..3, |world| world.fork = (75, 1));
    let error = setup.source.next_head(None).await.unwrap_err();
    assert_eq!(error.kind(), ChainSourceErrorKind::Contradiction);
    let bundle: Value = serde_json::from_str(error.evidence().unwrap().json()).unwrap();
    let answers: Vec<&str> =
        bundle["votes"].as_array().unwrap().iter().map(|it| it["answer"].as_str().unwrap()).collect();
    assert_eq!(answers.len(), 2);
    for fork in [0, 1] {
        let hash = World { fork: (75, fork), ..World::default() }.hash(80).to_string();
        assert!(answers.iter().any(|answer| answer.contains(&hash)), "{answers:?}");
    }
}

/// A seat that is ahead of the others says a hash; when the others come there, they say another.
#[tokio::test]
async fn a_claim_about_a_later_final_block_is_remembered() {
    let setup = Setup::new().await;
    setup.each(0..1, |world| (world.head, world.finalized, world.fork) = (120, 100, (95, 1)));
    assert_eq!(setup.head().await, head(100, 80));
    setup.each(0..1, |world| world.fork = (u64::MAX, 0));
    setup.each(0..4, |world| (world.head, world.finalized) = (120, 100));
    assert_eq!(setup.kind().await, ChainSourceErrorKind::Contradiction);
}

/// The same, and by then that seat is silent.
#[tokio::test]
async fn a_claim_of_a_seat_that_fell_silent_counts() {
    let setup = Setup::new().await;
    setup.each(0..1, |world| (world.head, world.finalized, world.fork) = (120, 100, (95, 1)));
    assert_eq!(setup.head().await, head(100, 80));
    setup.nodes[0].script().breaks = true;
    setup.each(1..4, |world| (world.head, world.finalized) = (120, 100));
    assert_eq!(setup.kind().await, ChainSourceErrorKind::Contradiction);
}

/// T02 in small: two hashes at one final height, two seats each.
#[tokio::test]
async fn two_hashes_of_a_final_block_are_a_contradiction_with_all_answers() {
    let setup = Setup::new().await;
    setup.each(0..2, |world| world.fork = (75, 1));
    let error = setup.source.next_head(None).await.unwrap_err();
    assert_eq!(error.kind(), ChainSourceErrorKind::Contradiction);
    let bundle: Value = serde_json::from_str(error.evidence().unwrap().json()).unwrap();
    assert_eq!(bundle["votes"].as_array().unwrap().len(), 4);
    assert_eq!((&bundle["question"], &bundle["chain"]["name"]), (&json!("final block"), &json!("testchain")));
}

/// T16: nobody asks about the block that changes; the next final block does not descend from the one before.
#[tokio::test]
async fn t16_a_final_block_that_does_not_descend_from_the_one_before_is_a_contradiction() {
    for restarted in [false, true] {
        let setup = Setup::new().await;
        setup.head().await;
        // Heights that were never asked about from 80 on, in every seat at once.
        setup.each(0..4, |world| (world.head, world.finalized, world.fork) = (120, 100, (80, 1)));
        let fresh = EvmSource::new(reader(&setup.panel, &setup.hashes));
        let source = if restarted { &fresh } else { &setup.source };
        assert_eq!(
            source.next_head(None).await.unwrap_err().kind(),
            ChainSourceErrorKind::Contradiction,
            "{restarted}"
        );
    }
}

/// The same height as on record, with another hash: a restart is no way to forget.
#[tokio::test]
async fn what_is_on_record_is_voted_on_again_after_a_restart() {
    let setup = Setup::new().await;
    setup.head().await;
    let fresh = EvmSource::new(reader(&setup.panel, &setup.hashes));
    assert_eq!(fresh.next_head(None).await.unwrap(), head(100, 80));
    setup.each(0..4, |world| world.fork = (75, 1));
    let fresh = EvmSource::new(reader(&setup.panel, &setup.hashes));
    assert_eq!(fresh.next_head(None).await.unwrap_err().kind(), ChainSourceErrorKind::Contradiction);
}

#[tokio::test]
async fn the_final_height_never_goes_back() {
    let setup = Setup::new().await;
    setup.each(0..4, |world| (world.head, world.finalized) = (110, 90));
    assert_eq!(setup.head().await, head(110, 90));
    let fresh = EvmSource::new(reader(&setup.panel, &setup.hashes));
    setup.each(0..4, |world| (world.head, world.finalized) = (105, 85));
    assert_eq!(fresh.next_head(None).await.unwrap(), head(105, 90), "what is on record stays final");
}

/// T13: a seat on another chain, by its number or by its first block, never votes.
#[tokio::test]
async fn t13_a_seat_on_another_chain_never_votes() {
    for wrong_number in [true, false] {
        let world = World::default();
        let (nodes, _) = node::panel(&world, world::SRC, 4, 3).await;
        if wrong_number {
            nodes[0].answer("eth_chainId", |_| Some(Ok(json!("0x5"))));
        }
        // All of its hashes differ, from the first block on.
        nodes[0].script().world.fork = (0, 7);
        let patience = Duration::from_secs(60);
        let panel = node::panel_of(&nodes, world::SRC, 3, patience, patience);
        let panel = Arc::new(Arc::into_inner(panel).unwrap().with_chain_id(1));
        let source = EvmSource::new(reader(&panel, &Arc::default()));
        assert_eq!(source.next_head(None).await.unwrap(), head(100, 80), "no contradiction, just no vote");
        // Without it there are three, and not one of them may be missing.
        nodes[1].script().silent = true;
        let hasty = node::panel_of(&nodes, world::SRC, 3, Duration::from_millis(300), Duration::from_millis(100));
        let hasty = Arc::new(Arc::into_inner(hasty).unwrap().with_chain_id(1));
        let source = EvmSource::new(reader(&hasty, &Arc::default()));
        let error = source.next_head(None).await.unwrap_err();
        assert!(matches!(error.kind(), ChainSourceErrorKind::Missing | ChainSourceErrorKind::Contradiction));
        if wrong_number {
            assert_eq!(error.kind(), ChainSourceErrorKind::Missing);
        }
    }
}

/// T13, rechecked: behind the same URL another node answers after the connection broke.
#[tokio::test]
async fn t13_a_seat_is_checked_again_after_its_connection_broke() {
    let (nodes, panel) = node::panel(&World::default(), world::SRC, 3, 2).await;
    let panel = Arc::new(Arc::into_inner(panel).unwrap().with_chain_id(1));
    let source = EvmSource::new(reader(&panel, &Arc::default()));
    source.next_head(None).await.unwrap();
    let asked = || nodes[0].asked("eth_chainId").len();
    source.next_head(None).await.unwrap();
    assert_eq!(asked(), 1, "once a session");
    nodes[0].script().breaks = true;
    source.next_head(None).await.unwrap();
    nodes[0].script().breaks = false;
    nodes[0].answer("eth_chainId", |_| Some(Ok(json!("0x5"))));
    nodes[0].script().world.fork = (0, 7);
    source.next_head(None).await.unwrap();
    assert_eq!(asked(), 2);
}

/// What a light client would say: a hash of its own for every height, or nothing.
#[derive(Debug)]
struct Client(Option<B256>);

#[async_trait]
impl Anchor for Client {
    async fn at(&self, number: BlockNumber) -> Result<Authentic, PanelError> {
        let lack = Shortfall::Votes { have: 0, need: 1 };
        let missing = PanelError::Missing { question: "finality update", lack, absent: Vec::new() };
        let hash = self.0.ok_or(missing)?;
        Ok(Authentic { block: BlockRef { number, hash }, vouched_by: vec!["light client".to_owned()] })
    }
}

/// Another anchor can veto and delay, and never replace the seats.
#[tokio::test]
async fn every_anchor_must_name_the_same_block() {
    let (world, kinds) = (World::default(), [Some(World::default().hash(80)), Some(B256::ZERO), None]);
    let mut results = Vec::new();
    for hash in kinds {
        let (_nodes, panel) = node::panel(&world, world::SRC, 3, 2).await;
        let config = SourceConfig::new(world::contracts(), &ChainClass::Generic.profile(), Confirmations(10));
        let anchors: Vec<Arc<dyn Anchor>> = vec![Arc::new(Client(hash))];
        let reader = EvmReader::with_anchors(panel, config, Arc::new(Hashes::default()), anchors);
        let head = EvmSource::new(Arc::new(reader)).next_head(None).await;
        results.push(head.map_err(|error| error.kind()));
    }
    let expected = [Ok(head(100, 80)), Err(ChainSourceErrorKind::Contradiction), Err(ChainSourceErrorKind::Missing)];
    assert_eq!(results, expected);
}

/// Everybody's finality is a matter of depth: the block at that depth is voted on all the same.
#[tokio::test]
async fn a_depth_is_final_only_with_an_agreed_hash() {
    let (nodes, panel) = node::panel(&World::default(), world::SRC, 4, 3).await;
    let config = SourceConfig::new(world::contracts(), &ChainClass::Generic.profile(), Confirmations(10));
    let config = SourceConfig { finality: Finality::Latest, block_time: Duration::ZERO, ..config };
    let reader = Arc::new(EvmReader::new(panel, config, Arc::new(Hashes::default())));
    let (source, verifier) = (EvmSource::new(Arc::clone(&reader)), EvmVerifier::new(reader));
    assert_eq!(source.next_head(None).await.unwrap(), head(100, 90));
    nodes[0].script().world.fork = (85, 1);
    nodes[0].script().world.head = 101;
    nodes[1..].iter().for_each(|node| node.script().world.head = 101);
    let error = verifier.verify(&World::default().location(50, 1)).await.unwrap_err();
    assert_eq!(error.kind(), VerifyErrorKind::Contradiction);
}
