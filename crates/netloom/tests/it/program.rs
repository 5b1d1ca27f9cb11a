//! Starting programs, listening to what they say, and ending them.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::told;

/// No single thing that is waited for takes so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What a program has written so far.
#[derive(Clone)]
pub(crate) struct Output(Arc<(Mutex<Heard>, Condvar)>);

#[derive(Default)]
struct Heard {
    bytes: Vec<u8>,
    ended: bool,
}

impl Output {
    fn of(mut from: impl Read + Send + 'static) -> Self {
        let output = Output(Arc::default());
        let heard = output.clone();
        std::thread::spawn(move || {
            let mut chunk = vec![0; 64 * 1024];
            loop {
                let read = from.read(&mut chunk).unwrap_or(0);
                let mut state = heard.0.0.lock().unwrap();
                state.bytes.extend_from_slice(&chunk[..read]);
                state.ended = read == 0;
                heard.0.1.notify_all();
                if read == 0 {
                    return;
                }
            }
        });
        output
    }

    /// Waits until `found` sees in the whole output what it looks for.
    pub(crate) fn until<T>(
        &self,
        what: &str,
        mut found: impl FnMut(&[u8], bool) -> Option<T>,
    ) -> T {
        let end = Instant::now() + PATIENCE;
        let mut state = self.0.0.lock().unwrap();
        loop {
            if let Some(found) = found(&state.bytes, state.ended) {
                return found;
            }
            let left = end.saturating_duration_since(Instant::now());
            if state.ended || left.is_zero() {
                let said = tail(&state.bytes);
                let why = if state.ended {
                    "it ended"
                } else {
                    "time passed"
                };
                drop(state);
                panic!("no {what}, {why}; it said:\n{said}");
            }
            state = self.0.1.wait_timeout(state, left).unwrap().0;
        }
    }

    /// Waits for a whole line that has `text` in it.
    pub(crate) fn line(&self, text: &str) -> String {
        self.lines(text, 1).remove(0)
    }

    /// Waits for so many lines that have `text` in them.
    pub(crate) fn lines(&self, text: &str, count: usize) -> Vec<String> {
        self.until(&format!("{count} lines with `{text}`"), |said, _| {
            let said = String::from_utf8_lossy(said);
            let whole = &said[..said.rfind('\n').map_or(0, |at| at + 1)];
            let having: Vec<String> = whole
                .lines()
                .filter(|line| line.contains(text))
                .map(str::to_owned)
                .collect();
            (having.len() >= count).then_some(having)
        })
    }

    /// Waits for so many bytes in all.
    pub(crate) fn bytes(&self, count: usize) -> Vec<u8> {
        self.until(&format!("{count} bytes"), |said, _| {
            (said.len() >= count).then(|| said[..count].to_vec())
        })
    }

    /// Waits for its end, and gives everything.
    pub(crate) fn all(&self) -> Vec<u8> {
        self.until("end", |said, ended| ended.then(|| said.to_vec()))
    }

    /// What has been said by now.
    pub(crate) fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.0.0.lock().unwrap().bytes).into_owned()
    }
}

fn tail(bytes: &[u8]) -> String {
    let from = bytes.len().saturating_sub(2000);
    String::from_utf8_lossy(&bytes[from..]).into_owned()
}

/// A program that runs. Dropping it ends and reaps it.
pub(crate) struct Program {
    child: Child,
    shown: String,
    pub(crate) stdin: Option<ChildStdin>,
    pub(crate) stdout: Output,
    pub(crate) stderr: Output,
}

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Ended {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

impl Program {
    /// Starts `command` with all its streams in our hands.
    pub(crate) fn start(command: &mut Command) -> Self {
        let shown = format!("{command:?}");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{shown}: {error}"));
        Program {
            stdin: child.stdin.take(),
            stdout: Output::of(child.stdout.take().unwrap()),
            stderr: Output::of(child.stderr.take().unwrap()),
            child,
            shown,
        }
    }

    /// Starts netloom.
    pub(crate) fn netloom<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Self {
        Program::start(netloom().args(args))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, such as `INT`.
    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.pid());
        let status = Command::new("sh").args(["-c", &kill]).status().unwrap();
        assert!(status.success(), "{kill}: {status}");
    }

    /// Feeds it `input` from a thread of its own, and ends the input.
    pub(crate) fn feed(&mut self, input: &[u8]) {
        let (mut stdin, input) = (self.stdin.take().unwrap(), input.to_vec());
        std::thread::spawn(move || {
            // Whoever ends early does not take all.
            let _ = stdin.write_all(&input);
        });
    }

    /// Whether it has ended by now.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its end. Its input stays as it is.
    pub(crate) fn end(&mut self) -> Ended {
        let stderr = String::from_utf8_lossy(&self.stderr.all()).into_owned();
        let stdout = self.stdout.all();
        // Both streams have ended, so it has ended or is about to.
        let status = self.child.wait().unwrap();
        assert!(
            !stderr.contains("panicked"),
            "{}: a panic was told:\n{stderr}",
            self.shown
        );
        Ended {
            code: status.code(),
            stdout,
            stderr,
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let (shown, said) = (&self.shown, self.stderr.so_far());
            eprintln!("{shown} had said:\n{}", tail(said.as_bytes()));
        }
    }
}

/// A command that runs netloom, whatever surrounds the tests.
pub(crate) fn netloom() -> Command {
    plain(Command::new(env!("CARGO_BIN_EXE_netloom")))
}

/// netloom started by another program, such as `prlimit`, which execs it.
pub(crate) fn netloom_under(program: &str, args: &[&str]) -> Command {
    let mut command = plain(Command::new(program));
    command.args(args).arg(env!("CARGO_BIN_EXE_netloom"));
    command
}

fn plain(mut command: Command) -> Command {
    for name in [
        "NO_COLOR",
        "CLICOLOR_FORCE",
        "COLUMNS",
        "LC_ALL",
        "LC_MESSAGES",
        "LANG",
        "NOTIFY_SOCKET",
        "LISTEN_FDS",
        "LISTEN_PID",
        "all_proxy",
        "ALL_PROXY",
        "no_proxy",
        "NO_PROXY",
    ] {
        command.env_remove(name);
    }
    command
}

/// Runs netloom with this input to its end.
pub(crate) fn run<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>, input: &[u8]) -> Ended {
    let mut program = Program::netloom(args);
    program.feed(input);
    program.end()
}

/// A netloom that serves, and where.
pub(crate) struct Server {
    pub(crate) program: Program,
    /// Its endpoints as it told them, with real ports.
    pub(crate) endpoints: Vec<String>,
}

impl Server {
    /// Starts it and waits until it has told `count` addresses, in words or as JSON.
    pub(crate) fn start(command: &mut Command, count: usize) -> Self {
        let program = Program::start(command);
        let json = command.get_args().any(|arg| arg == "--json");
        let endpoints = if json {
            let lines = program.stdout.lines(r#""kind":"listening""#, count);
            let field = |line: &String| told::text(&told::line(line), "endpoint").to_owned();
            lines.iter().map(field).collect()
        } else {
            let lines = program.stderr.lines("listening ", count);
            let second = |line: &String| line.split(' ').nth(1).unwrap().to_owned();
            lines.iter().map(second).collect()
        };
        Server { program, endpoints }
    }

    /// `netloom ARGS`, which serves at one address.
    pub(crate) fn netloom(args: &[&str]) -> Self {
        Server::start(netloom().args(args), 1)
    }

    /// Its first endpoint.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoints[0]
    }

    /// Host and port of its first endpoint.
    pub(crate) fn addr(&self) -> std::net::SocketAddr {
        addr(self.endpoint())
    }

    /// Asks it to drain, and expects a good end.
    pub(crate) fn stop(mut self) -> Ended {
        self.program.signal("INT");
        let ended = self.program.end();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended
    }
}

/// Host and port of a `tcp://` endpoint.
pub(crate) fn addr(endpoint: &str) -> std::net::SocketAddr {
    let text = endpoint.strip_prefix("tcp://").unwrap_or(endpoint);
    text.parse()
        .unwrap_or_else(|error| panic!("{endpoint}: {error}"))
}

/// An empty folder, removed with what is in it.
pub(crate) struct Folder(std::path::PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // A short name: the path of a unix socket may have about 100 bytes.
        let path = std::env::temp_dir().join(format!("nl-it-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub(crate) fn join(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
