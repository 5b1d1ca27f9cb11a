//! `bench udp`: 64-byte datagrams, question and answer, the generator on the
//! same cores. What counts is the server's CPU time for each answer.

use super::load::Load;
use super::server::{self, Server};
use super::table::{Series, Table};
use super::{Bench, machine};
use crate::Outcome;

const BYTES: usize = 64;

/// Sockets of the generator, how many datagrams each has under way, and how
/// many times fewer echoes make a round: many clients that wait for their
/// answers, one that does, whose time is that of waking up, and one that does not.
const SHAPES: &[(usize, usize, u32)] = &[(64, 1, 1), (1, 1, 8), (1, 32, 1)];

/// What makes a round of a fast server last a good part of a second; slow ones
/// get a half.
const ECHOES: u32 = 200_000;
const WARM_UP: &str = "echo:20000";

static SERVERS: &[(&Server, u32)] = &[
    (&server::UDP_NETLOOM_ONE, ECHOES),
    (&server::UDP_C, ECHOES),
    (&server::UDP_UVLOOP, ECHOES / 2),
    (&server::UDP_ASYNCIO, ECHOES / 2),
];

#[derive(Default, Clone)]
struct Figures {
    /// CPU seconds for a million echoes.
    cpu: Series,
    rate: Series,
    p50: Series,
    p99: Series,
}

pub(super) fn bench(bench: &Bench) -> Outcome {
    let all: Vec<_> = SERVERS.iter().map(|(server, _)| *server).collect();
    let chosen = bench.choose(&all)?;
    println!("{}", machine::versions(&bench.programs));
    for &shape in SHAPES {
        measure_all(bench, &chosen, shape)?;
    }
    Ok(())
}

fn measure_all(
    bench: &Bench,
    chosen: &[&'static Server],
    (sockets, window, fewer): (usize, usize, u32),
) -> Outcome {
    let mut figures = vec![Figures::default(); chosen.len()];
    for round in 0..bench.rounds {
        for (server, figures) in chosen.iter().zip(&mut figures) {
            let echoes = SERVERS
                .iter()
                .find(|(known, _)| known.name == server.name)
                .map_or(ECHOES, |(_, echoes)| *echoes)
                / fewer;
            let took = measure(bench, server, echoes, (sockets, window))?;
            eprintln!(
                "round {round} {:<10} {:.3} CPU s per million, {:.0} echoes/s{}",
                server.name,
                took.cpu,
                took.rate,
                if round == 0 { " (dropped)" } else { "" }
            );
            if round > 0 {
                figures.cpu.push(took.cpu);
                figures.rate.push(took.rate);
                figures.p50.push(took.p50);
                figures.p99.push(took.p99);
            }
        }
    }
    let mut table = Table::new(&[
        "UDP echo server",
        "per CPU s ÷ uvloop",
        "per CPU s ÷ asyncio",
        "per CPU s ÷ C",
        "CPU s per million",
        "echoes/s",
        "p50 µs",
        "p99 µs",
    ]);
    for (server, own) in chosen.iter().zip(&figures) {
        // How much more is answered with the same processor time.
        let against = |name: &str| {
            let other = chosen.iter().position(|server| server.name == name);
            let other = other.map(|at| figures[at].cpu.clone()).unwrap_or_default();
            other.ratio(&own.cpu).cell(2)
        };
        table.row(vec![
            server.title.to_owned(),
            against("uvloop"),
            against("asyncio"),
            against("c"),
            own.cpu.cell(3),
            own.rate.cell(0),
            own.p50.cell(0),
            own.p99.cell(0),
        ]);
    }
    println!(
        "\n{sockets} client sockets × {window} under way × {BYTES} bytes, {} rounds kept: median (least–greatest)\n",
        bench.rounds - 1
    );
    table.print();
    Ok(())
}

struct Took {
    cpu: f64,
    rate: f64,
    p50: f64,
    p99: f64,
}

fn measure(bench: &Bench, server: &Server, echoes: u32, shape: (usize, usize)) -> Outcome<Took> {
    let running = server.start(&bench.programs)?;
    let mut load = Load::datagrams(&bench.programs, &running.address()?, shape, BYTES)?;
    load.run(WARM_UP)?;
    let before = running.cpu_ns()?;
    let report = load.run(&format!("echo:{echoes}"))?;
    let cpu_ns = running.cpu_ns()?.saturating_sub(before) as f64;
    let echoes = f64::from(echoes);
    Ok(Took {
        cpu: cpu_ns / 1e9 / echoes * 1e6,
        rate: echoes / (report.wall / 1e9),
        p50: report.p50 / 1e3,
        p99: report.p99 / 1e3,
    })
}
