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
    if works("softhsm2-util", &["--version"]) {
        return true;
    }
    if !(is_root() && works("apt-get", &["--version"])) {
        say("SoftHSM is not installed; `apt-get install softhsm2`, or your system's equivalent, adds it");
        return false;
    }
    say("SoftHSM is missing; installing the package softhsm2");
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdout(std::process::Stdio::null());
        run(&mut command)
    };
    let installed = apt(&["update", "-qq"]).and_then(|()| apt(&["install", "-y", "-qq", "softhsm2"]));
    if let Err(failure) = installed {
        say(&format!("{failure}"));
    }
    works("softhsm2-util", &["--version"])
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.starts_with(b"0\n"))
}
