//! `bench forward-udp`: 64-byte datagrams through a forwarder to an echo server
//! and back. What counts is the forwarder's CPU time for each datagram it
//! carried, so for a question and its answer two.
//!
//! Three loads: one client at full rate, which sends as fast as it can and takes
//! what comes back; one that keeps a window full, of which nothing is lost; and
//! a thousand of which each waits for its answer. The target is the bare C echo
//! server, the generator the one of `bench udp`; neither is counted.

use std::fs;
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::load::Load;
use super::meter;
use super::server::{self, Programs};
use super::table::{Series, Table};
use super::{Bench, machine};
use crate::Outcome;
use crate::nginx::Folder;
use crate::peers::{NGINX, NGINX_STREAM};
use crate::run::command;

const BYTES: usize = 64;

/// A forwarder that carries nothing by then has failed.
const START: Duration = Duration::from_secs(10);

/// One load.
#[derive(Clone, Copy)]
struct Shape {
    name: &'static str,
    sockets: usize,
    /// How many datagrams are under way in all, where it waits for answers. More
    /// than the receive buffers hold would be lost when somebody has to wait for
    /// a processor.
    most: Option<usize>,
    warm_up: &'static str,
    round: &'static str,
}

const LOADS: &[Shape] = &[
    Shape {
        name: "udp-flood",
        sockets: 1,
        most: None,
        warm_up: "flood:300",
        round: "flood:2000",
    },
    Shape {
        name: "udp-one",
        sockets: 1,
        most: Some(64),
        warm_up: "echo:40000",
        round: "echo:400000",
    },
    Shape {
        name: "udp-many",
        sockets: 1000,
        most: Some(128),
        warm_up: "echo:20000",
        round: "echo:200000",
    },
];

const FORWARDERS: &[(&str, &str, How)] = &[
    ("netloom", "netloom forward", How::Netloom(&[])),
    (
        "netloom-2",
        "netloom forward, `--threads 2`",
        How::Netloom(&["--threads", "2"]),
    ),
    ("nginx", "nginx stream, 2 workers", How::Nginx(2)),
    ("nginx-1", "nginx stream, 1 worker", How::Nginx(1)),
    ("socat", "socat, a process for each client", How::Socat),
];

#[derive(Clone, Copy)]
enum How {
    Netloom(&'static [&'static str]),
    Nginx(u32),
    /// Only one client: a thousand processes measure the scheduler.
    Socat,
}

#[derive(Default, Clone)]
struct Figures {
    /// CPU seconds for a million datagrams carried.
    cpu: Series,
    rate: Series,
    p50: Series,
    p99: Series,
    /// What part of the questions was answered, of those that were not waited for.
    answered: Series,
}

pub(super) fn bench(bench: &Bench, load: Option<&str>) -> Outcome {
    let names: Vec<_> = LOADS.iter().map(|shape| shape.name).collect();
    let loads: Vec<_> = LOADS
        .iter()
        .filter(|shape| load.is_none_or(|chosen| chosen == shape.name))
        .collect();
    if loads.is_empty() {
        return Err(format!("which load? {}", names.join(", ")));
    }
    println!("{}", machine::versions(&bench.programs));
    for shape in loads {
        measure_all(bench, *shape)?;
    }
    Ok(())
}

fn chosen(bench: &Bench, sockets: usize) -> Vec<&'static (&'static str, &'static str, How)> {
    let is_chosen = |name: &str| bench.only.is_empty() || bench.only.iter().any(|n| n == name);
    FORWARDERS
        .iter()
        .filter(|(name, _, how)| is_chosen(name) && (sockets == 1 || !matches!(how, How::Socat)))
        .collect()
}

fn measure_all(bench: &Bench, shape: Shape) -> Outcome {
    let (name, chosen) = (shape.name, chosen(bench, shape.sockets));
    let mut figures = vec![Figures::default(); chosen.len()];
    for round in 0..bench.rounds {
        for ((forwarder, _, how), figures) in chosen.iter().zip(&mut figures) {
            let took = measure(bench, *how, shape).map_err(|e| format!("{forwarder}: {e}"))?;
            eprintln!(
                "round {round} {name} {forwarder:<10} {:.3} CPU s per million, {:.0} datagrams/s{}",
                took.cpu,
                took.rate,
                if round == 0 { " (dropped)" } else { "" }
            );
            if round > 0 {
                figures.cpu.push(took.cpu);
                figures.rate.push(took.rate);
                match took.answered {
                    None => {
                        figures.p50.push(took.p50);
                        figures.p99.push(took.p99);
                    }
                    Some(part) => figures.answered.push(part),
                }
            }
        }
    }
    let mut table = Table::new(&[
        "UDP forwarder",
        "per CPU s ÷ nginx",
        "CPU s per million",
        "datagrams/s",
        "p50 µs",
        "p99 µs",
        "answered",
    ]);
    let nginx = chosen.iter().position(|(name, ..)| *name == "nginx");
    let nginx = nginx.map(|at| figures[at].cpu.clone()).unwrap_or_default();
    for ((_, title, _), own) in chosen.iter().zip(&figures) {
        table.row(vec![
            (*title).to_owned(),
            nginx.ratio(&own.cpu).cell(2),
            own.cpu.cell(3),
            own.rate.cell(0),
            own.p50.cell(0),
            own.p99.cell(0),
            own.answered.cell(2),
        ]);
    }
    println!(
        "\n{name}: {}, {} rounds kept: median (least–greatest)\n",
        shape.in_words(),
        bench.rounds - 1
    );
    table.print();
    Ok(())
}

impl Shape {
    fn in_words(&self) -> String {
        let sockets = self.sockets;
        match self.most {
            None => format!("one client sends {BYTES}-byte datagrams for 2 s as fast as it can"),
            Some(most) => {
                format!("{sockets} client sockets, {most} datagrams of {BYTES} bytes under way")
            }
        }
    }
}

struct Took {
    answered: Option<f64>,
    cpu: f64,
    rate: f64,
    p50: f64,
    p99: f64,
}

fn measure(bench: &Bench, how: How, shape: Shape) -> Outcome<Took> {
    let folder = Folder::new("forward-udp")?;
    let target = server::UDP_C.start(&bench.programs)?;
    let forwarder = Forwarder::start(how, &bench.programs, folder.path(), &target.address()?)?;
    let to = &forwarder.address;
    let mut load = match (shape.sockets, shape.most.unwrap_or(1)) {
        (1, window) => Load::datagrams(&bench.programs, to, (1, window), BYTES)?,
        several => Load::datagrams_in_turn(&bench.programs, to, several, BYTES)?,
    };
    load.run(shape.warm_up)?;
    let before = forwarder.cpu_ns()?;
    let report = load.run(shape.round)?;
    let cpu_ns = forwarder.cpu_ns()?.saturating_sub(before) as f64;
    let carried = report.count * 2.0;
    Ok(Took {
        answered: shape
            .most
            .is_none()
            .then(|| report.count / (report.count + report.lost)),
        cpu: cpu_ns / 1e9 / carried * 1e6,
        rate: carried / (report.wall / 1e9),
        p50: report.p50 / 1e3,
        p99: report.p99 / 1e3,
    })
}

/// A forwarder that carries; ends with this value.
struct Forwarder {
    running: Process,
    address: String,
}

enum Process {
    Ours(server::Running),
    Theirs(Child),
}

impl Forwarder {
    fn start(how: How, programs: &Programs, folder: &Path, target: &str) -> Outcome<Self> {
        let (running, address) = match how {
            How::Netloom(args) => {
                let mut netloom = command(programs.netloom()?);
                let to = format!("udp://{target}");
                netloom
                    .args(["forward", "udp://127.0.0.1:0", &to])
                    .args(args);
                let running = server::Running::start(&mut netloom)?;
                // The first word: where it leads may stand behind it.
                let place = running.place.split_whitespace().next().unwrap_or_default();
                let address = place.trim_start_matches("udp://").to_owned();
                (Process::Ours(running), address)
            }
            How::Nginx(workers) => {
                let address = free_port()?;
                let text = nginx_configuration(workers, &address, target);
                let config = folder.join("nginx.conf");
                fs::write(&config, text).map_err(|e| format!("{}: {e}", config.display()))?;
                let mut nginx = command(NGINX);
                nginx
                    .arg("-p")
                    .arg(folder)
                    .arg("-e")
                    .arg(folder.join("error.log"));
                let child = quiet(nginx.arg("-c").arg(&config))?;
                (Process::Theirs(child), address)
            }
            How::Socat => {
                let address = free_port()?;
                let (host, port) = address.rsplit_once(':').unwrap_or_default();
                let mut socat = command("socat");
                socat.arg(format!("UDP-LISTEN:{port},bind={host},fork"));
                let child = quiet(socat.arg(format!("UDP:{target}")))?;
                (Process::Theirs(child), address)
            }
        };
        let mut forwarder = Self { running, address };
        forwarder.until_it_carries()?;
        Ok(forwarder)
    }

    /// Asks until an answer comes: datagrams to whoever does not listen yet are lost.
    fn until_it_carries(&mut self) -> Outcome {
        let socket = UdpSocket::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
        let patience = Some(Duration::from_millis(100));
        socket
            .set_read_timeout(patience)
            .map_err(|e| e.to_string())?;
        let over = Instant::now() + START;
        while Instant::now() < over {
            // It says so when nobody has the port yet.
            let _ = socket.send_to(b"ready?", &self.address);
            if socket.recv(&mut [0; 64]).is_ok() {
                return Ok(());
            }
            if let Process::Theirs(child) = &mut self.running
                && child.try_wait().map_err(|e| e.to_string())?.is_some()
            {
                return Err("it has ended".to_owned());
            }
        }
        Err(format!("nothing came through {}", self.address))
    }

    fn cpu_ns(&self) -> Outcome<u64> {
        match &self.running {
            Process::Ours(running) => running.cpu_ns(),
            Process::Theirs(child) => meter::cpu_ns(child.id()),
        }
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        if let Process::Theirs(child) = &mut self.running {
            // Its workers and children end when it is asked to, not when it is killed.
            let asked = command("kill").arg(child.id().to_string()).status();
            if asked.is_err() {
                let _ = child.kill();
            }
            let _ = child.wait();
        }
    }
}

/// As in the facts of the relays: an nginx that spreads its clients over its
/// workers as we do over our cores.
fn nginx_configuration(workers: u32, address: &str, target: &str) -> String {
    let reuseport = if workers > 1 { " reuseport" } else { "" };
    format!(
        "daemon off; worker_processes {workers}; worker_cpu_affinity auto; pid nginx.pid;\n\
         load_module {NGINX_STREAM};\n\
         worker_rlimit_nofile 20000;\n\
         events {{ worker_connections 16000; multi_accept on; }}\n\
         stream {{ access_log off;\n\
           server {{ listen {address} udp{reuseport}; proxy_pass {target}; }} }}\n"
    )
}

fn free_port() -> Outcome<String> {
    let free = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    free.map(|addr| addr.to_string()).map_err(|e| e.to_string())
}

fn quiet(command: &mut std::process::Command) -> Outcome<Child> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| e.to_string())
}
