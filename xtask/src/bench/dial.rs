//! `bench dial`: connect and close on loopback, one after the other. What
//! counts is the CPU time of whoever dials.

use super::server;
use super::table::{Series, Table};
use super::{Bench, machine};
use crate::Outcome;
use crate::metadata::release_binaries;
use crate::run::{command, read};
use serde_json::Value;
use std::path::Path;

/// What makes a run last a good fifth of a second.
const DIALS: u32 = 10_000;

#[derive(Default)]
struct Figures {
    /// Seconds for 10,000 dials.
    cpu: Series,
    wall: Series,
}

pub(super) fn bench(bench: &Bench) -> Outcome {
    let ours = release_binaries("netloom-ours", &["ours-dial"])?.remove(0);
    let bare = bench.programs.tokio_dial.as_path();
    let dialers: [(&str, &Path, &[&str]); 3] = [
        ("netloom::connect", ours.as_path(), &[]),
        ("bare tokio, the same option", bare, &["nodelay"]),
        ("bare tokio", bare, &[]),
    ];
    let mut figures: [Figures; 3] = Default::default();
    println!("{}", machine::versions(&bench.programs));
    for round in 0..bench.rounds {
        for ((title, program, more), figures) in dialers.iter().zip(&mut figures) {
            let (cpu, wall) = measure(bench, program, more)?;
            eprintln!(
                "round {round} {title}: {cpu:.3} CPU s per 10k{}",
                if round == 0 { " (dropped)" } else { "" }
            );
            if round > 0 {
                figures.cpu.push(cpu);
                figures.wall.push(wall);
            }
        }
    }
    let [_, alike, bare] = &figures;
    let mut table = Table::new(&[
        "dial",
        "CPU ÷ bare",
        "CPU ÷ the same option",
        "CPU s per 10k dials",
        "s per 10k dials",
    ]);
    for ((title, ..), own) in dialers.iter().zip(&figures) {
        table.row(vec![
            (*title).to_owned(),
            own.cpu.ratio(&bare.cpu).cell(3),
            own.cpu.ratio(&alike.cpu).cell(3),
            own.cpu.cell(3),
            own.wall.cell(3),
        ]);
    }
    println!(
        "\n{DIALS} dials to bare C's echo, each reset at once, one current_thread runtime, {} rounds kept: median (least–greatest)\n",
        bench.rounds - 1
    );
    table.print();
    Ok(())
}

/// CPU seconds and seconds for 10,000 dials.
fn measure(bench: &Bench, program: &Path, more: &[&str]) -> Outcome<(f64, f64)> {
    let server = server::C.start(&bench.programs)?;
    let told = read(
        command(program)
            .args([server.address()?, DIALS.to_string()])
            .args(more),
    )?;
    let told: Value = serde_json::from_str(&told).map_err(|e| format!("{e}: {told}"))?;
    let seconds = |name: &str| {
        let ns = told[name].as_f64();
        ns.map(|ns| ns / 1e9 / f64::from(DIALS) * 1e4)
            .ok_or_else(|| format!("no {name} in {told}"))
    };
    Ok((seconds("cpu_ns")?, seconds("wall_ns")?))
}
