//! Benchmarks that print figures: `cargo bench -p dvn-benches`, and the load bench behind `cargo xtask bench load`. What they
//! share is here.

pub mod load;
pub mod proc;
