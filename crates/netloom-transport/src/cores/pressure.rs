//! When a core gives work away: the rule, and the meter it reads.

use std::time::{Duration, Instant};

/// A core above this part of its time is busy.
const BUSY: f64 = 0.75;
/// A core that does something, and is kept waiting for a processor for this part
/// of its time, is pressed too: its connections wait with it.
const ACTIVE: f64 = 0.1;
const WAITS: f64 = 0.02;
/// So many busy intervals in a row make it too busy.
const PATIENCE: u32 = 3;
/// Processor time the machine must have to spare before another core is woken.
const SPARE: f64 = 0.5;
/// Another core must be less busy by this much to be worth moving to, or half as
/// busy where there is less to do than that.
const GAP: f64 = 0.25;
/// Connections that may move in one interval, at most.
const MOST_MOVES: usize = 256;

/// What a core did in an interval, in parts of its time.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Doing {
    /// It ran.
    pub(super) busy: f64,
    /// It could have, and had no processor.
    pub(super) waits: f64,
}

impl Doing {
    fn is_too_much(self) -> bool {
        self.busy >= BUSY || (self.busy >= ACTIVE && self.waits >= WAITS)
    }
}

/// What a core does about being busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relief {
    /// Nothing.
    None,
    /// Start another core.
    Wake,
    /// Let so many connections move to the least busy core.
    Move(usize),
}

/// Who knows how much processor time the machine has to spare, in cores, since
/// it was last asked.
pub(super) trait Machine {
    fn spare(&mut self) -> f64;
}

/// The rule. Moves double while the gap stays, so that a few long connections
/// and hundreds of short ones are both spread within a second.
#[derive(Debug, Default)]
pub(super) struct Pressure {
    busy_for: u32,
    moving: usize,
}

impl Pressure {
    /// What the core did in the last interval, and how busy the least busy other
    /// core was, if one runs to which anything can move.
    pub(super) fn relieve(
        &mut self,
        doing: Doing,
        other: Option<f64>,
        may_wake: bool,
        machine: &mut impl Machine,
    ) -> Relief {
        if !doing.is_too_much() {
            *self = Pressure::default();
            return Relief::None;
        }
        self.busy_for += 1;
        if self.busy_for < PATIENCE {
            if self.busy_for == PATIENCE - 1 {
                machine.spare(); // the next answer is for one interval
            }
            return Relief::None;
        }
        let gap = GAP.min(doing.busy / 2.0);
        if other.is_some_and(|other| doing.busy - other > gap) {
            self.moving = (self.moving * 2).clamp(1, MOST_MOVES);
            return Relief::Move(self.moving);
        }
        self.moving = 0;
        if may_wake && machine.spare() >= SPARE {
            self.busy_for = 0;
            return Relief::Wake;
        }
        Relief::None
    }
}

/// Measures this thread and the machine.
pub(super) struct Meter {
    at: Instant,
    used: Duration,
    waited: Duration,
    quiet: bool,
    machine: Option<(Instant, f64)>,
}

#[expect(
    clippy::disallowed_methods,
    reason = "it measures real processors, never simulated ones"
)]
fn now() -> Instant {
    Instant::now()
}

impl Meter {
    pub(super) fn new() -> Self {
        Meter {
            at: now(),
            used: crate::sys::thread_cpu_time().unwrap_or_default(),
            waited: Duration::ZERO, // a core begins with its thread
            quiet: true,
            machine: None,
        }
    }

    /// How long to wait before the next measurement: a quiet core is not woken often.
    pub(super) fn interval(&self) -> Duration {
        if self.quiet {
            Duration::from_secs(1)
        } else {
            Duration::from_millis(100)
        }
    }

    /// What this thread did since the last call.
    pub(super) fn read(&mut self) -> Doing {
        let (at, used) = (now(), crate::sys::thread_cpu_time().unwrap_or_default());
        let waited = waited().unwrap_or_default();
        let passed = at.duration_since(self.at);
        let part = |now: Duration, before: Duration| match passed {
            Duration::ZERO => 0.0,
            passed => now.saturating_sub(before).div_duration_f64(passed),
        };
        let doing = Doing {
            busy: part(used, self.used),
            waits: part(waited, self.waited),
        };
        (self.at, self.used, self.waited) = (at, used, waited);
        self.quiet = doing.busy < 0.05;
        doing
    }
}

impl Machine for Meter {
    fn spare(&mut self) -> f64 {
        let Some(idle) = idle_seconds() else {
            return f64::INFINITY;
        };
        let at = now();
        let before = self.machine.replace((at, idle));
        before.map_or(0.0, |(then, was)| {
            let passed = at.duration_since(then).as_secs_f64();
            if passed > 0.0 {
                (idle - was) / passed
            } else {
                0.0
            }
        })
    }
}

/// How long this thread could have run and had no processor, where the kernel
/// counts that (proc_pid_schedstat in its documentation, sched-stats).
fn waited() -> Option<Duration> {
    let counted = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let waited = counted.split_ascii_whitespace().nth(1)?;
    waited.parse().ok().map(Duration::from_nanos)
}

/// The seconds all processors together have been idle since boot (proc(5)).
fn idle_seconds() -> Option<f64> {
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    uptime.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Spare(f64);

    impl Machine for Spare {
        fn spare(&mut self) -> f64 {
            self.0
        }
    }

    fn after_patience(
        pressure: &mut Pressure,
        other: Option<f64>,
        may_wake: bool,
        spare: f64,
    ) -> Relief {
        pressed(pressure, ran(0.95), other, may_wake, spare)
    }

    fn pressed(
        pressure: &mut Pressure,
        doing: Doing,
        other: Option<f64>,
        may_wake: bool,
        spare: f64,
    ) -> Relief {
        let mut relief = Relief::None;
        for _ in 0..PATIENCE {
            relief = pressure.relieve(doing, other, may_wake, &mut Spare(spare));
        }
        relief
    }

    fn ran(busy: f64) -> Doing {
        Doing { busy, waits: 0.0 }
    }

    #[test]
    fn a_busy_core_wakes_another_only_when_the_machine_has_time_to_spare() {
        assert_eq!(
            after_patience(&mut Pressure::default(), None, true, 1.9),
            Relief::Wake
        );
        assert_eq!(
            after_patience(&mut Pressure::default(), None, true, 0.1),
            Relief::None
        );
        assert_eq!(
            after_patience(&mut Pressure::default(), None, false, 1.9),
            Relief::None
        );
    }

    #[test]
    fn a_short_burst_wakes_nobody() {
        let mut pressure = Pressure::default();
        for busy in [0.9, 0.9, 0.2, 0.9, 0.9, 0.1] {
            assert_eq!(
                pressure.relieve(ran(busy), None, true, &mut Spare(2.0)),
                Relief::None
            );
        }
    }

    #[test]
    fn moves_double_until_the_gap_closes() {
        let mut pressure = Pressure::default();
        assert_eq!(
            after_patience(&mut pressure, Some(0.1), true, 2.0),
            Relief::Move(1)
        );
        assert_eq!(
            pressure.relieve(ran(0.9), Some(0.3), true, &mut Spare(2.0)),
            Relief::Move(2)
        );
        assert_eq!(
            pressure.relieve(ran(0.9), Some(0.4), true, &mut Spare(2.0)),
            Relief::Move(4)
        );
        assert_eq!(
            pressure.relieve(ran(0.8), Some(0.7), false, &mut Spare(2.0)),
            Relief::None
        );
        assert_eq!(
            pressure.relieve(ran(0.9), Some(0.3), true, &mut Spare(2.0)),
            Relief::Move(1)
        );
    }

    #[test]
    fn a_core_that_is_kept_waiting_wakes_another_and_shares_with_it() {
        let waiting = Doing {
            busy: 0.3,
            waits: 0.05,
        };
        let relief = |other, spare| {
            let mut pressure = Pressure::default();
            pressed(&mut pressure, waiting, other, true, spare)
        };
        assert_eq!(relief(None, 1.0), Relief::Wake);
        assert_eq!(relief(None, 0.1), Relief::None, "everybody waits");
        assert_eq!(relief(Some(0.0), 1.0), Relief::Move(1));
        assert_eq!(relief(Some(0.2), 0.1), Relief::None, "it is shared");

        let mut pressure = Pressure::default();
        let hardly = Doing {
            busy: 0.01,
            waits: 0.05,
        };
        let relief = pressed(&mut pressure, hardly, None, true, 2.0);
        assert_eq!(relief, Relief::None, "there is nothing to share");
    }
}
