//! What people and CI run: `cargo xtask demo | kelp | test | soak | bench | fuzz | lint`.

mod bench;
mod cast;
mod command;
mod demo;
mod fuzz;
mod kelp;
mod lint;
mod listening;
mod setup;
mod soak;
mod stage;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Tasks of this repository", disable_version_flag = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Attest packets on local chains with the real contracts, before your eyes.
    Demo(demo::Options),
    /// Replay the attack of 18 April 2026 against this node and against verifiers of other kinds.
    Kelp(kelp::Options),
    /// Install what is missing, start what is needed, run every test, stop it again.
    Test(test::Options),
    /// Send packets for a long time while the node is killed again and again.
    Soak(soak::Options),
    /// Measure what `cargo bench` cannot: a node under load.
    Bench(bench::Options),
    /// Try the codec and the properties on many more random inputs than `test` does.
    Fuzz(fuzz::Options),
    /// Formatting, clippy, documentation, licences, bans and sources.
    Lint,
}

/// Why a task failed, for people.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Failure(String);

impl Failure {
    fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Demo(options) => demo::run(&options),
        Task::Kelp(options) => kelp::run(&options),
        Task::Test(options) => test::run(&options),
        Task::Soak(options) => soak::run(&options),
        Task::Bench(options) => bench::run(&options),
        Task::Fuzz(options) => fuzz::run(&options),
        Task::Lint => lint::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            command::say(&format!("error: {failure}"));
            ExitCode::FAILURE
        }
    }
}
