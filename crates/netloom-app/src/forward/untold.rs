//! What is counted at once and told now and then: datagrams that were lost here.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use netloom_base::Moment;
use netloom_transport::Cx;

use super::reach::TELL_AGAIN;

/// A count, what of it is still to be told, and when some was told last.
#[derive(Default)]
pub(super) struct Untold {
    all: AtomicU64,
    new: AtomicU64,
    at: Mutex<Option<Moment>>,
}

impl Untold {
    /// So many more.
    pub(super) fn add(&self, count: u64) {
        if count > 0 {
            self.all.fetch_add(count, Ordering::Relaxed);
            self.new.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// All there were.
    pub(super) fn all(&self) -> u64 {
        self.all.load(Ordering::Relaxed)
    }

    /// What is to be told now, if anything is.
    pub(super) fn due(&self, cx: &Cx) -> Option<u64> {
        if self.new.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let mut at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        let now = cx.now();
        if at.is_some_and(|at| now - at < TELL_AGAIN) {
            return None;
        }
        *at = Some(now);
        Some(self.new.swap(0, Ordering::Relaxed)).filter(|count| *count > 0)
    }
}

/// So many datagrams, and what became of them follows.
pub(super) fn were(count: u64) -> String {
    match count {
        1 => "1 datagram was".to_owned(),
        count => format!("{count} datagrams were"),
    }
}
