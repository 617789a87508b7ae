//! A thread with a session: takes digests from the queue, signs them, and climbs the ladder of remedies when that fails.

use std::sync::Arc;

use alloy_primitives::{B256, Signature};
use cryptoki::mechanism::Mechanism;
use dvn_core::error::SignError;
use tokio::sync::oneshot;

use super::{
    connection::{Connection, Seat},
    fault::{Fault, Remedy},
    library::Inside,
    queue::Exit,
};

/// Failed signatures in a row after which a device that always says "failed" is no longer taken for a busy one.
const STUBBORN: u32 = 3;

/// One digest and who waits for its signature.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) digest: B256,
    pub(super) reply: oneshot::Sender<Result<Signature, SignError>>,
}

/// Owns one session of the connection.
#[derive(Debug)]
pub(super) struct Worker {
    connection: Arc<Connection>,
    queue: Exit<Job>,
    seat: Option<Seat>,
    /// The library's generation at the last attempt.
    generation: u64,
    failures: u32,
}

impl Worker {
    pub(super) const fn new(connection: Arc<Connection>, queue: Exit<Job>) -> Self {
        Self { connection, queue, seat: None, generation: 0, failures: 0 }
    }

    /// Signs until the signer is dropped.
    pub(super) fn run(mut self) {
        while let Some(job) = self.queue.take() {
            // Nobody waits for those whose deadline passed in the queue.
            if !job.reply.is_closed() {
                let result = self.sign(job.digest);
                // The signature of a caller who left meanwhile is thrown away.
                drop(job.reply.send(result));
            }
        }
        self.close();
    }

    /// Signs one digest, healing what can be healed.
    pub(super) fn sign(&mut self, digest: B256) -> Result<Signature, SignError> {
        self.connection.ensure_usable()?;
        let raw = self.climb(digest);
        self.failures = if raw.is_ok() { 0 } else { self.failures.saturating_add(1) };
        let raw = raw.map_err(|fault| {
            self.connection.note(&fault);
            fault.into_error(self.connection.key_label())
        })?;
        let result = self.connection.release().finish(&raw, digest);
        if result.is_err() {
            self.close();
        }
        result
    }

    /// Closes the session, if there is one.
    pub(super) fn close(&mut self) {
        if let Some(seat) = self.seat.take() {
            seat.close(&self.connection.library().enter());
        }
    }

    /// Every step is at least one stronger than the one that failed, so that there are four attempts at most.
    fn climb(&mut self, digest: B256) -> Result<Vec<u8>, Fault> {
        let mut remedy = None;
        loop {
            let fault = match self.attempt(remedy, digest) {
                Ok(raw) => return Ok(raw),
                Err(fault) => fault,
            };
            let Some(next) = self.stronger(remedy, &fault) else { return Err(fault) };
            tracing::warn!(key = self.connection.key_label(), error = %fault, remedy = ?next, "signing failed");
            if next == Remedy::Library {
                self.restart(fault)?;
            }
            remedy = Some(next);
        }
    }

    fn stronger(&self, tried: Option<Remedy>, fault: &Fault) -> Option<Remedy> {
        let asked = fault.remedy()?;
        let next = match tried {
            None => Remedy::Session,
            Some(Remedy::Session) if fault.may_be_load() && self.failures < STUBBORN => return None,
            Some(Remedy::Session) => Remedy::Login,
            Some(Remedy::Login) => Remedy::Library,
            Some(Remedy::Library) => return None,
        };
        Some(next.max(asked))
    }

    /// A fault that only a restart can explain stays unexplained, and so passing, while the restart is refused: a token
    /// that went away looks like one whose key was deleted.
    fn restart(&self, before: Fault) -> Result<(), Fault> {
        self.connection.library().restart(self.generation).map_err(|fault| match fault {
            Fault::NotRestarted { reason, .. } => Fault::NotRestarted { reason, before: Some(Box::new(before)) },
            other => other,
        })
    }

    /// One attempt from inside the library. A session that saw any error is closed: after a failed `C_Sign` some tokens
    /// answer every later call with `CKR_OPERATION_ACTIVE`.
    fn attempt(&mut self, remedy: Option<Remedy>, digest: B256) -> Result<Vec<u8>, Fault> {
        let connection = Arc::clone(&self.connection);
        let inside = connection.library().enter();
        self.generation = inside.generation();
        let seat = match self.seat.take() {
            Some(seat) if seat.generation == self.generation => seat,
            _ => connection.open_seat(&inside, remedy >= Some(Remedy::Login))?,
        };
        let raw = seat.session.sign(&Mechanism::Ecdsa, seat.key, digest.as_slice());
        self.keep_or_close(seat, raw.is_ok(), &inside);
        raw.map_err(Fault::from)
    }

    fn keep_or_close(&mut self, seat: Seat, good: bool, inside: &Inside<'_>) {
        if good {
            self.seat = Some(seat);
        } else {
            seat.close(inside);
        }
    }
}
