//! One `npm install` of pinned packages.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::json;

use super::ToolchainError;

/// Exact versions: what the contracts do is part of what the tests state.
const PACKAGES: [(&str, &str); 4] = [
    ("@foundry-rs/anvil", "1.7.1"),
    ("@layerzerolabs/lz-evm-protocol-v2", "3.0.168"),
    ("@layerzerolabs/lz-evm-messagelib-v2", "3.0.168"),
    ("solc", "0.8.30"),
];

/// Written last, so that an interrupted installation is not taken for a whole one.
const MARKER: &str = "installed.json";

/// Without the legacy resolution npm brings about a hundred peer packages along; install scripts are not needed.
const FLAGS: [&str; 6] =
    ["--legacy-peer-deps", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"];

pub(super) fn is_complete(folder: &Path) -> bool {
    fs::read_to_string(folder.join(MARKER)).is_ok_and(|marker| marker == manifest())
}

pub(super) fn install(folder: &Path, progress: &impl Fn(&str)) -> Result<(), ToolchainError> {
    let manifest = manifest();
    write(&folder.join("package.json"), &manifest)?;
    for (name, version) in PACKAGES {
        progress(&format!("installing {name} {version}"));
    }
    run(folder)?;
    progress("the test toolchain is installed");
    write(&folder.join(MARKER), &manifest)
}

fn run(folder: &Path) -> Result<(), ToolchainError> {
    let npm = if cfg!(windows) { "npm.cmd" } else { "npm" };
    let output = Command::new(npm)
        .arg("install")
        .args(FLAGS)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .map_err(ToolchainError::NpmAbsent)?;
    if output.status.success() {
        return Ok(());
    }
    let printed = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<_> = printed.lines().collect();
    let last = lines.get(lines.len().saturating_sub(10)..).unwrap_or_default();
    Err(ToolchainError::NpmFailed { output: last.join("\n") })
}

fn manifest() -> String {
    let dependencies: serde_json::Map<_, _> =
        PACKAGES.iter().map(|(name, version)| ((*name).to_owned(), json!(version))).collect();
    json!({ "private": true, "dependencies": dependencies }).to_string()
}

fn write(path: &Path, text: &str) -> Result<(), ToolchainError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|e| ToolchainError::io(folder, e))?;
    }
    fs::write(path, text).map_err(|e| ToolchainError::io(path, e))
}
