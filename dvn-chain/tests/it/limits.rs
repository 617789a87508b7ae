//! How much a seat is asked, through real HTTP servers that count.

use std::{
    num::{NonZeroU32, NonZeroU64},
    sync::Arc,
    time::{Duration, Instant},
};

use dvn_chain::{ChainClass, EvmReader, EvmSource, Panel, Seat, SeatConfig, SeatLimits, SourceConfig};
use dvn_core::{
    error::{ChainSourceError, ChainSourceErrorKind},
    ids::{BlockNumber, Confirmations},
    ports::{Chain, ChainSource},
    quorum::Threshold,
};
use futures::future::join_all;

use crate::{
    fakes::{Hashes, ManualClock},
    node::Node,
    world::{self, World},
};

const DAY: Duration = Duration::from_secs(86_400);

/// Three seats, of which the first is limited.
struct Stage {
    nodes: Vec<Node>,
    source: EvmSource,
    clock: Arc<ManualClock>,
}

impl Stage {
    async fn start(limits: SeatLimits, need: usize) -> Self {
        let clock = Arc::new(ManualClock::new());
        let (mut nodes, mut seats) = (Vec::new(), Vec::new());
        for at in 0..3 {
            let node = Node::start(World::default()).await;
            let url = format!("http://{}/", node.address).parse().unwrap();
            let mut config = SeatConfig::new(url, "acme".to_owned(), "geth".to_owned());
            config.limits = if at == 0 { limits } else { SeatLimits::default() };
            let seat = Seat::try_new("testchain", config).unwrap();
            seats.push(Arc::new(seat.with_clock(Arc::<ManualClock>::clone(&clock))));
            nodes.push(node);
        }
        let chain = Chain { name: "testchain".to_owned(), eid: world::SRC };
        let panel = Panel::try_new(chain, seats, Threshold::try_new(3, need).unwrap()).unwrap();
        let panel = panel.with_patience(Duration::from_secs(60), Duration::from_secs(60));
        let config = SourceConfig::new(world::contracts(), &ChainClass::Generic.profile(), Confirmations(1));
        let config = SourceConfig { block_time: Duration::ZERO, ..config };
        let reader = EvmReader::new(Arc::new(panel), config, Arc::new(Hashes::default()));
        Self { nodes, source: EvmSource::new(Arc::new(reader)), clock }
    }

    /// Mines a block and looks at the head.
    async fn look(&self) -> Result<BlockNumber, ChainSourceError> {
        self.nodes.iter().for_each(|node| node.script().world.head += 1);
        self.source.next_head(None).await.map(|head| head.latest)
    }

    fn asked(&self, node: usize) -> usize {
        self.nodes[node].script().asked.len()
    }
}

fn everything(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(|error| format!("{error} {error:?} ")).collect()
}

#[tokio::test]
async fn a_seat_over_its_budget_is_a_missing_vote_until_the_next_day() {
    let limits = SeatLimits { daily_budget: NonZeroU64::new(5), ..SeatLimits::default() };
    let stage = Stage::start(limits, 3).await;
    for _ in 0..2 {
        stage.look().await.unwrap();
    }
    let before = stage.asked(1);
    for _ in 0..3 {
        let error = stage.look().await.unwrap_err();
        assert_eq!(error.kind(), ChainSourceErrorKind::Missing);
        let text = everything(&error);
        assert!(text.contains("2 of 3 votes") && text.contains("daily budget of 5 calls"), "{text}");
    }
    assert_eq!(stage.asked(0), 4, "what would be beyond the budget does not go out, in part neither");
    assert_eq!(stage.asked(1), before + 6, "the others are asked as ever, and are as ever too few");
    stage.clock.advance(DAY);
    stage.look().await.unwrap();
    assert_eq!(stage.asked(0), 6);
}

#[tokio::test]
async fn enough_others_agree_without_the_seat_that_used_up_its_budget() {
    let limits = SeatLimits { daily_budget: NonZeroU64::new(2), ..SeatLimits::default() };
    let stage = Stage::start(limits, 2).await;
    let mut latest = stage.look().await.unwrap();
    for _ in 0..3 {
        let next = stage.look().await.unwrap();
        assert!(next > latest);
        latest = next;
    }
    assert_eq!(stage.asked(0), 2);
}

#[tokio::test]
async fn questions_beyond_the_rate_wait_and_are_answered() {
    let limits = SeatLimits { rate: NonZeroU32::new(20), burst: NonZeroU32::new(2), daily_budget: None };
    let stage = Stage::start(limits, 3).await;
    let begun = Instant::now();
    for look in join_all((0..6).map(|_| stage.look())).await {
        look.unwrap();
    }
    assert_eq!((stage.asked(0), stage.asked(1)), (12, 12), "nothing is dropped");
    assert!(begun.elapsed() >= Duration::from_millis(500), "ten of the twelve calls wait 50 ms each");
}
