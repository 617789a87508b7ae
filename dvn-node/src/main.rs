//! The `dvn-node` program. Everything it does is in the library.

use std::{io, process::ExitCode};

use clap::Parser;
use dvn_node::{
    cli::{Args, execute},
    config::ProcessEnv,
};

#[tokio::main]
async fn main() -> ExitCode {
    execute(Args::parse(), &ProcessEnv, &mut io::stdout(), &mut io::stderr()).await.into()
}
