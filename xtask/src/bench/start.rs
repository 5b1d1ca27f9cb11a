//! `bench start`: from spawn to the line that says `listening`, and the size
//! of the binary.

use super::Bench;
use super::server::{self, Running, Server, place};
use super::table::{Series, Table};
use crate::Outcome;
use crate::run::{command, is_installed, root};
use std::time::Duration;

/// Starts of each server; `--rounds` does not change it.
const RUNS: usize = 50;
/// `up` has said its last `listening` when it has been silent for so long.
const QUIET: Duration = Duration::from_millis(300);

static SERVERS: &[&Server] = &[
    &server::NETLOOM,
    &server::C,
    &server::TOKIO,
    &server::UVLOOP,
    &server::ASYNCIO,
];

pub(super) fn bench(bench: &Bench) -> Outcome {
    let chosen = bench.choose(SERVERS)?;
    let alone = bench.only.is_empty();
    let mut times: Vec<(String, Option<u64>, Series)> = Vec::new();
    for server in &chosen {
        let size = server.file_size(&bench.programs);
        times.push((server.title.to_owned(), size, Series::default()));
    }
    let ncat = alone && is_installed("ncat");
    if ncat {
        times.push(("ncat -l".to_owned(), None, Series::default()));
    }
    let config = root().join("netloom.toml");
    let up = chosen.iter().any(|server| server.name == "netloom") && config.is_file();
    if up {
        times.push(("netloom up".to_owned(), None, Series::default()));
    }

    // One start more, and the first is dropped: it reads the files from disk.
    for run in 0..=RUNS {
        let mut took = Vec::new();
        for server in &chosen {
            took.push(server.start(&bench.programs)?.started_in);
        }
        if ncat {
            took.push(Running::start(command("ncat").args(["-lv", "127.0.0.1", "0"]))?.started_in);
        }
        if up {
            took.push(last_listening(bench)?);
        }
        if run > 0 {
            for ((.., series), time) in times.iter_mut().zip(took) {
                series.push(time.as_secs_f64() * 1e3);
            }
        }
    }

    let uvloop = times
        .iter()
        .find(|(title, ..)| title == server::UVLOOP.title)
        .map(|(.., series)| series.clone())
        .unwrap_or_default();
    let mut table = Table::new(&["start", "÷ uvloop", "ms until it listens", "binary, MiB"]);
    for (title, size, series) in &times {
        table.row(vec![
            title.clone(),
            series.ratio(&uvloop).cell(2),
            series.cell(1),
            size.map_or_else(
                || "–".to_owned(),
                |size| format!("{:.1}", size as f64 / 1024.0 / 1024.0),
            ),
        ]);
    }
    println!("\n{RUNS} starts of each: median (least–greatest)\n");
    table.print();
    if !config.is_file() {
        println!("\n`up` was left out: there is no netloom.toml");
    }
    Ok(())
}

/// From spawn to the last `listening` of `netloom up`.
fn last_listening(bench: &Bench) -> Outcome<Duration> {
    let mut program = command(bench.programs.netloom()?);
    let running = Running::start(program.arg("up")).map_err(|e| format!("netloom up: {e}"))?;
    let mut last = running.started_in;
    while let Some((at, line)) = running.next_line(QUIET) {
        if place(&line).is_some() {
            last = at - running.spawned;
        }
    }
    Ok(last)
}
