//! Heads that seats push: they hasten the next look and nothing else, and whatever a subscription does, no block is missed.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use dvn_chain::{ChainClass, Panel, RedactedUrl, Seat, SeatConfig, SourceConfig};
use dvn_core::{
    ids::Eid,
    ports::{Chain, ChainSource, Head},
    quorum::Threshold,
};
use dvn_testkit::proxy::{Fault, FaultProxy, Hostile, Rule};
use serde_json::json;

use crate::proxied::{Looker, Net, PATIENT};

/// The clock alone asks every 15 seconds, and less often where seats push.
const BY_CLOCK: Duration = Duration::from_secs(15);
const HEADS: &str = "eth_getBlockByNumber";

/// Reads through all proxies, of which so many push.
fn looker(net: &Net, pushing: usize, need: usize, block_time: Duration) -> Looker {
    let seat = |(at, proxy): (usize, &FaultProxy)| {
        let mut config = SeatConfig::new(proxy.url().as_str().parse().unwrap(), "acme".to_owned(), "anvil".to_owned());
        config.ws = (at < pushing).then(|| RedactedUrl::web_socket(proxy.ws_url().as_str()).unwrap());
        Arc::new(Seat::try_new(net.source().name(), config).unwrap())
    };
    let seats: Vec<_> = net.proxies.iter().enumerate().map(seat).collect();
    let chain = Chain { name: net.source().name().to_owned(), eid: Eid(net.source().eid()) };
    let threshold = Threshold::try_new(seats.len(), need).unwrap();
    let panel = Panel::try_new(chain, seats, threshold).unwrap().with_patience(PATIENT.0, PATIENT.1);
    Looker::new(Arc::new(panel), SourceConfig { block_time, ..net.config(ChainClass::Ethereum) })
}

/// Waits for the subscriptions of these seats.
async fn subscribed(net: &Net, looker: &Looker, seats: usize) -> Head {
    let head = looker.head().await;
    let all = async {
        while net.asked("eth_subscribe").iter().filter(|it| it.response_bytes > 0).count() < seats {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        early = looker.source.next_head(Some(head)) => panic!("nothing was mined: {early:?}"),
        () = all => {}
    }
    head
}

async fn follow(net: &Net, looker: &Looker, mut head: Head, blocks: u64) -> Head {
    for _ in 0..blocks {
        net.mine(1).await;
        let next = looker.source.next_head(Some(head)).await.unwrap();
        assert_eq!(next.latest.0, head.latest.0 + 1);
        head = next;
    }
    head
}

#[tokio::test]
async fn a_pushed_block_is_looked_at_at_once_and_once() {
    let Some(net) = Net::start(3).await else { return };
    let looker = looker(&net, 3, 3, Duration::from_secs(3_600));
    let head = subscribed(&net, &looker, 3).await;
    net.forget();
    let begun = Instant::now();
    follow(&net, &looker, head, 6).await;
    assert!(begun.elapsed() < BY_CLOCK * 3, "by the clock it takes {:?}", BY_CLOCK * 6);
    // The newest and the final block of each look.
    assert_eq!(net.asked(HEADS).len(), 3 * 2 * 6);
}

/// One stream per seat, however many ask.
#[tokio::test]
async fn one_subscription_serves_everybody() {
    let Some(net) = Net::start(3).await else { return };
    let looker = looker(&net, 2, 3, Duration::from_secs(3_600));
    let mut head = subscribed(&net, &looker, 2).await;
    for _ in 0..3 {
        head = follow(&net, &looker, head, 1).await;
        looker.source.next_head(None).await.unwrap();
    }
    assert_eq!(net.asked("eth_subscribe").len(), 2, "the third seat pushes nothing and is not asked to");
}

/// Nothing of a pushed head is believed: liars make nobody see a block that is not there, nor miss one that is.
#[tokio::test]
async fn a_pushed_height_is_not_believed() {
    let Some(net) = Net::start(3).await else { return };
    let lie = Fault::Mutate { pointer: "/number".to_owned(), value: json!("0xffffff") };
    net.proxies.iter().for_each(|proxy| _ = proxy.add(Rule::new(lie.clone()).method("eth_subscription")));
    let looker = looker(&net, 3, 3, Duration::from_millis(300));
    let head = subscribed(&net, &looker, 3).await;
    let head = follow(&net, &looker, head, 5).await;
    net.forget();
    let quiet = tokio::time::timeout(Duration::from_secs(3), looker.source.next_head(Some(head))).await;
    assert!(quiet.is_err(), "a block that nobody has: {quiet:?}");
    let polls = net.asked(HEADS).len() / 6;
    assert!(polls <= 12, "a height that is not there is looked at twice, and then by the clock: {polls} looks");
}

/// Whatever subscriptions do, every block is seen by the clock.
#[tokio::test]
async fn no_block_is_missed_whatever_subscriptions_do() {
    let Some(net) = Net::start(3).await else { return };
    let pushed = |fault: Fault| Rule::new(fault).method("eth_subscription");
    let subscribing = |fault: Fault| Rule::new(fault).method("eth_subscribe");
    let garbage = Fault::Mutate { pointer: String::new(), value: json!(["garbage"]) };
    let huge = Fault::Mutate { pointer: "/extra".to_owned(), value: json!("x".repeat(1_000_000)) };
    let every_other = |proxy: &FaultProxy| {
        for at in (0..20).step_by(2) {
            proxy.add(pushed(Fault::Hang).after(at).times(1));
        }
    };
    type Set<'a> = Box<dyn Fn(&FaultProxy) + 'a>;
    let rule = |rule: Rule| -> Set<'_> { Box::new(move |proxy: &FaultProxy| _ = proxy.add(rule.clone())) };
    let cases: Vec<(&str, Set<'_>)> = vec![
        ("silent", rule(pushed(Fault::Hang))),
        ("stalled", rule(pushed(Fault::Hang).after(2))),
        ("lossy", Box::new(every_other)),
        ("late", rule(pushed(Fault::Delay { ms: 400 }))),
        ("garbage", rule(pushed(garbage))),
        ("huge", rule(pushed(huge))),
        ("closed", rule(pushed(Fault::Reset))),
        ("refused", rule(subscribing(Fault::RpcError { code: -32_601, message: "method not found".to_owned() }))),
        ("endless", rule(subscribing(Fault::Hostile { kind: Hostile::Endless }))),
        ("unanswered", rule(subscribing(Fault::Hang))),
    ];
    for (case, set) in cases {
        net.honest();
        net.forget();
        net.proxies.iter().for_each(&set);
        let looker = looker(&net, 3, 3, Duration::from_millis(300));
        let head = looker.head().await;
        let (begun, blocks) = (Instant::now(), 4);
        let last = follow(&net, &looker, head, blocks).await;
        assert_eq!(last.latest.0, head.latest.0 + blocks, "{case}");
        let subscriptions = net.asked("eth_subscribe").len();
        // Each pause is half a second at least.
        let most = 3 * (2 + usize::try_from(begun.elapsed().as_millis() / 500).unwrap());
        assert!(subscriptions <= most, "{case}: {subscriptions} subscriptions");
    }
}

/// A seat that is gone is neither waited for nor counted as one that pushed.
#[tokio::test]
async fn a_seat_without_subscription_does_not_hold_up_the_others() {
    let Some(net) = Net::start(4).await else { return };
    net.proxies[3].add(Rule::new(Fault::Hang).method("eth_subscription"));
    let looker = looker(&net, 4, 3, Duration::from_secs(3_600));
    let head = subscribed(&net, &looker, 4).await;
    let begun = Instant::now();
    follow(&net, &looker, head, 6).await;
    assert!(begun.elapsed() < BY_CLOCK * 3, "by the clock it takes {:?}", BY_CLOCK * 6);
}
