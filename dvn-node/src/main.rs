//! dvn-node
fn main() {}
