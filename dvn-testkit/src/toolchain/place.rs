//! Where the toolchain lives, and which binary fits this machine.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

use super::ToolchainError;

pub(crate) fn root() -> PathBuf {
    chosen(env::var_os("DVN_TESTKIT_DIR"), env::var_os("CARGO_TARGET_DIR"))
}

/// Relative paths count from the workspace, because a test runs in another folder than the command that installs.
fn chosen(testkit: Option<OsString>, target: Option<OsString>) -> PathBuf {
    let below = match (testkit, target) {
        (Some(testkit), _) => PathBuf::from(testkit),
        (None, Some(target)) => PathBuf::from(target).join("testkit"),
        (None, None) => PathBuf::from("target/testkit"),
    };
    workspace_root().join(below)
}

/// The platform part of the names of the binary packages, as npm spells it.
pub(super) fn anvil_package() -> Result<&'static str, ToolchainError> {
    match (env::consts::OS, env::consts::ARCH) {
        ("linux", "x86_64") => Ok("anvil-linux-amd64"),
        ("linux", "aarch64") => Ok("anvil-linux-arm64"),
        ("macos", "x86_64") => Ok("anvil-darwin-amd64"),
        ("macos", "aarch64") => Ok("anvil-darwin-arm64"),
        ("windows", "x86_64") => Ok("anvil-win32-amd64"),
        (os, arch) => Err(ToolchainError::Platform { os, arch }),
    }
}

/// The nearest folder above this crate that holds a lock file: a member has none of its own.
fn workspace_root() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().find(|folder| folder.join("Cargo.lock").is_file()).unwrap_or(manifest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_wish_decides() {
        let absolute = env::temp_dir();
        assert_eq!(chosen(Some(absolute.clone().into()), Some("other".into())), absolute);
        assert_eq!(chosen(None, Some(absolute.clone().into())), absolute.join("testkit"));
        assert_eq!(chosen(None, Some("built".into())), workspace_root().join("built/testkit"));
        assert_eq!(chosen(None, None), workspace_root().join("target/testkit"));
    }

    #[test]
    fn the_workspace_is_above_this_crate() {
        assert!(workspace_root().join("Cargo.toml").is_file());
        assert_ne!(workspace_root(), Path::new(env!("CARGO_MANIFEST_DIR")));
    }
}
