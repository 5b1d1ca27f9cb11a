//! Commands in a folder of their own, with netloom on their path.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long a command may take, and a server to say that it listens.
const PATIENCE: Duration = Duration::from_secs(20);

/// An empty folder, removed with what is in it.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // A short name: the path of a unix socket may have about 100 bytes.
        let path = std::env::temp_dir().join(format!("nl-book-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Starts a shell's command; output and errors come together.
    pub(crate) fn start(&self, line: &str) -> Running {
        let mut child = Command::new("sh")
            .arg("-c")
            .arg(format!("exec 2>&1\n{line}"))
            .current_dir(&self.0)
            .env("PATH", path())
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0) // so that all of a pipeline can be ended
            .spawn()
            .unwrap();
        let (tell, told) = sync_channel(1024);
        let output = child.stdout.take().unwrap();
        thread::spawn(move || {
            let mut output = BufReader::new(output);
            let mut line = Vec::new();
            while output
                .read_until(b'\n', &mut line)
                .is_ok_and(|read| read > 0)
            {
                let text = String::from_utf8_lossy(&line)
                    .trim_end_matches(['\n', '\r'])
                    .to_owned();
                line.clear();
                if tell.send(text).is_err() {
                    break;
                }
            }
            // Nobody must be stopped by a full pipe.
            let _ = output.read_to_end(&mut line);
        });
        Running {
            child,
            told,
            said: Vec::new(),
        }
    }

    /// Runs a command to its end: whether it went well, and what it said.
    pub(crate) fn run(&self, line: &str) -> (bool, String) {
        let mut running = self.start(line);
        let ended = running.run_out(|_| true);
        let good = ended && running.child.wait().is_ok_and(|status| status.success());
        (good, running.said.join("\n"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The search path with netloom first.
fn path() -> OsString {
    let mut folders = vec![
        Path::new(env!("CARGO_BIN_EXE_netloom"))
            .parent()
            .unwrap()
            .to_owned(),
    ];
    folders.extend(std::env::split_paths(
        &std::env::var_os("PATH").unwrap_or_default(),
    ));
    std::env::join_paths(folders).unwrap()
}

/// A command that runs. Dropping it ends it.
pub(crate) struct Running {
    child: Child,
    told: Receiver<String>,
    said: Vec<String>,
}

impl Running {
    pub(crate) fn said(&self) -> &[String] {
        &self.said
    }

    /// Listens until `well` is content with what was said; `false` when the
    /// command ended or time passed before.
    pub(crate) fn until(&mut self, well: impl Fn(&[String]) -> bool) -> bool {
        let end = Instant::now() + PATIENCE;
        while !well(&self.said) {
            match self
                .told
                .recv_timeout(end.saturating_duration_since(Instant::now()))
            {
                Ok(line) => self.said.push(line),
                Err(_) => return false,
            }
        }
        true
    }

    /// Listens until the command has said everything, and asks then.
    pub(crate) fn run_out(&mut self, well: impl Fn(&[String]) -> bool) -> bool {
        let end = Instant::now() + PATIENCE;
        loop {
            match self
                .told
                .recv_timeout(end.saturating_duration_since(Instant::now()))
            {
                Ok(line) => self.said.push(line),
                Err(RecvTimeoutError::Disconnected) => return well(&self.said),
                Err(RecvTimeoutError::Timeout) => {
                    self.said.push(format!("(no end within {PATIENCE:?})"));
                    return false;
                }
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let group = format!("kill -KILL -{}", self.child.id());
            let _ = Command::new("sh")
                .arg("-c")
                .arg(group)
                .stderr(Stdio::null())
                .status();
            let _ = self.child.wait();
        }
    }
}

/// The ports that pages write, and free ones for this run.
pub(crate) struct Ports(Vec<(&'static str, String)>);

impl Ports {
    const WRITTEN: [&'static str; 5] = ["7007", "7008", "7009", "7013", "7020"];

    /// A free port for each that `text` writes.
    pub(crate) fn of(text: &str) -> Self {
        let written = Self::WRITTEN.into_iter().filter(|port| text.contains(port));
        // All are held at once, so that they differ.
        let held: Vec<_> = written
            .map(|port| (port, TcpListener::bind("127.0.0.1:0").unwrap()))
            .collect();
        Ports(
            held.iter()
                .map(|(port, held)| (*port, held.local_addr().unwrap().port().to_string()))
                .collect(),
        )
    }

    /// The page's text with this run's ports.
    pub(crate) fn real(&self, text: &str) -> String {
        self.0
            .iter()
            .fold(text.to_owned(), |text, (written, real)| {
                text.replace(written, real)
            })
    }

    /// What was said, with the page's ports.
    pub(crate) fn written(&self, said: &[String]) -> Vec<String> {
        let one = |line: &String| {
            self.0.iter().fold(line.clone(), |line, (written, real)| {
                line.replace(real, written)
            })
        };
        said.iter().map(one).collect()
    }
}

/// The single commands of a shell's line: what stands between pipes and other
/// signs, without redirections and comments.
pub(crate) fn commands(line: &str) -> Vec<String> {
    let mut commands = vec![String::new()];
    let mut quote = None;
    let mut before = ' ';
    for c in line.chars() {
        match (quote, c) {
            (None, '#') if before == ' ' => break,
            (None, '|' | ';' | '&' | '<' | '>' | '(' | ')') => commands.push(String::new()),
            (open, c) => {
                match open {
                    None if c == '\'' || c == '"' => quote = Some(c),
                    Some(open) if open == c => quote = None,
                    _ => {}
                }
                if let Some(last) = commands.last_mut() {
                    last.push(c);
                }
            }
        }
        before = c;
    }
    commands
        .iter()
        .map(|command| command.trim().to_owned())
        .filter(|command| !command.is_empty())
        .collect()
}

#[test]
fn a_line_is_taken_apart() {
    assert_eq!(
        commands("netloom connect :1 < a > b  # and so on"),
        ["netloom connect :1", "a", "b"]
    );
    assert_eq!(
        commands("echo 'a | b' | netloom connect 'exec:sh -c \"x; y\"'"),
        ["echo 'a | b'", "netloom connect 'exec:sh -c \"x; y\"'"]
    );
    assert!(commands("# only a remark").is_empty());
}
