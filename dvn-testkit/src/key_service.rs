//! What the stand-ins for key services share: what a test can do with them, what they know besides keys, what goes wrong
//! with an answer, signing well or badly, and a server that can be taken away.

mod controls;
mod fault;
mod ledger;
mod server;
mod signing;

pub use self::fault::Fault;
pub(crate) use self::{
    controls::controls,
    fault::{Rule, Rules},
    ledger::{Account, Ledger, Lent, Shared, now},
    server::Server,
    signing::{key_of, sign},
};
