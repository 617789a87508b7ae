//! What a seat can learn from what it is asked.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use alloy::primitives::{Address, keccak256};
use dvn_chain::{ChainClass, EvmSource, SourceConfig};
use dvn_core::{
    ids::BlockNumber,
    ports::{ChainSource, Head, Verification},
};
use dvn_testkit::{
    devnet::{SendRequest, Side, UlnSettings},
    proxy::FaultProxy,
};

use crate::proxied::{FINAL, Looker, Net, PATIENT};

/// Rounds of each kind, where two kinds of packets are compared.
const ROUNDS: usize = 40;
/// The same, where a packet is compared with none.
const UNIFORM_ROUNDS: usize = 500;

/// What was asked while a block was looked at: how often each method, whichever seat it went to.
type Trace = BTreeMap<String, usize>;

/// Follows a chain as the engine does.
struct Follower {
    looker: Looker,
    cursor: BlockNumber,
    tip: BlockNumber,
    seen: Option<Head>,
    verified: usize,
}

impl Follower {
    async fn new(net: &Net, class: ChainClass, uniform_queries: bool) -> Self {
        // Looks at what became known with a head go by that head.
        let block_time = Duration::from_secs(60);
        let config = SourceConfig { block_time, uniform_queries, ..net.config(class) };
        let looker = Looker::new(Arc::new(net.panel(3, PATIENT)), config);
        let head = looker.head().await;
        Self { looker, cursor: head.settled, tip: head.latest, seen: Some(head), verified: 0 }
    }

    /// One round: the head, what is settled, what is new, and a look at every packet of ours in it.
    async fn round(&mut self) {
        // Heads are paced by block times for each source; a new one asks at once.
        let source = EvmSource::new(Arc::clone(&self.looker.reader));
        let head = source.next_head(self.seen).await.unwrap();
        self.seen = Some(head);
        if self.cursor < head.settled {
            self.cursor = self.look(self.cursor, head.settled).await;
        }
        if self.tip < head.latest {
            self.tip = self.look(self.tip.max(self.cursor), head.latest).await;
        }
    }

    async fn look(&mut self, after: BlockNumber, to: BlockNumber) -> BlockNumber {
        let scan = self.looker.source.scan(after.above(1)..=to).await.unwrap();
        for assignment in scan.assignments {
            let look = self.looker.verify(&assignment.location).await.unwrap();
            assert!(matches!(look, Verification::Found(seen) if seen.assigned));
            self.verified += 1;
        }
        scan.through
    }
}

/// T63: packets of ours and of another DVN, in an order that nobody knows, where logs are proven and where they are voted
/// on.
#[tokio::test]
async fn t63_what_is_asked_does_not_tell_whose_packet_it_is() {
    let Some(net) = Net::start(4).await else { return };
    let (source, destination) = (net.source(), net.destination());
    let foreign = source.deploy_oapp().await.unwrap();
    let only_other = UlnSettings::requiring([source.addresses().other_dvn]);
    source.set_oapp_uln_config(Side::Send, foreign, destination.eid(), &only_other).await.unwrap();
    net.mine(FINAL).await;
    for class in [ChainClass::Ethereum, ChainClass::Conflux] {
        let mut follower = Follower::new(&net, class, false).await;
        let mut traces = [Vec::new(), Vec::new()];
        for is_ours in order(ROUNDS) {
            net.forget();
            send(&net, if is_ours { source.addresses().oapp } else { foreign }).await;
            follow(&net, &mut follower).await;
            traces[usize::from(is_ours)].push(trace(&net));
        }
        assert_eq!(follower.verified, 2 * ROUNDS, "each of ours at the tip and once it was final");
        assert_indistinct(class, &traces);
    }
}

/// T63: where no block may stand out, not even whether there is a packet shows. A thousand times two blocks that become
/// final, before half of which a packet was sent.
#[tokio::test]
async fn t63_uniform_questions_do_not_tell_whether_there_is_a_packet() {
    let Some(net) = Net::start(4).await else { return };
    for class in [ChainClass::Ethereum, ChainClass::Conflux] {
        let mut follower = Follower::new(&net, class, true).await;
        // Blocks without a packet are asked about with an earlier one's.
        send(&net, net.source().addresses().oapp).await;
        net.mine(FINAL).await;
        follower.round().await;
        let before = follower.verified;

        let rounds = UNIFORM_ROUNDS / 2;
        let mut traces = [Vec::new(), Vec::new()];
        for is_ours in order(rounds) {
            net.forget();
            if is_ours {
                send(&net, net.source().addresses().oapp).await;
            } else {
                net.mine(1).await;
            }
            follow(&net, &mut follower).await;
            traces[usize::from(is_ours)].push(trace(&net));
        }
        assert_eq!(follower.verified - before, 2 * rounds);
        assert_indistinct(class, &traces);
    }
}

/// T63: a packet of ours that waits for more confirmations than its finality takes is looked at long after others; what
/// was asked about it once it was final is all that is asked.
#[tokio::test]
async fn t63_a_look_after_finality_asks_nothing_about_the_packet() {
    let Some(net) = Net::start(4).await else { return };
    for class in [ChainClass::Ethereum, ChainClass::Conflux] {
        let mut follower = Follower::new(&net, class, false).await;
        let (_, location) = net.send_final().await;
        follower.round().await;
        for _ in 0..10 {
            net.mine(1).await;
            follower.round().await;
        }
        net.forget();
        let seen = follower.looker.found(&location).await;
        assert!(seen.assigned && seen.head.latest > location.block.number.above(10));
        assert_eq!(trace(&net), Trace::new(), "{class:?}");
    }
}

/// One packet in a block of its own.
async fn send(net: &Net, oapp: Address) {
    let messages = [b"hello".to_vec()];
    SendRequest::new(net.source(), net.destination(), &messages).from_oapp(oapp).send().await.unwrap();
}

/// Looks at the newest block, and on until it is final.
async fn follow(net: &Net, follower: &mut Follower) {
    follower.round().await;
    for _ in 0..2 {
        net.mine(1).await;
        follower.round().await;
    }
}

/// That the best classifier does not do better than by chance.
fn assert_indistinct(class: ChainClass, traces: &[Vec<Trace>; 2]) {
    let advantage = advantage(traces);
    assert!(advantage < 0.05, "{class:?} {advantage}: {:?}", traces.each_ref().map(|of| of.last().cloned()));
}

/// As many rounds of each kind, shuffled.
fn order(rounds: usize) -> Vec<bool> {
    let mut order: Vec<usize> = (0..2 * rounds).collect();
    order.sort_by_key(|number| keccak256(number.to_be_bytes()));
    order.into_iter().map(|number| number % 2 == 0).collect()
}

fn trace(net: &Net) -> Trace {
    let mut trace = Trace::new();
    for exchange in net.proxies.iter().flat_map(FaultProxy::traffic) {
        *trace.entry(exchange.method).or_default() += 1;
    }
    trace
}

/// The advantage of the best classifier of these traces: half of what their frequencies differ by in all.
fn advantage([theirs, ours]: &[Vec<Trace>; 2]) -> f64 {
    let mut frequencies = BTreeMap::<&Trace, [u32; 2]>::new();
    for (kind, traces) in [theirs, ours].into_iter().enumerate() {
        traces.iter().for_each(|trace| frequencies.entry(trace).or_default()[kind] += 1);
    }
    let differences: u32 = frequencies.values().map(|[theirs, ours]| theirs.abs_diff(*ours)).sum();
    f64::from(differences) / 2.0 / f64::from(u32::try_from(theirs.len()).unwrap())
}
