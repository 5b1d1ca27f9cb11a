//! `bench echo`: 64 connections × 64 bytes, question and answer, the generator
//! on the same cores. What counts is the server's CPU time for each answer.

use super::load::Load;
use super::server::{self, Server};
use super::table::{Series, Table};
use super::{Bench, machine};
use crate::Outcome;

const CONNS: usize = 64;
const BYTES: usize = 64;
/// What makes a round of a fast server last about a second; slow ones get a
/// quarter.
const ECHOES: u32 = 200_000;
const WARM_UP: &str = "echo:20000";

static SERVERS: &[(&Server, u32)] = &[
    (&server::NETLOOM_ONE, ECHOES),
    (&server::NETLOOM, ECHOES),
    (&server::C, ECHOES),
    (&server::TOKIO, ECHOES),
    (&server::UVLOOP, ECHOES),
    (&server::ASYNCIO, ECHOES / 2),
    (&server::STREAMS, ECHOES / 4),
    (&server::TORNADO, ECHOES / 4),
    (&server::TWISTED, ECHOES / 4),
];

#[derive(Default)]
struct Figures {
    /// Seconds for 100,000 echoes.
    cpu: Series,
    rate: Series,
    /// The generator's own share of one core: at 1 it is the limit.
    generator: Series,
    p50: Series,
    p99: Series,
    p999: Series,
}

pub(super) fn bench(bench: &Bench) -> Outcome {
    let all: Vec<_> = SERVERS.iter().map(|(server, _)| *server).collect();
    let chosen: Vec<_> = bench
        .choose(&all)?
        .into_iter()
        .map(|server| {
            let (_, echoes) = SERVERS
                .iter()
                .find(|(known, _)| known.name == server.name)
                .copied()
                .unwrap_or((server, ECHOES));
            (server, echoes, Figures::default())
        })
        .collect();
    let mut chosen = chosen;
    println!("{}", machine::versions(&bench.programs));
    for round in 0..bench.rounds {
        for (server, echoes, figures) in &mut chosen {
            let took = measure(bench, server, *echoes)?;
            eprintln!(
                "round {round} {:<10} {:.3} CPU s per 100k, {:.0} echoes/s{}",
                server.name,
                took.cpu,
                took.rate,
                if round == 0 { " (dropped)" } else { "" }
            );
            if round > 0 {
                figures.add(&took);
            }
        }
    }

    let of = |name: &str| {
        chosen
            .iter()
            .find(|(server, ..)| server.name == name)
            .map(|(.., figures)| figures)
    };
    let mut table = Table::new(&[
        "echo server",
        "CPU ÷ uvloop",
        "CPU ÷ C",
        "CPU s per 100k echoes",
        "rate ÷ uvloop",
        "echoes/s",
        "p50 µs",
        "p99 µs",
        "p99.9 µs",
        "generator, cores",
    ]);
    let none = Series::default();
    for (server, _, figures) in &chosen {
        let against = |name, own: fn(&Figures) -> &Series| {
            own(figures).ratio(of(name).map_or(&none, own)).cell(2)
        };
        table.row(vec![
            server.title.to_owned(),
            against("uvloop", |f| &f.cpu),
            against("c", |f| &f.cpu),
            figures.cpu.cell(3),
            against("uvloop", |f| &f.rate),
            figures.rate.cell(0),
            figures.p50.cell(0),
            figures.p99.cell(0),
            figures.p999.cell(0),
            figures.generator.cell(2),
        ]);
    }
    println!(
        "\n{CONNS} connections × {BYTES} bytes, closed loop, {} rounds kept: median (least–greatest)\n",
        bench.rounds - 1
    );
    table.print();
    Ok(())
}

struct Took {
    cpu: f64,
    rate: f64,
    generator: f64,
    p50: f64,
    p99: f64,
    p999: f64,
}

fn measure(bench: &Bench, server: &Server, echoes: u32) -> Outcome<Took> {
    let running = server.start(&bench.programs)?;
    let mut load = Load::open(&bench.programs, &running.address()?, CONNS, BYTES)?;
    load.run(WARM_UP)?;
    let before = running.cpu_ns()?;
    let report = load.run(&format!("echo:{echoes}"))?;
    let cpu_ns = running.cpu_ns()?.saturating_sub(before) as f64;
    let echoes = f64::from(echoes);
    Ok(Took {
        cpu: cpu_ns / 1e9 / echoes * 1e5,
        rate: echoes / (report.wall / 1e9),
        generator: report.cpu / report.wall,
        p50: report.p50 / 1e3,
        p99: report.p99 / 1e3,
        p999: report.p999 / 1e3,
    })
}

impl Figures {
    fn add(&mut self, took: &Took) {
        self.cpu.push(took.cpu);
        self.rate.push(took.rate);
        self.generator.push(took.generator);
        self.p50.push(took.p50);
        self.p99.push(took.p99);
        self.p999.push(took.p999);
    }
}
