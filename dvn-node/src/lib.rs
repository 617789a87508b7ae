//! dvn-node
