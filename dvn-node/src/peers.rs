//! The other signers of the quorum: this node asks them, and they ask this node, over mutual TLS.
//!
//! | request | answer |
//! |---|---|
//! | `POST /v1/cosign` | 200 with one signature, or a refusal with its kind and reason |
//! | `GET /v1/health` | 200 with the addresses of the attesting keys |
//!
//! A peer is who its certificate names: one of the authority in `tls.ca`, for the peer's `name`. Nothing else opens a
//! connection. What is asked names a packet and two numbers; the answer is this node's own look at the packet, never the
//! peer's word.

mod client;
mod identity;
mod limit;
mod listener;
mod server;
mod wire;

pub use self::{
    client::{Peer, PeerError},
    identity::{Identity, IdentityError},
    server::{Addresses, ListenError, Server},
};
