//! The node binary, the LayerZero artifacts and the Solidity compiler, installed once from npm.
//!
//! Nothing of this is part of the repository: the LayerZero artifacts carry a licence for non-production use
//! (LZBL-1.2), so they are installed under the build folder when a test needs them.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

mod npm;
mod place;

pub(crate) use self::place::root;

/// Everything that a development network needs besides this crate, present on disk.
#[derive(Debug, Clone)]
pub struct Toolchain {
    root: PathBuf,
}

impl Toolchain {
    /// The toolchain if it is installed, complete and of the pinned versions. Installs nothing.
    ///
    /// It is looked for in `DVN_TESTKIT_DIR`, else in `testkit` under `CARGO_TARGET_DIR`, else in `target/testkit`
    /// of the workspace that this crate was built from, from which relative paths count too.
    pub fn locate() -> Option<Self> {
        Self::at(root()).complete()
    }

    /// Installs the toolchain, or finds it installed. Blocks for a few seconds the first time.
    ///
    /// `progress` gets one line for people at each step. Two processes may race: the second waits for the first.
    ///
    /// # Errors
    /// When npm is absent or fails, when no node binary exists for this machine, and when the folder cannot be written.
    pub fn install(progress: impl Fn(&str)) -> Result<Self, ToolchainError> {
        let toolchain = Self::at(root());
        if let Some(ready) = toolchain.clone().complete() {
            return Ok(ready);
        }
        fs::create_dir_all(&toolchain.root).map_err(|e| ToolchainError::io(&toolchain.root, e))?;
        let lock_path = toolchain.root.join("install.lock");
        let lock = fs::File::create(&lock_path).map_err(|e| ToolchainError::io(&lock_path, e))?;
        // The lock goes with the file handle, also when this process is killed.
        if lock.try_lock().is_err() {
            progress("another process installs the test toolchain; waiting for it");
            lock.lock().map_err(|e| ToolchainError::io(&lock_path, e))?;
        }
        if let Some(ready) = toolchain.clone().complete() {
            return Ok(ready);
        }
        npm::install(&toolchain.npm(), &progress)?;
        toolchain.complete().ok_or(ToolchainError::Incomplete)
    }

    /// For tests: the toolchain, or `None` with a printed reason to skip.
    ///
    /// # Panics
    /// When it is absent and the variable `DVN_TEST_REQUIRE` is `1`, so that a run that promised not to skip fails.
    #[expect(clippy::print_stderr, reason = "a skipped test says so to the person who runs it")]
    pub fn for_test(test: &str) -> Option<Self> {
        let found = Self::locate();
        if found.is_none() {
            let message = format!("{test}: the test toolchain is not installed; `cargo xtask test` installs it");
            assert!(std::env::var_os("DVN_TEST_REQUIRE").as_deref() != Some(OsStr::new("1")), "{message}");
            eprintln!("skipped {message}");
        }
        found
    }

    /// The native Anvil binary. (npm's own wrapper leaves the node alive when it is killed.)
    ///
    /// # Errors
    /// When no binary is published for this operating system and processor.
    pub fn anvil(&self) -> Result<PathBuf, ToolchainError> {
        let package = place::anvil_package()?;
        let name = if cfg!(windows) { "anvil.exe" } else { "anvil" };
        Ok(self.npm().join("node_modules/@foundry-rs").join(package).join("bin").join(name))
    }

    /// The compiled artifacts of the LayerZero package `name`, for example `lz-evm-protocol-v2`.
    pub fn artifacts(&self, name: &str) -> PathBuf {
        self.npm().join("node_modules/@layerzerolabs").join(name).join("artifacts/contracts")
    }

    /// The folder whose `node_modules` holds everything that is installed.
    pub fn npm(&self) -> PathBuf {
        self.root.join("npm")
    }

    /// Where results that can be made again are kept.
    pub fn cache(&self) -> PathBuf {
        self.root.join("cache")
    }

    const fn at(root: PathBuf) -> Self {
        Self { root }
    }

    fn complete(self) -> Option<Self> {
        let binary = self.anvil().ok()?;
        (npm::is_complete(&self.npm()) && binary.is_file()).then_some(self)
    }
}

/// Why the toolchain could not be installed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ToolchainError {
    /// npm cannot be started.
    #[error("npm cannot be started; install Node.js with npm and put it on PATH")]
    NpmAbsent(#[source] io::Error),
    /// npm ran and failed.
    #[error("npm install failed: {output}")]
    NpmFailed {
        /// The last lines that npm printed.
        output: String,
    },
    /// npm was content, and yet a file is not there.
    #[error("npm install left the toolchain incomplete; delete the testkit folder and try again")]
    Incomplete,
    /// There is no Anvil for this machine.
    #[error("no Anvil binary is published for {os} on {arch}")]
    Platform {
        /// The operating system, as Rust names it.
        os: &'static str,
        /// The processor, as Rust names it.
        arch: &'static str,
    },
    /// A file or folder of the toolchain cannot be used.
    #[error("cannot use {path}")]
    Io {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl ToolchainError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }
}
