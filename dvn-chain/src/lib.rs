//! dvn-chain
