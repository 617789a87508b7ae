//! Times for people and programs.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::Serializer;

/// A time as RFC 3339 in UTC, to the second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp(pub(crate) SystemTime);

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&humantime::format_rfc3339_seconds(within(self.0)), f)
    }
}

/// As [`Stamp`], to the microsecond, as the store keeps times.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MicroStamp(pub(crate) SystemTime);

impl fmt::Display for MicroStamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&humantime::format_rfc3339_micros(within(self.0)), f)
    }
}

/// The formatter fails outside these bounds, where no time of a node can be.
fn within(time: SystemTime) -> SystemTime {
    let last = UNIX_EPOCH.checked_add(Duration::from_secs(253_402_300_799)).unwrap_or(UNIX_EPOCH);
    time.clamp(UNIX_EPOCH, last)
}

/// Whole microseconds since 1970, as the store keeps times.
pub(crate) fn micros(at: SystemTime) -> i128 {
    let whole = |distance: Duration| i128::try_from(distance.as_micros()).unwrap_or(i128::MAX);
    match at.duration_since(UNIX_EPOCH) {
        Ok(after) => whole(after),
        Err(before) => whole(before.duration()).saturating_neg(),
    }
}

/// The time that [`micros`] wrote.
pub(crate) fn from_micros(micros: i64) -> Option<SystemTime> {
    let distance = Duration::from_micros(micros.unsigned_abs());
    if micros < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) }
}

/// A field as [`Stamp`] writes it.
pub(crate) fn rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&Stamp(*time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_time_can_be_written() {
        let at = |seconds| Stamp(UNIX_EPOCH + Duration::from_secs(seconds)).to_string();
        assert_eq!(at(1_700_000_000), "2023-11-14T22:13:20Z");
        assert_eq!(at(1 << 40), "9999-12-31T23:59:59Z");
        assert_eq!(Stamp(UNIX_EPOCH - Duration::from_secs(1)).to_string(), "1970-01-01T00:00:00Z");
    }
}
