//! Suites that any implementation of a port can be put through. Feature `test-util`.

pub mod queue_suite;
pub mod store_suite;
