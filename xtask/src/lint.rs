//! Formatting, clippy, documentation, licences, bans and sources.

mod links;

use std::{path::PathBuf, process::Command};

use crate::{
    Failure,
    command::{self, cargo, say, target, works},
};

/// The release of cargo-deny that is installed where none is found.
const CARGO_DENY: &str = "0.20.2";

pub(crate) fn run() -> Result<(), Failure> {
    command::run(cargo().args(["fmt", "--all", "--check"]))?;
    command::run(cargo().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--locked",
        "--",
        "-D",
        "warnings",
    ]))?;
    command::run(
        cargo()
            .args(["doc", "--workspace", "--no-deps", "--document-private-items", "--all-features", "--locked"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )?;
    links::check()?;
    deny()
}

fn deny() -> Result<(), Failure> {
    let program = cargo_deny()?;
    let check = |what: &[&str]| {
        let mut command = Command::new(&program);
        command.current_dir(command::root()).args(["--all-features", "check"]).args(what);
        command
    };
    command::run(&mut check(&["licenses", "bans", "sources"]))?;
    // The advisory database is a public repository that a closed network cannot fetch. Known advisories fail the
    // check; a database that cannot be had is said and passed over.
    let mut fetch = Command::new(&program);
    fetch.current_dir(command::root()).args(["fetch", "db"]);
    if fetch.output().is_ok_and(|output| output.status.success()) {
        return command::run(&mut check(&["advisories"]));
    }
    say("advisories: NOT CHECKED, their database cannot be fetched from here");
    Ok(())
}

fn cargo_deny() -> Result<PathBuf, Failure> {
    if works("cargo-deny", &["--version"]) {
        return Ok("cargo-deny".into());
    }
    let tools = target().join("tools");
    let program = tools.join("bin").join("cargo-deny");
    if !works(&program, &["--version"]) {
        say("cargo-deny is missing; installing it under target/tools takes a few minutes, once");
        command::run(
            cargo()
                .args(["install", "--quiet", "cargo-deny", "--locked", "--version", CARGO_DENY, "--root"])
                .arg(&tools)
                .env("CARGO_TARGET_DIR", target().join("tools-build")),
        )?;
    }
    Ok(program)
}
