//! A line editor for conversations: what comes is shown above the line that is
//! being typed, and neither tears the other.
//!
//! ```text
//! bytes ─▶ keys ─▶ edit (line, history, search) ─▶ Typed
//! what comes ─▶ harmless ─▶ Above ─┐
//!                                  ├─▶ screen ─▶ terminal
//! status ──────────────────────────┘
//! ```
//!
//! Everything but this file and `terminal` is free of I/O. The known editors
//! for Rust were looked at first: reedline and rustyline wait for a line on a
//! thread that nobody can call back when the peer ends, and have no row for a
//! status; rustyline-async has no search, and like reedline brings a second
//! reactor for the terminal. What is here needs only the two tables of Unicode
//! that they need too.

mod edit;
mod harmless;
mod history;
mod keys;
mod line;
mod screen;
mod terminal;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, Write};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use netloom_base::{Endpoint, Failure, Role};
use netloom_transport::net::complaint;
use netloom_transport::{BoxFuture, Conn, Cx};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use edit::{Edit, Outcome};
pub(crate) use harmless::Harmless;
pub(crate) use history::private;
use history::{History, file};
use keys::{Key, Keys};
pub(crate) use line::LONGEST;
use screen::{Live, Screen, write_lines};
pub(crate) use terminal::is_there;
use terminal::{Resized, Terminal, size};

/// How much may wait to be shown before whoever brings it has to wait.
const ROOM: usize = 64 * 1024;

/// The most bytes of an unfinished line.
const LONGEST_TAIL: usize = 16 * 1024;

/// How soon after Escape another key belongs to it.
const ESCAPE: Duration = Duration::from_millis(50);

/// How an editor is to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    /// Remember what is typed from one run to the next.
    pub(crate) remember: bool,
    /// Let the peer's control characters through.
    pub(crate) raw: bool,
    pub(crate) color: bool,
}

/// What a person did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Typed {
    /// A whole entry, without its last line end.
    Entry(String),
    /// Words after Ctrl-].
    Command(String),
    /// Ctrl-C on an empty line.
    Interrupt,
    /// Ctrl-D on an empty line, or the terminal has gone.
    Eof,
}

/// A terminal on which a person types lines while others come.
pub(crate) struct Editor {
    tty: Conn,
    terminal: Terminal,
    cx: Cx,
    keys: Keys,
    edit: Edit,
    screen: Screen,
    above: Above,
    resized: Resized,
    done: VecDeque<Typed>,
    /// On its way to the terminal, and how much of it is written.
    out: Vec<u8>,
    written: usize,
    /// Something that is shown has changed.
    changed: bool,
    ended: bool,
    escape: Option<BoxFuture<'static, ()>>,
}

impl Editor {
    /// Takes the terminal; `None` when there is none to take.
    pub(crate) async fn open(options: Options, cx: &Cx) -> Result<Option<Self>, Failure> {
        let Some(terminal) = Terminal::take() else {
            return Ok(None);
        };
        let stdio: Endpoint = "-".parse().map_err(|error| complaint(&error))?;
        let stack = cx.net().stack(&stdio, Role::Dial)?;
        let tty = cx.net().dial(&stack, cx).await?.stream()?;
        let kept = file().filter(|_| options.remember);
        Ok(Some(Editor {
            tty,
            terminal,
            cx: cx.clone(),
            keys: Keys::new(LONGEST),
            edit: Edit::new(History::open(kept)),
            screen: Screen::new(size(), options.color),
            above: Above(Arc::new(Mutex::new(Board {
                raw: options.raw,
                ..Board::default()
            }))),
            resized: Resized::new(),
            done: VecDeque::new(),
            out: terminal::BEGIN.into(),
            written: 0,
            changed: true,
            ended: false,
            escape: None,
        }))
    }

    /// Where to show something above what is typed, and the status below.
    pub(crate) fn above(&self) -> Above {
        self.above.clone()
    }

    /// What is typed next. Cancel-safe; whatever is to be shown is shown
    /// while this is waited for.
    pub(crate) async fn next(&mut self) -> Typed {
        poll_fn(|task| self.poll_next(task)).await
    }

    fn poll_next(&mut self, task: &mut Context<'_>) -> Poll<Typed> {
        self.above.board().driver = Some(task.waker().clone());
        loop {
            if self.resized.poll(task) {
                self.screen.resize(size());
                self.changed = true;
                continue;
            }
            self.draw(task);
            if let Some(typed) = self.done.pop_front() {
                return Poll::Ready(typed);
            }
            if self.read(task).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Reads keys and does what they say.
    fn read(&mut self, task: &mut Context<'_>) -> Poll<()> {
        let (mut block, mut keys) = ([0; 4096], Vec::new());
        let mut buf = ReadBuf::new(&mut block);
        match Pin::new(&mut self.tty).poll_read(task, &mut buf) {
            _ if self.ended => return Poll::Pending,
            Poll::Ready(read) => {
                self.escape = None;
                self.ended = read.is_err() || buf.filled().is_empty();
                self.keys.feed(buf.filled(), &mut keys);
                if self.ended {
                    self.done.push_back(Typed::Eof);
                }
            }
            Poll::Pending if self.keys.is_waiting() => {
                let cx = &self.cx;
                let waiting = self.escape.get_or_insert_with(|| {
                    let cx = cx.clone();
                    Box::pin(async move { cx.sleep(ESCAPE).await })
                });
                if waiting.as_mut().poll(task).is_pending() {
                    return Poll::Pending;
                }
                self.escape = None;
                keys.extend(self.keys.give_up());
            }
            Poll::Pending => return Poll::Pending,
        }
        for key in keys {
            self.press(key);
        }
        Poll::Ready(())
    }

    fn press(&mut self, key: Key) {
        self.changed = true;
        self.edit.hide(asks_for_secret(&self.above.board().tail));
        let hidden = self.edit.is_hidden();
        let typed = match self.edit.press(key) {
            Outcome::Nothing => return,
            Outcome::Entry(entry) => {
                let sent = self
                    .screen
                    .sent(if hidden { "(not shown)" } else { &entry });
                self.above.board().push(&sent);
                Typed::Entry(entry)
            }
            Outcome::Command(command) => Typed::Command(command),
            Outcome::Say(text) => return self.above.say(text),
            Outcome::Interrupt => Typed::Interrupt,
            Outcome::Eof => Typed::Eof,
            Outcome::ClearScreen => {
                self.out.extend_from_slice(self.screen.clear().as_bytes());
                return;
            }
            Outcome::Suspend => {
                self.put_away();
                self.terminal.suspend();
                self.screen.resize(size());
                self.out.extend_from_slice(terminal::BEGIN.as_bytes());
                return;
            }
        };
        self.done.push_back(typed);
    }

    /// Writes what is on its way and then what has changed since.
    fn draw(&mut self, task: &mut Context<'_>) {
        loop {
            while self.written < self.out.len() {
                let left = &self.out[self.written..];
                match Pin::new(&mut self.tty).poll_write(task, left) {
                    Poll::Ready(Ok(n)) => self.written += n,
                    Poll::Ready(Err(_)) => self.written = self.out.len(), // reading tells it too
                    Poll::Pending => return,
                }
            }
            self.out.clear();
            self.written = 0;
            let mut board = self.above.board();
            if !std::mem::take(&mut board.changed) && !self.changed {
                drop(board);
                let _ = Pin::new(&mut self.tty).poll_flush(task); // as above
                return;
            }
            self.changed = false;
            let mut lines = std::mem::take(&mut board.lines);
            for said in std::mem::take(&mut board.said) {
                lines.push_str(&self.screen.said(&said));
            }
            lines.push_str(&self.screen.full_rows(&mut board.tail));
            let typed = self.edit.line();
            let hidden = self.edit.is_hidden();
            let prompt = self.edit.prompt();
            let live = Live {
                tail: &board.tail,
                prompt: &prompt,
                typed: if hidden { "" } else { typed.text() },
                at: if hidden { 0 } else { typed.at() },
                status: &board.status,
            };
            let drawn = self.screen.paint(&lines, &live);
            self.out.extend_from_slice(drawn.as_bytes());
            if let Some(writer) = board.writer.take() {
                writer.wake();
            }
        }
    }

    /// Shows everything that is still to be shown and gives the terminal back.
    pub(crate) async fn close(mut self) {
        let left = self.out.split_off(self.written);
        // Whoever closes has nobody left to tell that the terminal has gone.
        let _ = self.tty.write_all(&left).await;
        let _ = self.tty.flush().await;
        self.out.clear();
        self.written = 0;
    }

    /// Erases what is drawn, shows what waits and ends pastes.
    fn put_away(&mut self) {
        let mut last = String::new();
        self.screen.erase(&mut last);
        let mut board = self.above.board();
        board.end();
        write_lines(&std::mem::take(&mut board.lines), &mut last);
        for said in std::mem::take(&mut board.said) {
            write_lines(&self.screen.said(&said), &mut last);
        }
        drop(board);
        last.push_str(terminal::END);
        self.out.extend_from_slice(last.as_bytes());
        let mut out = io::stdout().lock();
        let written = out.write_all(&self.out[self.written..]);
        let _ = written.and_then(|()| out.flush()); // a terminal that has gone shows nothing
        self.out.clear();
        self.written = 0;
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        self.put_away();
    }
}

/// Whether a server that ends its line so wants to be told a secret.
fn asks_for_secret(tail: &str) -> bool {
    let tail = tail.trim_end().to_lowercase();
    let words = ["password", "passphrase", "passcode", "passwort", "密码"];
    tail.ends_with([':', '?', '：']) && words.iter().any(|word| tail.contains(word))
}

/// The place above what is typed, for everybody who has something to show.
#[derive(Clone, Debug)]
pub(crate) struct Above(Arc<Mutex<Board>>);

#[derive(Debug, Default)]
struct Board {
    /// Whole lines that are not yet shown.
    lines: String,
    /// The line that has no end yet.
    tail: String,
    /// What this program says meanwhile.
    said: Vec<String>,
    status: String,
    harmless: Harmless,
    raw: bool,
    changed: bool,
    /// Who shows, and who waits for room.
    driver: Option<Waker>,
    writer: Option<Waker>,
}

impl Above {
    fn board(&self) -> MutexGuard<'_, Board> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows what a peer sent, once there is room for it.
    pub(crate) fn poll_show(&self, task: &mut Context<'_>, bytes: &[u8]) -> Poll<()> {
        let mut board = self.board();
        if board.lines.len() + board.tail.len() > ROOM {
            board.writer = Some(task.waker().clone());
            board.wake();
            return Poll::Pending;
        }
        board.take_in(bytes);
        Poll::Ready(())
    }

    /// Says something to the person. Of very much, the rest is left out.
    pub(crate) fn say(&self, text: &str) {
        let mut board = self.board();
        if board.lines.len() < 2 * ROOM && board.said.len() < 1024 {
            board.said.push(text.to_owned());
            board.wake();
        }
    }

    /// Shows this below what is typed.
    pub(crate) fn status(&self, text: &str) {
        let mut board = self.board();
        if board.status != text {
            text.clone_into(&mut board.status);
            board.wake();
        }
    }

    /// The unfinished line has no more to come.
    pub(crate) fn end(&self) {
        self.board().end();
    }
}

impl Board {
    fn wake(&mut self) {
        self.changed = true;
        if let Some(driver) = self.driver.take() {
            driver.wake();
        }
    }

    fn take_in(&mut self, bytes: &[u8]) {
        let before = self.tail.len();
        if self.raw {
            let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n");
            self.tail.push_str(&text);
        } else {
            self.harmless.feed(bytes, &mut self.tail);
        }
        if let Some(at) = self.tail[before..].rfind('\n') {
            let rest = self.tail.split_off(before + at + 1);
            self.lines
                .push_str(&std::mem::replace(&mut self.tail, rest));
        }
        if self.tail.len() > LONGEST_TAIL {
            self.lines.push_str(&std::mem::take(&mut self.tail));
            self.lines.push('\n');
        }
        self.wake();
    }

    /// Adds whole lines of our own.
    fn push(&mut self, lines: &str) {
        self.end();
        self.lines.push_str(lines);
        self.wake();
    }

    fn end(&mut self) {
        self.harmless.end(&mut self.tail);
        if !self.tail.is_empty() {
            self.lines.push_str(&std::mem::take(&mut self.tail));
            self.lines.push('\n');
            self.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_that_ask_for_a_secret() {
        assert!(asks_for_secret("Password: "));
        assert!(asks_for_secret("Enter passphrase for key:"));
        assert!(!asks_for_secret("login: "));
        assert!(!asks_for_secret("your password is wrong"));
    }

    #[test]
    fn ten_megabytes_without_a_line_end_take_little_room() {
        let mut board = Board::default();
        let mut most = 0;
        for _ in 0..10 * 1024 {
            if board.lines.len() + board.tail.len() > ROOM {
                board.lines.clear(); // shown
            }
            board.take_in(&[b'x'; 1024]);
            most = most.max(board.lines.len() + board.tail.len());
        }
        assert!(most < 2 * ROOM, "{most}");
    }
}
