//! `prove chat`: 10,000 clients in one room. Nobody loses a line, memory stays
//! flat, and after them the server has as many sockets as before.

use super::Proof;
use crate::Outcome;
use crate::bench::Load;
use crate::bench::meter::{self, Descriptors};
use crate::bench::server::{CHAT_NETLOOM, Programs};
use std::time::Instant;

const CLIENTS: usize = 10_000;
/// Lines of one talk, and how far the speaker may be ahead.
const LINES: u32 = 200;
const WINDOW: usize = 16;
/// What private memory may grow by after the first talk.
const GROWTH: u64 = 16 * 1024 * 1024;

pub(super) fn prove(proof: &Proof) -> Outcome<String> {
    let programs = Programs::build(Some(proof.netloom()?))?;
    let running = CHAT_NETLOOM.start(&programs)?;
    let (pid, address) = (running.pid(), running.address()?);
    drop(Load::chat(&programs, &address, 1, 1)?);
    let before = meter::settled(pid)?.sockets;

    let mut load = Load::chat(&programs, &address, CLIENTS, WINDOW)?;
    let open = Descriptors::of(pid)?.sockets;
    if open < before + CLIENTS {
        return Err(format!("{CLIENTS} clients, and only {open} sockets"));
    }
    let begun = Instant::now();
    let (mut full, mut most, mut talks, mut slowest) = (0, 0, 0_u32, 0.0_f64);
    let cpu = running.cpu_ns()?;
    while talks < 3 || begun.elapsed().as_secs_f64() < proof.minutes * 60.0 {
        let report = load.run(&format!("say:{LINES}"))?;
        if report.lost > 0.0 {
            return Err(format!(
                "{} lines were lost or out of order in talk {talks}",
                report.lost
            ));
        }
        slowest = slowest.max(report.max);
        let now = meter::private_bytes(pid)?;
        talks += 1;
        full = if talks == 1 { now } else { full };
        most = most.max(now);
        if most > full + GROWTH {
            return Err(format!(
                "private memory has grown from {full} to {most} bytes after {talks} talks"
            ));
        }
    }
    let cpu = (running.cpu_ns()? - cpu) as f64 / 1e9;
    drop(load);
    let after = meter::settled_at(pid, before)?.sockets;
    if after > before {
        return Err(format!("{before} sockets before, {after} after"));
    }
    let deliveries = f64::from(talks) * f64::from(LINES) * CLIENTS as f64;
    let mib = |bytes: u64| bytes as f64 / 1024.0 / 1024.0;
    Ok(format!(
        "{CLIENTS} clients in one room of `netloom listen tcp://… --chat`, {talks} talks of {LINES} \
         lines: {deliveries:.0} deliveries, none lost, doubled or out of order, {:.0} per CPU \
         second; private memory {:.1} MiB after the first talk, {:.1} MiB at most; {open} \
         sockets, {after} after as before; the slowest line took {:.0} ms.",
        deliveries / cpu,
        mib(full),
        mib(most),
        slowest / 1e6
    ))
}
