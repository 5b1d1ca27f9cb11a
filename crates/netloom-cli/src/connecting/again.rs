//! When to dial again, and for how long to wait before.

use std::time::Duration;

use netloom_transport::Cx;

/// How often when nobody says.
pub(crate) const MOST: u32 = 10;

/// The first wait, and the longest.
const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(30);

/// A connection that lasted so long was a good one.
pub(super) const GOOD: Duration = Duration::from_secs(5);

/// Attempts in a row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Again {
    most: u32,
    tried: u32,
}

impl Again {
    /// At most so many in a row that come to nothing.
    pub(crate) fn at_most(most: u32) -> Self {
        Again { most, tried: 0 }
    }

    /// The last one came to something.
    pub(super) fn reset(&mut self) {
        self.tried = 0;
    }

    /// How long to wait before the next, and which one it is; `None` when there
    /// were enough. The wait doubles each time, and of each an arbitrary part
    /// of its half is left out, so that many clients of one server do not come
    /// back at the same moment.
    pub(super) fn next(&mut self, cx: &Cx) -> Option<(Duration, String)> {
        if self.tried == self.most {
            return None;
        }
        let whole = FIRST * 2_u32.saturating_pow(self.tried.min(16));
        let whole = whole.min(LONGEST);
        let half = whole.as_millis() as u64 / 2;
        let wait = Duration::from_millis(half + cx.random_below(half + 1));
        self.tried += 1;
        Some((wait, format!("{} of {}", self.tried, self.most)))
    }
}

#[cfg(test)]
mod tests {
    use netloom_host::os_net;

    use super::*;

    #[tokio::test]
    async fn waits_double_and_end() {
        let cx = Cx::os(os_net());
        let mut again = Again::at_most(12);
        let mut whole = FIRST;
        for attempt in 1..=12 {
            let (wait, which) = again.next(&cx).unwrap();
            assert!(wait >= whole / 2 && wait <= whole, "{attempt}: {wait:?}");
            assert_eq!(which, format!("{attempt} of 12"));
            whole = (whole * 2).min(LONGEST);
        }
        assert!(again.next(&cx).is_none());
        again.reset();
        assert!(again.next(&cx).unwrap().0 <= FIRST);
    }
}
