//! Suites that any implementation of a port can be put through. Feature `test-util`.

pub mod store_suite;
