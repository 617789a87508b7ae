//! Benchmarks that print figures: `cargo bench -p dvn-benches`. What they share is here.
