//! Runs a DVN: reads a configuration, composes the parts, tells how it goes, and obeys the command line.
//!
//! | module | its one job |
//! |---|---|
//! | [`config`] | raw text to checked settings, every problem at once |
//! | [`cli`] | the command line, its output and its exit codes |
//! | [`http`] | probes, metrics and the status page |
//! | [`peers`] | the other signers of the quorum, asked and answered |
//! | [`telemetry`] | log lines and metrics |
//! | [`run`] | a checked configuration to a running node |

mod audit_head;
mod build;
pub mod cli;
pub mod config;
pub mod http;
pub mod peers;
mod queue;
pub mod run;
pub mod signals;
mod storage;
pub mod telemetry;
mod time;
