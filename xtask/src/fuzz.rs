//! What `test` does briefly, for as long as one likes: the packet codec over random bytes, and the properties over random
//! schedules of faults.

use crate::{
    Failure,
    command::{self, cargo, say},
    setup,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Byte strings that are nearly packets.
    #[arg(long, default_value_t = 1_000_000)]
    inputs: u64,
    /// Schedules of faults for each property on real chains; one takes about three seconds. Five times as many are played by a
    /// member alone on its files.
    #[arg(long, default_value_t = 200)]
    schedules: u32,
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    say("preparing the local nodes and contracts");
    setup::toolchain()?;
    let mut codec = cargo();
    codec.args(["test", "--locked", "--package", "dvn-core", "--lib", "--", "t47_"]);
    command::run(codec.env("DVN_FUZZ_INPUTS", options.inputs.to_string()))?;
    let mut slots = cargo();
    slots.args(["test", "--locked", "--package", "dvn-core", "--test", "it", "--", "slots::"]);
    command::run(slots.env("DVN_P1_SCHEDULES", options.schedules.saturating_mul(5).to_string()))?;
    let mut properties = cargo();
    properties.args(["test", "--locked", "--package", "dvn-node", "--test", "it", "--", "properties::", "--nocapture"]);
    properties.env("DVN_PROPERTY_CASES", options.schedules.to_string());
    command::run(properties.env("DVN_TEST_REQUIRE", "1"))
}
