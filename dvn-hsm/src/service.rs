//! What every key service in a cloud needs: one place for deadlines, retries, the quota, the breaker and the classes of
//! errors, so that a module for another service brings its requests and answers and nothing else.
//!
//! A call has one deadline, within which it is attempted a few times. Each attempt first asks the breaker, which keeps
//! calls away from a service that fails, and then waits for its turn under the service's quota. Time is tokio's, so that
//! tests can pause it.

mod breaker;
mod bucket;
mod failure;
pub(crate) mod key;
mod limits;
#[cfg(any(feature = "aliyun_kms", feature = "aws_kms"))]
pub(crate) mod refusal;
#[cfg(any(feature = "aliyun_kms", feature = "aws_kms"))]
pub(crate) mod wallet;

use std::time::Duration;

use dvn_core::error::{SignError, SignErrorKind};
use k256::elliptic_curve::rand_core::{OsRng, RngCore};
use tokio::time::{Instant, sleep, timeout};

use self::{
    breaker::{Breaker, Pass},
    bucket::Bucket,
};
pub(crate) use self::{failure::Failure, limits::Limits};

/// The way to one key of one service.
#[derive(Debug)]
pub(crate) struct Service {
    key: String,
    limits: Limits,
    bucket: Bucket,
    breaker: Breaker,
}

impl Service {
    /// For the key of this name, which is for people.
    pub(crate) fn new(key: impl Into<String>, limits: Limits) -> Self {
        let bucket = Bucket::new(limits.per_second, limits.at_once);
        let breaker = Breaker::new(limits.failures, limits.open);
        Self { key: key.into(), limits, bucket, breaker }
    }

    /// The key's name.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// Attempts `ask` until it succeeds, fails for good, or the deadline leaves no room for another attempt.
    ///
    /// # Errors
    /// The class of the last failure with its cause. `Unavailable` while the breaker keeps calls away, `Throttled` where
    /// our own quota has no room before the deadline.
    ///
    /// # Cancel safety
    /// Dropping the future drops the attempt; the service may still do what it was asked.
    pub(crate) async fn call<T, F, A>(&self, mut ask: F) -> Result<T, SignError>
    where
        F: FnMut() -> A,
        A: Future<Output = Result<T, Failure>>,
    {
        let started = Instant::now();
        let mut attempt = 0_u32;
        let mut last: Option<Failure> = None;
        let mut was_corrupted = false;
        loop {
            let pass = match self.breaker.pass(Instant::now()) {
                Ok(pass) => pass,
                // What opened it says more than that it is open.
                Err(wait) => return Err(last.unwrap_or_else(|| left_alone(wait)).into_error(&self.key)),
            };
            attempt = attempt.saturating_add(1);
            let failure = match self.attempt(pass, self.left(started), &mut ask).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let pause = self.pause(attempt, &failure);
            let is_first_corruption = failure.is_corruption() && !was_corrupted;
            was_corrupted |= failure.is_corruption();
            let may_pass = failure.is_passing() || is_first_corruption;
            if !may_pass || attempt >= self.limits.attempts || pause >= self.left(started) {
                return Err(failure.into_error(&self.key));
            }
            tracing::debug!(key = %self.key, error = %failure, attempt, "key service failed, another attempt follows");
            sleep(pause).await;
            last = Some(failure);
        }
    }

    /// One attempt within what is left of the deadline.
    async fn attempt<T, A>(&self, pass: Pass<'_>, left: Duration, ask: &mut impl FnMut() -> A) -> Result<T, Failure>
    where
        A: Future<Output = Result<T, Failure>>,
    {
        let turn = self.bucket.turn(Instant::now(), left).ok_or_else(|| out_of_turns(left))?;
        if !turn.is_zero() {
            sleep(turn).await;
        }
        let most = self.limits.attempt.min(left.saturating_sub(turn));
        let result = timeout(most, ask()).await.unwrap_or_else(|_| Err(no_answer(most)));
        match &result {
            Err(failure) if failure.is_outage() => {
                if pass.failed(Instant::now()) {
                    tracing::warn!(key = %self.key, error = %failure, "key service fails, its breaker opened");
                }
            }
            // Throttled or refused, it has answered.
            _ => pass.answered(),
        }
        result
    }

    fn left(&self, started: Instant) -> Duration {
        self.limits.deadline.saturating_sub(started.elapsed())
    }

    /// Doubling, at least as long as the service asks for, and by chance up to twice as short as it could be, so that
    /// those who failed together do not come back together.
    fn pause(&self, attempt: u32, failure: &Failure) -> Duration {
        let whole = self.limits.pauses.after(attempt);
        let half = whole.checked_div(2).unwrap_or(whole);
        half.saturating_add(half.mul_f64(chance())).max(failure.asked_pause())
    }
}

fn left_alone(wait: Duration) -> Failure {
    let seconds = wait.as_secs_f32();
    Failure::unavailable(format!("it failed too often in a row and is not asked for another {seconds:.1} s"))
}

/// Another attempt of this call would wait as long, so it asks for all the time that is left.
fn out_of_turns(left: Duration) -> Failure {
    let cause = "more requests wait than the service's quota lets through in time";
    Failure::new(SignErrorKind::Throttled, cause).after(Some(left))
}

fn no_answer(most: Duration) -> Failure {
    Failure::new(SignErrorKind::Timeout, format!("no answer within {} ms", most.as_millis()))
}

/// A number from 0 to 1.
fn chance() -> f64 {
    let mut bytes = [0; 4];
    // Without randomness the longest pause is the right one.
    match OsRng.try_fill_bytes(&mut bytes) {
        Ok(()) => f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 1.0,
    }
}

#[cfg(test)]
mod tests;
