//! What every queue has to do, as a function that panics where it does not.
//!
//! It waits for what must come as long as a minute, and looks for what must not come for a fraction of a second, so that a
//! slow machine fails no queue. The sweeper is part of it: like the engine's, it pushes what is not done yet again and again.
#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    clippy::arithmetic_side_effects,
    reason = "a suite stops the test where something is off"
)]

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use alloy_primitives::{B256, U256};
use tokio::time::{Instant, timeout};

use crate::{
    ids::JobId,
    job::{Stage, State},
    ports::{Due, Entry, JobQueue},
};

/// Longer than anything takes that must happen.
const PATIENCE: Duration = Duration::from_secs(60);
/// Long enough to see what happens although it must not.
const MOMENT: Duration = Duration::from_millis(300);
/// How often a sweeper pushes.
const SWEEP: Duration = Duration::from_millis(50);

/// The whole suite. `make` makes fresh, empty queues that share nothing.
pub async fn run(make: &impl AsyncFn() -> Arc<dyn JobQueue>) {
    what_is_queued_stays_queued_once(&*make().await).await;
    entries_tell_their_stage(&*make().await).await;
    what_is_due_again_comes_again(&*make().await).await;
    what_is_not_acknowledged_comes_again(&*make().await).await;
    a_dropped_pop_takes_nothing(&*make().await).await;
    workers_share_the_work(make().await).await;
    no_stage_starves_another(&*make().await).await;
}

/// A job of this number, observed and never saved since.
#[must_use]
pub fn due(number: u64) -> Due {
    Due { id: JobId(B256::from(U256::from(number))), state: State::Observed, version: 0 }
}

/// Takes the next entry, and says that its work is done.
pub async fn take(queue: &dyn JobQueue) -> Entry {
    let entry = timeout(PATIENCE, queue.pop()).await.unwrap().unwrap();
    queue.ack(entry.clone()).await.unwrap();
    entry
}

/// Pushes what is not done yet as a sweeper does, and takes entries, until each of these jobs was handed out; returns how
/// often each was.
pub async fn sweep_until_all_done(queue: &dyn JobQueue, jobs: &[Due]) -> BTreeMap<JobId, usize> {
    let started = Instant::now();
    let mut done = BTreeMap::new();
    while jobs.iter().any(|due| !done.contains_key(&due.id)) {
        let missing = jobs.iter().filter(|due| !done.contains_key(&due.id)).count();
        assert!(started.elapsed() < PATIENCE, "{missing} jobs are never handed out");
        for due in jobs.iter().filter(|due| !done.contains_key(&due.id)) {
            // A full queue brings the rest with the next sweep.
            let _ = queue.push(*due).await;
        }
        let next_sweep = Instant::now() + SWEEP;
        while let Ok(popped) = tokio::time::timeout_at(next_sweep, queue.pop()).await {
            let entry = popped.unwrap();
            *done.entry(entry.id).or_insert(0) += 1;
            queue.ack(entry).await.unwrap();
        }
    }
    done
}

async fn is_empty(queue: &dyn JobQueue) {
    assert!(timeout(MOMENT, queue.pop()).await.is_err(), "nothing else is queued");
}

async fn what_is_queued_stays_queued_once(queue: &dyn JobQueue) {
    for _repeat in 0..10 {
        queue.push(due(1)).await.unwrap();
        queue.push(due(2)).await.unwrap();
    }
    let mut ids = [take(queue).await.id, take(queue).await.id];
    ids.sort();
    assert_eq!(ids, [due(1).id, due(2).id]);
    is_empty(queue).await;
}

async fn entries_tell_their_stage(queue: &dyn JobQueue) {
    let states = [State::Waiting, State::Verified, State::Attested];
    for (number, state) in (0..).zip(states) {
        queue.push(Due { state, ..due(number) }).await.unwrap();
    }
    let mut stages = [take(queue).await.stage, take(queue).await.stage, take(queue).await.stage];
    stages.sort();
    assert_eq!(stages, Stage::ALL);
}

async fn what_is_due_again_comes_again(queue: &dyn JobQueue) {
    for version in 0..3 {
        queue.push(Due { version, ..due(1) }).await.unwrap();
        assert_eq!(take(queue).await.id, due(1).id);
    }
    // Its worker ended without a save, and the sweeper finds it as it was.
    queue.push(Due { version: 2, ..due(1) }).await.unwrap();
    assert_eq!(take(queue).await.id, due(1).id);
    is_empty(queue).await;
}

async fn what_is_not_acknowledged_comes_again(queue: &dyn JobQueue) {
    queue.push(due(1)).await.unwrap();
    let lost = timeout(PATIENCE, queue.pop()).await.unwrap().unwrap();
    assert_eq!(lost.id, due(1).id);
    drop(lost);
    let done = sweep_until_all_done(queue, &[due(1)]).await;
    assert_eq!(done.into_keys().collect::<Vec<_>>(), [due(1).id]);
}

async fn a_dropped_pop_takes_nothing(queue: &dyn JobQueue) {
    let mut seen = 0;
    for number in 0..50 {
        queue.push(due(number)).await.unwrap();
        // Dropped at its first wait, at its second, and so on.
        if let Ok(popped) = timeout(Duration::from_micros(50 * number), queue.pop()).await {
            queue.ack(popped.unwrap()).await.unwrap();
            seen += 1;
        }
    }
    while seen < 50 {
        take(queue).await;
        seen += 1;
    }
    is_empty(queue).await;
}

async fn workers_share_the_work(queue: Arc<dyn JobQueue>) {
    let all = (0..200).map(due).collect::<Vec<_>>();
    let mut workers = tokio::task::JoinSet::new();
    let (count, started) = (Arc::new(AtomicUsize::new(0)), Instant::now());
    for _worker in 0..4 {
        let (queue, count) = (Arc::clone(&queue), Arc::clone(&count));
        workers.spawn(async move {
            let mut done = Vec::new();
            while count.load(Ordering::SeqCst) < 200 && started.elapsed() < PATIENCE {
                let Ok(popped) = timeout(MOMENT, queue.pop()).await else {
                    continue;
                };
                let entry = popped.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                done.push(entry.id);
                queue.ack(entry).await.unwrap();
            }
            done
        });
    }
    for due in &all {
        queue.push(*due).await.unwrap();
    }
    let mut done = workers.join_all().await.concat();
    done.sort();
    assert_eq!(done, all.iter().map(|due| due.id).collect::<Vec<_>>(), "each is handed out once");
}

async fn no_stage_starves_another(queue: &dyn JobQueue) {
    const MANY: u64 = 100;
    for (few, many) in [(State::Observed, State::Attested), (State::Attested, State::Observed)] {
        for number in 0..MANY {
            queue.push(Due { state: many, ..due(number) }).await.unwrap();
        }
        queue.push(Due { state: few, ..due(MANY) }).await.unwrap();
        let mut before = 0;
        while take(queue).await.id != due(MANY).id {
            before += 1;
        }
        assert!(before < MANY / 2, "{before} others came first");
        for _rest in before..MANY {
            take(queue).await;
        }
    }
}
