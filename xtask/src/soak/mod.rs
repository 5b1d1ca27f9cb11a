//! A forwarder under everything at once, for as long as is asked: every byte
//! must arrive, every end must be passed on, and nothing may grow.

mod accounts;
mod flows;
mod origin;

use crate::Outcome;
use crate::bench::meter;
use crate::bench::server::Running;
use crate::nginx::Folder;
use crate::run::command;
use accounts::Accounts;
use flows::{Flow, Kind, Silent};
use origin::Origin;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Clients at once, each with one conversation after another.
const CLIENTS: usize = 12;
/// Clients that come first and say nothing until all others have gone.
const SILENT: usize = 8;
/// Pipes that a thread may keep for the next who needs one, in descriptors.
const KEPT_PIPES: usize = 2 * 16;
/// Between two looks at memory and descriptors.
const PAUSE: Duration = Duration::from_secs(2);
/// What private memory may grow by once every kind of flow has run.
const GROWTH: u64 = 4 * 1024 * 1024;

/// Carries a mixture for `duration` and tells what was carried. `flags` are
/// given to `netloom forward` besides.
pub(crate) fn soak(netloom: &Path, duration: Duration, flags: &[&str]) -> Outcome<String> {
    let origin = Origin::start()?;
    let target = format!("tcp://{}", origin.address());
    let folder = Folder::new("soak")?;
    let log = folder.path().join("access.jsonl");
    let forward = Running::start(
        command(netloom)
            .args(["forward", "tcp://127.0.0.1:0", &target])
            .arg("--access-log")
            .arg(&log)
            .args(flags),
    )?;
    let address = forward.address()?;
    let pid = forward.pid();

    let silent = (0..SILENT).map(|_| Silent::open(&address));
    let silent = silent.collect::<Outcome<Vec<_>>>()?;
    // Every kind once, so that what is kept ready is there before it counts.
    for kind in Kind::ALL {
        Flow::of(*kind, 1).run(&address)?;
    }
    let before = meter::settled(pid)?;

    let over = AtomicBool::new(false);
    let tally = Tally::default();
    let begun = Instant::now();
    let looked = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (address, over, tally) = (&address, &over, &tally);
                scope.spawn(move || client(address, number as u64, over, tally))
            })
            .collect();
        let looked = watch(pid, duration, &over);
        over.store(true, Ordering::Relaxed);
        for client in clients {
            client
                .join()
                .map_err(|_| "a client panicked".to_owned())??;
        }
        looked
    })?;
    let lasted = begun.elapsed();
    let after = meter::settled_at(pid, before.sockets)?;
    let threads = thread::available_parallelism().map_or(1, usize::from);
    if after.sockets > before.sockets || after.pipes > before.pipes + threads * KEPT_PIPES {
        return Err(format!("{before} before, {after} after"));
    }
    for one in silent {
        one.speaks()
            .map_err(|problem| format!("a client that was silent: {problem}"))?;
    }
    // The log is whole when who writes it has ended.
    forward.stop()?;
    let accounts = Accounts::read(&log)?;
    let flows = tally.flows.load(Ordering::Relaxed);
    if accounts.count() != flows + (Kind::ALL.len() + SILENT) as u64 {
        let count = accounts.count();
        return Err(format!("{flows} conversations, and {count} in the log"));
    }
    let mib = |bytes: u64| bytes as f64 / 1024.0 / 1024.0;
    Ok(format!(
        "{flows} conversations of {} kinds, {CLIENTS} at once, {:.1} GiB there and back in {:.0} s, \
         every byte and every end as it was sent, and {SILENT} that were silent all the time and \
         answered then; {accounts}; private memory {:.1} MiB at first, {:.1} MiB at \
         most; {before} before and {after} after.",
        Kind::ALL.len(),
        mib(tally.bytes.load(Ordering::Relaxed)) / 1024.0,
        lasted.as_secs_f64(),
        mib(looked.first),
        mib(looked.most),
    ))
}

#[derive(Default)]
struct Tally {
    flows: AtomicU64,
    bytes: AtomicU64,
}

fn client(address: &str, number: u64, over: &AtomicBool, tally: &Tally) -> Outcome {
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(number + 1);
    while !over.load(Ordering::Relaxed) {
        let flow = Flow::next(&mut seed);
        let bytes = flow
            .run(address)
            .map_err(|problem| format!("{:?}, seed {}: {problem}", flow.kind, flow.seed))
            .inspect_err(|_| over.store(true, Ordering::Relaxed))?;
        tally.flows.fetch_add(1, Ordering::Relaxed);
        tally.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
    Ok(())
}

struct Looked {
    first: u64,
    most: u64,
}

/// Looks at memory while the clients run: what is there after the first part is
/// what the last part may have.
fn watch(pid: u32, duration: Duration, over: &AtomicBool) -> Outcome<Looked> {
    let begun = Instant::now();
    let warm = duration / 6;
    let mut looked = Looked { first: 0, most: 0 };
    while begun.elapsed() < duration && !over.load(Ordering::Relaxed) {
        thread::sleep(PAUSE.min(duration / 20));
        let now = meter::private_bytes(pid)?;
        if begun.elapsed() < warm || looked.first == 0 {
            looked.first = looked.first.max(now);
        }
        looked.most = looked.most.max(now);
    }
    if looked.most > looked.first + GROWTH {
        return Err(format!(
            "private memory has grown from {} to {} bytes",
            looked.first, looked.most
        ));
    }
    Ok(looked)
}
