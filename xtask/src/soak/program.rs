//! Tests of the program that `test` plays for a short time, for as long as one likes.

use crate::{
    Failure,
    command::{self, cargo, say},
    setup,
};

pub(super) fn replicas(packets: usize) -> Result<(), Failure> {
    if !setup::databases() {
        return Err(Failure::new("replicas need PostgreSQL and Redis"));
    }
    play("replicas::", "DVN_REPLICA_PACKETS", &packets.to_string())
}

pub(super) fn steady(minutes: u64) -> Result<(), Failure> {
    play("steady::", "DVN_STEADY_SECONDS", &minutes.saturating_mul(60).to_string())
}

fn play(tests: &str, variable: &str, value: &str) -> Result<(), Failure> {
    say("preparing the local nodes and contracts");
    setup::toolchain()?;
    let mut test = cargo();
    test.args([
        "test",
        "--locked",
        "--package",
        "dvn-node",
        "--all-features",
        "--test",
        "it",
        "--",
        tests,
        "--nocapture",
    ]);
    command::run(test.env(variable, value).env("DVN_TEST_REQUIRE", "1"))
}
