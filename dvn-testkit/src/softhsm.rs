//! A SoftHSM token in a folder of its own, holding the keys that a test names.

use std::{
    io,
    path::{Path, PathBuf},
    process::Command,
};

use k256::pkcs8::{EncodePrivateKey, LineEnding};

use crate::keys::Key;

/// Label of every token that [`SoftHsm::create`] makes.
pub const TOKEN_LABEL: &str = "dvn";

const LIBRARIES: [&str; 4] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
];

/// A token with keys. Its folder stays when this is dropped.
#[derive(Clone)]
pub struct SoftHsm {
    library: PathBuf,
    configuration: PathBuf,
    pin: String,
}

/// Why a token could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SoftHsmError {
    /// SoftHSM's library or tool is not installed.
    #[error("SoftHSM is not installed; on Debian the package is softhsm2")]
    Missing,
    /// A file could not be written.
    #[error("{} cannot be written", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The tool refused.
    #[error("softhsm2-util failed: {0}")]
    Tool(String),
    /// The key could not be encoded.
    #[error("the key could not be encoded")]
    Key,
}

impl SoftHsm {
    /// SoftHSM's library where it is installed.
    #[must_use]
    pub fn library() -> Option<PathBuf> {
        LIBRARIES.iter().map(PathBuf::from).find(|path| path.is_file())
    }

    /// The same for a test: where it is missing, the test is skipped with a message, or fails under
    /// `DVN_TEST_REQUIRE=1`.
    ///
    /// # Panics
    /// Under `DVN_TEST_REQUIRE=1`, where it is missing.
    #[must_use]
    #[expect(clippy::print_stderr, reason = "a skipped test says so")]
    pub fn for_test(test: &str) -> Option<PathBuf> {
        let library = Self::library();
        if library.is_none() {
            assert!(std::env::var_os("DVN_TEST_REQUIRE").is_none(), "{test} needs SoftHSM, which is not installed");
            eprintln!("skipped: {test} needs SoftHSM, which is not installed");
        }
        library
    }

    /// Makes a token in `folder`, with this user PIN and these keys by label.
    ///
    /// # Errors
    /// [`SoftHsmError`].
    pub fn create(folder: &Path, pin: &str, keys: &[(&str, &Key)]) -> Result<Self, SoftHsmError> {
        let library = Self::library().ok_or(SoftHsmError::Missing)?;
        let tokens = folder.join("tokens");
        std::fs::create_dir_all(&tokens).map_err(|source| SoftHsmError::Write { path: tokens.clone(), source })?;
        let configuration = folder.join("softhsm2.conf");
        let text =
            format!("directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n", tokens.display());
        write(&configuration, &text)?;
        let token = Self { library, configuration, pin: pin.to_owned() };
        token.tool(&["--init-token", "--free", "--label", TOKEN_LABEL, "--so-pin", pin, "--pin", pin])?;
        for (index, (label, key)) in keys.iter().enumerate() {
            token.import(folder, &format!("{:02x}", index.saturating_add(1)), label, key)?;
        }
        Ok(token)
    }

    /// What the process that uses the token needs in its environment.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        vec![("SOFTHSM2_CONF".to_owned(), self.configuration.display().to_string())]
    }

    /// The user PIN.
    #[must_use]
    pub fn pin(&self) -> &str {
        &self.pin
    }

    /// The library to load.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.library
    }

    fn import(&self, folder: &Path, id: &str, label: &str, key: &Key) -> Result<(), SoftHsmError> {
        let pem = key.to_pkcs8_pem().ok_or(SoftHsmError::Key)?;
        let file = folder.join(format!("{label}.pem"));
        write(&file, &pem)?;
        let path = file.display().to_string();
        let imported =
            self.tool(&["--import", &path, "--token", TOKEN_LABEL, "--label", label, "--id", id, "--pin", &self.pin]);
        let removed = std::fs::remove_file(&file).map_err(|source| SoftHsmError::Write { path: file, source });
        imported.and(removed)
    }

    fn tool(&self, arguments: &[&str]) -> Result<(), SoftHsmError> {
        let output = Command::new("softhsm2-util").args(arguments).envs(self.environment()).output();
        let output = output.map_err(|_| SoftHsmError::Missing)?;
        if output.status.success() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&output.stderr).replace(&self.pin, "…");
        Err(SoftHsmError::Tool(text.trim().to_owned()))
    }
}

impl std::fmt::Debug for SoftHsm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SoftHsm").field("configuration", &self.configuration).finish_non_exhaustive()
    }
}

impl Key {
    /// The key as PKCS#8 in PEM.
    fn to_pkcs8_pem(&self) -> Option<String> {
        let secret = k256::SecretKey::from_slice(self.secret().as_slice()).ok()?;
        Some(secret.to_pkcs8_pem(LineEnding::LF).ok()?.to_string())
    }
}

fn write(path: &Path, text: &str) -> Result<(), SoftHsmError> {
    std::fs::write(path, text).map_err(|source| SoftHsmError::Write { path: path.to_owned(), source })
}
