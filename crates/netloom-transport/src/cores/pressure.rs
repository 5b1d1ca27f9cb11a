//! When a core gives work away: the rule, and the meter it reads.

use std::time::{Duration, Instant};

/// A core above this part of its time is busy.
const BUSY: f64 = 0.75;
/// So many busy intervals in a row make it too busy.
const PATIENCE: u32 = 3;
/// Processor time the machine must have to spare before another core is woken.
const SPARE: f64 = 0.5;
/// Another core must be less busy by this much to be worth moving to.
const GAP: f64 = 0.25;
/// Connections that may move in one interval, at most.
const MOST_MOVES: usize = 256;

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
    /// `busy` and `other` are parts of a core's time in the last interval;
    /// `other` is the least busy other core, if one runs.
    pub(super) fn relieve(
        &mut self,
        busy: f64,
        other: Option<f64>,
        may_wake: bool,
        machine: &mut impl Machine,
    ) -> Relief {
        if busy < BUSY {
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
        if other.is_some_and(|other| busy - other > GAP) {
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

    /// The part of its time this thread has used since the last call.
    pub(super) fn busy(&mut self) -> f64 {
        let (at, used) = (now(), crate::sys::thread_cpu_time().unwrap_or_default());
        let passed = at.duration_since(self.at).as_secs_f64();
        let busy = if passed > 0.0 {
            used.saturating_sub(self.used).as_secs_f64() / passed
        } else {
            0.0
        };
        (self.at, self.used) = (at, used);
        self.quiet = busy < 0.05;
        busy
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
        let mut relief = Relief::None;
        for _ in 0..PATIENCE {
            relief = pressure.relieve(0.95, other, may_wake, &mut Spare(spare));
        }
        relief
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
                pressure.relieve(busy, None, true, &mut Spare(2.0)),
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
            pressure.relieve(0.9, Some(0.3), true, &mut Spare(2.0)),
            Relief::Move(2)
        );
        assert_eq!(
            pressure.relieve(0.9, Some(0.4), true, &mut Spare(2.0)),
            Relief::Move(4)
        );
        assert_eq!(
            pressure.relieve(0.8, Some(0.7), false, &mut Spare(2.0)),
            Relief::None
        );
        assert_eq!(
            pressure.relieve(0.9, Some(0.3), true, &mut Spare(2.0)),
            Relief::Move(1)
        );
    }
}
