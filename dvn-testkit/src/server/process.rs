//! One server process with its children: started, frozen, ended, killed and started again.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Instant,
};

use super::{Account, PATIENCE, POLL, ServerError, guard::Guard, stopping, tree};

/// How much of a log an error shows.
const LINES: usize = 20;

/// How a server is started, the first time and again.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) account: Account,
    /// Its working folder, which goes with the server.
    pub(crate) folder: PathBuf,
}

/// A server. Dropping it kills it with all its children.
#[derive(Debug)]
pub(crate) struct Process {
    start: Start,
    name: String,
    log: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    child: Option<Child>,
    guard: Guard,
}

impl Process {
    /// Nothing runs yet. What the server prints goes to `folder/log`.
    pub(crate) fn new(start: Start) -> Result<Self, ServerError> {
        let name = start.program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let guard = Guard::start(&start.folder).map_err(ServerError::process("sh"))?;
        let log = start.folder.join("log");
        Ok(Self { start, name, log, state: Mutex::new(State { child: None, guard }) })
    }

    /// Starts it, where it does not run, and returns once `is_ready` says so of its process id.
    ///
    /// # Errors
    /// [`ServerError`]; nothing runs then.
    pub(crate) fn start(&self, is_ready: impl Fn(u32) -> bool) -> Result<(), ServerError> {
        let mut state = self.state();
        if let Some(child) = &mut state.child
            && matches!(child.try_wait(), Ok(None))
        {
            return Ok(());
        }
        let output = self.appended().map_err(ServerError::io(&self.log))?;
        let errors = output.try_clone().map_err(ServerError::io(&self.log))?;
        let mut command = Command::new(&self.start.program);
        command.args(&self.start.arguments).current_dir(&self.start.folder);
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let child = self.start.account.assume(&mut command).spawn().map_err(ServerError::process(&self.name))?;
        let id = child.id();
        state.child = Some(child);
        state.guard.watch(&[id]).map_err(ServerError::process("sh"))?;
        let ready = self.wait_ready(&mut state, id, is_ready);
        if ready.is_err() {
            let _ = self.end(&mut state);
        }
        ready
    }

    /// Freezes it and its children: connections open and nothing answers.
    pub(crate) fn pause(&self) -> Result<(), ServerError> {
        let mut state = self.state();
        let id = self.id(&mut state)?;
        let failed = || ServerError::process(&self.name);
        tree::signal("-STOP", &[id]).and_then(|()| stopping::wait(id)).map_err(failed())?;
        // No child comes from now on.
        let children = tree::below(id).map_err(failed())?;
        tree::signal("-STOP", &children).map_err(failed())?;
        // A child that had just ended is gone, which is as good.
        children.iter().for_each(|child| drop(stopping::wait(*child)));
        state.guard.watch(&[&[id], children.as_slice()].concat()).map_err(failed())
    }

    /// Ends [`Process::pause`].
    pub(crate) fn resume(&self) -> Result<(), ServerError> {
        let mut state = self.state();
        let id = self.id(&mut state)?;
        let resumed = tree::below(id).and_then(|children| {
            tree::signal("-CONT", &[children.as_slice(), &[id]].concat())?;
            state.guard.watch(&[id])
        });
        resumed.map_err(ServerError::process(&self.name))
    }

    /// Sends a signal that ends it, and waits for the end of it and its children.
    pub(crate) fn ask_to_end(&self, signal: &str) -> Result<(), ServerError> {
        let mut state = self.state();
        let id = self.id(&mut state)?;
        let children = tree::below(id).map_err(ServerError::process(&self.name))?;
        tree::signal(signal, &[id]).map_err(ServerError::process(&self.name))?;
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if self.has_ended(&mut state)? {
                return tree::wait_gone(&children).map_err(ServerError::process(&self.name));
            }
            thread::sleep(POLL);
        }
        Err(self.slow("stopped"))
    }

    /// Kills it and its children, as a machine would that loses its power. Nothing to do where it does not run.
    pub(crate) fn kill(&self) -> Result<(), ServerError> {
        self.end(&mut self.state())
    }

    /// The end of what it printed.
    pub(crate) fn printed(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines = text.lines().collect::<Vec<_>>();
        lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default().join("\n")
    }

    /// Its folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.start.folder
    }

    fn end(&self, state: &mut State) -> Result<(), ServerError> {
        let Some(mut child) = state.child.take() else {
            return Ok(());
        };
        let id = child.id();
        let killed = (|| {
            // Frozen first, so that it neither makes children nor tells those it has to end in order.
            tree::signal("-STOP", &[id])?;
            let all = [&[id], tree::below(id)?.as_slice()].concat();
            tree::signal("-KILL", &all)?;
            child.kill()?;
            child.wait()?;
            tree::wait_gone(&all)?;
            state.guard.watch(&[])
        })();
        killed.map_err(ServerError::process(&self.name))
    }

    fn wait_ready(&self, state: &mut State, id: u32, is_ready: impl Fn(u32) -> bool) -> Result<(), ServerError> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if self.has_ended(state)? {
                return Err(ServerError::Refused { program: self.name.clone(), output: self.printed() });
            }
            if is_ready(id) {
                return Ok(());
            }
            thread::sleep(POLL);
        }
        Err(self.slow("ready"))
    }

    fn has_ended(&self, state: &mut State) -> Result<bool, ServerError> {
        let Some(child) = &mut state.child else {
            return Ok(true);
        };
        let ended = child.try_wait().map_err(ServerError::process(&self.name))?.is_some();
        if ended {
            state.child = None;
            state.guard.watch(&[]).map_err(ServerError::process("sh"))?;
        }
        Ok(ended)
    }

    fn id(&self, state: &mut State) -> Result<u32, ServerError> {
        let stopped = || ServerError::Stopped { program: self.name.clone() };
        if self.has_ended(state)? {
            return Err(stopped());
        }
        state.child.as_ref().map(Child::id).ok_or_else(stopped)
    }

    fn slow(&self, wanted: &'static str) -> ServerError {
        ServerError::Slow { program: self.name.clone(), wanted, output: self.printed() }
    }

    fn appended(&self) -> io::Result<File> {
        File::options().create(true).append(true).open(&self.log)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            tracing::warn!(%error, "a server could not be killed");
        }
    }
}
