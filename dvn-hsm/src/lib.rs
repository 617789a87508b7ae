//! dvn-hsm
