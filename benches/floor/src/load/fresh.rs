//! Loads that open connections of their own: many short ones, and bulk.

use crate::conn::Conn;
use crate::histogram::Histogram;
use crate::run::{Load, Meter, Report, wait};
use std::io;

/// Thrown away with one call.
const GULP: usize = 1 << 20;

impl Load {
    /// Opens `count` connections, a fixed number at a time; on each asks once
    /// and reads the answer to its end. Times are from connect to the end.
    pub(crate) fn short(&mut self, count: u64) -> io::Result<Report> {
        let expected = self.question.len();
        self.conns.clear();
        let meter = Meter::start();
        let mut times = Histogram::new();
        let mut opened = 0;
        let mut got = vec![0; self.count];
        while opened < count && self.conns.len() < self.count {
            let conn = self.open_and_ask(self.conns.len())?;
            self.conns.push(conn);
            opened += 1;
        }
        let mut ended = 0;
        while ended < count {
            let ready = wait(&mut self.poller)?;
            for slot in 0..ready {
                let index = self.poller.ready(slot);
                let read = match self.conns[index].discard(GULP) {
                    Ok(read) => read,
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => continue,
                    Err(e) => return Err(e),
                };
                got[index] += read;
                if read > 0 {
                    continue;
                }
                if got[index] != expected {
                    return Err(io::Error::other(format!(
                        "a connection ended after {} bytes of {expected}",
                        got[index]
                    )));
                }
                got[index] = 0;
                times.record(self.conns[index].since_asked());
                ended += 1;
                if opened < count {
                    self.conns[index] = self.open_and_ask(index)?;
                    opened += 1;
                } else {
                    self.conns[index].leave(&self.poller)?;
                }
            }
        }
        self.conns.clear();
        Ok(meter.report(ended, times))
    }

    fn open_and_ask(&self, index: usize) -> io::Result<Conn> {
        let mut conn = Conn::open(self.to, index, &self.poller)?;
        conn.ask(&self.question, &self.poller)?;
        Ok(conn)
    }

    /// Asks for `bytes` on each connection and throws them away.
    pub(crate) fn bulk(&mut self, bytes: u64) -> io::Result<Report> {
        self.conns.clear();
        let meter = Meter::start();
        let mut times = Histogram::new();
        let asked = format!("{bytes}\n").into_bytes();
        for index in 0..self.count {
            let mut conn = Conn::open(self.to, index, &self.poller)?;
            conn.ask(&asked, &self.poller)?;
            self.conns.push(conn);
        }
        let mut got = vec![0_u64; self.count];
        let mut ended = 0;
        while ended < self.count {
            let ready = wait(&mut self.poller)?;
            for slot in 0..ready {
                let index = self.poller.ready(slot);
                let conn = &mut self.conns[index];
                match conn.discard(GULP) {
                    Ok(0) if got[index] == bytes => {
                        times.record(conn.since_asked());
                        conn.leave(&self.poller)?;
                        ended += 1;
                    }
                    Ok(0) => {
                        return Err(io::Error::other(format!(
                            "a connection ended after {} bytes of {bytes}",
                            got[index]
                        )));
                    }
                    Ok(read) => got[index] += read as u64,
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                    Err(e) => return Err(e),
                }
            }
        }
        self.conns.clear();
        Ok(meter.report(got.iter().sum(), times))
    }
}
