//! Figures beside the peers'.
//!
//! Rounds alternate: in each round every server is started, warmed, measured
//! and stopped in turn; the first round is dropped; a figure is the median of
//! the others with its least and greatest. A ratio is taken within a round, so
//! that a machine that gets slower does not move it.

mod chat;
mod dial;
mod echo;
mod forward;
mod forward_udp;
mod framing;
mod idle;
mod load;
mod machine;
pub(crate) mod meter;
mod once;
pub(crate) mod server;
mod start;
mod table;
mod tls;
mod udp;

pub(crate) use load::Load;
pub(crate) use machine::line as machine_line;

use crate::Outcome;
use crate::metadata::release_binaries;
use crate::options::Options;
use server::Programs;
use std::path::PathBuf;

/// Rounds when nobody says a number: one to drop and seven to keep.
const ROUNDS: usize = 8;

/// What every benchmark is given.
struct Bench {
    rounds: usize,
    only: Vec<String>,
    /// The one load that was asked for, of a benchmark that has several.
    load: Option<String>,
    programs: Programs,
}

type Benchmark = fn(&Bench) -> Outcome;

/// What needs neither servers nor clients, and builds its own program.
type Small = fn(usize) -> Outcome;

const SMALL: &[(&str, Small)] = &[("framing", framing::bench)];

const BENCHMARKS: &[(&str, Benchmark)] = &[
    ("echo", echo::bench),
    ("idle", idle::bench),
    ("start", start::bench),
    ("once", once::bench),
    ("dial", dial::bench),
    ("tls", tls::bench),
    ("udp", udp::bench),
    ("forward", forward::bench),
    ("forward-udp", |bench| {
        forward_udp::bench(bench, bench.load.as_deref())
    }),
    ("chat", chat::bench),
];

pub(crate) fn verb(args: Vec<String>) -> Outcome {
    let mut options = Options::new(args);
    let rounds = options.value("--rounds")?.unwrap_or(ROUNDS);
    let only: Vec<String> = options
        .value::<String>("--only")?
        .map(|list| list.split(',').map(str::to_owned).collect())
        .unwrap_or_default();
    let load = options.value::<String>("--load")?;
    let netloom = options.value::<PathBuf>("--netloom")?;
    let words = options.words()?;
    let [name] = words.as_slice() else {
        return Err(format!("which one? {}", names()));
    };
    if rounds < 2 {
        return Err("--rounds is at least 2: the first is dropped".to_owned());
    }
    if let Some((_, small)) = SMALL.iter().find(|(known, _)| known == name) {
        machine::warn_if_busy();
        println!("{}", machine::line());
        return small(rounds);
    }
    let (_, benchmark) = BENCHMARKS
        .iter()
        .find(|(known, _)| known == name)
        .ok_or_else(|| format!("there is no benchmark {name}: {}", names()))?;

    // Before we build: that is load too.
    machine::warn_if_busy();
    // `--only` of peers measures them without building us.
    let ours = only.is_empty() || only.iter().any(|name| name.starts_with("netloom"));
    let netloom = match netloom {
        Some(path) => Some(path),
        None if ours => Some(release_netloom()?),
        None => None,
    };
    let programs = Programs::build(netloom)?;
    println!("{}", machine::line());
    benchmark(&Bench {
        rounds,
        only,
        load,
        programs,
    })
}

/// Builds the binary as it ships.
pub(crate) fn release_netloom() -> Outcome<PathBuf> {
    release_binaries("netloom", &["netloom"]).map(|mut built| built.remove(0))
}

fn names() -> String {
    let small = SMALL.iter().map(|(name, _)| *name);
    let names: Vec<_> = BENCHMARKS
        .iter()
        .map(|(name, _)| *name)
        .chain(small)
        .collect();
    names.join(", ")
}

impl Bench {
    /// Those of `servers` that `--only` leaves.
    fn choose(&self, servers: &[&'static server::Server]) -> Outcome<Vec<&'static server::Server>> {
        if let Some(unknown) = self
            .only
            .iter()
            .find(|name| servers.iter().all(|server| server.name != **name))
        {
            let known: Vec<_> = servers.iter().map(|server| server.name).collect();
            return Err(format!(
                "there is no server {unknown}: {}",
                known.join(", ")
            ));
        }
        Ok(servers
            .iter()
            .copied()
            .filter(|server| self.only.is_empty() || self.only.iter().any(|n| n == server.name))
            .collect())
    }
}
