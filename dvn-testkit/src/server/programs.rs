//! Where programs of servers are installed.

use std::path::{Path, PathBuf};

use super::ServerError;

/// A program in one of these folders, the last first, or else in the search path.
///
/// # Errors
/// [`ServerError::Missing`].
pub(crate) fn find(program: &'static str, package: &'static str, folders: &[PathBuf]) -> Result<PathBuf, ServerError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = folders.iter().rev().cloned().chain(std::env::split_paths(&path));
    folders
        .map(|folder| folder.join(program))
        .find(|candidate| is_program(candidate))
        .ok_or(ServerError::Missing { program, package })
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}
