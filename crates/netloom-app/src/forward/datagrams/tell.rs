//! What a forwarder of datagrams tells: failures of its targets and datagrams
//! that were dropped, each not more often than once a second, and its figures.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use netloom_base::{Event, Failure, Moment};
use netloom_protocol::Measures;
use netloom_transport::Cx;

use super::super::reach::TELL_AGAIN;
use super::super::untold::{Untold, were};

/// Targets whose failures are remembered; names can lead to many.
const MOST_TARGETS: usize = 1024;

/// Why a client gets no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// There are as many as may be.
    Full,
    /// Its address has as many as it may have.
    Source,
}

/// What was told, and what there is to tell.
#[derive(Default)]
pub(super) struct Told {
    /// When each target's failure was told last.
    failed: Mutex<HashMap<String, Moment>>,
    /// Datagrams of clients that got no session, and when that was told.
    full: Untold,
    source: Untold,
    /// Datagrams that were dropped here.
    dropped: Untold,
    /// Datagrams that the kernel dropped at sockets to targets.
    overrun: Untold,
    sessions: AtomicU64,
    forth: AtomicU64,
    back: AtomicU64,
    failures: AtomicU64,
}

impl Told {
    /// A session was opened.
    pub(super) fn began(&self) {
        self.sessions.fetch_add(1, Ordering::Relaxed);
    }

    /// So many datagrams went to targets, and so many to clients.
    pub(super) fn carried(&self, forth: u64, back: u64) {
        for (count, more) in [(&self.forth, forth), (&self.back, back)] {
            if more > 0 {
                count.fetch_add(more, Ordering::Relaxed);
            }
        }
    }

    /// So many had to be dropped here.
    pub(super) fn dropped(&self, count: u64) {
        self.dropped.add(count);
    }

    /// The kernel dropped so many at a socket to a target.
    pub(super) fn overrun(&self, count: u64) {
        self.overrun.add(count);
    }

    /// A client's datagram found no session.
    pub(super) fn refused(&self, why: Refused) {
        match why {
            Refused::Full => self.full.add(1),
            Refused::Source => self.source.add(1),
        }
    }

    /// A target failed.
    pub(super) fn failed(&self, failure: Failure, cx: &Cx) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        let (now, at) = (cx.now(), failure.endpoint().unwrap_or_default());
        {
            let mut told = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            if told.get(at).is_some_and(|told| now - *told < TELL_AGAIN) {
                return;
            }
            if told.len() >= MOST_TARGETS {
                told.clear();
            }
            told.insert(at.to_owned(), now);
        }
        cx.events().tell(|| Event::Failed {
            service: cx.service().clone(),
            conn: None,
            failure,
        });
    }

    /// Tells what was lost and who was turned away, where it is time.
    pub(super) fn tell(&self, cx: &Cx) {
        for (untold, limit) in [
            (&self.full, "max-sessions"),
            (&self.source, "max-sessions-per-source"),
        ] {
            if let Some(count) = untold.due(cx) {
                cx.events().tell(|| Event::Refused {
                    service: cx.service().clone(),
                    count,
                    limit,
                });
            }
        }
        if let Some(count) = self.dropped.due(cx) {
            let words = format!(
                "{} dropped, because a target was not reached or a receiver did not keep up",
                were(count)
            );
            cx.remark(cx.service(), words);
        }
        if let Some(count) = self.overrun.due(cx) {
            let words = format!(
                "recv.dropped: {} dropped by the kernel, because a target's answers came faster than they were read: rcvbuf= behind the target makes room for more",
                were(count)
            );
            cx.remark(cx.service(), words);
        }
    }

    pub(super) fn measure(&self, to: &mut dyn Measures) {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let help = "sessions of datagrams that were opened";
        let sessions = count(&self.sessions);
        to.counter("netloom_forward_sessions_total", help, &[], sessions);
        for (direction, all) in [("forth", &self.forth), ("back", &self.back)] {
            let (help, labels) = ("datagrams carried", [("direction", direction)]);
            to.counter("netloom_forward_datagrams_total", help, &labels, count(all));
        }
        for (why, untold) in [
            ("full", &self.full),
            ("source", &self.source),
            ("unreached", &self.dropped),
            ("overrun", &self.overrun),
        ] {
            let (help, labels) = ("datagrams that were not carried", [("why", why)]);
            let all = untold.all();
            to.counter("netloom_forward_datagrams_lost_total", help, &labels, all);
        }
        let help = "sessions of datagrams that a target's failure ended";
        let failures = count(&self.failures);
        to.counter(
            "netloom_forward_session_failures_total",
            help,
            &[],
            failures,
        );
    }
}
