//! Times on the command line: a moment, or how long ago it was.

use std::time::{Duration, SystemTime};

/// A moment as it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum When {
    /// At this time.
    At(SystemTime),
    /// So long before now.
    Ago(Duration),
}

impl When {
    pub(super) fn resolve(self, now: SystemTime) -> SystemTime {
        match self {
            Self::At(time) => time,
            Self::Ago(distance) => {
                now.checked_sub(distance).map_or(SystemTime::UNIX_EPOCH, |it| it.max(SystemTime::UNIX_EPOCH))
            }
        }
    }
}

/// RFC 3339 in UTC, a date, or a duration back.
pub(super) fn parse(text: &str) -> Result<When, String> {
    if let Ok(distance) = humantime::parse_duration(text) {
        return Ok(When::Ago(distance));
    }
    let midnight = format!("{text}T00:00:00Z");
    humantime::parse_rfc3339(text).or_else(|_| humantime::parse_rfc3339(&midnight)).map(When::At).map_err(|_| {
        format!(
            "`{text}` is no time: write 2026-11-28T09:30:00Z, 2026-11-28, or how long ago it was, such as 24h or 30d"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_distances_are_told_apart() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(parse("2023-11-14T22:13:20Z"), Ok(When::At(at(1_700_000_000))));
        assert_eq!(parse("2023-11-14"), Ok(When::At(at(1_699_920_000))));
        assert_eq!(parse("24h"), Ok(When::Ago(Duration::from_secs(86_400))));
        assert_eq!(parse("24h").unwrap().resolve(at(1_700_086_400)), at(1_700_000_000));
        assert_eq!(When::Ago(Duration::from_secs(9)).resolve(at(1)), at(0));
        for wrong in ["", "yesterday", "12", "2023-13-01", "2023-11-14T22:13:20"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
