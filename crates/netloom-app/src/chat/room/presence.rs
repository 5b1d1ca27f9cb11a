//! How often a room is told who came and went. In a room of a thousand, one
//! who comes would be told a thousand times, and a thousand who come a million
//! times.

use std::time::Duration;

use netloom_base::Moment;

/// In a room with more members, only who was dropped is told.
const INTIMATE: usize = 100;

/// So many may be told at once, and one more after each pause.
const AT_ONCE: u32 = 20;
const PAUSE: Duration = Duration::from_millis(200);

/// What a room was told of comings and goings.
#[derive(Debug, Default)]
pub(super) struct Presence {
    /// Told since there was last a pause.
    told: u32,
    at: Moment,
    unseen: u64,
}

impl Presence {
    /// Whether one more is told, and how many were not since the last.
    pub(super) fn may_tell(&mut self, members: usize, important: bool, now: Moment) -> Option<u64> {
        let pauses = (now - self.at).as_nanos() / PAUSE.as_nanos();
        if pauses > 0 {
            self.told = self
                .told
                .saturating_sub(u32::try_from(pauses).unwrap_or(u32::MAX));
            self.at = now;
        }
        if (members > INTIMATE && !important) || self.told >= AT_ONCE {
            self.unseen += 1;
            return None;
        }
        self.told += 1;
        Some(std::mem::take(&mut self.unseen))
    }
}
