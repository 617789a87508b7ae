//! Servers of others: they come up, keep what they should through troubles, and leave nothing behind.

mod cut;
mod postgres;
mod redis;
