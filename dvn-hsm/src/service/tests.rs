use std::{
    error::Error,
    future::pending,
    sync::atomic::{AtomicU32, Ordering},
};

use dvn_core::backoff::Backoff;
use futures::future::join_all;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn limits() -> Limits {
    Limits {
        deadline: Duration::from_secs(4),
        attempt: SECOND,
        attempts: 3,
        pauses: Backoff::new(Duration::from_millis(100), Duration::from_millis(500)),
        per_second: 1_000,
        at_once: 1_000,
        failures: 100,
        open: Backoff::new(SECOND, Duration::from_secs(30)),
    }
}

/// A service that gives these answers, one for each attempt, and then signs.
struct Scripted {
    service: Service,
    answers: Vec<Failure>,
    asked: AtomicU32,
}

impl Scripted {
    fn new(limits: Limits, answers: impl IntoIterator<Item = Failure>) -> Self {
        let answers = answers.into_iter().collect();
        Self { service: Service::new("key", limits), answers, asked: AtomicU32::new(0) }
    }

    async fn call(&self) -> Result<u32, SignError> {
        self.service
            .call(|| async {
                let number = self.asked.fetch_add(1, Ordering::SeqCst);
                self.answers.get(usize::try_from(number).unwrap()).cloned().map_or(Ok(number), Err)
            })
            .await
    }

    fn asked(&self) -> u32 {
        self.asked.load(Ordering::SeqCst)
    }
}

fn failed(kind: SignErrorKind) -> Failure {
    Failure::new(kind, "scripted")
}

#[tokio::test(start_paused = true)]
async fn passing_failures_are_tried_again_with_growing_pauses() {
    for kind in [SignErrorKind::Unavailable, SignErrorKind::Timeout, SignErrorKind::Throttled] {
        let scripted = Scripted::new(limits(), [failed(kind), failed(kind)]);
        let started = Instant::now();
        assert_eq!(scripted.call().await.unwrap(), 2);
        // 50 to 100 and 100 to 200 milliseconds, each rounded up to a tick.
        let took = started.elapsed().as_millis();
        assert!((150..=303).contains(&took), "{took}");
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_end_and_the_class_survives() {
    for kind in [SignErrorKind::Unavailable, SignErrorKind::Timeout, SignErrorKind::Throttled] {
        let scripted = Scripted::new(limits(), vec![failed(kind); 9]);
        let error = scripted.call().await.unwrap_err();
        assert_eq!((error.kind(), scripted.asked()), (kind, 3));
        assert_eq!(error.source().unwrap().to_string(), "scripted");
    }
}

#[tokio::test(start_paused = true)]
async fn what_lasts_is_tried_once() {
    for kind in [SignErrorKind::Auth, SignErrorKind::Key, SignErrorKind::Integrity, SignErrorKind::Bug] {
        let scripted = Scripted::new(limits(), [failed(kind)]);
        assert_eq!(scripted.call().await.unwrap_err().kind(), kind);
        assert_eq!(scripted.asked(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_changed_on_the_way_is_tried_once_more() {
    let corrupted = || Failure::corrupted("scripted");
    let scripted = Scripted::new(limits(), [corrupted()]);
    assert_eq!(scripted.call().await.unwrap(), 1);
    let outage = failed(SignErrorKind::Unavailable);
    for answers in [vec![corrupted(); 9], vec![corrupted(), outage, corrupted(), corrupted()]] {
        let expected = answers.iter().rposition(|answer| *answer != corrupted()).map_or(2, |_| 3);
        let scripted = Scripted::new(Limits { attempts: 9, ..limits() }, answers);
        let error = scripted.call().await.unwrap_err();
        assert_eq!((error.kind(), scripted.asked()), (SignErrorKind::Integrity, expected));
    }
}

#[tokio::test(start_paused = true)]
async fn a_hang_ends_each_attempt_and_the_call() {
    let service = Service::new("key", Limits { deadline: SECOND * 5 / 2, ..limits() });
    let started = Instant::now();
    let error = service.call(pending::<Result<(), Failure>>).await.unwrap_err();
    assert_eq!(error.kind(), SignErrorKind::Timeout);
    let took = started.elapsed();
    assert!((SECOND * 2..SECOND * 26 / 10).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn the_pause_that_the_service_asks_for_is_kept() {
    let scripted = Scripted::new(limits(), [failed(SignErrorKind::Throttled).after(Some(SECOND * 2))]);
    let started = Instant::now();
    assert_eq!(scripted.call().await.unwrap(), 1);
    assert!(started.elapsed() >= SECOND * 2);
}

#[tokio::test(start_paused = true)]
async fn a_pause_beyond_the_deadline_is_not_waited_for() {
    let scripted = Scripted::new(limits(), [failed(SignErrorKind::Throttled).after(Some(SECOND * 60))]);
    let started = Instant::now();
    assert_eq!(scripted.call().await.unwrap_err().kind(), SignErrorKind::Throttled);
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_quota_spreads_calls_and_sheds_what_would_come_too_late() {
    let scripted = Scripted::new(Limits { per_second: 10, at_once: 5, ..limits() }, []);
    let started = Instant::now();
    let results = join_all((0..60).map(|_| scripted.call())).await;
    let shed = results.iter().filter_map(|result| result.as_ref().err().map(SignError::kind)).collect::<Vec<_>>();
    // Five at once, then ten a second for four seconds.
    assert_eq!(shed, [SignErrorKind::Throttled; 15]);
    assert!(started.elapsed() <= SECOND * 4 + Duration::from_millis(10), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_outage_opens_the_breaker_and_its_end_closes_it() {
    let outage = vec![failed(SignErrorKind::Unavailable); 6];
    let scripted = Scripted::new(Limits { failures: 5, ..limits() }, outage);
    scripted.call().await.unwrap_err();
    let error = scripted.call().await.unwrap_err();
    assert_eq!((scripted.asked(), error.source().unwrap().to_string().as_str()), (5, "scripted"));
    let error = scripted.call().await.unwrap_err();
    assert_eq!((error.kind(), scripted.asked()), (SignErrorKind::Unavailable, 5), "not asked while open");
    assert!(error.source().unwrap().to_string().contains("failed too often"), "{error:?}");
    sleep(SECOND).await;
    scripted.call().await.unwrap_err();
    assert_eq!(scripted.asked(), 6, "one probe, which failed");
    sleep(SECOND * 2).await;
    assert_eq!(scripted.call().await.unwrap(), 6);
    assert_eq!(scripted.call().await.unwrap(), 7, "closed");
}

#[tokio::test(start_paused = true)]
async fn refusals_and_throttling_are_no_outage() {
    for kind in [SignErrorKind::Auth, SignErrorKind::Key, SignErrorKind::Throttled] {
        let scripted = Scripted::new(Limits { failures: 1, attempts: 1, ..limits() }, vec![failed(kind); 5]);
        for _ in 0..5 {
            assert_eq!(scripted.call().await.unwrap_err().kind(), kind);
        }
        assert_eq!(scripted.asked(), 5);
    }
}
