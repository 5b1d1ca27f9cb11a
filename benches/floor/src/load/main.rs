//! The load generator for echo servers: one thread, one epoll, closed loop.
//!
//! ```text
//! floor-load ADDRESS [--conns N] [--bytes S] [COMMAND…]
//! ```
//!
//! Opens `N` connections, prints `{"ready":N,…}` and does each `COMMAND`, or
//! the lines of stdin when there is none, with one line of JSON for each:
//!
//! - `echo:COUNT` sends `S` bytes on every connection, and again when they are
//!   back, until `COUNT` answers are in; `echo:5s` does so for five seconds;
//! - `ping:COUNT` asks on one random connection after another, while all the
//!   others stay idle;
//! - `last` asks on the connection opened last: once it is answered, the
//!   server has accepted all of them;
//! - the end of stdin closes every connection.
//!
//! Every answer is compared with what was sent. Times are nanoseconds, except
//! where the name says otherwise.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a bare program to measure with: it has no Cx and speaks on stdout"
)]

mod conn;
mod histogram;
mod poller;
mod run;

use run::{Amount, Load};
use std::io::{self, BufRead, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("floor-load: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<(), Box<dyn std::error::Error>> {
    let mut to: Option<SocketAddr> = None;
    let mut conns = 64;
    let mut bytes = 64;
    let mut commands = Vec::new();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--conns" => conns = args.next().ok_or("--conns takes a number")?.parse()?,
            "--bytes" => bytes = args.next().ok_or("--bytes takes a number")?.parse()?,
            _ if to.is_none() => to = Some(arg.parse()?),
            _ => commands.push(Command::parse(&arg)?),
        }
    }
    let to = to.ok_or("which address? floor-load 127.0.0.1:7 --conns 64 --bytes 64 echo:200000")?;
    if conns == 0 || bytes == 0 {
        return Err("--conns and --bytes are at least 1".into());
    }

    let mut load = Load::open(to, conns, bytes)?;
    say(&format!(
        r#"{{"ready":{conns},"open_ns":{}}}"#,
        load.open_ns()
    ))?;
    if commands.is_empty() {
        for line in io::stdin().lock().lines() {
            say(&Command::parse(line?.trim())?.run(&mut load)?)?;
        }
    } else {
        for command in commands {
            say(&command.run(&mut load)?)?;
        }
    }
    Ok(())
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

enum Command {
    Echo(Amount),
    Ping(u64),
    Last,
}

impl Command {
    fn parse(word: &str) -> Result<Self, String> {
        let unknown =
            || format!("unknown command {word:?}: echo:COUNT, echo:SECONDSs, ping:COUNT, last");
        if word == "last" {
            return Ok(Self::Last);
        }
        let (name, amount) = word.split_once(':').ok_or_else(unknown)?;
        match (name, amount.strip_suffix('s')) {
            ("echo", Some(seconds)) => seconds
                .parse()
                .map(|s| Self::Echo(Amount::Time(Duration::from_secs_f64(s))))
                .map_err(|_| unknown()),
            ("echo", None) => amount
                .parse()
                .map(|n| Self::Echo(Amount::Count(n)))
                .map_err(|_| unknown()),
            ("ping", None) => amount.parse().map(Self::Ping).map_err(|_| unknown()),
            _ => Err(unknown()),
        }
    }

    fn run(&self, load: &mut Load) -> io::Result<String> {
        match self {
            Self::Echo(amount) => load.echo(amount),
            Self::Ping(count) => load.ping(*count),
            Self::Last => load.last(),
        }
        .map(|report| report.to_string())
    }
}
