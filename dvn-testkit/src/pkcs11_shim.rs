//! A PKCS#11 library in front of another one, which fails as it is told to by files in a folder.
//!
//! It is C, compiled when it is needed by the system's compiler. The variables that it reads must be in the environment of
//! the process that loads it from the start.

use std::{
    env,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

const SOURCE: &str = include_str!("pkcs11_shim/shim.c");

/// The shim in a folder, with its switches.
#[derive(Clone, Debug)]
pub struct Pkcs11Shim {
    folder: PathBuf,
}

/// Why the shim could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShimError {
    /// Neither `$CC` nor `cc` is there.
    #[error("there is no C compiler; on Debian the package is gcc")]
    NoCompiler,
    /// The compiler did not take it.
    #[error("the C compiler refused the shim: {0}")]
    Compiler(String),
    /// A file could not be written, or the compiler not be started.
    #[error("{} cannot be used", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Pkcs11Shim {
    /// The shim that was compiled into this folder before, as by a parent process.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Compiles it into this folder, with `$CC` or `cc`.
    ///
    /// # Errors
    /// [`ShimError`].
    pub fn compile(folder: impl Into<PathBuf>) -> Result<Self, ShimError> {
        let shim = Self::at(folder);
        let source = shim.folder.join("shim.c");
        fs::write(&source, SOURCE).map_err(|error| failed(&source, error))?;
        let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
        let mut command = Command::new(&compiler);
        command.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]);
        command.arg(shim.library()).arg(&source).arg("-ldl");
        match command.output() {
            Ok(output) if output.status.success() => Ok(shim),
            Ok(output) => Err(ShimError::Compiler(String::from_utf8_lossy(&output.stderr).into_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(ShimError::NoCompiler),
            Err(error) => Err(failed(Path::new(&compiler), error)),
        }
    }

    /// The library to load in place of the real one.
    #[must_use]
    pub fn library(&self) -> PathBuf {
        self.folder.join("shim.so")
    }

    /// What the process that loads it needs in its environment to find the real library.
    #[must_use]
    pub fn environment(&self, library: &Path) -> [(&'static str, OsString); 2] {
        [("SHIM_TARGET", library.into()), ("SHIM_FOLDER", self.folder.clone().into())]
    }

    /// Turns a switch on: a file whose name says what happens and whose text says how.
    ///
    /// # Panics
    /// Where the folder cannot be written.
    #[expect(clippy::expect_used, reason = "a switch of a test that does not work fails the test")]
    pub fn switch(&self, name: &str, text: &str) {
        // Moved into place whole, since the shim may look at any moment.
        let draft = self.folder.join("draft");
        fs::write(&draft, text).and_then(|()| fs::rename(&draft, self.folder.join(name))).expect("a writable folder");
    }

    /// Turns a switch off; one that is not on stays off.
    ///
    /// # Panics
    /// Where the folder cannot be written.
    pub fn switch_off(&self, name: &str) {
        match fs::remove_file(self.folder.join(name)) {
            Ok(()) => {}
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::NotFound, "{name}: {error}"),
        }
    }

    /// How often the shim saw this function called.
    #[must_use]
    pub fn calls(&self, function: &str) -> usize {
        let log = fs::read_to_string(self.folder.join("calls")).unwrap_or_default();
        log.lines().filter(|line| *line == function).count()
    }
}

fn failed(path: &Path, source: io::Error) -> ShimError {
    ShimError::Io { path: path.to_owned(), source }
}
