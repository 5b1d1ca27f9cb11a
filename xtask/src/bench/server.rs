//! The echo servers we measure, and one of them running.

use super::meter;
use crate::Outcome;
use crate::metadata::release_binaries;
use crate::peers;
use crate::run::{command, root, stream};
use std::cell::OnceCell;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// A server that has not said `listening` by then has failed.
const START: Duration = Duration::from_secs(20);

/// One server: a short name for `--only`, a long one for the table.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    how: How,
}

enum How {
    Netloom(&'static [&'static str]),
    /// The same over datagrams.
    NetloomUdp(&'static [&'static str]),
    /// A chat, without limits on how fast is said.
    NetloomChat(&'static [&'static str]),
    C,
    CUdp,
    Tokio,
    /// A program of benches/peers.
    Python(&'static str),
}

pub(crate) static NETLOOM_ONE: Server = Server {
    name: "netloom-1",
    title: "netloom, `--threads 1`",
    how: How::Netloom(&["--threads", "1"]),
};
pub(crate) static NETLOOM: Server = Server {
    name: "netloom",
    title: "netloom",
    how: How::Netloom(&[]),
};
pub(crate) static C: Server = Server {
    name: "c",
    title: "bare C, epoll",
    how: How::C,
};
pub(crate) static TOKIO: Server = Server {
    name: "tokio",
    title: "bare tokio",
    how: How::Tokio,
};
pub(crate) static UVLOOP: Server = Server {
    name: "uvloop",
    title: "uvloop Protocol",
    how: How::Python("uvloop_echo.py"),
};
pub(crate) static ASYNCIO: Server = Server {
    name: "asyncio",
    title: "asyncio Protocol",
    how: How::Python("asyncio_echo.py"),
};
pub(crate) static STREAMS: Server = Server {
    name: "streams",
    title: "asyncio streams",
    how: How::Python("asyncio_streams_echo.py"),
};
pub(crate) static UDP_NETLOOM_ONE: Server = Server {
    name: "netloom-1",
    title: "netloom, `--threads 1`",
    how: How::NetloomUdp(&["--threads", "1"]),
};
pub(crate) static UDP_C: Server = Server {
    name: "c",
    title: "bare C, recvmmsg and sendmmsg",
    how: How::CUdp,
};
pub(crate) static UDP_UVLOOP: Server = Server {
    name: "uvloop",
    title: "uvloop DatagramProtocol",
    how: How::Python("uvloop_udp_echo.py"),
};
pub(crate) static UDP_ASYNCIO: Server = Server {
    name: "asyncio",
    title: "asyncio DatagramProtocol",
    how: How::Python("asyncio_udp_echo.py"),
};
pub(crate) static CHAT_NETLOOM_ONE: Server = Server {
    name: "netloom-1",
    title: "netloom, `--threads 1`",
    how: How::NetloomChat(&["--threads", "1"]),
};
pub(crate) static CHAT_NETLOOM: Server = Server {
    name: "netloom",
    title: "netloom",
    how: How::NetloomChat(&[]),
};
pub(crate) static CHAT_UVLOOP: Server = Server {
    name: "uvloop",
    title: "uvloop Protocol",
    how: How::Python("uvloop_chat.py"),
};
pub(crate) static CHAT_ASYNCIO: Server = Server {
    name: "asyncio",
    title: "asyncio Protocol",
    how: How::Python("asyncio_chat.py"),
};
pub(crate) static TORNADO: Server = Server {
    name: "tornado",
    title: "Tornado",
    how: How::Python("tornado_echo.py"),
};
pub(crate) static TWISTED: Server = Server {
    name: "twisted",
    title: "Twisted",
    how: How::Python("twisted_echo.py"),
};

/// Where the programs are.
pub(crate) struct Programs {
    pub(crate) netloom: Option<PathBuf>,
    pub(crate) load: PathBuf,
    pub(crate) tls_load: PathBuf,
    pub(crate) tokio_dial: PathBuf,
    pub(crate) udp_load: PathBuf,
    pub(crate) chat_load: PathBuf,
    tokio: PathBuf,
    pub(super) c: PathBuf,
    udp_c: PathBuf,
    /// What a relay carries to.
    pub(super) answer: PathBuf,
    pub(super) splice_relay: PathBuf,
    python: OnceCell<PathBuf>,
}

impl Programs {
    /// Builds the floor; the Python environment comes when it is first needed.
    pub(crate) fn build(netloom: Option<PathBuf>) -> Outcome<Self> {
        let names = [
            "floor-load",
            "floor-tls-load",
            "floor-tokio-dial",
            "floor-tokio-echo",
            "floor-udp-load",
            "floor-chat-load",
        ];
        let mut built = release_binaries("netloom-floor", &names)?.into_iter();
        let mut next = || built.next().ok_or("a program of the floor was not built");
        let (load, tls_load, tokio_dial) = (next()?, next()?, next()?);
        let (tokio, udp_load, chat_load) = (next()?, next()?, next()?);
        let compile = |name: &str, source: &str| {
            let program = load.with_file_name(name);
            let built = stream(
                command("cc")
                    .args(["-O2", "-o"])
                    .arg(&program)
                    .arg(format!("benches/floor/{source}")),
            );
            built.map(|()| program)
        };
        let c = compile("floor-c-echo", "echo.c")?;
        let udp_c = compile("floor-c-udp-echo", "udp_echo.c")?;
        let answer = compile("floor-c-answer", "answer.c")?;
        let splice_relay = compile("floor-c-splice-relay", "splice_relay.c")?;
        Ok(Self {
            netloom,
            load,
            tls_load,
            tokio_dial,
            udp_load,
            chat_load,
            tokio,
            c,
            udp_c,
            answer,
            splice_relay,
            python: OnceCell::new(),
        })
    }

    pub(crate) fn netloom(&self) -> Outcome<&PathBuf> {
        self.netloom
            .as_ref()
            .ok_or_else(|| "no netloom binary was built".to_owned())
    }

    pub(crate) fn python(&self) -> Outcome<&PathBuf> {
        if self.python.get().is_none() {
            // A second value cannot come: this is one thread.
            let _ = self.python.set(peers::python()?);
        }
        self.python
            .get()
            .ok_or_else(|| "no python environment".to_owned())
    }
}

fn netloom(programs: &Programs, at: &str, args: &[&str]) -> Outcome<Command> {
    let mut command = command(programs.netloom()?);
    command.args(["listen", at, "--echo"]).args(args);
    Ok(command)
}

/// Room for ten thousand listeners and their speaker, who says what it likes.
const CHAT_LIMITS: [&str; 8] = [
    "--max-rate",
    "0",
    "--max-conns",
    "10100",
    "--max-members",
    "10100",
    "--max-per-room",
    "10100",
];

impl Server {
    pub(crate) fn command(&self, programs: &Programs) -> Outcome<Command> {
        Ok(match self.how {
            How::Netloom(args) => netloom(programs, "tcp://127.0.0.1:0", args)?,
            How::NetloomUdp(args) => netloom(programs, "udp://127.0.0.1:0", args)?,
            How::NetloomChat(args) => {
                let mut command = command(programs.netloom()?);
                command.args(["listen", "tcp://127.0.0.1:0", "--chat"]);
                command.args(CHAT_LIMITS).args(args);
                command
            }
            How::C => command(&programs.c),
            How::CUdp => command(&programs.udp_c),
            How::Tokio => command(&programs.tokio),
            How::Python(script) => {
                let mut command = command(programs.python()?);
                command.arg(root().join("benches/peers").join(script));
                command
            }
        })
    }

    pub(crate) fn start(&self, programs: &Programs) -> Outcome<Running> {
        Running::start(&mut self.command(programs)?).map_err(|e| format!("{}: {e}", self.name))
    }

    /// What it takes on disk, for a server that is one file.
    pub(crate) fn file_size(&self, programs: &Programs) -> Option<u64> {
        let path = match self.how {
            How::Netloom(_) | How::NetloomUdp(_) | How::NetloomChat(_) => {
                programs.netloom.as_ref()?
            }
            How::C => &programs.c,
            How::CUdp => &programs.udp_c,
            How::Tokio => &programs.tokio,
            How::Python(_) => return None,
        };
        fs::metadata(path).map(|file| file.len()).ok()
    }
}

/// A server that listens; ends with this value.
pub(crate) struct Running {
    child: Child,
    /// After the word `listening`.
    pub(crate) place: String,
    /// Before the spawn.
    pub(crate) spawned: Instant,
    /// From then until the line was read.
    pub(crate) started_in: Duration,
    said: Receiver<(Instant, String)>,
}

impl Running {
    /// Spawns, and waits for a line on stdout or stderr that has `listening`
    /// in it, whichever case.
    pub(crate) fn start(command: &mut Command) -> Outcome<Self> {
        let begun = Instant::now();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| e.to_string())?;
        let (say, said) = sync_channel(1024);
        if let Some(out) = child.stdout.take() {
            relay(out, say.clone());
        }
        if let Some(err) = child.stderr.take() {
            relay(err, say);
        }
        let mut running = Self {
            child,
            place: String::new(),
            spawned: begun,
            started_in: Duration::ZERO,
            said,
        };
        let mut before = Vec::new();
        let (at, place) = loop {
            match running.said.recv_timeout(START) {
                Ok((at, line)) => match place(&line) {
                    Some(place) => break (at, place.to_owned()),
                    None => before.push(line),
                },
                Err(why) => {
                    let why = match why {
                        RecvTimeoutError::Timeout => "has not said listening for 20 s",
                        RecvTimeoutError::Disconnected => "ended without listening",
                    };
                    return Err(format!("{why}: {}", before.join(" / ")));
                }
            }
        };
        running.started_in = at - begun;
        running.place = place;
        Ok(running)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end, as whoever runs a service does, and waits until it has.
    pub(crate) fn stop(mut self) -> Outcome {
        stream(command("kill").args(["-TERM", &self.pid().to_string()]))?;
        let over = Instant::now() + START;
        loop {
            match self.child.try_wait().map_err(|e| e.to_string())? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(format!("it ended with {status}")),
                None if Instant::now() > over => {
                    return Err("it was asked to end, and goes on".to_owned());
                }
                None => thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// `127.0.0.1:PORT` of the first listening line.
    pub(crate) fn address(&self) -> Outcome<String> {
        port(&self.place)
            .map(|port| format!("127.0.0.1:{port}"))
            .ok_or_else(|| format!("no port in {:?}", self.place))
    }

    /// The next line it says within `time`.
    pub(crate) fn next_line(&self, time: Duration) -> Option<(Instant, String)> {
        self.said.recv_timeout(time).ok()
    }

    pub(crate) fn cpu_ns(&self) -> Outcome<u64> {
        meter::cpu_ns(self.pid())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads lines to the end, so that the server is never held up by a full pipe;
/// what nobody takes is dropped.
fn relay(from: impl Read + Send + 'static, to: std::sync::mpsc::SyncSender<(Instant, String)>) {
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let _ = to.try_send((Instant::now(), line));
        }
    });
}

/// What stands after `listening` or `listening on`.
pub(crate) fn place(line: &str) -> Option<&str> {
    let at = line.to_ascii_lowercase().find("listening ")?;
    let rest = &line[at + "listening ".len()..];
    Some(rest.strip_prefix("on ").unwrap_or(rest))
}

/// The number after the last colon of `tcp://127.0.0.1:41233 (echo)` or of a
/// plain `41233`.
pub(crate) fn port(place: &str) -> Option<u16> {
    place
        .split_whitespace()
        .find_map(|word| word.rsplit(':').next()?.trim_end_matches('/').parse().ok())
}

#[cfg(test)]
mod tests {
    use super::{place, port};

    #[test]
    fn the_port_is_found_in_every_listening_line() {
        for line in [
            "listening 41233",
            "listening tcp://127.0.0.1:41233 (echo)",
            "listening tcp://[::1]:41233",
            "Ncat: Listening on 127.0.0.1:41233",
            "2025/01/01 10:00:00 socat[7] N listening on AF=2 127.0.0.1:41233",
        ] {
            assert_eq!(place(line).and_then(port), Some(41233), "{line}");
        }
        assert_eq!(place("note: nothing here"), None);
        assert_eq!(port("unix:/tmp/x"), None);
    }
}
