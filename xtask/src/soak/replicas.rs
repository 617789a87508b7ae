//! What `test` does with 200 packets, with as many as one likes.

use crate::{
    Failure,
    command::{self, cargo, say},
    setup,
};

pub(super) fn play(packets: usize) -> Result<(), Failure> {
    say("preparing the local nodes and contracts");
    setup::toolchain()?;
    if !setup::databases() {
        return Err(Failure::new("replicas need PostgreSQL and Redis"));
    }
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
        "replicas::",
        "--nocapture",
    ]);
    command::run(test.env("DVN_REPLICA_PACKETS", packets.to_string()).env("DVN_TEST_REQUIRE", "1"))
}
