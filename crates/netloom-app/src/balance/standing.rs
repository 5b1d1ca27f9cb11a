//! What is known of a target: how much it has to do, how soon it answers, and
//! whether it is up.

use std::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst,
};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use netloom_base::{Code, Moment};

use super::choice::number_of;
use super::rules::Rules;

/// In so long a time that was measured loses two thirds of its say, as in
/// Finagle and linkerd.
const MEMORY: f64 = 10.0;

/// The least share of its weight that a target has while it grows.
const LEAST_SHARE: f64 = 0.01;

/// Checks found that it is down.
const DOWN: u8 = 1;
/// Dials failed, and it is left out for a while.
const EJECTED: u8 = 2;

/// A target's state. It outlives the list, which may be made anew.
pub(super) struct Standing {
    /// Its endpoint, as people read it.
    pub(super) name: String,
    /// A number that stays the same for as long as its address does.
    pub(super) key: u64,
    pub(super) picked: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) ejections: AtomicU64,
    /// Connections that are open to it, or being opened. Ordered with those who
    /// wait for one to end.
    open: AtomicUsize,
    away: AtomicU8,
    /// Failed dials since the last that was answered.
    failures: AtomicU32,
    /// How often it was left out since the last dial that was answered.
    doublings: AtomicU32,
    /// Until when it is left out, in nanoseconds.
    until: AtomicU64,
    /// Since when it is back, in nanoseconds; 0 when its share is whole.
    back: AtomicU64,
    time: Time,
    checks: Mutex<Checks>,
    /// It stands in the list.
    pub(super) listed: AtomicBool,
}

/// How soon it answers: a mean that follows a rise at once and a fall slowly.
#[derive(Default)]
struct Time {
    /// Seconds, as bits.
    mean: AtomicU64,
    /// When it was last told, in nanoseconds.
    at: AtomicU64,
}

#[derive(Default)]
struct Checks {
    began: bool,
    good: u32,
    bad: u32,
}

/// What became of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// So many checks in a row failed.
    Down(Code, u32),
    /// So many checks in a row were good.
    Up(u32),
    /// So many dials in a row failed; it is left out for so long.
    Ejected(Code, u32, Duration),
    /// It may be dialled again.
    Back,
}

impl Standing {
    pub(super) fn new(name: String) -> Self {
        Standing {
            key: number_of(name.as_bytes()),
            name,
            picked: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            ejections: AtomicU64::new(0),
            open: AtomicUsize::new(0),
            away: AtomicU8::new(0),
            failures: AtomicU32::new(0),
            doublings: AtomicU32::new(0),
            until: AtomicU64::new(0),
            back: AtomicU64::new(0),
            time: Time::default(),
            checks: Mutex::default(),
            listed: AtomicBool::new(true),
        }
    }

    pub(super) fn open(&self) -> usize {
        self.open.load(SeqCst)
    }

    /// Counts one connection more, unless there are `most`.
    pub(super) fn opens(&self, most: Option<u32>) -> bool {
        let Some(most) = most else {
            self.open.fetch_add(1, SeqCst);
            return true;
        };
        let one_more = |open| (open < most as usize).then_some(open + 1);
        self.open.fetch_update(SeqCst, SeqCst, one_more).is_ok()
    }

    pub(super) fn closes(&self) {
        self.open.fetch_sub(1, SeqCst);
    }

    pub(super) fn is_up(&self) -> bool {
        self.away.load(Relaxed) == 0
    }

    /// Left out by dials that failed, while no check found it down.
    pub(super) fn is_only_ejected(&self) -> bool {
        self.away.load(Relaxed) == EJECTED
    }

    pub(super) fn is_ejected(&self) -> bool {
        self.away.load(Relaxed) & EJECTED != 0
    }

    /// Until when it is left out.
    pub(super) fn until(&self) -> Moment {
        Moment::after_start(Duration::from_nanos(self.until.load(Relaxed)))
    }

    /// Its share now, in thousandths of what `weight` 1 is.
    pub(super) fn weight(
        &self,
        weight: u32,
        slow_start: Duration,
        now: impl Fn() -> Moment,
    ) -> u64 {
        let whole = u64::from(weight) * 1000;
        let back = self.back.load(Relaxed);
        if slow_start.is_zero() || back == 0 {
            return whole;
        }
        let since = now() - Moment::after_start(Duration::from_nanos(back));
        let share = since.as_secs_f64() / slow_start.as_secs_f64();
        if share >= 1.0 {
            self.back.store(0, Relaxed);
            return whole;
        }
        ((whole as f64 * share.max(LEAST_SHARE)) as u64).max(1)
    }

    /// Its share grows from now on.
    pub(super) fn begins_slowly(&self, now: Moment) {
        self.back.store(nanos(now).max(1), Relaxed);
    }

    /// How soon it answers, in seconds: less as time goes by without a word of
    /// it, so that one that was slow once is tried again.
    pub(super) fn time(&self, now: Moment) -> f64 {
        let mean = f64::from_bits(self.time.mean.load(Relaxed));
        let since = now - Moment::after_start(Duration::from_nanos(self.time.at.load(Relaxed)));
        mean * (-since.as_secs_f64() / MEMORY).exp()
    }

    /// The mean as it was last told.
    pub(super) fn last_time(&self) -> f64 {
        f64::from_bits(self.time.mean.load(Relaxed))
    }

    fn took(&self, took: Duration, at: Option<Moment>) {
        let (mean, took) = (self.last_time(), took.as_secs_f64());
        let kept = match at {
            Some(at) => {
                let last = self.time.at.swap(nanos(at), Relaxed);
                let since = at - Moment::after_start(Duration::from_nanos(last));
                (-since.as_secs_f64() / MEMORY).exp()
            }
            None => 0.875,
        };
        let mean = if took > mean || mean == 0.0 {
            took
        } else {
            mean * kept + took * (1.0 - kept)
        };
        self.time.mean.store(mean.to_bits(), Relaxed);
    }

    /// A dial was answered; `at` is when, where somebody looked at the clock.
    pub(super) fn answered(&self, took: Duration, at: Option<Moment>) -> Option<Turn> {
        self.took(took, at);
        if self.failures.load(Relaxed) != 0 {
            self.failures.store(0, Relaxed);
        }
        if self.doublings.load(Relaxed) != 0 && self.is_up() {
            self.doublings.store(0, Relaxed);
        }
        self.is_ejected().then(|| self.readmit()).flatten()
    }

    /// A dial failed: whether it is now to be left out.
    pub(super) fn failed(&self, rules: &Rules) -> Option<u32> {
        self.failed.fetch_add(1, Relaxed);
        let failures = self.failures.fetch_add(1, Relaxed).saturating_add(1);
        let enough = rules.eject_after > 0 && failures >= rules.eject_after;
        enough.then_some(failures)
    }

    /// Leaves it out: twice as long as the last time. `lot` is from 0 to 1.
    pub(super) fn eject(&self, code: Code, rules: &Rules, now: Moment, lot: f64) -> Option<Turn> {
        let _one_at_a_time = self.checks();
        if self.is_ejected() && now < self.until() {
            return None; // it was tried because nothing else was left
        }
        let doublings = self.doublings.fetch_add(1, Relaxed).min(20);
        let whole = rules.eject_for.saturating_mul(1 << doublings);
        let whole = whole.min(rules.eject_most.max(rules.eject_for));
        let time = whole.mul_f64(0.9 + 0.2 * lot);
        self.until.store(nanos(now + time), Relaxed);
        self.ejections.fetch_add(1, Relaxed);
        let was = self.away.fetch_or(EJECTED, Relaxed);
        let failures = self.failures.load(Relaxed);
        (was & EJECTED == 0).then_some(Turn::Ejected(code, failures, time))
    }

    fn readmit(&self) -> Option<Turn> {
        let was = self.away.fetch_and(!EJECTED, Relaxed);
        (was == EJECTED).then_some(Turn::Back)
    }

    /// A check, or the look before it may be dialled again, was good.
    pub(super) fn passed(&self, rules: &Rules, now: Moment) -> Option<Turn> {
        let mut checks = self.checks();
        checks.began = true;
        checks.bad = 0;
        checks.good = checks.good.saturating_add(1);
        let mut turn = None;
        if self.away.load(Relaxed) & DOWN != 0 {
            if checks.good >= rules.rise {
                // Dials that failed meanwhile failed for the same reason, and
                // one that ends only now says nothing new.
                self.away.store(0, Relaxed);
                self.failures.store(0, Relaxed);
                turn = Some(Turn::Up(checks.good));
            }
        } else if self.is_ejected() && now >= self.until() {
            turn = self.readmit();
        }
        if turn.is_some() {
            self.begins_slowly(now);
        }
        turn
    }

    /// A check failed. The first one of all decides alone.
    pub(super) fn missed(&self, code: Code, rules: &Rules) -> Option<Turn> {
        let mut checks = self.checks();
        let first = !std::mem::replace(&mut checks.began, true);
        checks.good = 0;
        checks.bad = checks.bad.saturating_add(1);
        if !first && checks.bad < rules.fall {
            return None;
        }
        let was = self.away.fetch_or(DOWN, Relaxed);
        (was & DOWN == 0).then_some(Turn::Down(code, checks.bad))
    }

    fn checks(&self) -> MutexGuard<'_, Checks> {
        self.checks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn nanos(moment: Moment) -> u64 {
    u64::try_from(moment.since_start().as_nanos()).unwrap_or(u64::MAX)
}
