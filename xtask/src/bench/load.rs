//! The load generator as a child that does one command after another.

use super::server::Programs;
use crate::Outcome;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

pub(crate) struct Load {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// What one command measured, in nanoseconds.
pub(crate) struct Report {
    /// Answers, connections or bytes.
    pub(crate) count: f64,
    pub(crate) wall: f64,
    pub(crate) cpu: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
}

impl Load {
    /// Opens the connections; they stay open until this value is dropped.
    pub(crate) fn open(programs: &Programs, to: &str, conns: usize, bytes: usize) -> Outcome<Self> {
        let mut load = Command::new(&programs.load);
        load.args(["--conns", &conns.to_string(), "--bytes", &bytes.to_string()]);
        Load::start(load.arg(to))
    }

    /// Opens sockets for datagrams, each with `window` of them under way.
    pub(crate) fn datagrams(
        programs: &Programs,
        to: &str,
        (sockets, window): (usize, usize),
        bytes: usize,
    ) -> Outcome<Self> {
        let mut load = Command::new(&programs.udp_load);
        load.args(["--conns", &sockets.to_string()])
            .args(["--bytes", &bytes.to_string()])
            .args(["--window", &window.to_string()]);
        Load::start(load.arg(to))
    }

    /// The same, where no more than `most` sockets ask at once, in turn.
    pub(crate) fn datagrams_in_turn(
        programs: &Programs,
        to: &str,
        (sockets, most): (usize, usize),
        bytes: usize,
    ) -> Outcome<Self> {
        let mut load = Command::new(&programs.udp_load);
        load.args(["--conns", &sockets.to_string()])
            .args(["--bytes", &bytes.to_string()])
            .args(["--most", &most.to_string()]);
        Load::start(load.arg(to))
    }

    fn start(command: &mut Command) -> Outcome<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("floor-load: {e}"))?;
        let (Some(ask), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("floor-load: no pipes".to_owned());
        };
        let mut load = Self {
            child,
            ask,
            answers: BufReader::new(answers),
        };
        load.answer()?;
        Ok(load)
    }

    /// One of the generator's commands.
    pub(crate) fn run(&mut self, command: &str) -> Outcome<Report> {
        writeln!(self.ask, "{command}").map_err(|e| format!("floor-load: {e}"))?;
        let answer = self.answer()?;
        let field = |name: &str| {
            answer[name]
                .as_f64()
                .ok_or_else(|| format!("floor-load: no {name} in {answer}"))
        };
        Ok(Report {
            count: field("echoes")?,
            wall: field("wall_ns")?,
            cpu: field("cpu_ns")?,
            p50: field("p50_ns")?,
            p99: field("p99_ns")?,
            p999: field("p999_ns")?,
            max: field("max_ns")?,
        })
    }

    fn answer(&mut self) -> Outcome<Value> {
        let mut line = String::new();
        self.answers
            .read_line(&mut line)
            .map_err(|e| format!("floor-load: {e}"))?;
        if line.is_empty() {
            return Err("floor-load ended; what it said stands above".to_owned());
        }
        serde_json::from_str(&line).map_err(|e| format!("floor-load: {e}: {line}"))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
