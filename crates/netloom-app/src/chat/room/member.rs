//! How fast a member may speak, and how long a name that was left is kept.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use netloom_base::Moment;

/// Lines of a second that may come at once.
const BURST: u64 = 4;

/// A token in parts, so that whole numbers do.
const TOKEN: u64 = 1_000_000_000;

/// A token bucket.
#[derive(Debug, Clone, Copy)]
pub(in crate::chat) struct Bucket {
    tokens: u64,
    at: Moment,
    refused: u32,
}

/// Whether a line may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::chat) enum Paced {
    Fine,
    TooFast {
        /// The first that is refused since one passed.
        first: bool,
        refused: u32,
    },
}

impl Bucket {
    pub(in crate::chat) fn full(rate: u64, at: Moment) -> Self {
        Bucket {
            tokens: rate.saturating_mul(BURST * TOKEN),
            at,
            refused: 0,
        }
    }

    /// Takes one token; a rate of 0 is no limit.
    pub(in crate::chat) fn take(&mut self, rate: u64, now: Moment) -> Paced {
        if rate == 0 {
            return Paced::Fine;
        }
        let passed = u64::try_from((now - self.at).as_nanos()).unwrap_or(u64::MAX);
        let most = rate.saturating_mul(BURST * TOKEN);
        self.tokens = self
            .tokens
            .saturating_add(passed.saturating_mul(rate))
            .min(most);
        self.at = now;
        if self.tokens >= TOKEN {
            self.tokens -= TOKEN;
            self.refused = 0;
            return Paced::Fine;
        }
        self.refused = self.refused.saturating_add(1);
        Paced::TooFast {
            first: self.refused == 1,
            refused: self.refused,
        }
    }
}

/// How long a name that was left is kept for whoever had it.
const REST: Duration = Duration::from_mins(1);

/// How many of them.
const MOST: usize = 1024;

/// Names that were left a short while ago: nobody else takes one at once and
/// goes on talking as if nothing had happened. Whoever comes from the same
/// address gets it back.
#[derive(Debug, Default)]
pub(super) struct Resting(VecDeque<Rest>);

#[derive(Debug)]
struct Rest {
    key: Box<str>,
    source: IpAddr,
    until: Moment,
}

impl Resting {
    pub(super) fn put(&mut self, key: Box<str>, source: Option<IpAddr>, now: Moment) {
        while self.0.len() >= MOST || self.0.front().is_some_and(|rest| rest.until <= now) {
            self.0.pop_front();
        }
        // Without an address everybody there is the same to us.
        if let Some(source) = source {
            self.0.push_back(Rest {
                key,
                source,
                until: now + REST,
            });
        }
    }

    pub(super) fn rests(&self, key: &str, source: Option<IpAddr>, now: Moment) -> bool {
        self.0
            .iter()
            .any(|rest| &*rest.key == key && rest.until > now && Some(rest.source) != source)
    }
}
