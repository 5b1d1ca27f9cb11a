//! `bench framing`: GiB of stream that a core decodes in a second of CPU time,
//! beside a copy of the same bytes.

use super::table::{Series, Table};
use crate::Outcome;
use crate::metadata::release_binaries;
use crate::run::{command, read};
use serde_json::Value;

/// What each measurement of a round decodes: long enough that a tick of the
/// clock of CPU time is nothing.
const MIB: &str = "16384";

pub(super) fn bench(rounds: usize) -> Outcome {
    let program = release_binaries("netloom-floor", &["floor-framing"])?.remove(0);
    let mut rows: Vec<(String, Series)> = Vec::new();
    for round in 0..rounds {
        let told = read(command(&program).arg(MIB))?;
        for (i, line) in told.lines().enumerate() {
            let (title, rate) = figure(line)?;
            if rows.len() <= i {
                rows.push((title, Series::default()));
            }
            if round > 0 {
                rows[i].1.push(rate);
            }
        }
    }
    let copy = rows
        .first()
        .map(|(_, copy)| copy.clone())
        .unwrap_or_default();
    let mut table = Table::new(&[
        "decoded from 64 KiB reads",
        "GiB per CPU second",
        "÷ memcpy",
    ]);
    for (title, rate) in &rows {
        table.row(vec![title.clone(), rate.cell(2), rate.ratio(&copy).cell(2)]);
    }
    println!(
        "\n{} rounds of {MIB} MiB each: median (least–greatest)\n",
        rounds - 1
    );
    table.print();
    Ok(())
}

/// What was measured, and its rate.
fn figure(line: &str) -> Outcome<(String, f64)> {
    let figure: Value = serde_json::from_str(line).map_err(|e| format!("{line}: {e}"))?;
    let (what, size) = (figure["what"].as_str(), figure["message"].as_u64());
    let (Some(what), Some(size), Some(rate)) = (what, size, figure["gib_per_cpu_s"].as_f64())
    else {
        return Err(format!("floor-framing told {line}"));
    };
    Ok(match size {
        0 => (format!("{what} alone"), rate),
        size => (format!("{what}, messages of {} KiB", size / 1024), rate),
    })
}
