//! `bench idle`: 9,000 connections that say nothing. What counts is the
//! memory each costs the server, and how fast one of them is answered.

use super::load::Load;
use super::server::{self, Server};
use super::table::{Series, Table};
use super::{Bench, machine, meter};
use crate::Outcome;

const CONNS: usize = 9_000;
const BYTES: usize = 64;
const PINGS: &str = "ping:10000";

static SERVERS: &[&Server] = &[
    &server::NETLOOM,
    &server::C,
    &server::TOKIO,
    &server::UVLOOP,
];

#[derive(Default)]
struct Figures {
    /// Private bytes for each connection.
    bytes: Series,
    /// The same after each has been used once.
    bytes_used: Series,
    p50: Series,
    p99: Series,
}

pub(super) fn bench(bench: &Bench) -> Outcome {
    let mut chosen: Vec<_> = bench
        .choose(SERVERS)?
        .into_iter()
        .map(|server| (server, Figures::default()))
        .collect();
    println!("{}", machine::versions(&bench.programs));
    for round in 0..bench.rounds {
        for (server, figures) in &mut chosen {
            let took = measure(bench, server)?;
            eprintln!(
                "round {round} {:<10} {:.0} bytes each, p99 {:.1} µs{}",
                server.name,
                took.bytes,
                took.p99,
                if round == 0 { " (dropped)" } else { "" }
            );
            if round > 0 {
                figures.bytes.push(took.bytes);
                figures.bytes_used.push(took.bytes_used);
                figures.p50.push(took.p50);
                figures.p99.push(took.p99);
            }
        }
    }

    let uvloop = chosen
        .iter()
        .find(|(server, _)| server.name == server::UVLOOP.name)
        .map(|(_, figures)| figures.bytes.clone())
        .unwrap_or_default();
    let mut table = Table::new(&[
        "echo server",
        "memory ÷ uvloop",
        "bytes per idle connection",
        "each used once",
        "ping p50 µs",
        "ping p99 µs",
    ]);
    for (server, figures) in &chosen {
        table.row(vec![
            server.title.to_owned(),
            figures.bytes.ratio(&uvloop).cell(2),
            figures.bytes.cell(0),
            figures.bytes_used.cell(0),
            figures.p50.cell(1),
            figures.p99.cell(1),
        ]);
    }
    println!(
        "\n{CONNS} idle TCP connections, private memory of the server's process, {} rounds kept: median (least–greatest)\n",
        bench.rounds - 1
    );
    table.print();
    Ok(())
}

struct Took {
    bytes: f64,
    bytes_used: f64,
    p50: f64,
    p99: f64,
}

fn measure(bench: &Bench, server: &Server) -> Outcome<Took> {
    let running = server.start(&bench.programs)?;
    let address = running.address()?;
    // What the first connection brings is the server's, not a connection's.
    Load::open(&bench.programs, &address, 1, BYTES)?.run("ping:1")?;
    let empty = meter::private_bytes(running.pid())?;
    let each = |pid| {
        meter::private_bytes(pid).map(|full| full.saturating_sub(empty) as f64 / CONNS as f64)
    };

    let mut load = Load::open(&bench.programs, &address, CONNS, BYTES)?;
    // The kernel answers a connect before the server has accepted: an answer
    // on the last connection says that all are in.
    load.run("last")?;
    let bytes = each(running.pid())?;
    let pings = load.run(PINGS)?;
    load.run(&format!("echo:{CONNS}"))?;
    Ok(Took {
        bytes,
        bytes_used: each(running.pid())?,
        p50: pings.p50 / 1e3,
        p99: pings.p99 / 1e3,
    })
}
