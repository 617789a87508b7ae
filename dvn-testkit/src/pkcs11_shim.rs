//! A PKCS#11 library in front of another one, which fails and lies when it is told to.
//!
//! It stands between the program under test and a real token, SoftHSM for instance, and passes on what no switch is for. Its
//! switches are files beside it, so that they work from the process that loaded it and from any other.
//!
//! ```no_run
//! use dvn_testkit::{keys, pkcs11_shim::{Function, Pkcs11Shim, rv}, softhsm::SoftHsm};
//!
//! # fn example(folder: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
//! let key = keys::signer(0);
//! let token = SoftHsm::create(folder, "1234", &[("dvn-signing-key", &key)])?;
//! let shim = Pkcs11Shim::compile(folder, token.path())?;
//! // Start the program under test with `shim.library()` as its PKCS#11 library, and with `token.environment()`.
//! shim.answer_times(Function::Sign, 2, rv::DEVICE_ERROR);
//! shim.hang(Function::SignInit);
//! shim.heal();
//! shim.one_nonce(&key);
//! assert!(shim.calls(Function::Login) <= 1);
//! # Ok(())
//! # }
//! ```
//!
//! It is C of PKCS#11 2.40 for Unix on 64 bits, and is compiled by the system's compiler where it is used.

mod nonce;
pub mod rv;

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::{self, Command},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::keys::Key;

const SOURCE: &str = include_str!("pkcs11_shim/shim.c");

/// What is done with each function's own switches.
const SWITCHES: [&str; 3] = ["delay", "hang", "rv"];

/// What is done with keys and signatures.
const LIES: [&str; 4] = ["SignInit.key", "Sign.nonce", "Sign.high", "Sign.flip"];

/// The functions that the shim watches. All others go straight to the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Function {
    /// `C_Initialize`.
    Initialize,
    /// `C_Finalize`.
    Finalize,
    /// `C_OpenSession`.
    OpenSession,
    /// `C_CloseSession`.
    CloseSession,
    /// `C_Login`.
    Login,
    /// `C_SignInit`.
    SignInit,
    /// `C_Sign`, without its questions for a signature's length.
    Sign,
}

impl Function {
    const ALL: [Self; 7] = [
        Self::Initialize,
        Self::Finalize,
        Self::OpenSession,
        Self::CloseSession,
        Self::Login,
        Self::SignInit,
        Self::Sign,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Initialize => "Initialize",
            Self::Finalize => "Finalize",
            Self::OpenSession => "OpenSession",
            Self::CloseSession => "CloseSession",
            Self::Login => "Login",
            Self::SignInit => "SignInit",
            Self::Sign => "Sign",
        }
    }
}

/// The shim in a folder, with its switches, each of which holds until [`Pkcs11Shim::heal`].
///
/// Every switch panics where its folder cannot be written, since a test whose switch does not work proves nothing.
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
    /// Compiles it into this folder, with `$CC` or `cc`, in front of the PKCS#11 library at `target`. The folder stays when
    /// this is dropped.
    ///
    /// # Errors
    /// [`ShimError`].
    pub fn compile(folder: impl Into<PathBuf>, target: &Path) -> Result<Self, ShimError> {
        let shim = Self::at(folder);
        shim.write("target", target.as_os_str().as_encoded_bytes())?;
        let source = shim.write("shim.c", SOURCE.as_bytes())?;
        let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
        let mut command = Command::new(&compiler);
        command.args([
            "-shared",
            "-fPIC",
            "-O2",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-Wno-missing-field-initializers",
            "-o",
        ]);
        command.arg(shim.library()).arg(&source).args(["-ldl", "-lpthread"]);
        match command.output() {
            Ok(output) if output.status.success() => Ok(shim),
            Ok(output) => Err(ShimError::Compiler(String::from_utf8_lossy(&output.stderr).into_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(ShimError::NoCompiler),
            Err(source) => Err(ShimError::Io { path: compiler.into(), source }),
        }
    }

    /// The shim that was compiled into this folder before, as by the process that started this one.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The library to load in place of the real one.
    #[must_use]
    pub fn library(&self) -> PathBuf {
        self.folder.join("shim.so")
    }

    /// How often this function was called.
    #[must_use]
    pub fn calls(&self, function: Function) -> usize {
        let log = fs::read_to_string(self.folder.join("calls")).unwrap_or_default();
        log.lines().filter(|line| *line == function.name()).count()
    }

    /// Returns this value from each call of the function, without asking the token.
    pub fn answer(&self, function: Function, value: u64) {
        self.answer_times(function, u32::MAX, value);
    }

    /// Returns this value from the next so many calls of the function.
    pub fn answer_times(&self, function: Function, times: u32, value: u64) {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        // Different from those of other processes that share the folder, so that each is counted anew.
        let id = u64::from(process::id()).wrapping_shl(32) | NEXT.fetch_add(1, Ordering::Relaxed);
        self.switch(&format!("{}.rv", function.name()), &format!("{value:x} {times} {id}"));
    }

    /// Makes each call of the function take so much longer.
    pub fn delay(&self, function: Function, pause: Duration) {
        self.switch(&format!("{}.delay", function.name()), &pause.as_micros().to_string());
    }

    /// Lets no call of the function return until the function is released or all is healed.
    pub fn hang(&self, function: Function) {
        self.switch(&format!("{}.hang", function.name()), "");
    }

    /// Lets the calls of the function go on that hang. They still answer as they were told.
    pub fn release(&self, function: Function) {
        self.switch_off(&format!("{}.hang", function.name()));
    }

    /// Changes one bit in the s of each signature.
    pub fn flip(&self) {
        self.switch("Sign.flip", "");
    }

    /// Brings the s of each signature into the upper half of the order, where OpenZeppelin's `ECDSA` refuses it.
    pub fn high_s(&self) {
        self.switch("Sign.high", "");
    }

    /// Signs everything with one nonce, as a device with a broken source of randomness does. This must be the token's key.
    pub fn one_nonce(&self, key: &Key) {
        self.switch("Sign.nonce", &nonce::scalars(key));
    }

    /// Signs with the private key of this label, whichever key was asked for, as a device that mixes up its handles does.
    pub fn swap_key(&self, label: &str) {
        self.switch("SignInit.key", label);
    }

    /// Refuses sessions that cannot write with `CKR_FUNCTION_FAILED`, as AWS CloudHSM does. This is how that device is, so
    /// it also holds after [`Pkcs11Shim::heal`].
    pub fn refuse_read_only_sessions(&self) {
        self.switch("OpenSession.write", "");
    }

    /// Ends all faults and lies.
    pub fn heal(&self) {
        for function in Function::ALL {
            SWITCHES.into_iter().for_each(|switch| self.switch_off(&format!("{}.{switch}", function.name())));
        }
        LIES.into_iter().for_each(|lie| self.switch_off(lie));
    }

    #[expect(clippy::expect_used, reason = "a test whose switch does not work proves nothing")]
    fn switch(&self, name: &str, text: &str) {
        // Moved into place whole, since the shim may look at any moment.
        let draft = self.folder.join(format!("{name}.draft"));
        fs::write(&draft, text).and_then(|()| fs::rename(&draft, self.folder.join(name))).expect("a writable folder");
    }

    fn switch_off(&self, name: &str) {
        match fs::remove_file(self.folder.join(name)) {
            Ok(()) => {}
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::NotFound, "{name}: {error}"),
        }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, ShimError> {
        let path = self.folder.join(name);
        match fs::write(&path, bytes) {
            Ok(()) => Ok(path),
            Err(source) => Err(ShimError::Io { path, source }),
        }
    }
}
