//! How long, how often and how fast a service is asked.

use std::time::Duration;

use dvn_core::backoff::Backoff;

/// The numbers of one service.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// For a whole call, with all its attempts and pauses.
    pub(crate) deadline: Duration,
    /// For one attempt.
    pub(crate) attempt: Duration,
    /// Attempts of one call.
    pub(crate) attempts: u32,
    /// Between the attempts of one call.
    pub(crate) pauses: Backoff,
    /// Attempts per second on the average, below the service's quota.
    pub(crate) per_second: u32,
    /// Attempts that may come at once after a quiet time.
    pub(crate) at_once: u32,
    /// Outages in a row that open the breaker.
    pub(crate) failures: u32,
    /// How long the breaker stays open; longer each time that the probe fails.
    pub(crate) open: Backoff,
}

impl Limits {
    /// For a service over HTTPS in the same region, which answers within some ten milliseconds: three attempts of a
    /// second fit into the deadline, and a breaker that opens for a second costs little where the failure was short.
    pub(crate) const fn cloud(per_second: u32) -> Self {
        Self {
            deadline: Duration::from_secs(4),
            attempt: Duration::from_secs(1),
            attempts: 3,
            pauses: Backoff::new(Duration::from_millis(100), Duration::from_millis(500)),
            per_second,
            at_once: 20,
            failures: 5,
            open: Backoff::new(Duration::from_secs(1), Duration::from_secs(30)),
        }
    }
}
