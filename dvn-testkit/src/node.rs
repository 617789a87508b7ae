//! A `dvn-node` process on a [`Devnet`](crate::devnet::Devnet): its configuration file, its keys, its log.

mod config;
mod database;
mod process;

pub use config::{NodeConfig, NodeKeys, NodePeer, NodeQuorum, NodeSeat, NodeSeats};
pub use database::{NodeDatabase, NodeRedis};
pub use process::{NodeError, NodeEvent, NodeProcess, fetch, free_port};
