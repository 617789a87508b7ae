//! Decides what a LayerZero V2 DVN attests.

pub mod attestation;
pub mod destination;
pub mod error;
pub mod hashchain;
pub mod ids;
pub mod job;
pub mod packet;
pub mod policy;
pub mod ports;
pub mod quorum;
pub mod signature;
