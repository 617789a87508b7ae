//! Installs what tests and demo need and this machine lacks.

use std::process::Command;

use dvn_testkit::{moto::Moto, postgres::Postgres, redis::Redis, toolchain::Toolchain};

use crate::{
    Failure,
    command::{run, say, works},
};

/// The local nodes and the contracts' published artifacts, under the target folder.
pub(crate) fn toolchain() -> Result<Toolchain, Failure> {
    Toolchain::install(|line| say(&format!("  {line}"))).map_err(|error| Failure::new(error.to_string()))
}

/// SoftHSM from the system's packages, where that is possible without asking anybody. Says whether it is there.
pub(crate) fn soft_hsm() -> bool {
    if has_soft_hsm() {
        return true;
    }
    add("SoftHSM", "softhsm2");
    has_soft_hsm()
}

/// PostgreSQL and Redis from the system's packages, where that is possible without asking anybody. Says whether both are
/// there. The services that the packages bring are not used: each test starts a server of its own.
pub(crate) fn databases() -> bool {
    if !Postgres::is_installed() {
        add("PostgreSQL", "postgresql");
    }
    if !Redis::is_installed() {
        add("Redis", "redis-server");
    }
    Postgres::is_installed() && Redis::is_installed()
}

/// An imitation of AWS by others, for one test, under the target folder.
pub(crate) fn moto() -> Result<Moto, Failure> {
    if !works("python3", &["-m", "ensurepip", "--version"]) {
        add("Python's venv", "python3-venv");
    }
    Moto::install(|line| say(&format!("  {line}"))).map_err(|error| Failure::new(error.to_string()))
}

/// Installs a package of the system, where that is possible without asking anybody; says what goes wrong.
fn add(what: &str, package: &str) {
    let Some(prefix) = rights().filter(|_| works("apt-get", &["--version"])) else {
        say(&format!("{what} is not installed; `apt-get install {package}`, or your system's equivalent, adds it"));
        return;
    };
    say(&format!("{what} is missing; installing the package {package}"));
    let apt = |arguments: &[&str]| {
        let mut words = prefix.iter().chain(&["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]).chain(arguments);
        let mut command = Command::new(words.next().unwrap_or(&"env"));
        run(command.args(words).stdout(std::process::Stdio::null()))
    };
    let installed = apt(&["update", "-qq"]).and_then(|()| apt(&["install", "-y", "-qq", package]));
    if let Err(failure) = installed {
        say(&format!("{failure}"));
    }
}

/// Whether SoftHSM is installed.
pub(crate) fn has_soft_hsm() -> bool {
    works("softhsm2-util", &["--version"])
}

/// How to run a program as root without asking anybody, where that is possible.
fn rights() -> Option<&'static [&'static str]> {
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.starts_with(b"0\n"));
    if is_root {
        return Some(&[]);
    }
    works("sudo", &["-n", "true"]).then_some(&["sudo", "-n"])
}
