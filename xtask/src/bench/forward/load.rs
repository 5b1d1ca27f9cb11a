//! What the relays carry, and what is counted.

use super::super::load::{Load as Generator, Report};
use super::super::meter;
use super::super::server::{Programs, Running};
use super::calls;
use super::relay::{Carrying, Relay, service_port};
use crate::Outcome;
use crate::nginx::Folder;
use crate::run::command;
use std::path::PathBuf;

/// Bytes of a small question.
const BYTES: usize = 64;
const GIB: f64 = (1_u64 << 30) as f64;

/// One figure.
pub(super) struct Column {
    pub(super) title: &'static str,
    pub(super) unit: &'static str,
    pub(super) digits: usize,
    /// Whether it is shown in relation to the peers'.
    pub(super) against: bool,
}

const fn column(title: &'static str, unit: &'static str, digits: usize, against: bool) -> Column {
    Column {
        title,
        unit,
        digits,
        against,
    }
}

/// What the relay is in front of.
#[derive(Clone, Copy)]
enum Server {
    /// Gives bulk, or answers once and ends.
    Answer,
    Echo,
}

impl Server {
    fn program(self, programs: &Programs) -> &PathBuf {
        match self {
            Server::Answer => &programs.answer,
            Server::Echo => &programs.c,
        }
    }
}

/// One load.
pub(super) struct Load {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) columns: &'static [Column],
    /// Relays that are not made for it.
    pub(super) without: &'static [&'static str],
    /// What to do under a tracer, and how often that is.
    pub(super) calls: Option<(&'static str, u32)>,
    server: Server,
    conns: usize,
    what: What,
}

enum What {
    /// A warm-up and a command of the generator's, and how many of what the
    /// CPU time is told for: bytes for a GiB, or so many of what was done.
    Commands {
        warm_up: &'static str,
        command: &'static str,
        figures: fn(&Report, f64) -> Vec<f64>,
    },
    /// Nothing, on so many connections.
    Rest,
}

pub(super) static LOADS: &[Load] = &[
    Load {
        name: "bulk-1",
        title: "one flow, 2 GiB from the server to the client",
        columns: BULK,
        without: &["direct"],
        calls: None,
        server: Server::Answer,
        conns: 1,
        what: What::Commands {
            warm_up: "bulk:268435456",
            command: "bulk:2147483648",
            figures: bulk,
        },
    },
    Load {
        name: "bulk-8",
        title: "eight flows, 256 MiB each from the server to the clients",
        columns: BULK,
        without: &["direct"],
        calls: None,
        server: Server::Answer,
        conns: 8,
        what: What::Commands {
            warm_up: "bulk:33554432",
            command: "bulk:268435456",
            figures: bulk,
        },
    },
    Load {
        name: "short",
        title: "10,000 connections, 32 at a time: 64 bytes asked, 64 answered, the server ends",
        columns: &[
            column("CPU", " µs each", 1, true),
            column("connections/s", "", 0, false),
            column("p50", " µs", 0, false),
            column("p99", " µs", 0, false),
        ],
        without: &["direct"],
        calls: Some(("short:2000", 2000)),
        server: Server::Answer,
        conns: 32,
        what: What::Commands {
            warm_up: "short:1000",
            command: "short:10000",
            figures: each,
        },
    },
    Load {
        name: "kept",
        title: "64 connections × 64 bytes, question and answer, closed loop",
        columns: &[
            column("CPU", " µs each", 2, true),
            column("answers/s", "", 0, false),
            column("p50", " µs", 0, false),
            column("p99", " µs", 0, false),
        ],
        without: &["direct"],
        calls: Some(("echo:20000", 20_000)),
        server: Server::Echo,
        conns: 64,
        what: What::Commands {
            warm_up: "echo:20000",
            command: "echo:100000",
            figures: each,
        },
    },
    Load {
        name: "rate",
        title: "10,000 questions a second over 64 connections for 5 s, open loop, times from when each was due",
        columns: &[
            column("p50", " µs", 0, true),
            column("p99", " µs", 0, true),
            column("p99.9", " µs", 0, false),
            column("CPU", " µs each", 2, false),
        ],
        without: &[],
        calls: None,
        server: Server::Echo,
        conns: 64,
        what: What::Commands {
            // Whoever spreads connections over cores has done so by then.
            warm_up: "rate:10000:3s",
            command: "rate:10000:5s",
            figures: |report, cpu| {
                let each = cpu / 1e3 / report.count;
                vec![report.p50 / 1e3, report.p99 / 1e3, report.p999 / 1e3, each]
            },
        },
    },
    Load {
        name: "idle",
        title: "4,000 pairs that say nothing after each was used once",
        columns: &[
            column("bytes a pair", "", 0, true),
            column("before use", "", 0, false),
        ],
        // A process for each, and four pipe ends.
        without: &["direct", "socat", "c"],
        calls: None,
        server: Server::Echo,
        conns: 4000,
        what: What::Rest,
    },
];

const BULK: &[Column] = &[
    column("CPU", " s/GiB", 3, true),
    column("rate", ", GiB/s", 2, true),
    column("generator", ", cores", 2, false),
];

fn bulk(report: &Report, cpu_ns: f64) -> Vec<f64> {
    let moved = report.count / GIB;
    vec![
        cpu_ns / 1e9 / moved,
        moved / (report.wall / 1e9),
        report.cpu / report.wall,
    ]
}

fn each(report: &Report, cpu_ns: f64) -> Vec<f64> {
    vec![
        cpu_ns / 1e3 / report.count,
        report.count / (report.wall / 1e9),
        report.p50 / 1e3,
        report.p99 / 1e3,
    ]
}

impl Load {
    /// One round: server, relay and generator are started anew. A value for
    /// each column.
    pub(super) fn run(
        &self,
        programs: &Programs,
        relay: &Relay,
        folder: &Folder,
    ) -> Outcome<Vec<f64>> {
        let (_server, carrying) = self.start(programs, relay, folder)?;
        match self.what {
            What::Rest => self.rest(programs, &carrying),
            What::Commands {
                warm_up,
                command,
                figures,
            } => {
                let mut load = Generator::open(programs, &carrying.address()?, self.conns, BYTES)?;
                load.run(warm_up)?;
                let before = carrying.cpu_ns()?;
                let report = load.run(command)?;
                let cpu = carrying.cpu_ns()?.saturating_sub(before) as f64;
                Ok(figures(&report, cpu))
            }
        }
    }

    /// System calls for each of what is done, and how many of them were reads
    /// that found nothing.
    pub(super) fn count(
        &self,
        programs: &Programs,
        relay: &Relay,
        folder: &Folder,
    ) -> Outcome<(f64, f64)> {
        let (Some((command, count)), (_server, carrying)) =
            (self.calls, self.start(programs, relay, folder)?)
        else {
            return Ok((0.0, 0.0));
        };
        let Some(pid) = carrying.pid() else {
            return Ok((0.0, 0.0));
        };
        let mut load = Generator::open(programs, &carrying.address()?, self.conns, BYTES)?;
        let tracer = calls::Tracer::start(pid, folder)?;
        load.run(command)?;
        let seen = tracer.end()?;
        let count = f64::from(count);
        Ok((seen.all as f64 / count, seen.empty_reads as f64 / count))
    }

    fn start(
        &self,
        programs: &Programs,
        relay: &Relay,
        folder: &Folder,
    ) -> Outcome<(Running, Carrying)> {
        let port = service_port()?;
        let mut server = command(self.server.program(programs));
        let server = Running::start(server.arg(port.to_string()))?;
        let carrying = relay.start(programs, port, folder)?;
        Ok((server, carrying))
    }

    fn rest(&self, programs: &Programs, carrying: &Carrying) -> Outcome<Vec<f64>> {
        let pid = carrying.pid().ok_or("nothing to look at")?;
        let address = carrying.address()?;
        // What the first connection brings is the relay's, not a pair's.
        Generator::open(programs, &address, 1, BYTES)?.run("ping:1")?;
        let empty = meter::family_private_bytes(pid)?;
        let each = || {
            let full = meter::family_private_bytes(pid)?;
            Ok::<_, String>(full.saturating_sub(empty) as f64 / self.conns as f64)
        };
        let mut load = Generator::open(programs, &address, self.conns, BYTES)?;
        // An answer on the last connection says that all are carried.
        load.run("last")?;
        let before = each()?;
        load.run(&format!("echo:{}", self.conns))?;
        Ok(vec![each()?, before])
    }
}
