//! `bench once`: one question and its answer, from the start of the client's
//! process to its end, as somebody types it fifty times a day.

use super::Bench;
use super::server::{Running, port};
use super::table::{Series, Table};
use crate::Outcome;
use crate::nginx::Folder;
use crate::run::command;
use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Conversations of each client; `--rounds` does not change it.
const RUNS: usize = 50;

const QUESTION: &str = "a question\n";

const PYTHON: &str = r#"
import socket, ssl, sys
conn = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
if sys.argv[2] == "tls":
    conn = ssl._create_unverified_context().wrap_socket(conn)
conn.sendall(b"a question\n")
sys.exit(conn.recv(100) != b"a question\n")
"#;

struct Client {
    title: &'static str,
    tls: bool,
    command: fn(&Bench, u16) -> Outcome<Command>,
}

const CLIENTS: &[Client] = &[
    Client {
        title: "netloom connect tcp",
        tls: false,
        command: |bench, port| ours(bench, &format!("tcp://127.0.0.1:{port}")),
    },
    Client {
        title: "ncat",
        tls: false,
        command: |_, port| Ok(with(command("ncat"), &["127.0.0.1", &port.to_string()])),
    },
    Client {
        title: "Python, socket",
        tls: false,
        command: |bench, port| python(bench, port, "tcp"),
    },
    Client {
        title: "netloom connect tls",
        tls: true,
        command: |bench, port| ours(bench, &format!("tls://127.0.0.1:{port},insecure")),
    },
    Client {
        title: "openssl s_client",
        tls: true,
        command: |_, port| {
            let to = format!("127.0.0.1:{port}");
            Ok(with(command("openssl"), &["s_client", "-connect", &to]))
        },
    },
    Client {
        title: "Python, ssl",
        tls: true,
        command: |bench, port| python(bench, port, "tls"),
    },
];

fn with(mut command: Command, args: &[&str]) -> Command {
    command.args(args);
    command
}

/// All that is typed; the others are given the question on stdin.
fn ours(bench: &Bench, url: &str) -> Outcome<Command> {
    let words = ["connect", url, "--send", QUESTION, "--expect", "question"];
    Ok(with(command(bench.programs.netloom()?), &words))
}

fn python(bench: &Bench, port: u16, over: &str) -> Outcome<Command> {
    let python = command(bench.programs.python()?);
    Ok(with(python, &["-c", PYTHON, &port.to_string(), over]))
}

pub(super) fn bench(bench: &Bench) -> Outcome {
    let server = |url| {
        let listen = ["listen", url, "--echo"];
        Running::start(&mut with(command(bench.programs.netloom()?), &listen))
    };
    let (plain, secret) = (
        server("tcp://127.0.0.1:0")?,
        server("tls://127.0.0.1:0,cert=auto")?,
    );
    let port_of = |server: &Running| -> Outcome<u16> {
        port(&server.address()?).ok_or_else(|| format!("no port in {}", server.place))
    };
    let (plain_port, secret_port) = (port_of(&plain)?, port_of(&secret)?);
    let folder = Folder::new("bench-once")?;
    let question = folder.path().join("question");
    fs::write(&question, QUESTION).map_err(|e| e.to_string())?;

    let mut times = vec![Series::default(); CLIENTS.len()];
    // One more, and the first is dropped: it reads the files from disk.
    for run in 0..=RUNS {
        for (client, series) in CLIENTS.iter().zip(&mut times) {
            let port = if client.tls { secret_port } else { plain_port };
            let mut command = (client.command)(bench, port)?;
            let question = File::open(&question).map_err(|e| e.to_string())?;
            let begun = Instant::now();
            let ended = command
                .stdin(question)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            let took = begun.elapsed();
            match ended {
                Ok(status) if status.success() => {}
                Ok(status) => return Err(format!("{}: {status}", client.title)),
                Err(error) => return Err(format!("{}: {error}", client.title)),
            }
            if run > 0 {
                series.push(took.as_secs_f64() * 1e3);
            }
        }
    }
    plain.stop()?;
    secret.stop()?;

    println!("\n{RUNS} conversations of each: median (least–greatest)\n");
    let mut table = Table::new(&["one question and its answer", "÷ netloom", "ms in all"]);
    for (client, series) in CLIENTS.iter().zip(&times) {
        let first = CLIENTS.iter().position(|other| other.tls == client.tls);
        let of_ours = &times[first.unwrap_or_default()];
        table.row(vec![
            client.title.to_owned(),
            series.ratio(of_ours).cell(2),
            series.cell(1),
        ]);
    }
    table.print();
    Ok(())
}
