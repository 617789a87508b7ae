//! The other signers of the quorum: this node asks them, and they ask this node, over mutual TLS.
//!
//! | request | answer |
//! |---|---|
//! | `POST /v1/cosign` | 200 with one signature, or a refusal with its kind and reason |
//! | `GET /v1/health?rows=N` | 200 with the addresses of the attesting keys, the journal's name and head, and row N's hash |
//!
//! A peer is who its certificate names: one of the authority in `tls.ca`, for the peer's `name`. Nothing else opens a
//! connection. What is asked names a packet and two numbers; the answer is this node's own look at the packet, never the
//! peer's word.
//!
//! One key has one journal. What a peer shows of its own, with each proposal and at each look, has to be the journal that it
//! showed before; else nothing of that peer counts until this node is started again.

mod client;
mod identity;
mod limit;
mod listener;
mod memory;
mod server;
mod told;
mod wire;

pub use self::{
    client::{Peer, PeerError},
    identity::{Identity, IdentityError},
    server::{Addresses, ListenError, Member, Server},
};
