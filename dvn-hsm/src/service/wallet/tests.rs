use std::sync::atomic::{AtomicU32, Ordering};

use dvn_core::ports::SystemClock;
use futures::future::join_all;
use tokio::time::sleep;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Lends numbers, each after a while; the first so many times it fails.
struct Numbers {
    takes: Duration,
    lifetime: Option<Duration>,
    asked: Arc<AtomicU32>,
    fails: u32,
}

impl Lender for Numbers {
    type Key = u32;

    const RENEW_BEFORE: Duration = Duration::from_secs(60);

    fn name(&self) -> &str {
        "numbers"
    }

    async fn lend(&self) -> Result<Lent<u32>, Failure> {
        let number = self.asked.fetch_add(1, Ordering::SeqCst);
        sleep(self.takes).await;
        if number < self.fails {
            return Err(Failure::unavailable("not yet"));
        }
        let until = self.lifetime.and_then(|lifetime| SystemClock::new().now().checked_add(lifetime));
        Ok(Lent::new(number, until))
    }
}

fn wallet(takes: Duration, lifetime: Option<Duration>, fails: u32) -> (Wallet<Numbers>, Arc<AtomicU32>) {
    let asked = Arc::new(AtomicU32::new(0));
    let lender = Numbers { takes, lifetime, asked: Arc::clone(&asked), fails };
    (Wallet::lent(lender, Arc::new(SystemClock::new())), asked)
}

async fn current(wallet: &Wallet<Numbers>) -> u32 {
    *wallet.current().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn callers_at_once_ask_once() {
    let (wallet, asked) = wallet(SECOND, None, 0);
    assert_eq!(join_all((0..16).map(|_| current(&wallet))).await, [0; 16]);
    assert_eq!((current(&wallet).await, asked.load(Ordering::SeqCst)), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_lender_slower_than_an_attempt_is_not_asked_anew_by_each() {
    let (wallet, asked) = wallet(SECOND * 5 / 2, None, 0);
    for _ in 0..2 {
        assert!(timeout(SECOND, wallet.current()).await.is_err());
    }
    assert_eq!((timeout(SECOND, current(&wallet)).await, asked.load(Ordering::SeqCst)), (Ok(0), 1));
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_told_and_the_next_call_asks_again() {
    let (wallet, _) = wallet(Duration::ZERO, None, 1);
    assert_eq!(wallet.current().await.unwrap_err().to_string(), "not yet");
    assert_eq!(current(&wallet).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_lender_who_hangs_is_not_waited_for_without_end() {
    let (wallet, _) = wallet(SECOND * 3_600, None, 0);
    let started = Instant::now();
    assert!(wallet.current().await.is_err());
    assert_eq!(started.elapsed(), MOST);
}

#[tokio::test(start_paused = true)]
async fn no_call_waits_for_the_renewal_of_a_good_key() {
    let (wallet, asked) = wallet(SECOND, Some(Numbers::RENEW_BEFORE / 2), 0);
    assert_eq!(current(&wallet).await, 0);
    let started = Instant::now();
    assert_eq!((current(&wallet).await, current(&wallet).await, started.elapsed()), (0, 0, Duration::ZERO));
    sleep(SECOND * 2).await;
    assert_eq!((current(&wallet).await, asked.load(Ordering::SeqCst)), (1, 2), "not again within the pause");
    sleep(PAUSE).await;
    current(&wallet).await;
    sleep(SECOND * 2).await;
    assert_eq!(current(&wallet).await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_ended_is_waited_for() {
    let (wallet, _) = wallet(SECOND, Some(Duration::ZERO), 0);
    assert_eq!((current(&wallet).await, current(&wallet).await), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_refused_key_is_replaced_unless_it_is_fresh() {
    let (wallet, _) = wallet(Duration::ZERO, None, 0);
    let first = wallet.current().await.unwrap();
    assert_eq!(wallet.instead_of(&first).await, Ok(None));
    sleep(PAUSE).await;
    let second = wallet.instead_of(&first).await.unwrap().unwrap();
    assert_eq!((*second, wallet.instead_of(&first).await), (1, Ok(Some(second))), "brought by another caller");
}
