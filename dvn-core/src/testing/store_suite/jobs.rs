use std::time::UNIX_EPOCH;

use alloy_primitives::{Address, Bytes};

use super::{DST, SRC, at, block, claim, hash, job, kind_of};
use crate::{
    error::{StoreError, StoreErrorKind},
    ids::{BlockNumber, BlockRef, ChainTime, Confirmations, Eid, JobId, Nonce},
    job::{Hold, Job, Location, Signed, State, Wake},
    ports::{Due, Head, JobStore, Observed, Store, Tally},
};

/// [`JobStore`]: what is known stays, saves exclude each other, questions are answered in order and within bounds.
pub async fn jobs(make: &impl AsyncFn() -> Store) {
    a_known_job_is_not_changed(&*make().await.jobs).await;
    many_are_observed_as_one_by_one(&*make().await.jobs).await;
    of_two_saves_of_one_version_one_wins(&*make().await.jobs).await;
    of_many_concurrent_saves_one_wins(make().await).await;
    every_value_reads_back(&*make().await.jobs).await;
    due_jobs_come_by_time(&*make().await.jobs).await;
    ripe_jobs_come_by_block(&*make().await.jobs).await;
    a_new_head_finds_what_it_brings(&*make().await.jobs).await;
    due_jobs_say_how_they_stand(&*make().await.jobs).await;
    jobs_of_a_state_come_oldest_first(&*make().await.jobs).await;
    jobs_are_found_by_slot_and_transaction(&*make().await.jobs).await;
    states_are_counted(&*make().await.jobs).await;
}

async fn many_are_observed_as_one_by_one(jobs: &dyn JobStore) {
    assert_eq!(jobs.observe_all(&[]).await.unwrap(), []);
    let mut known = job(2);
    jobs.observe(&known).await.unwrap();
    jobs.save(&mut known).await.unwrap();
    let known = Observed::Known(Box::new(known));
    let observed = jobs.observe_all(&[job(1), job(2), job(3), job(1)]).await.unwrap();
    assert_eq!(observed, [Observed::New, known, Observed::New, Observed::Known(Box::new(job(1)))]);
    assert_eq!(jobs.load(job(3).id).await.unwrap(), Some(job(3)));
    assert!(matches!(jobs.observe_all(&[job(3)]).await.unwrap()[..], [Observed::Known(_)]));
}

async fn a_known_job_is_not_changed(jobs: &dyn JobStore) {
    let first = job(1);
    assert_eq!(jobs.load(first.id).await.unwrap(), None);
    assert_eq!(jobs.observe(&first).await.unwrap(), Observed::New);
    let mut again = Job { state: State::Orphaned, attempts: 9, observed_at: at(99), ..first.clone() };
    again.location.block = block(77);
    assert_eq!(jobs.observe(&again).await.unwrap(), Observed::Known(Box::new(first.clone())));
    assert_eq!(jobs.load(first.id).await.unwrap(), Some(first));
}

async fn of_two_saves_of_one_version_one_wins(jobs: &dyn JobStore) {
    let mut job = job(1);
    jobs.observe(&job).await.unwrap();
    let mut stale = job.clone();
    job.state = State::Waiting;
    jobs.save(&mut job).await.unwrap();
    assert_eq!(job.version, 1);
    stale.state = State::Verified;
    let before = stale.clone();
    assert_eq!(kind_of(jobs.save(&mut stale).await, StoreError::kind), StoreErrorKind::Conflict);
    assert_eq!(stale, before, "a refused save leaves the caller's job as it was");
    assert_eq!(jobs.load(job.id).await.unwrap(), Some(job.clone()));
    jobs.save(&mut job).await.unwrap();
    assert_eq!((job.version, jobs.load(job.id).await.unwrap()), (2, Some(job.clone())));
    let mut unknown = super::job(2);
    assert_eq!(kind_of(jobs.save(&mut unknown).await, StoreError::kind), StoreErrorKind::Conflict);
}

async fn of_many_concurrent_saves_one_wins(store: Store) {
    let job = job(1);
    store.jobs.observe(&job).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for attempt in 1..=8 {
        let (jobs, mut job) = (store.jobs.clone(), Job { attempts: attempt, ..job.clone() });
        tasks.spawn(async move { jobs.save(&mut job).await.map(|()| job) });
    }
    let winners: Vec<Job> = tasks.join_all().await.into_iter().flatten().collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(store.jobs.load(job.id).await.unwrap().as_ref(), winners.first());
}

async fn every_value_reads_back(jobs: &dyn JobStore) {
    for (nonce, state) in (1..).zip(State::ALL) {
        let mut job = Job { state, ..job(nonce) };
        jobs.observe(&job).await.unwrap();
        assert_eq!(jobs.load(job.id).await.unwrap(), Some(job.clone()));
        job.wake = Wake::Never;
        jobs.save(&mut job).await.unwrap();
        assert_eq!(jobs.load(job.id).await.unwrap(), Some(job));
    }
    for wake in [Wake::At(UNIX_EPOCH), Wake::At(at(1)), Wake::AtHead(BlockNumber(u64::MAX)), Wake::Never] {
        let largest = Job { wake, ..largest_job() };
        jobs.observe(&largest).await.unwrap();
        let known = jobs.load(largest.id).await.unwrap().unwrap();
        let mut saved = Job { version: known.version, ..largest.clone() };
        jobs.save(&mut saved).await.unwrap();
        assert_eq!(jobs.load(largest.id).await.unwrap(), Some(saved));
    }
}

/// A job whose every number is as large as it can be.
fn largest_job() -> Job {
    let mut claim = claim(u64::MAX, "");
    claim.header.src_eid = Eid(u32::MAX);
    claim.header.dst_eid = Eid(u32::MAX);
    let largest = BlockRef { number: BlockNumber(u64::MAX), hash: hash(0xff) };
    let location = Location { src_eid: Eid(u32::MAX - 1), block: largest, tx_hash: hash(1), log_index: u64::MAX };
    let signed = Signed {
        confirmations: Confirmations(u64::MAX),
        expiration: ChainTime(u64::MAX),
        target: Address::repeat_byte(0xff),
        signatures: Bytes::from(vec![0xff; 65 * 30]),
    };
    Job {
        first_send_confirmations: Some(Confirmations(u64::MAX)),
        signed: Some(signed),
        attested_in: Some(largest),
        attempts: u32::MAX,
        last_error: Some("it's \"odd\" \u{1f980}\n".to_owned()),
        ..Job::observed(claim, location, at(u64::from(u32::MAX)))
    }
}

async fn put(jobs: &dyn JobStore, nonce: u64, change: impl FnOnce(&mut Job)) -> JobId {
    let mut job = job(nonce);
    change(&mut job);
    jobs.observe(&job).await.unwrap();
    job.id
}

async fn due_jobs_come_by_time(jobs: &dyn JobStore) {
    let late = put(jobs, 1, |job| job.wake = Wake::At(at(30))).await;
    let early = put(jobs, 2, |job| job.wake = Wake::At(at(10))).await;
    let middle = put(jobs, 3, |job| job.wake = Wake::At(at(20))).await;
    put(jobs, 4, |job| job.wake = Wake::AtHead(BlockNumber(0))).await;
    put(jobs, 5, |job| job.wake = Wake::Never).await;
    let due = async |now, limit| ids(&jobs.due(at(now), limit).await.unwrap());
    assert_eq!(due(9, 10).await, []);
    assert_eq!(due(20, 10).await, [early, middle]);
    assert_eq!(due(99, usize::MAX).await, [early, middle, late]);
    assert_eq!(due(99, 2).await, [early, middle]);
    assert_eq!(due(99, 0).await, []);
}

/// How a job stands is part of the answer, so that nobody has to load it for that.
async fn due_jobs_say_how_they_stand(jobs: &dyn JobStore) {
    let mut held = Job { wake: Wake::At(at(1)), ..job(1) };
    jobs.observe(&held).await.unwrap();
    held.state = State::Held(Hold::NotListed);
    jobs.save(&mut held).await.unwrap();
    assert_eq!(jobs.due(at(9), 9).await.unwrap(), [Due { id: held.id, state: held.state, version: 1 }]);
    held.wake = Wake::AtHead(BlockNumber(1));
    (held.location.block, held.state) = (block(1), State::Waiting);
    jobs.save(&mut held).await.unwrap();
    let head = Head { latest: BlockNumber(1), settled: BlockNumber(1) };
    let ripe = jobs.ripe(SRC, head, 9).await.unwrap();
    assert_eq!(ripe, [Due { id: held.id, state: State::Waiting, version: 2 }]);
    assert_eq!(ripe, [Due::from(&held)]);
}

fn ids(due: &[Due]) -> Vec<JobId> {
    due.iter().map(|due| due.id).collect()
}

async fn ripe_jobs_come_by_block(jobs: &dyn JobStore) {
    let waiting = |number: u64, head: u64| {
        move |job: &mut Job| {
            job.location.block = block(number);
            job.wake = Wake::AtHead(BlockNumber(head));
        }
    };
    let high = put(jobs, 1, waiting(100, 105)).await;
    let low = put(jobs, 2, waiting(9, 110)).await;
    put(jobs, 3, |job| job.wake = Wake::At(at(0))).await;
    put(jobs, 4, |job| job.wake = Wake::Never).await;
    put(jobs, 5, |job| {
        waiting(1, 1)(job);
        job.location.src_eid = Eid(1);
    })
    .await;
    let ripe = async |latest: u64, settled: u64, limit| {
        let head = Head { latest: BlockNumber(latest), settled: BlockNumber(settled) };
        ids(&jobs.ripe(SRC, head, limit).await.unwrap())
    };
    assert_eq!(ripe(104, 104, 9).await, [], "no head is high enough");
    assert_eq!(ripe(105, 99, 9).await, [], "deep enough, but not settled");
    assert_eq!(ripe(105, 100, 9).await, [high]);
    assert_eq!(ripe(110, 9, 9).await, [low]);
    assert_eq!(ripe(u64::MAX, u64::MAX, 9).await, [low, high], "heights sort as numbers");
    assert_eq!(ripe(u64::MAX, u64::MAX, 1).await, [low]);
}

/// Whatever else is said, what one of the two heights brings is there, and nothing that is not ripe.
async fn a_new_head_finds_what_it_brings(jobs: &dyn JobStore) {
    let mut all = Vec::new();
    for (number, head) in [(10, 15), (10, 16), (11, 12), (12, 13), (20, 25)] {
        let change = |job: &mut Job| (job.location.block, job.wake) = (block(number), Wake::AtHead(BlockNumber(head)));
        all.push(put(jobs, u64::try_from(all.len()).unwrap() + 1, change).await);
    }
    let head = |latest: u64, settled: u64| Head { latest: BlockNumber(latest), settled: BlockNumber(settled) };
    let steps = [
        (head(0, 0), head(14, 10)),
        (head(14, 10), head(15, 11)),
        (head(15, 11), head(16, 12)),
        (head(16, 12), head(30, 30)),
    ];
    let news: [&[usize]; 4] = [&[], &[0, 2], &[1, 3], &[4]];
    for ((since, now), news) in steps.into_iter().zip(news) {
        let found = ids(&jobs.ripened(SRC, since, now, 99).await.unwrap());
        let ripe = ids(&jobs.ripe(SRC, now, 99).await.unwrap());
        assert!(news.iter().all(|at| found.contains(&all[*at])), "{since:?} to {now:?}: {found:?}");
        assert!(found.iter().all(|id| ripe.contains(id)), "{since:?} to {now:?}: {found:?}");
    }
    let everything = ids(&jobs.ripened(SRC, head(0, 0), head(30, 30), 99).await.unwrap());
    assert_eq!(everything.len(), all.len(), "each once");
    assert_eq!(jobs.ripened(SRC, head(0, 0), head(30, 30), 2).await.unwrap().len(), 2);
}

async fn jobs_of_a_state_come_oldest_first(jobs: &dyn JobStore) {
    let held = State::Held(Hold::Nilified);
    let mut ids = Vec::new();
    for (nonce, observed, state) in [(1, 30, held), (2, 10, held), (3, 20, held), (4, 5, State::Held(Hold::Failed))] {
        let change = |job: &mut Job| (job.state, job.observed_at) = (state, at(observed));
        ids.push(put(jobs, nonce, change).await);
    }
    let signed = put(jobs, 5, |job| job.state = State::Signed).await;
    let found = async |dst, state, limit| {
        let found = jobs.in_state(dst, state, limit).await.unwrap();
        found.iter().map(|job| job.id).collect::<Vec<_>>()
    };
    assert_eq!(found(DST, held, 9).await, [ids[1], ids[2], ids[0]]);
    assert_eq!(found(DST, held, 2).await, [ids[1], ids[2]]);
    assert_eq!(found(DST, State::Held(Hold::Failed), 9).await, [ids[3]]);
    assert_eq!(found(DST, State::Signed, 9).await, [signed]);
    assert_eq!(found(SRC, held, 9).await, []);
}

async fn jobs_are_found_by_slot_and_transaction(jobs: &dyn JobStore) {
    let mut one = job(1);
    let mut other = Job { claim: claim(1, "something else"), ..one.clone() };
    other.id = other.claim.job_id();
    let mut next = job(2);
    (one.location.tx_hash, one.location.log_index) = (hash(5), 10);
    (next.location.tx_hash, next.location.log_index) = (hash(5), 9);
    for job in [&one, &other, &next] {
        jobs.observe(job).await.unwrap();
    }
    let mut slot = jobs.by_guid(one.claim.header.guid()).await.unwrap();
    slot.sort_by_key(|job| job.id != one.id);
    assert_eq!(slot, [one.clone(), other]);
    assert_eq!(jobs.by_transaction(hash(5)).await.unwrap(), [next, one]);
    assert_eq!(jobs.by_transaction(hash(6)).await.unwrap(), []);
    let unknown = claim(Nonce(77).0, "").header.guid();
    assert_eq!(jobs.by_guid(unknown).await.unwrap(), []);
}

async fn states_are_counted(jobs: &dyn JobStore) {
    assert_eq!(jobs.tally().await.unwrap(), []);
    let held = State::Held(Hold::NotListed);
    for (nonce, state) in [(1, State::Observed), (2, held), (3, State::Observed), (4, State::Held(Hold::Failed))] {
        put(jobs, nonce, |job| job.state = state).await;
    }
    let tally = jobs.tally().await.unwrap();
    let line = |state, count| Tally { src_eid: SRC, dst_eid: DST, state, count };
    assert_eq!(tally.len(), 3);
    for expected in [line(State::Observed, 2), line(held, 1), line(State::Held(Hold::Failed), 1)] {
        assert!(tally.contains(&expected), "{tally:?}");
    }
}
