//! moto, an imitation of AWS by others, to hold against [`AwsKms`](crate::aws_kms::AwsKms): where two readings of the
//! documentation agree, a test stands on more than one.
//!
//! It is installed once from PyPI, in pinned versions, into a Python environment of its own under the build folder, and is
//! started with one correction, without which it hashes digests again (`moto/serve.py`).

use std::{
    ffi::OsStr,
    fs,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use url::Url;

use crate::toolchain;

/// Every package with its version, so that an installation of today is that of tomorrow.
const REQUIREMENTS: &str = include_str!("moto/requirements.txt");
const SERVE: &str = include_str!("moto/serve.py");
/// Written last, so that an interrupted installation is not taken for a whole one.
const MARKER: &str = "installed.txt";

/// An installed moto.
#[derive(Clone, Debug)]
pub struct Moto {
    root: PathBuf,
}

/// A running moto. Dropping it ends it.
#[derive(Debug)]
pub struct MotoServer {
    url: Url,
    process: Child,
}

/// Why moto could not be installed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MotoError {
    /// A program cannot be started.
    #[error("{program} cannot be started; install Python 3 with venv (Debian: python3-venv)")]
    Absent {
        /// Which one.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// A program failed.
    #[error("{program} failed; Python 3 with venv (Debian: python3-venv) is needed: {output}")]
    Failed {
        /// Which one.
        program: String,
        /// The end of what it printed.
        output: String,
    },
    /// The folder cannot be written.
    #[error("cannot use {path}")]
    Io {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Moto {
    /// moto, if it is installed, complete and of the pinned versions. Installs nothing.
    #[must_use]
    pub fn locate() -> Option<Self> {
        let moto = Self { root: toolchain::root().join("moto") };
        let marker = fs::read_to_string(moto.root.join(MARKER));
        marker.is_ok_and(|marker| marker == REQUIREMENTS).then_some(moto)
    }

    /// Installs moto, or finds it installed. Blocks for half a minute the first time.
    ///
    /// `progress` gets one line for people at each step.
    ///
    /// # Errors
    /// When Python is absent, when it or its installer fails, and when the folder cannot be written.
    pub fn install(progress: impl Fn(&str)) -> Result<Self, MotoError> {
        if let Some(ready) = Self::locate() {
            return Ok(ready);
        }
        let root = toolchain::root().join("moto");
        let unusable = |path: &Path| {
            let path = path.to_owned();
            move |source| MotoError::Io { path, source }
        };
        fs::create_dir_all(&root).map_err(unusable(&root))?;
        let list = root.join("requirements.txt");
        fs::write(&list, REQUIREMENTS).map_err(unusable(&list))?;
        progress("making a Python environment for moto");
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(environment(&root)))?;
        progress(&format!(
            "installing {}",
            REQUIREMENTS.lines().find(|line| line.starts_with("moto")).unwrap_or("moto")
        ));
        let flags = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps", "-r"];
        run(Command::new(python(&root)).args(flags).arg(&list))?;
        let marker = root.join(MARKER);
        fs::write(&marker, REQUIREMENTS).map_err(unusable(&marker))?;
        Ok(Self { root })
    }

    /// For tests: moto, or `None` with a printed reason to skip.
    ///
    /// # Panics
    /// When it is absent and the variable `DVN_TEST_REQUIRE` is `1`, so that a run that promised not to skip fails.
    #[expect(clippy::print_stderr, reason = "a skipped test says so to the person who runs it")]
    pub fn for_test(test: &str) -> Option<Self> {
        let found = Self::locate();
        if found.is_none() {
            let message = format!("{test}: moto is not installed; `cargo xtask test` installs it");
            assert!(std::env::var_os("DVN_TEST_REQUIRE").as_deref() != Some(OsStr::new("1")), "{message}");
            eprintln!("skipped {message}");
        }
        found
    }

    /// Starts it on a free port.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(&self) -> io::Result<MotoServer> {
        let mut command = Command::new(python(&self.root));
        command.args(["-c", SERVE]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let process = command.spawn()?;
        let placeholder = Url::parse("http://127.0.0.1").map_err(io::Error::other)?;
        // Ended from here on, whatever follows.
        let mut server = MotoServer { url: placeholder, process };
        let mut port = String::new();
        if let Some(printed) = &mut server.process.stdout {
            BufReader::new(printed).read_line(&mut port)?;
        }
        let port = port.trim().parse().map_err(|_| io::Error::other("moto did not start"))?;
        server.url.set_port(Some(port)).map_err(|()| io::Error::other("a URL without a port"))?;
        Ok(server)
    }
}

impl MotoServer {
    /// Where it listens, for every service and region.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }
}

impl Drop for MotoServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn environment(root: &Path) -> PathBuf {
    root.join("python")
}

fn python(root: &Path) -> PathBuf {
    environment(root).join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" })
}

fn run(command: &mut Command) -> Result<(), MotoError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|source| MotoError::Absent { program: program.clone(), source })?;
    if output.status.success() {
        return Ok(());
    }
    let printed = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned());
    let printed = printed.join("\n");
    let lines = printed.lines().collect::<Vec<_>>();
    let last = lines.get(lines.len().saturating_sub(10)..).unwrap_or_default().join("\n");
    Err(MotoError::Failed { program, output: last })
}
