//! One vendor library in this process: loaded and initialised once, and initialised anew only while no call is inside.

use std::{
    collections::HashMap,
    fmt, fs,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    error::{Error as CallError, RvError},
};

use super::fault::Fault;

/// How long a restart waits for calls that are inside the library. Meanwhile others wait too, so it is short.
const QUIESCE: Duration = Duration::from_secs(1);

/// The least time between two restarts, so that a lasting failure does not cost other keys of the library their sessions
/// again and again.
const RESTART_PAUSE: Duration = Duration::from_secs(5);

/// `C_Initialize` is for the whole process, so the libraries are as well. They are never unloaded.
static LOADED: LazyLock<Mutex<HashMap<PathBuf, Arc<Library>>>> = LazyLock::new(Mutex::default);

/// A loaded library and the door to it.
pub(crate) struct Library {
    pkcs11: Pkcs11,
    door: Mutex<Door>,
    moved: Condvar,
}

#[derive(Debug)]
struct Door {
    /// Calls that are inside.
    inside: usize,
    /// Set while a restart goes on.
    closed: bool,
    /// Counts restarts. Handles of an older generation may meanwhile be somebody else's and must not be used or closed.
    generation: u64,
    /// False if other code of this process initialised the library; then it is not ours to finalise.
    owned: bool,
    restarted: Option<Instant>,
}

impl Library {
    /// The library at this path, loaded and initialised by the first who asks.
    ///
    /// A failed attempt leaves nothing behind, so that the next starts afresh.
    pub(crate) fn load(path: &Path) -> Result<Arc<Self>, Fault> {
        // A bare file name is for the loader to find, so what is not a file here is used as it is.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(library) = loaded.get(&path) {
            return Ok(Arc::clone(library));
        }
        let pkcs11 = Pkcs11::new(&path)?;
        let owned = initialize(&pkcs11)?;
        let door = Door { inside: 0, closed: false, generation: 0, owned, restarted: None };
        let library = Arc::new(Self { pkcs11, door: Mutex::new(door), moved: Condvar::new() });
        loaded.insert(path, Arc::clone(&library));
        Ok(library)
    }

    /// Goes in, as soon as no restart is going on. Every call into the library is made from inside.
    ///
    /// Must not be called by a thread that is inside already: a restart in between would wait for it.
    pub(crate) fn enter(&self) -> Inside<'_> {
        let mut door = self.open_door();
        door.inside = door.inside.saturating_add(1);
        Inside { library: self, generation: door.generation }
    }

    /// Finalises and initialises the library, unless that was done after the generation that the caller saw fail.
    pub(crate) fn restart(&self, seen: u64) -> Result<(), Fault> {
        let door = self.open_door();
        if door.generation != seen {
            return Ok(());
        }
        if !door.owned {
            return Err(refused("other code of this process initialised it"));
        }
        if door.restarted.is_some_and(|at| at.elapsed() < RESTART_PAUSE) {
            return Err(refused("it was a moment ago"));
        }
        self.close_door(door)?;
        tracing::warn!("initialising the PKCS#11 library anew");
        let result = self.reinitialize();
        let mut door = self.lock();
        door.closed = false;
        door.generation = door.generation.saturating_add(1);
        door.restarted = Some(Instant::now());
        drop(door);
        self.moved.notify_all();
        result
    }

    fn close_door(&self, mut door: MutexGuard<'_, Door>) -> Result<(), Fault> {
        door.closed = true;
        let waited = self.moved.wait_timeout_while(door, QUIESCE, |door| door.inside > 0);
        let (mut door, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() {
            door.closed = false;
            drop(door);
            self.moved.notify_all();
            return Err(refused("another call has not returned"));
        }
        Ok(())
    }

    fn reinitialize(&self) -> Result<(), Fault> {
        match self.pkcs11.clone().finalize() {
            Ok(()) | Err(CallError::Pkcs11(RvError::CryptokiNotInitialized, _)) => {}
            Err(error) => tracing::warn!(%error, "C_Finalize failed"),
        }
        initialize(&self.pkcs11).map(drop)
    }

    fn open_door(&self) -> MutexGuard<'_, Door> {
        self.moved.wait_while(self.lock(), |door| door.closed).unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Door> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Library").field("door", &self.door).finish_non_exhaustive()
    }
}

/// Proof of being inside: while it lives, the library is not finalised.
#[derive(Debug)]
pub(crate) struct Inside<'a> {
    library: &'a Library,
    generation: u64,
}

impl Inside<'_> {
    pub(crate) const fn pkcs11(&self) -> &Pkcs11 {
        &self.library.pkcs11
    }

    /// Handles that were made in another generation are dead.
    pub(crate) const fn generation(&self) -> u64 {
        self.generation
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        let mut door = self.library.lock();
        door.inside = door.inside.saturating_sub(1);
        // Only a restart waits for those who leave, and telling nobody costs a system call all the same.
        let awaited = door.closed;
        drop(door);
        if awaited {
            self.library.moved.notify_all();
        }
    }
}

/// Says whether it was this call that initialised the library.
fn initialize(pkcs11: &Pkcs11) -> Result<bool, Fault> {
    match pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) => Ok(true),
        Err(CallError::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

const fn refused(reason: &'static str) -> Fault {
    Fault::NotRestarted { reason, before: None }
}
