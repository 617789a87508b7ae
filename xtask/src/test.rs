//! Every test, with everything that it needs.

use crate::{
    Failure,
    command::{self, cargo, say},
    setup,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Passed on to `cargo test`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    say("preparing the local nodes and contracts");
    setup::toolchain()?;
    if !setup::soft_hsm() {
        return Err(Failure::new("the tests need SoftHSM"));
    }
    if !setup::databases() {
        return Err(Failure::new("the tests need PostgreSQL and Redis"));
    }
    say("preparing moto");
    setup::moto()?;
    // Nothing is skipped from here on: a test that misses something fails.
    run_tests(options)
}

fn run_tests(options: &Options) -> Result<(), Failure> {
    let mut tests = cargo();
    tests.args(["test", "--workspace", "--all-features", "--locked"]).args(&options.arguments);
    command::run(tests.env("DVN_TEST_REQUIRE", "1"))
}
