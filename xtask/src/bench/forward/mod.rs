//! `bench forward`: Netloom, HAProxy, nginx and socat carry connections to one
//! and the same server, and beside them the least that a relay can do. What
//! counts is the relay's CPU time, with all its processes and threads; the
//! generator and the server run on the same cores.

mod calls;
mod load;
mod relay;

use super::table::{Series, Table};
use super::{Bench, machine};
use crate::Outcome;
use crate::nginx::Folder;
use load::{LOADS, Load};
use relay::{RELAYS, Relay};

/// What the figures are put in relation to, where it was measured.
const AGAINST: &[&str] = &["haproxy", "haproxy-splice", "nginx", "c"];

pub(super) fn bench(bench: &Bench) -> Outcome {
    let relays = choose(bench)?;
    let loads: Vec<_> = LOADS
        .iter()
        .filter(|load| bench.load.as_ref().is_none_or(|name| name == load.name))
        .collect();
    if loads.is_empty() {
        let known: Vec<_> = LOADS.iter().map(|load| load.name).collect();
        return Err(format!("which load? {}", known.join(", ")));
    }
    println!("{}", machine::versions(&bench.programs));
    println!("{}", relay::versions());
    let folder = Folder::new("bench-forward")?;
    for load in loads {
        measure(bench, load, &relays, &folder)?;
    }
    Ok(())
}

fn choose(bench: &Bench) -> Outcome<Vec<&'static Relay>> {
    let known = || RELAYS.iter().map(|relay| relay.name);
    if let Some(unknown) = bench.only.iter().find(|name| known().all(|k| k != **name)) {
        let known: Vec<_> = known().collect();
        return Err(format!("there is no relay {unknown}: {}", known.join(", ")));
    }
    Ok(RELAYS
        .iter()
        .filter(|relay| bench.only.is_empty() || bench.only.iter().any(|n| n == relay.name))
        .collect())
}

fn measure(bench: &Bench, load: &Load, relays: &[&'static Relay], folder: &Folder) -> Outcome {
    let relays: Vec<_> = relays
        .iter()
        .filter(|relay| !load.without.contains(&relay.name))
        .collect();
    let mut figures = vec![vec![Series::default(); load.columns.len()]; relays.len()];
    for round in 0..bench.rounds {
        for (relay, figures) in relays.iter().zip(&mut figures) {
            let took = load
                .run(&bench.programs, relay, folder)
                .map_err(|e| format!("{}: {e}", relay.name))?;
            eprintln!(
                "round {round} {:<8} {:<14} {} {:.3}{}",
                load.name,
                relay.name,
                load.columns[0].title,
                took[0],
                if round == 0 { " (dropped)" } else { "" }
            );
            if round > 0 {
                for (series, value) in figures.iter_mut().zip(took) {
                    series.push(value);
                }
            }
        }
    }

    let of = |name: &str| relays.iter().position(|relay| relay.name == name);
    let against: Vec<_> = AGAINST.iter().filter(|name| of(name).is_some()).collect();
    let mut head = vec!["relay".to_owned()];
    for column in load.columns {
        if column.against {
            head.extend(
                against
                    .iter()
                    .map(|name| format!("{} ÷ {name}", column.title)),
            );
        }
        head.push(format!("{}{}", column.title, column.unit));
    }
    let counted = load.calls.is_some();
    if counted {
        head.push("system calls each".to_owned());
        head.push("of them reads of nothing".to_owned());
    }
    let head: Vec<_> = head.iter().map(String::as_str).collect();
    let mut table = Table::new(&head);
    for (relay, own) in relays.iter().zip(&figures) {
        let mut row = vec![relay.title.to_owned()];
        for (at, column) in load.columns.iter().enumerate() {
            if column.against {
                for name in &against {
                    let other = of(name).map(|other| figures[other][at].clone());
                    row.push(own[at].ratio(&other.unwrap_or_default()).cell(2));
                }
            }
            row.push(own[at].cell(column.digits));
        }
        if counted {
            // Traced, so outside the rounds.
            let (calls, empty) = load
                .count(&bench.programs, relay, folder)
                .map_err(|e| format!("{}: {e}", relay.name))?;
            row.extend([format!("{calls:.1}"), format!("{empty:.2}")]);
        }
        table.row(row);
    }
    println!(
        "\n{}, {} rounds kept: median (least–greatest)\n",
        load.title,
        bench.rounds - 1
    );
    table.print();
    Ok(())
}
