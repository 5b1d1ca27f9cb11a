//! `bench chat`: one speaks, a thousand hear it. What counts is how many lines
//! the server delivers for each second of its CPU time.

use super::load::Load;
use super::server::{self, Server};
use super::table::{Series, Table};
use super::{Bench, machine};
use crate::Outcome;

const LISTENERS: usize = 1000;

/// How many lines the speaker may be ahead of its listeners, and how many it
/// says in a round: a room in which much is said, and one in which a line is
/// said when the last has been heard.
const SHAPES: &[(usize, u32)] = &[(64, 3000), (1, 300)];

const WARM_UP: &str = "say:100";

static SERVERS: &[&Server] = &[
    &server::CHAT_NETLOOM_ONE,
    &server::CHAT_NETLOOM,
    &server::CHAT_UVLOOP,
    &server::CHAT_ASYNCIO,
];

#[derive(Default, Clone)]
struct Figures {
    /// Deliveries for a CPU second.
    per_cpu: Series,
    rate: Series,
    p50: Series,
    p99: Series,
}

pub(super) fn bench(bench: &Bench) -> Outcome {
    let chosen = bench.choose(SERVERS)?;
    println!("{}", machine::versions(&bench.programs));
    for &shape in SHAPES {
        measure_all(bench, &chosen, shape)?;
    }
    Ok(())
}

fn measure_all(bench: &Bench, chosen: &[&'static Server], shape: (usize, u32)) -> Outcome {
    let mut figures = vec![Figures::default(); chosen.len()];
    for round in 0..bench.rounds {
        for (server, figures) in chosen.iter().zip(&mut figures) {
            let took = measure(bench, server, shape)?;
            eprintln!(
                "round {round} {:<10} {:.0} deliveries per CPU s, {:.0}/s, p99 {:.0} ms{}",
                server.name,
                took.per_cpu,
                took.rate,
                took.p99,
                if round == 0 { " (dropped)" } else { "" }
            );
            if round > 0 {
                figures.per_cpu.push(took.per_cpu);
                figures.rate.push(took.rate);
                figures.p50.push(took.p50);
                figures.p99.push(took.p99);
            }
        }
    }
    let mut table = Table::new(&[
        "chat server",
        "per CPU s ÷ uvloop",
        "per CPU s ÷ asyncio",
        "deliveries per CPU s",
        "deliveries/s",
        "p50 ms",
        "p99 ms",
    ]);
    for (server, own) in chosen.iter().zip(&figures) {
        let against = |name: &str| {
            let other = chosen.iter().position(|server| server.name == name);
            let other = other.map(|at| figures[at].per_cpu.clone());
            own.per_cpu.ratio(&other.unwrap_or_default()).cell(2)
        };
        table.row(vec![
            server.title.to_owned(),
            against("uvloop"),
            against("asyncio"),
            own.per_cpu.cell(0),
            own.rate.cell(0),
            own.p50.cell(2),
            own.p99.cell(2),
        ]);
    }
    println!(
        "\n1 speaker × {LISTENERS} listeners, 64-byte lines, {} ahead, {} rounds kept: median (least–greatest)\n",
        shape.0,
        bench.rounds - 1
    );
    table.print();
    Ok(())
}

struct Took {
    per_cpu: f64,
    rate: f64,
    p50: f64,
    p99: f64,
}

fn measure(bench: &Bench, server: &Server, (window, lines): (usize, u32)) -> Outcome<Took> {
    let running = server.start(&bench.programs)?;
    let mut load = Load::chat(&bench.programs, &running.address()?, LISTENERS, window)?;
    load.run(WARM_UP)?;
    let before = running.cpu_ns()?;
    let report = load.run(&format!("say:{lines}"))?;
    let cpu = running.cpu_ns()?.saturating_sub(before) as f64;
    if report.lost > 0.0 {
        return Err(format!(
            "{}: {} lines were lost or out of order",
            server.name, report.lost
        ));
    }
    let deliveries = f64::from(lines) * LISTENERS as f64;
    Ok(Took {
        per_cpu: deliveries / (cpu / 1e9),
        rate: deliveries / (report.wall / 1e9),
        p50: report.p50 / 1e6,
        p99: report.p99 / 1e6,
    })
}
