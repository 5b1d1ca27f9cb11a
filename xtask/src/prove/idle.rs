//! `prove idle`: 9,000 connections held for minutes. Memory must be flat,
//! sockets exact, and after them the server as small as before.

use super::Proof;
use crate::Outcome;
use crate::bench::Load;
use crate::bench::meter::{self, Descriptors};
use crate::bench::server::{NETLOOM, Programs};
use std::thread;
use std::time::{Duration, Instant};

const CONNS: usize = 9_000;
const BYTES: usize = 64;
/// Between two looks.
const PAUSE: Duration = Duration::from_secs(5);
/// What private memory may grow by between the first look and the last.
const GROWTH: u64 = 1024 * 1024;

pub(super) fn prove(proof: &Proof) -> Outcome<String> {
    let programs = Programs::build(Some(proof.netloom()?))?;
    let running = NETLOOM.start(&programs)?;
    let (pid, address) = (running.pid(), running.address()?);
    Load::open(&programs, &address, 1, BYTES)?.run("last")?;
    let before = meter::settled(pid)?.sockets;

    let mut load = Load::open(&programs, &address, CONNS, BYTES)?;
    load.run("last")?;
    // Each has been used once: what comes after is growth.
    load.run(&format!("echo:{CONNS}"))?;
    let full = meter::private_bytes(pid)?;
    let begun = Instant::now();
    let (mut most, mut looks, mut slowest) = (full, 0_u32, 0.0_f64);
    let open = Descriptors::of(pid)?.sockets;
    if open < before + CONNS {
        return Err(format!("{CONNS} connections, and only {open} sockets"));
    }
    while begun.elapsed().as_secs_f64() < proof.minutes * 60.0 {
        thread::sleep(PAUSE);
        let pings = load.run("ping:1000")?;
        slowest = slowest.max(pings.max);
        most = most.max(meter::private_bytes(pid)?);
        looks += 1;
        let now = Descriptors::of(pid)?.sockets;
        if now != open {
            return Err(format!(
                "{open} sockets have become {now} after {looks} looks"
            ));
        }
        if most > full + GROWTH {
            return Err(format!(
                "private memory has grown from {full} to {most} bytes after {looks} looks"
            ));
        }
    }
    drop(load);
    let after = meter::settled_at(pid, before)?.sockets;
    if after > before {
        return Err(format!("{before} sockets before, {after} after"));
    }
    let mib = |bytes: u64| bytes as f64 / 1024.0 / 1024.0;
    Ok(format!(
        "{CONNS} idle connections on `netloom listen tcp://… --echo` for {} minutes: private \
         memory {:.1} MiB at first, {:.1} MiB at most; {open} sockets throughout, {after} \
         after; {looks} × 1,000 pings, the slowest {:.1} ms.",
        proof.minutes,
        mib(full),
        mib(most),
        slowest / 1e6
    ))
}
