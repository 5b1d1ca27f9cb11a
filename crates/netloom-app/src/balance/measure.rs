//! The figures of a pool.

use std::sync::atomic::Ordering::Relaxed;

use netloom_protocol::Measures;

use super::Pool;

impl Pool {
    /// Tells how its targets stand and how many wait.
    pub fn measure(&self, to: &mut dyn Measures) {
        for held in &self.list().held {
            let standing = &held.standing;
            let labels = [("target", standing.name.as_str())];
            let up = f64::from(u8::from(standing.is_up()));
            to.gauge("netloom_target_up", "whether the target is up", &labels, up);
            to.gauge(
                "netloom_target_connections",
                "connections that are open to the target",
                &labels,
                standing.open() as f64,
            );
            to.gauge(
                "netloom_target_answer_seconds",
                "how long the target takes to be dialled, on average of late",
                &labels,
                standing.last_time(),
            );
            let counted = [
                (
                    "netloom_target_picked_total",
                    "how often the target was taken",
                    &standing.picked,
                ),
                (
                    "netloom_target_failed_total",
                    "how many dials of the target failed",
                    &standing.failed,
                ),
                (
                    "netloom_target_ejected_total",
                    "how often the target was left out for a while",
                    &standing.ejections,
                ),
            ];
            for (name, help, count) in counted {
                to.counter(name, help, &labels, count.load(Relaxed));
            }
        }
        let waiting = self.line.len() as f64;
        to.gauge(
            "netloom_targets_waiting",
            "connections that wait for a target",
            &[],
            waiting,
        );
        let refused = self.line.refused.load(Relaxed);
        to.counter(
            "netloom_targets_refused_total",
            "connections that found too many waiting",
            &[],
            refused,
        );
        let late = self.line.late.load(Relaxed);
        to.counter(
            "netloom_targets_late_total",
            "connections that waited too long for a target",
            &[],
            late,
        );
    }
}
