//! A conversation on a terminal: what is typed goes to the desk, words after
//! Ctrl-] are for this program.

use std::collections::VecDeque;
use std::io::{self, IsTerminal, stderr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use netloom_base::Failure;
use netloom_base::failure::Spoken;
use netloom_base::settings::ByteSize;
use netloom_transport::Cx;
use netloom_transport::probe::Probe;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

use crate::contract::Stop;
use crate::desk::Desk;
use crate::editor::{Above, Editor, Options, Typed};
use crate::view::{Face, Voice};
use crate::watch::{Figures, Watch};

/// How many entries may wait for the peer to take them.
const MOST_WAITING: usize = 256;

/// How often the status is shown anew, at most.
const STATUS: Duration = Duration::from_millis(500);

const HELP: &str = "\
commands after Ctrl-]:
  status       how the conversation stands
  hex [off]    show both directions as a dump
  close        end our side
  reconnect    dial again
  quit         end
an empty line goes back to the conversation";

/// A terminal with a conversation on it.
pub(crate) struct Console {
    editor: Editor,
    line: Line,
    watch: Watch,
    redial: Arc<Notify>,
    name: String,
    cx: Cx,
    _voice: Speaking,
}

/// Somebody who takes what is said, for as long as this lives.
pub(crate) struct Speaking(Face);

impl Speaking {
    pub(crate) fn through(face: &Face, voice: Voice) -> Self {
        face.speak_through(Some(voice));
        Speaking(face.clone())
    }
}

impl Drop for Speaking {
    fn drop(&mut self) {
        self.0.speak_through(None);
    }
}

impl Console {
    /// Takes the terminal; `None` when there is none to take. `name` says in
    /// the status line with whom this is.
    pub(crate) async fn open(
        options: Options,
        name: String,
        watch: &Watch,
        face: &Face,
        cx: &Cx,
    ) -> Result<Option<Self>, Failure> {
        if face.is_json() {
            return Ok(None);
        }
        let Some(editor) = Editor::open(options, cx).await? else {
            return Ok(None);
        };
        let above = editor.above();
        let voice = above.clone();
        let voice = Speaking::through(face, Box::new(move |text| voice.say(text)));
        Ok(Some(Console {
            line: Line(Arc::new(Mutex::new(Queue {
                typed: VecDeque::new(),
                ended: false,
                reader: None,
                above,
                watch: watch.clone(),
                dumps_here: stderr().is_terminal(),
            }))),
            editor,
            watch: watch.clone(),
            redial: Arc::new(Notify::new()),
            name,
            cx: cx.clone(),
            _voice: voice,
        }))
    }

    /// The desk at this terminal.
    fn desk(&self) -> Desk {
        Desk::new(Box::new(self.line.clone())).of_entries()
    }

    /// The desk at this terminal or, without one, at standard input and output.
    pub(crate) async fn desk_or_stdio(
        console: Option<&Self>,
        options: Options,
        face: &Face,
        cx: &Cx,
    ) -> Result<Desk, Failure> {
        match console {
            Some(console) => Ok(console.desk()),
            None => Desk::stdio(options.raw, face, cx).await,
        }
    }

    /// Tells when the person wants another connection.
    pub(crate) fn redial(&self) -> Arc<Notify> {
        self.redial.clone()
    }

    /// Does `work`, which talks through this terminal's desk, until it is done
    /// or the person has had enough.
    pub(crate) async fn beside(
        mut self,
        work: impl Future<Output = Result<(), Stop>>,
    ) -> Result<(), Stop> {
        let status = Status {
            watch: self.watch.clone(),
            above: self.editor.above(),
            name: self.name.clone(),
            cx: self.cx.clone(),
        };
        let ended = tokio::select! {
            biased;
            ended = self.keys() => ended,
            ended = work => ended,
            () = status.tell() => Ok(()),
        };
        self.editor.above().end();
        self.editor.close().await;
        ended
    }

    /// Does what is typed, until it is the end.
    async fn keys(&mut self) -> Result<(), Stop> {
        loop {
            match self.editor.next().await {
                Typed::Entry(entry) => self.line.put(entry),
                Typed::Interrupt => return Err(Stop::Interrupted),
                // Said twice it is the end of all.
                Typed::Eof if self.line.end() => return Ok(()),
                Typed::Eof => {}
                Typed::Command(words) => {
                    if self.command(&words).await {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Whether it was the command to end.
    async fn command(&mut self, words: &str) -> bool {
        let above = self.editor.above();
        let words: Vec<&str> = words.split_whitespace().collect();
        match words.as_slice() {
            [] => {}
            ["status" | "s"] => {
                let figures = self.watch.figures();
                above.say(&told(&self.name, &figures, &self.cx).await);
            }
            ["hex"] | ["hex", "on"] => self.watch.dump(true),
            ["hex", "off"] => self.watch.dump(false),
            ["close" | "eof"] => _ = self.line.end(),
            ["reconnect" | "r"] => self.redial.notify_waiters(),
            ["quit" | "q" | "exit"] => return true,
            ["help" | "?" | "h"] => above.say(HELP),
            [other, ..] => above.say(&format!("`{other}` is no command here: try help")),
        }
        false
    }
}

/// How a conversation stands, in one line.
async fn told(name: &str, figures: &Figures, cx: &Cx) -> String {
    let mut parts = vec![name.to_owned()];
    match (figures.open, figures.ends) {
        (0, _) => parts.push("not connected".into()),
        (1, Some((local, peer))) => {
            let info = Probe::new().tcp_info(cx, local, peer).await;
            if let Some(info) = info.filter(|info| !info.rtt.is_zero()) {
                parts.push(format!("rtt {}", Spoken(info.rtt)));
            }
        }
        (1, None) => {}
        (n, _) => parts.push(format!("{n} connections")),
    }
    let (received, sent) = (ByteSize(figures.received), ByteSize(figures.sent));
    parts.push(format!("{received} received, {sent} sent"));
    parts.push("Ctrl-] help".into());
    parts.join(" · ")
}

struct Status {
    watch: Watch,
    above: Above,
    name: String,
    cx: Cx,
}

impl Status {
    /// Tells how it stands, whenever that changes, and no more often than that
    /// can be read.
    async fn tell(&self) {
        loop {
            self.watch.changed().await;
            let figures = self.watch.figures();
            self.above
                .status(&told(&self.name, &figures, &self.cx).await);
            self.cx.sleep(STATUS).await;
        }
    }
}

/// What is typed and shown at a terminal, as a stream. Its clones are one.
#[derive(Clone)]
struct Line(Arc<Mutex<Queue>>);

struct Queue {
    typed: VecDeque<Vec<u8>>,
    ended: bool,
    reader: Option<Waker>,
    above: Above,
    watch: Watch,
    /// A dump is seen on this very terminal.
    dumps_here: bool,
}

impl Line {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, mut entry: String) {
        let mut queue = self.lock();
        if queue.ended {
            return queue
                .above
                .say("note: our side has ended, and this is not sent");
        }
        if queue.typed.len() == MOST_WAITING {
            let why = "note: the peer takes nothing any more, and this is not sent";
            return queue.above.say(why);
        }
        entry.push('\n');
        queue.typed.push_back(entry.into_bytes());
        queue.wake();
    }

    /// Ends our side; whether it had ended before.
    fn end(&self) -> bool {
        let mut queue = self.lock();
        let before = std::mem::replace(&mut queue.ended, true);
        if !before {
            queue.above.say("note: our side has ended");
        }
        queue.wake();
        before
    }
}

impl Queue {
    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut queue = self.lock();
        let Some(entry) = queue.typed.front_mut() else {
            if queue.ended {
                return Poll::Ready(Ok(()));
            }
            queue.reader = Some(task.waker().clone());
            return Poll::Pending;
        };
        let rest = entry.split_off(entry.len().min(buf.remaining()));
        buf.put_slice(entry);
        *entry = rest;
        if entry.is_empty() {
            queue.typed.pop_front();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let queue = self.lock();
        // Whoever reads the dump does not want it twice.
        if !(queue.dumps_here && queue.watch.dumps()) {
            ready!(queue.above.poll_show(task, bytes));
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
