//! The load bench as a program; `cargo xtask bench load` builds it and the node, and runs it.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;
use dvn_benches::load::{self, Options};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench load", about = load::ABOUT, disable_version_flag = true)]
struct Arguments {
    #[command(flatten)]
    options: Options,
}

fn main() -> ExitCode {
    let Arguments { options } = Arguments::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let say = |line: &str| drop(writeln!(io::stderr().lock(), "{line}"));
    let report = match runtime.block_on(load::run(&options, &say)) {
        Ok(report) => report,
        Err(error) => return fail(&error),
    };
    let text = if options.json { report.json() } else { report.table() };
    if writeln!(io::stdout().lock(), "{text}").is_err() {
        return ExitCode::FAILURE;
    }
    match report.verdict() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// Says what is wrong, with its causes, in one line.
fn fail(error: &dyn std::error::Error) -> ExitCode {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    let _ = writeln!(io::stderr().lock(), "error: {text}");
    ExitCode::FAILURE
}
