//! netloom on a pseudo-terminal that can be looked at.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::program::{Folder, PATIENCE, netloom};

/// A person's terminal with a program on it.
pub(crate) struct Terminal {
    child: Child,
    master: File,
    /// Keeps the terminal there, so that its modes can be asked for at the end.
    slave: File,
    seen: Arc<(Mutex<Seen>, Condvar)>,
}

struct Seen {
    parser: vt100::Parser,
    /// Everything that was written to it.
    bytes: Vec<u8>,
    ended: bool,
}

fn size(n: u16) -> NonZero<u16> {
    NonZero::new(n).unwrap()
}

impl Terminal {
    /// netloom with these arguments on a terminal of 80 columns and 24 rows.
    /// What it remembers is in `folder`.
    pub(crate) fn netloom(folder: &Folder, args: &[&str]) -> Self {
        let mut command = netloom();
        command.args(args);
        Terminal::start(folder, &command, &[])
    }

    /// The same with more of an environment.
    pub(crate) fn with(folder: &Folder, args: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = netloom();
        command.args(args);
        Terminal::start(folder, &command, variables)
    }

    fn start(folder: &Folder, command: &Command, variables: &[(&str, &str)]) -> Self {
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let open = || {
            let mut options = File::options();
            options.read(true).write(true);
            std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc_noctty());
            options.open(name.to_str().unwrap()).unwrap()
        };
        let slave = open();
        let window = Winsize {
            ws_row: 24,
            ws_col: 80,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&slave, window).unwrap();
        let end = || Stdio::from(OwnedFd::from(slave.try_clone().unwrap()));
        // A session of its own, with this as its terminal (setsid(1)).
        let child = Command::new("setsid")
            .args(["--ctty", "--wait"])
            .arg(command.get_program())
            .args(command.get_args())
            .env_remove("NO_COLOR")
            .env("TERM", "xterm-256color")
            .env("XDG_STATE_HOME", folder.path())
            .envs(variables.iter().copied())
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        let seen = Arc::new((
            Mutex::new(Seen {
                parser: vt100::Parser::new(size(24), size(80), 10_000),
                bytes: Vec::new(),
                ended: false,
            }),
            Condvar::new(),
        ));
        let (heard, mut from) = (seen.clone(), File::from(master.try_clone().unwrap()));
        std::thread::spawn(move || {
            let mut chunk = vec![0; 64 * 1024];
            loop {
                let read = from.read(&mut chunk).unwrap_or(0);
                let mut seen = heard.0.lock().unwrap();
                seen.parser.process(&chunk[..read]);
                seen.bytes.extend_from_slice(&chunk[..read]);
                seen.ended = read == 0;
                heard.1.notify_all();
                if read == 0 {
                    return;
                }
            }
        });
        Terminal {
            child,
            master: master.into(),
            slave,
            seen,
        }
    }

    /// Types these bytes.
    pub(crate) fn types(&mut self, keys: impl AsRef<[u8]>) {
        self.master.write_all(keys.as_ref()).unwrap();
    }

    /// Gives the window another size.
    pub(crate) fn resize(&mut self, rows: u16, columns: u16) {
        let window = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let mut seen = self.seen.0.lock().unwrap();
        seen.parser.screen_mut().set_size(size(rows), size(columns));
        drop(seen);
        tcsetwinsize(&self.master, window).unwrap();
    }

    /// Waits until `found` sees on the screen what it looks for: its rows, and
    /// the cursor's row and column.
    pub(crate) fn until(
        &self,
        what: &str,
        found: impl Fn(&[String], (u16, u16)) -> bool,
    ) -> Vec<String> {
        let end = Instant::now() + PATIENCE;
        let mut seen = self.seen.0.lock().unwrap();
        loop {
            let screen = seen.parser.screen();
            let rows = screen.rows(0, screen.size().1.get());
            let mut rows: Vec<String> = rows.map(|row| row.trim_end().to_owned()).collect();
            while rows.last().is_some_and(String::is_empty) {
                rows.pop();
            }
            if found(&rows, screen.cursor_position()) {
                return rows;
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero() && !seen.ended,
                "no {what}; the screen:\n{}",
                rows.join("\n")
            );
            seen = self.seen.1.wait_timeout(seen, left).unwrap().0;
        }
    }

    /// Waits until this row is on the screen.
    pub(crate) fn row(&self, row: &str) {
        self.until(&format!("row `{row}`"), |rows, _| {
            rows.iter().any(|r| r == row)
        });
    }

    /// Waits until some row has this text.
    pub(crate) fn text(&self, text: &str) {
        self.until(&format!("text `{text}`"), |rows, _| {
            rows.iter().any(|row| row.contains(text))
        });
    }

    /// Waits until this is what is being typed, with the cursor behind it.
    pub(crate) fn prompt(&self, typed: &str) {
        let wanted = format!("> {typed}");
        self.until(&format!("prompt `{wanted}`"), |rows, (row, _)| {
            rows.get(usize::from(row))
                .map_or("", String::as_str)
                .trim_end()
                == wanted.trim_end()
        });
    }

    /// The process of netloom, which runs below setsid(1).
    pub(crate) fn pid_of_netloom(&self) -> u32 {
        let pid = self.child.id();
        let children = format!("/proc/{pid}/task/{pid}/children");
        let children = std::fs::read_to_string(children).unwrap_or_default();
        let first = children.split_whitespace().next();
        first.map_or(pid, |child| child.parse().unwrap())
    }

    /// Everything that was written to it so far.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.seen.0.lock().unwrap().bytes.clone()
    }

    /// Waits for the program's end: its status, and what was written in all.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().unwrap();
        let modes = tcgetattr(&self.slave).unwrap().local_modes;
        assert!(
            modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG),
            "the terminal was not given back: {modes:?}"
        );
        // The last to have it open is us; without us it ends for the reader.
        let slave = std::mem::replace(&mut self.slave, File::open("/dev/null").unwrap());
        drop(slave);
        let mut seen = self.seen.0.lock().unwrap();
        while !seen.ended {
            seen = self.seen.1.wait_timeout(seen, PATIENCE).unwrap().0;
        }
        let all = String::from_utf8_lossy(&seen.bytes).into_owned();
        assert!(!all.contains("panicked"), "{all}");
        (status.code(), all)
    }
}

/// `O_NOCTTY` of open(2) on Linux.
fn libc_noctty() -> i32 {
    0o400
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
