//! Questions at fixed times, whether answers come or not.

use crate::histogram::Histogram;
use crate::poller::be_punctual;
use crate::run::{Load, Meter, Report};
use std::io;
use std::time::{Duration, Instant};

/// A server that answers nothing for so long has failed.
const SILENCE: Duration = Duration::from_secs(20);

impl Load {
    /// `per_second` questions a second for `time`.
    pub(crate) fn rate(&mut self, per_second: u32, time: Duration) -> io::Result<Report> {
        be_punctual();
        let between = Duration::from_secs(1) / per_second.max(1);
        let count = (time.as_secs_f64() * f64::from(per_second)) as u32;
        let meter = Meter::start();
        let mut times = Histogram::new();
        let mut free: Vec<usize> = (0..self.conns.len()).collect();
        let (mut asked, mut answered) = (0, 0);
        let mut heard = meter.begun;
        while answered < count {
            let now = Instant::now();
            // Whatever is due and finds no free connection is asked later, and
            // its time counts from when it was due.
            while asked < count && now >= meter.begun + between * asked {
                let Some(index) = free.pop() else { break };
                let due = meter.begun + between * asked;
                self.conns[index].ask_as_of(due, &self.question, &self.poller)?;
                asked += 1;
            }
            let rest = if asked == count || free.is_empty() {
                SILENCE
            } else {
                (meter.begun + between * asked).saturating_duration_since(Instant::now())
            };
            let ready = self.poller.wait(rest)?;
            for slot in 0..ready {
                let index = self.poller.ready(slot);
                let conn = &mut self.conns[index];
                if let Some(ns) = conn.go_on(&self.question, &mut self.scratch, &self.poller)? {
                    times.record(ns);
                    answered += 1;
                    free.push(index);
                }
            }
            if ready > 0 {
                heard = Instant::now();
            } else if heard.elapsed() >= SILENCE {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the server has not answered for 20 s",
                ));
            }
        }
        Ok(meter.report(answered.into(), times))
    }
}
