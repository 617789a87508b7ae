//! Clocks that are wrong.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use dvn_core::ports::{Clock, SystemClock};

/// The system's clock, and so many seconds later.
#[derive(Debug, Default)]
pub(crate) struct Later(pub(crate) AtomicU64);

impl Clock for Later {
    fn now(&self) -> SystemTime {
        SystemClock::new().now().checked_add(Duration::from_secs(self.0.load(Ordering::SeqCst))).unwrap()
    }
}

/// The system's clock, an hour ago.
#[derive(Debug)]
pub(crate) struct Slow;

impl Clock for Slow {
    fn now(&self) -> SystemTime {
        SystemClock::new().now().checked_sub(Duration::from_secs(3_600)).unwrap()
    }
}
