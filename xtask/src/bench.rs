//! Benchmarks that need more than `cargo bench`.

use crate::{
    Failure,
    command::{self, cargo, say, target},
    setup,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Debug, clap::Subcommand)]
enum Bench {
    /// Packets through an optimised node on local chains: rate, latency, gas, RPC calls, CPU, memory. `bench load --help` lists
    /// its options.
    #[command(disable_help_flag = true)]
    Load {
        /// Passed on to the program.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let Bench::Load { arguments } = &options.bench;
    say("building dvn-node and the bench with optimisation; the first time takes minutes");
    let build = ["build", "--release", "--locked", "--quiet", "--package", "dvn-node", "--package", "dvn-benches"];
    command::run(cargo().args(build).args(["--bin", "dvn-node", "--bin", "dvn-load"]))?;
    setup::toolchain()?;
    let programs = target().join("release");
    let mut load = std::process::Command::new(programs.join("dvn-load"));
    load.arg("--node").arg(programs.join("dvn-node")).arg("--folder").arg(target().join("bench-load"));
    command::run(load.args(arguments))
}
