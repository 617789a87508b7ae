//! What the stand-ins for key services share: what goes wrong with an answer, signing well or badly, and a server that can
//! be taken away.

mod fault;
mod server;
mod signing;

pub use self::fault::Fault;
pub(crate) use self::{
    fault::{Rule, Rules},
    server::Server,
    signing::{key_of, sign},
};
