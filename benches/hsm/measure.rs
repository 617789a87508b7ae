//! Rates of two ways to do one thing, in turns.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use alloy_primitives::{B256, keccak256};
use dvn_core::ports::Signer;
use futures::future::BoxFuture;
use tokio::runtime::Runtime;

/// Several short turns, since somebody else may use the machine too.
const TURNS: usize = 13;
const TURN: Duration = Duration::from_millis(200);

/// What the device does without us.
pub(crate) enum Raw {
    /// On so many threads.
    Threads(Vec<Box<dyn FnMut(B256) + Send>>),
    /// As often at once as the signer is asked.
    Tasks(Arc<dyn Fn(B256) -> BoxFuture<'static, ()> + Send + Sync>),
}

/// Both, made for one number in flight.
pub(crate) type Pair = (Arc<dyn Signer>, Raw);

/// One line of a table.
pub(crate) struct Row {
    pub(crate) ours: Side,
    pub(crate) raw: Side,
    /// Our rate in percent of the raw one, in the median turn.
    pub(crate) percent: f64,
}

/// One of the two.
pub(crate) struct Side {
    /// Per second, in the median turn.
    pub(crate) rate: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

impl Side {
    fn new(turns: Vec<Vec<Duration>>) -> Self {
        let rate = median(turns.iter().map(|turn| per_second(turn)).collect());
        let mut took: Vec<_> = turns.into_iter().flatten().collect();
        took.sort();
        let at = |part: usize| took[(took.len() * part / 100).min(took.len() - 1)];
        Self { rate, p50: at(50), p99: at(99) }
    }
}

/// The signer against the raw rate.
pub(crate) fn compare(in_flight: usize, open: impl FnOnce() -> Pair) -> Row {
    let runtime = Runtime::new().unwrap();
    let guard = runtime.enter();
    let (signer, mut raw) = open();
    let sign: Arc<dyn Fn(B256) -> BoxFuture<'static, ()> + Send + Sync> = Arc::new(move |digest| {
        let signer = Arc::clone(&signer);
        Box::pin(async move {
            signer.sign_digest(digest).await.unwrap();
        })
    });
    let (mut ours, mut raws) = (Vec::new(), Vec::new());
    // The first turn warms up.
    for turn in 0..=TURNS {
        let alone = match &mut raw {
            Raw::Threads(threads) => on_threads(threads),
            Raw::Tasks(task) => runtime.block_on(at_once(in_flight, task)),
        };
        let signed = runtime.block_on(at_once(in_flight, &sign));
        if turn > 0 {
            raws.push(alone);
            ours.push(signed);
        }
    }
    drop(guard);
    let percents = ours.iter().zip(&raws).map(|(ours, raw)| 100.0 * per_second(ours) / per_second(raw).max(1.0));
    let percent = median(percents.collect());
    Row { ours: Side::new(ours), raw: Side::new(raws), percent }
}

fn per_second(took: &[Duration]) -> f64 {
    took.len() as f64 / TURN.as_secs_f64()
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// How long each operation took that ended within the turn.
async fn at_once(
    in_flight: usize,
    operation: &Arc<dyn Fn(B256) -> BoxFuture<'static, ()> + Send + Sync>,
) -> Vec<Duration> {
    let end = Instant::now() + TURN;
    let tasks = (0..in_flight).map(|_| {
        let operation = Arc::clone(operation);
        tokio::spawn(async move {
            let mut took = Vec::new();
            loop {
                let started = Instant::now();
                operation(digest()).await;
                if Instant::now() > end {
                    return took;
                }
                took.push(started.elapsed());
            }
        })
    });
    let mut all = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        all.extend(task.await.unwrap());
    }
    all
}

fn on_threads(threads: &mut [Box<dyn FnMut(B256) + Send>]) -> Vec<Duration> {
    let end = Instant::now() + TURN;
    thread::scope(|scope| {
        let running = threads.iter_mut().map(|operation| {
            scope.spawn(move || {
                let mut took = Vec::new();
                loop {
                    let started = Instant::now();
                    operation(digest());
                    if Instant::now() > end {
                        return took;
                    }
                    took.push(started.elapsed());
                }
            })
        });
        running.collect::<Vec<_>>().into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

/// Another one each time.
fn digest() -> B256 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    keccak256(NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes())
}
