//! Installs what tests and demo need and this machine lacks.

use std::process::Command;

use dvn_testkit::toolchain::Toolchain;

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
    let Some(prefix) = rights().filter(|_| works("apt-get", &["--version"])) else {
        say("SoftHSM is not installed; `apt-get install softhsm2`, or your system's equivalent, adds it");
        return false;
    };
    say("SoftHSM is missing; installing the package softhsm2");
    let apt = |arguments: &[&str]| {
        let mut words = prefix.iter().chain(&["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]).chain(arguments);
        let mut command = Command::new(words.next().unwrap_or(&"env"));
        run(command.args(words).stdout(std::process::Stdio::null()))
    };
    let installed = apt(&["update", "-qq"]).and_then(|()| apt(&["install", "-y", "-qq", "softhsm2"]));
    if let Err(failure) = installed {
        say(&format!("{failure}"));
    }
    has_soft_hsm()
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
