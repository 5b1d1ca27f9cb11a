//! Area `raw`: bytes over TCP on IPv4 and IPv6 and over Unix sockets. Python's
//! sockets and asyncio, ncat, socat and curl talk to `netloom listen --echo`,
//! and `netloom connect` talks to theirs.

use super::peer::{End, Scratch, one_way, payload, talk};
use crate::Outcome;
use crate::bench::server::{Running, port};
use crate::peers;
use crate::run::{command, root};
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

const PAYLOAD: usize = 64 * 1024 * 1024;
const HOSTS: [&str; 2] = ["127.0.0.1", "[::1]"];

/// One program that connects: what it is called, and how it is run.
struct Client {
    name: &'static str,
    command: Command,
    /// It is given only printable bytes.
    terminal: bool,
    end: End,
}

pub(super) fn area(netloom: &Path) -> Outcome {
    let scratch = Scratch::new().map_err(|e| e.to_string())?;
    let bytes = payload(PAYLOAD, false);
    let text = payload(PAYLOAD, true);
    let mut problems = Vec::new();
    let mut talks = 0;
    let mut tell = |title: String, outcome: Outcome<std::time::Duration>| {
        talks += 1;
        match outcome {
            Ok(time) => println!("{title}: 64 MiB in {:.2} s", time.as_secs_f64()),
            Err(problem) => {
                println!("{title}: {problem}");
                problems.push(title);
            }
        }
    };

    let unix = scratch.path().join("ours.sock");
    let mut places: Vec<String> = HOSTS.iter().map(|host| format!("tcp://{host}:0")).collect();
    places.push(format!("unix:{}", unix.display()));
    for place in &places {
        let server = Running::start(command(netloom).args(["listen", place, "--echo"]))
            .map_err(|e| format!("netloom listen {place} --echo: {e}"))?;
        for client in clients(place, &server.place)? {
            let Client {
                name,
                mut command,
                terminal,
                end,
            } = client;
            let sent = if terminal { &text } else { &bytes };
            tell(
                format!("{name} → netloom {place}"),
                talk(&mut command, sent, end),
            );
        }
    }

    for (title, mut server, place) in servers(scratch.path())? {
        let outcome = Running::start(&mut server).and_then(|server| {
            let place = match port(&server.place) {
                Some(port) if port > 0 => place.replace(":0", &format!(":{port}")),
                _ => place,
            };
            talk(
                command(netloom).args(["connect", &place]),
                &bytes,
                End::Itself,
            )
        });
        tell(format!("netloom → {title}"), outcome);
    }

    for (place, args) in ncat_places(scratch.path())? {
        let connect = || {
            let mut connect = command(netloom);
            connect.args(["connect", &place]);
            connect
        };
        let listen = |way: &str| {
            let mut listen = command("ncat");
            listen.args(["-l", "-v", way]).args(&args);
            listen
        };
        let title = format!("netloom → ncat {place}");
        let outcome = one_way(&mut listen("--recv-only"), &mut connect(), false, &bytes);
        tell(title, outcome);
        // A Unix socket of ncat's stays behind; the next one needs its name.
        if let Some(path) = place.strip_prefix("unix:") {
            fs::remove_file(path).map_err(|e| e.to_string())?;
        }
        let title = format!("ncat {place} → netloom");
        let outcome = one_way(&mut listen("--send-only"), &mut connect(), true, &bytes);
        tell(title, outcome);
    }

    if problems.is_empty() {
        println!("raw: {talks} talks, every byte came back");
        Ok(())
    } else {
        Err(format!("{} of {talks} talks failed", problems.len()))
    }
}

/// All programs that can connect to `place`, where `told` has its real port.
fn clients(place: &str, told: &str) -> Outcome<Vec<Client>> {
    let mut clients = Vec::new();
    let mut add = |name, terminal, program: &str, args: &[&str]| {
        let mut command = command(program);
        command.args(args);
        clients.push(Client {
            name,
            command,
            terminal,
            end: if terminal {
                End::WhenAllIsBack
            } else {
                End::Itself
            },
        });
    };
    let python = peers::python()?;
    let python = python.to_string_lossy();
    let script = root().join("benches/peers/talk.py");
    let script = script.to_string_lossy();
    if let Some(path) = place.strip_prefix("unix:") {
        add(
            "socat",
            false,
            "socat",
            &["-t60", "-", &format!("unix-connect:{path}")],
        );
        add("ncat", false, "ncat", &["-U", path]);
        add("python socket", false, &python, &[&*script, "socket", path]);
        add(
            "python asyncio",
            false,
            &python,
            &[&*script, "asyncio", path],
        );
        return Ok(clients);
    }
    let port = port(told)
        .ok_or_else(|| format!("no port in {told:?}"))?
        .to_string();
    let host = place.trim_start_matches("tcp://").trim_end_matches(":0");
    let bare = host.trim_matches(['[', ']']);
    add(
        "socat",
        false,
        "socat",
        &["-t60", "-", &format!("tcp:{host}:{port}")],
    );
    add("ncat", false, "ncat", &[bare, &port]);
    add(
        "python socket",
        false,
        &python,
        &[&*script, "socket", bare, &port],
    );
    add(
        "python asyncio",
        false,
        &python,
        &[&*script, "asyncio", bare, &port],
    );
    add(
        "curl telnet",
        true,
        "curl",
        &["-sSN", &format!("telnet://{host}:{port}")],
    );
    Ok(clients)
}

/// Echo servers that are not ours: a title, how each starts, where it listens.
fn servers(scratch: &Path) -> Outcome<Vec<(String, Command, String)>> {
    let mut servers = Vec::new();
    let mut add = |name: &str, place: String, program: &str, args: &[&str]| {
        let mut command = command(program);
        command.args(args);
        servers.push((format!("{name} {place}"), command, place));
    };
    let python = peers::python()?;
    let python = python.to_string_lossy();
    for script in ["asyncio_echo.py", "uvloop_echo.py"] {
        let path = root().join("benches/peers").join(script);
        let place = format!("tcp://{}:0", HOSTS[0]);
        add(script, place, &python, &[&*path.to_string_lossy()]);
    }
    for (host, listen) in [(HOSTS[0], "tcp4-listen:0"), (HOSTS[1], "tcp6-listen:0")] {
        let listen = format!("{listen},bind={host},fork");
        let place = format!("tcp://{host}:0");
        add(
            "socat",
            place,
            "socat",
            &["-d", "-d", "-t60", &listen, "exec:cat"],
        );
    }
    let path = scratch.join("socat.sock");
    let listen = format!("unix-listen:{},fork", path.display());
    let place = format!("unix:{}", path.display());
    add(
        "socat",
        place,
        "socat",
        &["-d", "-d", "-t60", &listen, "exec:cat"],
    );
    Ok(servers)
}

/// Places where ncat listens, each with its arguments. It cannot give an echo
/// of more than its pipes hold (it waits for `--exec`'s program to read while
/// that waits for it), so it only takes or only gives.
fn ncat_places(scratch: &Path) -> Outcome<Vec<(String, Vec<String>)>> {
    let mut places = Vec::new();
    for host in HOSTS {
        let bare = host.trim_matches(['[', ']']);
        // ncat does not tell which port it was given.
        let port = TcpListener::bind((bare, 0))
            .and_then(|free| free.local_addr())
            .map_err(|e| e.to_string())?
            .port();
        places.push((
            format!("tcp://{host}:{port}"),
            vec![bare.to_owned(), port.to_string()],
        ));
    }
    let path = scratch.join("ncat.sock").to_string_lossy().into_owned();
    places.push((format!("unix:{path}"), vec!["-U".to_owned(), path]));
    Ok(places)
}
