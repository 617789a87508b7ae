//! Remembers for a DVN: jobs, cursors, hashes of final blocks, the signing journal, halts, the outbox, evidence, the audit
//! log and leases.
//!
//! [`Sqlite`] implements every durable port of [`dvn_core::ports`] in one file of one folder, with nothing to install.
//! A commit is on disk before a call returns, so that a process may be killed at any point: what was promised is there
//! after a restart. Replace a port by assigning another one to its field of [`Store`](dvn_core::ports::Store).
//!
//! ```
//! use dvn_core::{ids::{BlockNumber, Eid}, ports::Store};
//! use dvn_store::Sqlite;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let data_dir = folder.path();
//! let sqlite = Sqlite::open(data_dir).await?;
//! let store: Store = sqlite.store();
//! store.cursors.advance(Eid(30101), BlockNumber(19_000_000)).await?;
//!
//! // A command that looks on while the node runs.
//! let beside = Sqlite::open_read_only(data_dir).await?.store();
//! assert_eq!(beside.cursors.load(Eid(30101)).await?, Some(BlockNumber(19_000_000)));
//!
//! // A journal is begun once, by an operator's word, never by itself: a new one would not know what was signed before.
//! store.journal.begin(None).await?;
//! assert_eq!(store.journal.verify().await?.rows, 0);
//! # Ok(())
//! # }
//! ```
//!
//! # Files
//!
//! `data_dir` holds `dvn.db` with its `-wal` and `-shm`, and `dvn.lock`, an empty file whose lock says that a process uses
//! the folder. The mirror is one file wherever its owner says. A copy of the folder must be taken while no process runs, or
//! by SQLite's own backup.
//!
//! # The journal
//!
//! A slot never gets two payload hashes. The code refuses it with a reason; behind the code the database refuses it by
//! constraints and triggers, which hold for every connection. Rows are chained by hash, so that history that was
//! rewritten with the triggers removed shows in [`verify`](dvn_core::ports::Journal::verify), and an edited row is refused
//! wherever it is read. Two things the file alone cannot show: rows that were cut off at its end, and a whole file that was
//! replaced by an older one. [`Mirrored`] keeps the head on another path for that, durable before an intent returns.
//!
//! ```
//! use std::sync::Arc;
//! use dvn_store::{Mirrored, Sqlite};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (folder, other_disk) = (tempfile::tempdir()?, tempfile::tempdir()?);
//! let sqlite = Sqlite::open(folder.path()).await?;
//! let mut store = sqlite.store();
//! # store.journal.begin(None).await?;
//! store.journal = Arc::new(Mirrored::open(store.journal, &other_disk.path().join("journal.head")).await?);
//! # Ok(())
//! # }
//! ```
//!
//! # The queue
//!
//! [`RedisQueue`] hands work to the workers of several processes that share one store, through Redis Streams. Nothing is
//! lost with it: while Redis is away, or lies, each process works from the store.
//!
//! ```no_run
//! use std::sync::Arc;
//! use dvn_core::ports::JobQueue;
//! use dvn_store::{RedisOptions, RedisQueue};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut options = RedisOptions::new("10.0.2.50:6379", "dvn-node-1");
//! options.password = Some(std::env::var("REDIS_PASSWORD")?.into());
//! // For `Dvn::builder().queue(queue)`.
//! let queue: Arc<dyn JobQueue> = Arc::new(RedisQueue::start(options)?);
//! # let _ = queue;
//! # Ok(())
//! # }
//! ```
//!
//! # The audit log
//!
//! Its rows are chained by the same rule ([`audit_row_hash`]), and the database refuses changes of them too, except that the
//! oldest ones go by a [cut](dvn_core::ports::AuditLog::cut), which is a row of its own. [`AuditedOutbox`] tells transactions
//! before they are broadcast. [`DiskGuard`] stops signing while there is still room to record everything else.
//!
//! # Other backends
//!
//! Each port is written once for SQLite and PostgreSQL ([`Postgres`]), and the rules of the journal are pure and know neither. A
//! backend of your own passes `dvn_core::testing::store_suite`; a queue of your own `dvn_core::testing::queue_suite`.

mod audit;
mod codec;
mod copy;
mod cursors;
mod database;
mod disk;
mod error;
mod evidence;
mod finalized;
mod halts;
mod jobs;
mod journal;
mod leases;
mod mirror;
mod outbox;
mod outbox_audit;
mod paths;
mod ports;
mod postgres;
mod redis_queue;
mod schema;
mod sql;
mod sqlite;

pub use audit::audit_row_hash;
pub use copy::{CopyError, copy_store};
pub use disk::{DiskGuard, FreeSpace, Space};
pub use error::OpenError;
pub use journal::row_hash;
pub use mirror::{Comparison, KeptHead, Mirror, MirrorError, Mirrored};
pub use outbox_audit::AuditedOutbox;
pub use postgres::{Postgres, PostgresOptions, PostgresTls};
pub use redis_queue::{RedisKind, RedisOptions, RedisOptionsError, RedisQueue, RedisTls};
pub use sqlite::Sqlite;
