//! Time as data. Floors above read clocks; here are only the values.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A point on a monotonic clock: nanoseconds since that clock began.
///
/// Real and simulated clocks give the same type; two moments of different
/// clocks mean nothing together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(u64);

impl Moment {
    /// The moment `since_start` after the clock began. Saturates after 584 years.
    pub fn after_start(since_start: Duration) -> Self {
        Moment(u64::try_from(since_start.as_nanos()).unwrap_or(u64::MAX))
    }

    /// How long after the clock began.
    pub fn since_start(self) -> Duration {
        Duration::from_nanos(self.0)
    }

    /// How long after `earlier`; zero when it was not earlier.
    pub fn since(self, earlier: Moment) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Moment {
    type Output = Moment;

    fn add(self, by: Duration) -> Moment {
        Moment(
            self.0
                .saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)),
        )
    }
}

impl Sub<Moment> for Moment {
    type Output = Duration;

    fn sub(self, earlier: Moment) -> Duration {
        self.since(earlier)
    }
}

/// A point in calendar time: microseconds since 1970-01-01T00:00:00Z.
///
/// `Display` writes RFC 3339 with microseconds: `2026-11-20T09:30:00.000123Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The instant `since_epoch` after 1970 began.
    pub fn since_epoch(since_epoch: Duration) -> Self {
        Timestamp(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
    }

    /// Whole seconds since 1970 began.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Year, month (1-12), day (1-31) in UTC.
    ///
    /// Days are counted in eras of 400 years from 1 March 0000, where every
    /// month but the last has a fixed pattern of lengths (Howard Hinnant,
    /// "chrono-compatible low-level date algorithms").
    pub fn date(self) -> (i64, u32, u32) {
        let days = self.seconds().div_euclid(86_400) + 719_468;
        let era = days.div_euclid(146_097);
        let of_era = days.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * of_year + 2) / 153;
        let day = of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 {
            shifted + 3
        } else {
            shifted - 9
        };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        (year, month as u32, day as u32)
    }

    /// Hour, minute, second in UTC.
    pub fn time(self) -> (u32, u32, u32) {
        let s = self.seconds().rem_euclid(86_400) as u32;
        (s / 3600, s / 60 % 60, s % 60)
    }

    /// The day of the week, 0 for Sunday.
    pub fn weekday(self) -> u32 {
        (self.seconds().div_euclid(86_400) + 4).rem_euclid(7) as u32
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.date();
        let (hour, minute, second) = self.time();
        let micros = self.0.rem_euclid(1_000_000);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_rfc_3339() {
        assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00.000000Z");
        assert_eq!(
            Timestamp(1_582_934_399_000_001).to_string(),
            "2020-02-28T23:59:59.000001Z"
        );
        assert_eq!(
            Timestamp(1_582_934_400_000_000).to_string(),
            "2020-02-29T00:00:00.000000Z"
        );
        assert_eq!(
            Timestamp(4_107_542_400_000_000).to_string(),
            "2100-03-01T00:00:00.000000Z"
        );
        assert_eq!(Timestamp(-1).to_string(), "1969-12-31T23:59:59.999999Z");
        assert_eq!(Timestamp(1_795_132_800_000_000).weekday(), 5); // 2026-11-20 is a Friday
    }

    #[test]
    fn moments_never_go_back() {
        let early = Moment::after_start(Duration::from_secs(1));
        let late = early + Duration::from_secs(2);
        assert_eq!(late - early, Duration::from_secs(2));
        assert_eq!(early - late, Duration::ZERO);
        assert_eq!(Moment(u64::MAX) + Duration::from_secs(1), Moment(u64::MAX));
    }
}
