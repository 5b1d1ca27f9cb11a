//! The load generator for echo servers and relays: one thread, one epoll.
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
//! - `rate:PER_SECOND:SECONDSs` asks at fixed times whether answers come or
//!   not, on whichever connection is free; times count from when a question was
//!   due, so a server that stands still is charged for all it holds up;
//! - `short:COUNT` closes the connections and opens `COUNT` new ones, `N` at a
//!   time: each asks, reads the answer to its end and closes;
//! - `bulk:BYTES` closes the connections and opens `N` new ones, asks for `BYTES`
//!   on each (`answer.c` gives them) and throws them away as they come;
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
mod fresh;
mod histogram;
mod poller;
mod rate;
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
    Rate(u32, Duration),
    Short(u64),
    Bulk(u64),
}

impl Command {
    fn parse(word: &str) -> Result<Self, String> {
        let unknown = || {
            format!(
                "unknown command {word:?}: echo:COUNT, echo:SECONDSs, ping:COUNT, last, rate:PER_SECOND:SECONDSs, short:COUNT, bulk:BYTES"
            )
        };
        if word == "last" {
            return Ok(Self::Last);
        }
        let (name, amount) = word.split_once(':').ok_or_else(unknown)?;
        if let ("rate", Some((rate, seconds))) = (name, amount.split_once(':')) {
            let seconds = seconds.strip_suffix('s').ok_or_else(unknown)?;
            return match (rate.parse(), seconds.parse()) {
                (Ok(rate), Ok(seconds)) => Ok(Self::Rate(rate, Duration::from_secs_f64(seconds))),
                _ => Err(unknown()),
            };
        }
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
            ("short", None) => amount.parse().map(Self::Short).map_err(|_| unknown()),
            ("bulk", None) => amount.parse().map(Self::Bulk).map_err(|_| unknown()),
            _ => Err(unknown()),
        }
    }

    fn run(&self, load: &mut Load) -> io::Result<String> {
        match self {
            Self::Echo(amount) => load.echo(amount),
            Self::Ping(count) => load.ping(*count),
            Self::Last => load.last(),
            Self::Rate(rate, time) => load.rate(*rate, *time),
            Self::Short(count) => load.short(*count),
            Self::Bulk(bytes) => load.bulk(*bytes),
        }
        .map(|report| report.to_string())
    }
}
