//! Area `forward`: iperf3, wrk and h2load measure through `netloom forward`,
//! which proves more than it measures, and a soak compares every byte.

use super::peer::Scratch;
use crate::Outcome;
use crate::bench::server::Running;
use crate::nginx::Nginx;
use crate::run::{command, read};
use crate::soak::soak;
use serde_json::Value;
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const SOAK: Duration = Duration::from_mins(1);

pub(super) fn area(netloom: &Path) -> Outcome {
    let scratch = Scratch::new().map_err(|e| e.to_string())?;
    let mut problems = Vec::new();
    let mut tell = |title: &str, outcome: Outcome<String>| match outcome {
        Ok(how) => println!("{title}: {how}"),
        Err(problem) => {
            println!("{title}: {problem}");
            problems.push(title.to_owned());
        }
    };
    for (title, args) in [
        ("iperf3", &[][..]),
        ("iperf3 -R", &["-R"]),
        ("iperf3 --bidir", &["--bidir"]),
        ("iperf3 -P 8", &["-P", "8"]),
        ("iperf3 -6", &["-6"]),
        ("iperf3 -u", &["-u", "-b", "200M"]),
        ("iperf3 -u -R", &["-u", "-R", "-b", "200M"]),
        ("iperf3 -u --bidir", &["-u", "--bidir", "-b", "100M"]),
    ] {
        tell(title, iperf(netloom, args));
    }
    let scratch = scratch.path();
    tell("wrk", requested(netloom, scratch, false, wrk));
    tell("h2load", requested(netloom, scratch, true, h2load));
    tell("soak", soak(netloom, SOAK, &[]));
    tell(
        "soak on two threads",
        soak(netloom, SOAK / 6, &["--threads", "2"]),
    );
    if problems.is_empty() {
        println!("forward: every talk went well");
        Ok(())
    } else {
        Err(format!("forward: {} failed", problems.join(", ")))
    }
}

fn forward(netloom: &Path, from: &str, to: &str) -> Outcome<Running> {
    Running::start(command(netloom).args(["forward", from, to]))
        .map_err(|e| format!("netloom forward {from} {to}: {e}"))
}

/// A program that ends with this value.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// iperf3's own server, and its client through us. It talks over TCP of what it
/// sends over UDP, both on the same port.
fn iperf(netloom: &Path, args: &[&str]) -> Outcome<String> {
    let host = if args.contains(&"-6") {
        "::1"
    } else {
        "127.0.0.1"
    };
    let written = if host == "::1" { "[::1]" } else { host };
    let behind = free(host)?;
    let mut server = Command::new("iperf3");
    server.args(["-s", "-1", "-B", host, "-p", &behind.to_string()]);
    server.args(["--forceflush"]).stdin(Stdio::null());
    let _server = started(&mut server, "listening")?;
    let before = free(host)?;
    let _tcp = forward(
        netloom,
        &format!("tcp://{written}:{before}"),
        &format!("tcp://{written}:{behind}"),
    )?;
    let _udp = if args.contains(&"-u") {
        let from = format!("udp://{written}:{before}");
        Some(forward(
            netloom,
            &from,
            &format!("udp://{written}:{behind}"),
        )?)
    } else {
        None
    };
    let told = read(
        command("iperf3")
            .args(["-c", host, "-p", &before.to_string(), "-t", "2", "-J"])
            .args(args),
    )?;
    judged(&serde_json::from_str(&told).map_err(|e| e.to_string())?)
}

/// What iperf3 says of its own test: that something arrived, and over UDP how
/// much was lost.
fn judged(told: &Value) -> Outcome<String> {
    if let Some(error) = told["error"].as_str() {
        return Err(error.to_owned());
    }
    let end = &told["end"];
    let rate = |sum: &Value| sum["bits_per_second"].as_f64().unwrap_or_default() / 1e9;
    let sums: Vec<f64> = ["sum_received", "sum_received_bidir_reverse", "sum"]
        .iter()
        .filter(|name| !end[**name].is_null())
        .map(|name| rate(&end[*name]))
        .collect();
    if sums.is_empty() || sums.iter().any(|rate| *rate <= 0.0) {
        return Err(format!("nothing arrived: {end}"));
    }
    for sum in ["sum", "sum_bidir_reverse"] {
        if let Some(lost) = end[sum]["lost_percent"].as_f64()
            && lost > 5.0
        {
            return Err(format!("{lost:.1} % of the datagrams were lost"));
        }
    }
    let rates: Vec<String> = sums.iter().map(|rate| format!("{rate:.2}")).collect();
    Ok(format!("{} Gbit/s", rates.join(" and ")))
}

/// A port that is free over TCP and UDP.
fn free(host: &str) -> Outcome<u16> {
    for _ in 0..64 {
        let tcp = TcpListener::bind((host, 0)).map_err(|e| e.to_string())?;
        let port = tcp.local_addr().map_err(|e| e.to_string())?.port();
        if UdpSocket::bind((host, port)).is_ok() {
            return Ok(port);
        }
    }
    Err("no port is free over both TCP and UDP".to_owned())
}

/// Starts `server` and waits until it has said `word`.
fn started(server: &mut Command, word: &str) -> Outcome<Ends> {
    use std::io::{BufRead, BufReader};

    let mut child = server
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| format!("{server:?}: {e}"))?;
    let out = child.stdout.take().ok_or("no pipe")?;
    let ends = Ends(child);
    let mut lines = BufReader::new(out).lines();
    while let Some(Ok(line)) = lines.next() {
        if line.to_ascii_lowercase().contains(word) {
            // What it says later must not stop it.
            std::thread::spawn(move || lines.count());
            return Ok(ends);
        }
    }
    Err(format!("{server:?} never said {word}"))
}

/// nginx answers requests that come through us.
fn requested(
    netloom: &Path,
    scratch: &Path,
    http2: bool,
    client: fn(&str) -> Outcome<String>,
) -> Outcome<String> {
    let nginx = Nginx::answering(scratch, http2, "hello")?;
    let through = forward(
        netloom,
        "tcp://127.0.0.1:0",
        &format!("tcp://{}", nginx.address),
    )?;
    client(&format!("http://{}/", through.address()?))
}

fn wrk(url: &str) -> Outcome<String> {
    let told = read(command("wrk").args(["-t2", "-c50", "-d3s", url]))?;
    if let Some(wrong) = told
        .lines()
        .find(|line| line.contains("errors") || line.contains("Non-2xx"))
    {
        return Err(wrong.trim().to_owned());
    }
    line(&told, "requests in")
}

fn h2load(url: &str) -> Outcome<String> {
    let told = read(command("h2load").args(["-n20000", "-c20", "-m10", url]))?;
    let counted = line(&told, "requests: ")?;
    if counted.contains("20000 succeeded, 0 failed, 0 errored") {
        line(&told, "finished in")
    } else {
        Err(counted)
    }
}

fn line(told: &str, having: &str) -> Outcome<String> {
    let found = told.lines().find(|line| line.contains(having));
    found
        .map(|line| line.trim().to_owned())
        .ok_or_else(|| format!("no `{having}` in {told}"))
}

#[cfg(test)]
mod tests {
    use super::judged;
    use serde_json::json;

    #[test]
    fn what_iperf3_lost_or_never_sent_is_no_success() {
        assert!(judged(&json!({"error": "refused"})).is_err());
        assert!(judged(&json!({"end": {}})).is_err());
        let nothing = json!({"end": {"sum_received": {"bits_per_second": 0.0}}});
        assert!(judged(&nothing).is_err());
        let well = json!({"end": {"sum_received": {"bits_per_second": 2e9}}});
        assert_eq!(judged(&well).unwrap(), "2.00 Gbit/s");
        let lossy = json!({"end": {"sum": {"bits_per_second": 1e9, "lost_percent": 9.0}}});
        assert!(judged(&lossy).unwrap_err().contains("9.0 %"));
    }
}
