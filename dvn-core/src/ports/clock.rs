use std::{fmt, time::SystemTime};

/// This machine's clock. Chains have their own, see [`ChainTime`](crate::ids::ChainTime).
pub trait Clock: fmt::Debug + Send + Sync {
    /// Now.
    fn now(&self) -> SystemTime;
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct SystemClock;

impl SystemClock {
    /// The operating system's clock.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the adapter that everybody else goes through")]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}
