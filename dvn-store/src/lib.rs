//! dvn-store
