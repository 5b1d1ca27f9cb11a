//! Counting the system calls of a process and its threads, with strace(1).

use crate::Outcome;
use crate::nginx::Folder;
use crate::run::{command, stream};
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A tracer that holds nothing by then has failed.
const START: Duration = Duration::from_secs(10);

/// A tracer at work; lets go with this value.
pub(super) struct Tracer {
    child: Child,
    output: PathBuf,
}

/// What was counted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) all: u64,
    /// Reads of a socket that said there was nothing.
    pub(super) empty_reads: u64,
}

impl Tracer {
    /// Traces this process, its threads and its children.
    pub(super) fn start(pid: u32, folder: &Folder) -> Outcome<Self> {
        let output = folder.path().join(format!("calls-{pid}"));
        let mut strace = command("strace");
        strace.args(["-f", "-c", "-o"]).arg(&output);
        for pid in super::super::meter::family(pid) {
            strace.args(["-p", &pid.to_string()]);
        }
        let child = strace
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| format!("strace: {e}"))?;
        let mut tracer = Self { child, output };
        let over = Instant::now() + START;
        while !is_traced(pid)? {
            let ended = tracer.child.try_wait().map_err(|e| e.to_string())?;
            if ended.is_some() || Instant::now() > over {
                return Err("strace does not trace".to_owned());
            }
            thread::yield_now();
        }
        Ok(tracer)
    }

    /// Lets go, and tells.
    pub(super) fn end(mut self) -> Outcome<Seen> {
        stream(command("kill").args(["-INT", &self.child.id().to_string()]))?;
        self.child.wait().map_err(|e| e.to_string())?;
        let text = fs::read_to_string(&self.output)
            .map_err(|e| format!("{}: {e}", self.output.display()))?;
        Ok(read(&text))
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether all threads of a process are traced.
fn is_traced(pid: u32) -> Outcome<bool> {
    let tasks = format!("/proc/{pid}/task");
    for task in fs::read_dir(&tasks).map_err(|e| format!("{tasks}: {e}"))? {
        let file = task.map_err(|e| e.to_string())?.path().join("status");
        let status = fs::read_to_string(&file).unwrap_or_default();
        let tracer = status
            .lines()
            .find_map(|line| line.strip_prefix("TracerPid:"));
        if tracer.is_none_or(|tracer| tracer.trim() == "0") {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Reads the table of `strace -c`: share, seconds, µs a call, calls, errors
/// where there were any, name.
fn read(table: &str) -> Seen {
    let mut seen = Seen::default();
    for line in table.lines() {
        let fields: Vec<_> = line.split_whitespace().collect();
        let (Some(name), Some(calls)) = (fields.last(), fields.get(3)) else {
            continue;
        };
        let Ok(calls) = calls.parse::<u64>() else {
            continue;
        };
        if *name == "total" {
            continue;
        }
        seen.all += calls;
        if ["recvfrom", "read", "readv", "splice"].contains(name) && fields.len() == 6 {
            seen.empty_reads += fields[4].parse::<u64>().unwrap_or(0);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_added_up() {
        let table = "% time     seconds  usecs/call     calls    errors syscall\n\
                     ------ ----------- ----------- --------- --------- ----------------\n\
                     26.07    0.034315          17      2016      2016 connect\n\
                     20.51    0.026995           6      4000           sendto\n\
                     9.86     0.012985           1      8032        40 recvfrom\n\
                     ------ ----------- ----------- --------- --------- ----------------\n\
                     100.00    0.131637           3     14048      2056 total\n";
        let seen = Seen {
            all: 14_048,
            empty_reads: 40,
        };
        assert_eq!(read(table), seen);
    }
}
