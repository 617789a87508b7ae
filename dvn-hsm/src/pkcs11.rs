//! A key in a PKCS#11 token: AWS CloudHSM, SoftHSM, or any other with secp256k1 and `CKM_ECDSA`.
//!
//! Calls into the vendor's library block and cannot be cancelled, so they are made on threads of their own, each with
//! its own session, behind a bounded queue. A caller waits no longer than its deadline, whatever the device does.
//!
//! What the device fails at is healed where that is safe, in three steps: a new session; a new login and search for the
//! key; `C_Finalize` and `C_Initialize`, after all calls into the library have returned. A refused PIN is never tried
//! again, since tokens lock themselves after a few attempts.

mod config;
mod connection;
pub(crate) mod fault;
pub(crate) mod library;
mod queue;
pub(crate) mod token;
mod worker;

use std::{
    fmt, io,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use alloy_primitives::{Address, B256, Signature};
use async_trait::async_trait;
use dvn_core::{
    error::{SignError, SignErrorKind},
    ports::Signer,
    signature,
};
use tokio::{sync::oneshot, time::timeout};

pub use self::config::{Pkcs11Config, Sessions, SessionsOutOfRange};
use self::{
    connection::Connection,
    queue::{Entrance, Refused, bounded},
    worker::{Job, Worker},
};

/// Digests that may wait for a session. At 50 ms a signature and two sessions, more would miss their deadline anyway.
const QUEUE: usize = 64;

/// How long a drop waits for calls that are inside the library.
const FAREWELL: Duration = Duration::from_secs(1);

/// Signs with a key that never leaves its token.
///
/// Dropping it closes its sessions and waits for that, up to a second if the device hangs: a process that exits while a
/// call is inside the vendor's library may crash, since the library is taken down under the call.
pub struct Pkcs11Signer {
    connection: Arc<Connection>,
    /// Only the drop takes it.
    jobs: Option<Entrance<Job>>,
    /// Disconnected when the last thread has closed its session.
    threads: Mutex<Receiver<Never>>,
    deadline: Duration,
}

/// Is never sent.
#[derive(Debug, PartialEq, Eq)]
enum Never {}

impl Pkcs11Signer {
    /// Finds the token and the key, logs in, checks key and address, and signs one digest of no protocol as a test.
    ///
    /// It blocks for as long as the device takes, so call it from a thread that may block. The library is initialised
    /// once per process and path, and stays loaded.
    ///
    /// # Errors
    /// * `Key`: the library, the token or the key is missing, ambiguous or unfit, or the address is not the expected one;
    /// * `Auth`: the PIN was refused. It was tried once;
    /// * `Unavailable`: the device failed or shows no token; opening again later may help;
    /// * `Integrity`: the test signature is wrong: private and public key under this label are not a pair.
    pub fn open(config: Pkcs11Config) -> Result<Self, SignError> {
        let (sessions, deadline, label) = (config.sessions.count(), config.deadline, config.key_label.clone());
        let connection = Arc::new(Connection::open(config)?);
        let (jobs, queue) = bounded(QUEUE);
        let first = Worker::new(Arc::clone(&connection), queue.clone());
        let tested = self_test(first, connection.address())?;
        let others = (1..sessions).map(|_| Worker::new(Arc::clone(&connection), queue.clone()));
        let (alive, threads) = sync_channel(0);
        for worker in [tested].into_iter().chain(others) {
            spawn(worker, alive.clone())
                .map_err(|error| SignError::new(SignErrorKind::Unavailable).key(&label).caused_by(error))?;
        }
        tracing::debug!(key = %label, address = %connection.address(), sessions, "token opened");
        Ok(Self { connection, jobs: Some(jobs), threads: Mutex::new(threads), deadline })
    }
}

#[async_trait]
impl Signer for Pkcs11Signer {
    fn address(&self) -> Address {
        self.connection.address()
    }

    async fn sign_digest(&self, digest: B256) -> Result<Signature, SignError> {
        self.connection.ensure_usable()?;
        let (reply, answer) = oneshot::channel();
        self.enqueue(Job { digest, reply })?;
        match timeout(self.deadline, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(self.error(SignErrorKind::Bug, "a thread of the device stopped without an answer")),
            Err(_) => Err(self.error(SignErrorKind::Timeout, "deadline passed")),
        }
    }
}

impl Drop for Pkcs11Signer {
    fn drop(&mut self) {
        drop(self.jobs.take());
        let threads = self.threads.get_mut().unwrap_or_else(PoisonError::into_inner);
        if threads.recv_timeout(FAREWELL) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!(key = self.connection.key_label(), "a call into the device has not returned");
        }
    }
}

impl Pkcs11Signer {
    fn enqueue(&self, job: Job) -> Result<(), SignError> {
        let gone = || self.error(SignErrorKind::Bug, "all threads of the device are gone");
        self.jobs.as_ref().ok_or_else(gone)?.add(job).map_err(|refused| match refused {
            Refused::Full => self.error(SignErrorKind::Throttled, "too many digests wait for a session"),
            Refused::Deserted => gone(),
        })
    }

    fn error(&self, kind: SignErrorKind, detail: &str) -> SignError {
        SignError::new(kind).key(self.connection.key_label()).because(detail)
    }
}

impl fmt::Debug for Pkcs11Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pkcs11Signer")
            .field("key", &self.connection.key_label())
            .field("address", &self.address())
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

/// The public object may belong to another private key, which only a signature shows.
fn self_test(mut worker: Worker, address: Address) -> Result<Worker, SignError> {
    match worker.sign(signature::test_digest(address)) {
        Ok(_) => Ok(worker),
        Err(error) => {
            worker.close();
            Err(error)
        }
    }
}

fn spawn(worker: Worker, alive: SyncSender<Never>) -> io::Result<()> {
    let work = move || {
        worker.run();
        drop(alive);
    };
    thread::Builder::new().name("dvn-pkcs11".to_owned()).spawn(work).map(drop)
}
