//! The loops, and what they report.

use crate::conn::Conn;
use crate::histogram::Histogram;
use crate::poller::{Poller, raise_descriptor_limit};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A server that says nothing for so long has failed.
const SILENCE: Duration = Duration::from_secs(20);
/// Descriptors that are not connections.
const SPARE: u64 = 16;

pub(crate) enum Amount {
    Count(u64),
    Time(Duration),
}

pub(crate) struct Load {
    pub(crate) to: SocketAddr,
    pub(crate) count: usize,
    pub(crate) poller: Poller,
    pub(crate) conns: Vec<Conn>,
    pub(crate) question: Vec<u8>,
    pub(crate) scratch: Vec<u8>,
    opened_in: Duration,
    random: u64,
}

impl Load {
    pub(crate) fn open(to: SocketAddr, conns: usize, bytes: usize) -> io::Result<Self> {
        let limit = raise_descriptor_limit()?;
        if conns as u64 + SPARE > limit {
            return Err(io::Error::other(format!(
                "{conns} connections do not fit into {limit} descriptors: raise the hard limit (ulimit -Hn)"
            )));
        }
        let poller = Poller::new()?;
        let begun = Instant::now();
        let count = conns;
        let conns = (0..count)
            .map(|index| Conn::open(to, index, &poller))
            .collect::<io::Result<Vec<_>>>()?;
        Ok(Self {
            to,
            count,
            poller,
            conns,
            question: (0..bytes).map(|at| b'!' + (at % 90) as u8).collect(),
            scratch: vec![0; bytes.clamp(4 * 1024, 64 * 1024)],
            opened_in: begun.elapsed(),
            random: 0x9E37_79B9_7F4A_7C15,
        })
    }

    pub(crate) fn open_ns(&self) -> u128 {
        self.opened_in.as_nanos()
    }

    /// Asks on all connections at once, again after each answer.
    pub(crate) fn echo(&mut self, amount: &Amount) -> io::Result<Report> {
        let meter = Meter::start();
        let mut times = Histogram::new();
        let most = match amount {
            Amount::Count(count) => *count,
            Amount::Time(_) => u64::MAX,
        };
        let mut asked = 0;
        let mut answered = 0;
        for conn in &mut self.conns {
            if asked < most {
                conn.ask(&self.question, &self.poller)?;
                asked += 1;
            }
        }
        let mut over = false;
        while answered < asked {
            let ready = wait(&mut self.poller)?;
            if let Amount::Time(time) = amount {
                over = meter.begun.elapsed() >= *time;
            }
            for slot in 0..ready {
                let conn = &mut self.conns[self.poller.ready(slot)];
                if let Some(ns) = conn.go_on(&self.question, &mut self.scratch, &self.poller)? {
                    times.record(ns);
                    answered += 1;
                    if asked < most && !over {
                        conn.ask(&self.question, &self.poller)?;
                        asked += 1;
                    }
                }
            }
        }
        Ok(meter.report(answered, times))
    }

    /// Asks on one random connection after another.
    pub(crate) fn ping(&mut self, count: u64) -> io::Result<Report> {
        let meter = Meter::start();
        let mut times = Histogram::new();
        for _ in 0..count {
            let index = self.next_random() as usize % self.conns.len();
            times.record(self.ask_one(index)?);
        }
        Ok(meter.report(count, times))
    }

    /// Asks on the connection opened last.
    pub(crate) fn last(&mut self) -> io::Result<Report> {
        let meter = Meter::start();
        let mut times = Histogram::new();
        times.record(self.ask_one(self.conns.len() - 1)?);
        Ok(meter.report(1, times))
    }

    /// Asks once and waits; nanoseconds until the answer.
    fn ask_one(&mut self, index: usize) -> io::Result<u64> {
        self.conns[index].ask(&self.question, &self.poller)?;
        loop {
            let ready = wait(&mut self.poller)?;
            for slot in 0..ready {
                // Another one is ready only when its server closed it.
                let conn = &mut self.conns[self.poller.ready(slot)];
                let answer = conn.go_on(&self.question, &mut self.scratch, &self.poller)?;
                if let Some(ns) = answer {
                    return Ok(ns);
                }
            }
        }
    }

    /// xorshift64: the same walk in every run.
    fn next_random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

pub(crate) fn wait(poller: &mut Poller) -> io::Result<usize> {
    match poller.wait(SILENCE)? {
        0 => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the server has not answered for 20 s",
        )),
        ready => Ok(ready),
    }
}

pub(crate) struct Meter {
    pub(crate) begun: Instant,
    cpu: u64,
}

impl Meter {
    pub(crate) fn start() -> Self {
        Self {
            begun: Instant::now(),
            cpu: own_cpu_ns(),
        }
    }

    pub(crate) fn report(&self, echoes: u64, times: Histogram) -> Report {
        Report {
            echoes,
            wall_ns: self.begun.elapsed().as_nanos(),
            cpu_ns: own_cpu_ns().saturating_sub(self.cpu),
            times,
        }
    }
}

/// This process's CPU time (it has one thread); 0 where the kernel does not
/// tell.
fn own_cpu_ns() -> u64 {
    std::fs::read_to_string("/proc/self/schedstat")
        .ok()
        .and_then(|text| text.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

pub(crate) struct Report {
    echoes: u64,
    wall_ns: u128,
    cpu_ns: u64,
    times: Histogram,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            r#"{{"echoes":{},"wall_ns":{},"cpu_ns":{},"p50_ns":{},"p99_ns":{},"p999_ns":{},"max_ns":{}}}"#,
            self.echoes,
            self.wall_ns,
            self.cpu_ns,
            self.times.quantile(0.5),
            self.times.quantile(0.99),
            self.times.quantile(0.999),
            self.times.max(),
        )
    }
}
