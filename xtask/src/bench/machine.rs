//! What was measured on, and against which versions.

use super::server::Programs;
use crate::date::today;
use crate::run::{command, read};
use std::fs;
use std::thread;

/// A load of the last minute above which figures are not to be kept.
const BUSY: f64 = 0.5;

/// One line: date, cores, processor, kernel. No name of the machine.
pub(crate) fn line() -> String {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    // Distributions and clouds put their names after the number.
    let kernel = kernel.trim().split('-').next().unwrap_or_default();
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown processor", |(_, name)| name.trim());
    format!(
        "{}, {cores} cores of {processor}, Linux {kernel}, {}",
        today(),
        std::env::consts::ARCH
    )
}

/// Says so when other programs are at work: a server and its generator then
/// share a core, and an echo costs less CPU than on two.
pub(super) fn warn_if_busy() {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: f64 = load
        .split(' ')
        .next()
        .and_then(|word| word.parse().ok())
        .unwrap_or(0.0);
    if load > BUSY {
        eprintln!("note: the machine is busy (load {load}); measure again when it is idle");
    }
}

/// One line: the versions of all peers that can say theirs.
pub(crate) fn versions(programs: &Programs) -> String {
    let mut told = Vec::new();
    let mut first_line = |program: &str, args: &[&str]| {
        if let Ok(text) = read(command(program).args(args)) {
            told.extend(text.lines().next().map(str::to_owned));
        }
    };
    if let Some(netloom) = &programs.netloom {
        first_line(&netloom.to_string_lossy(), &["--version"]);
    }
    first_line("cc", &["--version"]);
    first_line("rustc", &["--version"]);
    if let Ok(python) = programs.python() {
        first_line(
            &python.to_string_lossy(),
            &[
                "-c",
                "import sys, importlib.metadata as m; print('Python', sys.version.split()[0] + ',', \
                 ', '.join(f'{p} {m.version(p)}' for p in ('uvloop', 'tornado', 'twisted')))",
            ],
        );
    }
    told.join("; ")
}
