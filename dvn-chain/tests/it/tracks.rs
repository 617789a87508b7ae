//! What a seat can learn from what it is asked.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use alloy::primitives::keccak256;
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

/// Blocks of each kind.
const BLOCKS: usize = 40;

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
    async fn new(net: &Net) -> Self {
        // Looks at what became known with a head go by that head.
        let config = SourceConfig { block_time: Duration::from_secs(3_600), ..net.config(ChainClass::Ethereum) };
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

/// T63: packets of ours and of another DVN, in an order that nobody knows.
#[tokio::test]
async fn t63_what_is_asked_does_not_tell_whose_packet_it_is() {
    let Some(net) = Net::start(4).await else { return };
    let (source, destination) = (net.source(), net.destination());
    let foreign = source.deploy_oapp().await.unwrap();
    let only_other = UlnSettings::requiring([source.addresses().other_dvn]);
    source.set_oapp_uln_config(Side::Send, foreign, destination.eid(), &only_other).await.unwrap();
    net.mine(FINAL).await;
    let mut follower = Follower::new(&net).await;

    let mut traces = [Vec::new(), Vec::new()];
    for is_ours in order() {
        net.forget();
        let oapp = if is_ours { source.addresses().oapp } else { foreign };
        SendRequest::new(source, destination, &[b"hello".to_vec()]).from_oapp(oapp).send().await.unwrap();
        follower.round().await;
        for _ in 0..2 {
            net.mine(1).await;
            follower.round().await;
        }
        traces[usize::from(is_ours)].push(trace(&net));
    }
    assert_eq!(follower.verified, 2 * BLOCKS, "each of ours at the tip and once it was final");
    let advantage = advantage(&traces);
    assert!(advantage < 0.05, "{advantage}: {:?}", traces.map(|of| of[BLOCKS - 1].clone()));
}

/// As many blocks of each kind, shuffled.
fn order() -> Vec<bool> {
    let mut order: Vec<usize> = (0..2 * BLOCKS).collect();
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
    f64::from(differences) / 2.0 / f64::from(u32::try_from(BLOCKS).unwrap())
}
