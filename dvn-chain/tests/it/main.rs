//! The adapters against scripted nodes: what one seat's lie, silence or refusal does, and what it does not.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "helpers of tests stop the test where something is wrong"
)]

mod auditor;
mod counted;
mod devnet;
mod domains;
mod fakes;
mod finality;
mod forged;
mod history;
mod history_devnet;
mod hostile;
mod impostors;
mod lanes;
mod limits;
mod node;
mod omission;
mod preflight;
mod proof;
mod proxied;
mod pushed;
mod recovery;
mod seat;
mod source;
mod submitter;
mod thrift;
mod tracks;
mod verifier;
mod withheld;
mod world;
