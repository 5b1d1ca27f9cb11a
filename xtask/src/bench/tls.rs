//! `bench tls`: full handshakes, bytes and idle connections of a TLS server,
//! beside nginx with the same certificate. What counts is the server's CPU
//! time and memory.

use super::server::Running;
use super::table::{Series, Table};
use super::{Bench, machine, meter};
use crate::Outcome;
use crate::nginx::{Folder, Nginx, Pair, certificate, in_option};
use crate::run::{command, read};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

const HANDSHAKES: u32 = 4_000;
const WARM_UP: &str = "handshakes:200";
const IDLE: usize = 2_000;
const BULK: u32 = 256;

/// TLS 1.3 with X25519 and no session that goes on: the same for both. It
/// answers with one byte; what an echo does besides is ours alone.
const SERVES: &str = "ssl_protocols TLSv1.3; ssl_ecdh_curve X25519; \
    ssl_session_tickets off; ssl_session_cache off; return x;";

#[derive(Default)]
struct Figures {
    nginx: Series,
    x25519: Series,
    mlkem: Series,
    idle: Series,
    bulk: Series,
}

pub(super) fn bench(bench: &Bench) -> Outcome {
    let folder = Folder::new("bench-tls")?;
    let pair = certificate(folder.path())?;
    println!("{}", machine::versions(&bench.programs));
    // `nginx -v` tells it on stderr.
    println!(
        "{}",
        read(command("sh").args(["-c", "/usr/sbin/nginx -V 2>&1 | head -3"]))?.trim()
    );
    let mut figures = Figures::default();
    for round in 0..bench.rounds {
        let nginx = nginx_handshakes(bench, &folder, &pair)?;
        let ours = Ours::start(bench, &pair)?;
        let x25519 = ours.handshakes(bench, "x25519")?;
        let mlkem = ours.handshakes(bench, "mlkem")?;
        let bulk = ours.bulk(bench)?;
        drop(ours);
        let idle = idle(bench, &pair)?;
        eprintln!(
            "round {round} handshakes per CPU s: netloom {x25519:.0}, nginx {nginx:.0}; X25519MLKEM768 {mlkem:.0}; idle {idle:.0} bytes; bulk {bulk:.0} MiB per CPU s{}",
            if round == 0 { " (dropped)" } else { "" }
        );
        if round > 0 {
            figures.nginx.push(nginx);
            figures.x25519.push(x25519);
            figures.mlkem.push(mlkem);
            figures.idle.push(idle);
            figures.bulk.push(bulk);
        }
    }
    let mut table = Table::new(&[
        "TLS server",
        "handshakes ÷ nginx",
        "handshakes per CPU s",
        "bytes per idle connection",
        "echo, MiB per CPU s",
    ]);
    let none = Series::default;
    let mut row = |title: &str, handshakes: &Series, idle: &Series, bulk: &Series| {
        table.row(vec![
            title.to_owned(),
            handshakes.ratio(&figures.nginx).cell(2),
            handshakes.cell(0),
            idle.cell(0),
            bulk.cell(0),
        ]);
    };
    row(
        "netloom echo, `--threads 1`, X25519",
        &figures.x25519,
        &figures.idle,
        &figures.bulk,
    );
    row("the same, X25519MLKEM768", &figures.mlkem, &none(), &none());
    row(
        "nginx stream, one worker, X25519",
        &figures.nginx,
        &none(),
        &none(),
    );
    println!(
        "\nfull TLS 1.3 handshakes, one P-256 certificate, {HANDSHAKES} from four threads; {IDLE} idle connections used once; {BULK} MiB echoed in pieces of 64 KiB; {} rounds kept: median (least–greatest)\n",
        bench.rounds - 1
    );
    table.print();
    Ok(())
}

/// The generator: one command after another.
struct Load {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Load {
    fn start(bench: &Bench, to: &str, group: &str) -> Outcome<Self> {
        let mut child = command(&bench.programs.tls_load)
            .args([to, group])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("floor-tls-load: {e}"))?;
        let (Some(ask), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("floor-tls-load: no pipes".to_owned());
        };
        Ok(Self {
            child,
            ask,
            answers: BufReader::new(answers),
        })
    }

    fn run(&mut self, what: &str) -> Outcome {
        writeln!(self.ask, "{what}").map_err(|e| format!("floor-tls-load: {e}"))?;
        let mut line = String::new();
        self.answers
            .read_line(&mut line)
            .map_err(|e| format!("floor-tls-load: {e}"))?;
        if line.is_empty() {
            return Err("floor-tls-load ended; what it said stands above".to_owned());
        }
        Ok(())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What `pid` did of `amount` in one second of its CPU time.
fn per_cpu_second(load: &mut Load, pid: u32, what: &str, amount: u32) -> Outcome<f64> {
    let before = meter::cpu_ns(pid)?;
    load.run(&format!("{what}:{amount}"))?;
    let cpu_ns = meter::cpu_ns(pid)?.saturating_sub(before) as f64;
    Ok(f64::from(amount) / (cpu_ns / 1e9))
}

fn nginx_handshakes(bench: &Bench, folder: &Folder, pair: &Pair) -> Outcome<f64> {
    let (cert, key) = (pair.cert.display(), pair.key.display());
    let directives = format!("ssl_certificate {cert}; ssl_certificate_key {key}; {SERVES}");
    let nginx = Nginx::start(folder.path(), true, &directives)?;
    let mut load = Load::start(bench, &nginx.address, "x25519")?;
    load.run(WARM_UP)?;
    per_cpu_second(&mut load, nginx.pid(), "handshakes", HANDSHAKES)
}

struct Ours(Running);

impl Ours {
    fn start(bench: &Bench, pair: &Pair) -> Outcome<Self> {
        let (cert, key) = (in_option(&pair.cert), in_option(&pair.key));
        let endpoint = format!("tls://127.0.0.1:0,cert={cert},key={key}");
        let mut listen = command(bench.programs.netloom()?);
        listen.args(["listen", &endpoint, "--echo", "--threads", "1"]);
        Ok(Self(Running::start(&mut listen)?))
    }

    fn load(&self, bench: &Bench, group: &str) -> Outcome<Load> {
        Load::start(bench, &self.0.address()?, group)
    }

    fn handshakes(&self, bench: &Bench, group: &str) -> Outcome<f64> {
        let mut load = self.load(bench, group)?;
        load.run(WARM_UP)?;
        per_cpu_second(&mut load, self.0.pid(), "handshakes", HANDSHAKES)
    }

    fn bulk(&self, bench: &Bench) -> Outcome<f64> {
        per_cpu_second(&mut self.load(bench, "x25519")?, self.0.pid(), "bulk", BULK)
    }
}

/// Private bytes for each of the connections that have been used once.
fn idle(bench: &Bench, pair: &Pair) -> Outcome<f64> {
    let ours = Ours::start(bench, pair)?;
    let pid = ours.0.pid();
    // What the first connection brings is the server's, not a connection's.
    ours.load(bench, "x25519")?.run("idle:1")?;
    let empty = meter::private_bytes(pid)?;
    let mut load = ours.load(bench, "x25519")?;
    load.run(&format!("idle:{IDLE}"))?;
    Ok(meter::private_bytes(pid)?.saturating_sub(empty) as f64 / IDLE as f64)
}
