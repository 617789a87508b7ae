//! Finds SoftHSM, the software token for development, tests and the demo.
//!
//! SoftHSM reads the path of its configuration from `SOFTHSM2_CONF` when the library is initialised, once per process.
//! Nothing here sets that variable, since changing the environment of a running process is unsafe: whoever starts the
//! process sets it.

use std::{env, path::PathBuf};

/// The variable that names the library and comes before the usual places.
pub const LIBRARY_VARIABLE: &str = "SOFTHSM2_LIBRARY";

/// Where Debian, Fedora, Homebrew and `make install` put the library.
const USUAL_PLACES: [&str; 9] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/lib64/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
    "/usr/local/opt/softhsm/lib/softhsm/libsofthsm2.so",
];

/// The path of `libsofthsm2.so`: from [`LIBRARY_VARIABLE`] if that is set, else the first usual place that has one.
///
/// A variable that names no file gives `None`, so that a mistake in it is not hidden by another library.
#[must_use]
pub fn locate() -> Option<PathBuf> {
    match env::var_os(LIBRARY_VARIABLE) {
        Some(path) => Some(PathBuf::from(path)).filter(|path| path.is_file()),
        None => USUAL_PLACES.into_iter().map(PathBuf::from).find(|path| path.is_file()),
    }
}
