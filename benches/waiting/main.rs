//! What waiting jobs cost: the store's answers to what is asked all the time, and a whole node's memory and processor time, with a
//! thousand jobs and with a hundred thousand.
//!
//! The node is this program itself, started as `dvn-node` is, on real local chains.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::arithmetic_side_effects,
    reason = "a benchmark prints and stops when something is off"
)]

mod jobs;
mod node;

use std::{
    env, io,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Parser as _;
use dvn_core::{
    ids::{BlockNumber, Eid},
    job::State,
    ports::{Clock as _, Head, Store, SystemClock},
};
use dvn_node::{
    cli::{Args, execute},
    config::ProcessEnv,
};
use dvn_store::Sqlite;

const COUNTS: [u64; 3] = [1_000, 10_000, 100_000];
const SRC: Eid = Eid(30_101);
const DST: Eid = Eid(30_212);

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    if env::args().any(|argument| argument == "--config") {
        let (mut out, mut err) = (io::stdout(), io::stderr());
        return runtime.block_on(execute(Args::parse(), &ProcessEnv, &mut out, &mut err)).into();
    }
    runtime.block_on(async {
        println!("embedded store, microseconds for each question (the median of 20)");
        println!("{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}", "jobs", "due", "head", "ripe", "signed", "tally", "save");
        for count in COUNTS {
            answers(count).await;
        }
        node::all().await;
    });
    ExitCode::SUCCESS
}

async fn answers(count: u64) {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = Sqlite::open(folder.path()).await.unwrap();
    let store = sqlite.store();
    jobs::fill(&store, (SRC, DST), count, jobs::NEVER).await;
    let head = Head { latest: BlockNumber(1_000), settled: BlockNumber(900) };
    let due = median(async || drop(store.jobs.due(SystemClock::new().now(), 1_000).await.unwrap())).await;
    let ripe = median(async || drop(store.jobs.ripe(SRC, head, 1_000).await.unwrap())).await;
    let since = Head { latest: BlockNumber(999), settled: BlockNumber(899) };
    let news = median(async || drop(store.jobs.ripened(SRC, since, head, 1_000).await.unwrap())).await;
    let signed = median(async || drop(store.jobs.in_state(DST, State::Signed, 25).await.unwrap())).await;
    let tally = median(async || drop(store.jobs.tally().await.unwrap())).await;
    let save = median(async || save(&store).await).await;
    println!("{count:>9}{due:>9}{news:>9}{ripe:>9}{signed:>9}{tally:>9}{save:>9}");
}

async fn save(store: &Store) {
    let mut job = store.jobs.load(jobs::waiting((SRC, DST), 7, jobs::NEVER).id).await.unwrap().unwrap();
    store.jobs.save(&mut job).await.unwrap();
}

async fn median(question: impl AsyncFn()) -> u128 {
    let mut times = Vec::new();
    for _ in 0..20 {
        let started = Instant::now();
        question().await;
        times.push(started.elapsed());
    }
    times.sort_unstable();
    times.get(times.len() / 2).map_or(0, Duration::as_micros)
}
