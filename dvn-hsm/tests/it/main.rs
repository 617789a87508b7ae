//! The signers against real devices, a key in memory and SoftHSM with and without faults in between, and against
//! stand-ins for key services.
//!
//! SoftHSM reads its configuration from the environment when it is initialised, so each of its cases runs in a process of
//! its own, which this binary starts from itself.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod aliyun;
mod aws;
mod certificates;
mod child;
mod clock;
mod contract;
mod errors;
mod faults;
mod gcp;
mod lies;
mod local;
mod redirector;
mod secrets;
mod service_stand;
mod service_suite;
mod stand;
mod token;
