//! A conversation in messages: every typed line is one, every message that
//! comes is shown on a line of its own.

use std::io::{self, IsTerminal};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use netloom_base::failure::Fact;
use netloom_base::{Code, Complaint, Failure, Side, Stage};
use netloom_protocol::{Framed, Framing, WithFraming};
use netloom_transport::carry::Carried;
use netloom_transport::scratch::with_scratch;
use netloom_transport::{Conn, Cx, Messages};
use netloom_wire::coding::Coding;
use netloom_wire::framing::Decoder;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::Script;
use crate::desk::Desk;
use crate::messages::Spoken;
use crate::view::{Data, Face, json_line, now};

/// A typed byte may take so many characters: `\xNN`.
const WIDEST: usize = 4;

/// How it went wrong.
enum Over {
    /// With the other end.
    There(Failure),
    /// With our stdin or stdout.
    Here(Stage, io::Error),
    /// What was expected has come.
    Met,
}

impl From<Failure> for Over {
    fn from(failure: Failure) -> Self {
        Over::There(failure)
    }
}

/// Holds the conversation to its end.
pub(super) async fn talk(
    conn: Conn,
    stdio: Desk,
    script: Script,
    spoken: Spoken,
    face: &Face,
    cx: &Cx,
) -> Result<Carried, Failure> {
    let (id, peer) = (conn.id(), conn.facts().peer);
    let until_peer_ends = script.until_peer_ends || script.expect.is_some();
    let mut table = Table {
        peer: conn.framed(spoken.framing).at_most(spoken.longest),
        keep_open: script.send.is_some() && script.expect.is_some(),
        typed: Typed::new(&spoken, script.send, &stdio),
        taken: 0,
        stdio,
        next: None,
        out: Vec::new(),
        written: 0,
        decode: spoken.decode,
        json: face.is_json().then_some(id),
        endpoint: script.endpoint,
        expect: script.expect,
        keep_stdout: script.keep_stdout || face.is_json(),
        met: false,
        heard: false,
        said: false,
        face,
    };
    let ended = std::future::poll_fn(|task| {
        if !table.heard {
            table.heard = table.hear(task)?.is_ready();
        }
        if !table.said {
            table.said = table.say(task)?.is_ready();
        }
        let (received, sent) = table.peer.moved();
        cx.progress().count(received, sent);
        if table.heard && (until_peer_ends || table.said) {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    })
    .await;
    let _ = table.stdio.flush().await; // its failure was told by the write before
    let (received, sent) = table.peer.moved();
    let carried = Carried {
        forth: sent,
        back: received,
        ..Carried::default()
    };
    let moved = Fact::Moved { received, sent };
    match ended {
        Ok(()) => {
            if let Some(expected) = &table.expect {
                return Err(super::unmet(expected, carried));
            }
            Box::new(table.peer).close().await?;
            Ok(carried)
        }
        Err(Over::Met) => Ok(carried),
        Err(Over::Here(stage, error)) => {
            let failure = Failure::from_io(stage, error);
            if failure.code() == Code::SEND_PEER_CLOSED {
                // Whoever read our stdout has had enough, and that is their right.
                face.reader_left();
                return Ok(carried);
            }
            let which = if stage == Stage::Recv {
                "input cannot be read"
            } else {
                "output cannot be written"
            };
            Err(failure.message(format!("standard {which}")).fact(moved))
        }
        Err(Over::There(failure)) => {
            let told = failure
                .facts()
                .iter()
                .any(|fact| matches!(fact, Fact::Moved { .. }));
            let failure = if told { failure } else { failure.fact(moved) };
            Err(match peer {
                Some(peer) => {
                    let who = format!("the other end is {peer}");
                    failure.fact(Fact::said(who, "getpeername"))
                }
                None => failure,
            })
        }
    }
}

struct Table<'a> {
    peer: Framed,
    stdio: Desk,
    typed: Typed,
    /// A message that is typed and not yet taken.
    next: Option<Vec<u8>>,
    /// How far what was typed has been taken, as messages.
    taken: u64,
    /// What is shown, on its way to stdout.
    out: Vec<u8>,
    written: usize,
    decode: Option<Coding>,
    /// The connection's number, where records are written.
    json: Option<u64>,
    endpoint: Option<String>,
    expect: Option<Vec<u8>>,
    /// After what was typed, wait for what is expected instead of ending.
    keep_open: bool,
    keep_stdout: bool,
    met: bool,
    /// The peer has said everything, and it is shown.
    heard: bool,
    /// We have.
    said: bool,
    face: &'a Face,
}

impl Table<'_> {
    /// Shows what comes. Nothing is received while stdout takes no more.
    fn hear(&mut self, task: &mut Context<'_>) -> Poll<Result<(), Over>> {
        loop {
            ready!(self.show(task))?;
            if self.met {
                ready!(self.flush(task))?;
                return Poll::Ready(Err(Over::Met));
            }
            match self.peer.poll_recv(task) {
                Poll::Pending => {
                    ready!(self.flush(task))?;
                    return Poll::Pending;
                }
                Poll::Ready(Ok(Some(message))) => self.hear_one(&message),
                Poll::Ready(Ok(None)) => {
                    ready!(self.flush(task))?;
                    if !self.keep_stdout {
                        // Whoever reads it sees the end, though stdin may still bring something.
                        let shut = ready!(Pin::new(&mut self.stdio).poll_shutdown(task));
                        shut.map_err(|error| Over::Here(Stage::Send, error))?;
                    }
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Err(failure)) => return Poll::Ready(Err(failure.into())),
            }
        }
    }

    fn hear_one(&mut self, message: &[u8]) {
        self.put(true, message);
        self.met = self.expect.as_ref().is_some_and(|expected| {
            message
                .windows(expected.len())
                .any(|window| window == expected)
        });
    }

    /// Adds a message to what is to be shown.
    fn put(&mut self, inbound: bool, message: &[u8]) {
        self.out.drain(..self.written);
        self.written = 0;
        match (self.json, self.decode) {
            (Some(conn), _) => {
                let data = Data {
                    conn,
                    endpoint: self.endpoint.as_deref(),
                    inbound,
                    from: None,
                    bytes: message,
                };
                self.out
                    .extend_from_slice(json_line(&data, now()).as_bytes());
                self.out.push(b'\n');
            }
            (None, Some(coding)) => {
                self.out.extend_from_slice(coding.show(message).as_bytes());
                self.out.push(b'\n');
            }
            (None, None) => self.out.extend_from_slice(message),
        }
    }

    fn show(&mut self, task: &mut Context<'_>) -> Poll<Result<(), Over>> {
        while self.written < self.out.len() {
            let left = &self.out[self.written..];
            match ready!(Pin::new(&mut self.stdio).poll_write(task, left)) {
                Ok(n) => self.written += n,
                Err(error) => return Poll::Ready(Err(Over::Here(Stage::Send, error))),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn flush(&mut self, task: &mut Context<'_>) -> Poll<Result<(), Over>> {
        let flushed = ready!(Pin::new(&mut self.stdio).poll_flush(task));
        Poll::Ready(flushed.map_err(|error| Over::Here(Stage::Send, error)))
    }

    /// Sends what is typed. Nothing is read while the peer takes no more.
    fn say(&mut self, task: &mut Context<'_>) -> Poll<Result<(), Over>> {
        loop {
            if self.next.is_none() {
                match self.typed.poll(&mut self.stdio, task) {
                    Poll::Pending => {
                        ready!(self.peer.poll_flush(task))?;
                        self.stdio.settle(self.taken);
                        return Poll::Pending;
                    }
                    Poll::Ready(Ok(Some(message))) => {
                        if self.json.is_some() && self.face.is_verbose() {
                            self.put(false, &message);
                            let _ = self.show(task)?; // what is left is shown with what comes
                        }
                        self.next = Some(message);
                    }
                    Poll::Ready(Ok(None)) if self.keep_open => {
                        ready!(self.peer.poll_flush(task))?;
                        return Poll::Ready(Ok(()));
                    }
                    Poll::Ready(Ok(None)) => {
                        ready!(self.peer.poll_shutdown(task))?;
                        self.stdio.settle(self.typed.read);
                        return Poll::Ready(Ok(()));
                    }
                    Poll::Ready(Err(Mistyped::Failed(error))) => {
                        return Poll::Ready(Err(Over::Here(Stage::Recv, error)));
                    }
                    Poll::Ready(Err(Mistyped::Unreadable(failure))) => self.mistyped(failure)?,
                }
                continue;
            }
            let message = self.next.as_deref().unwrap_or_default();
            let sent = ready!(self.peer.poll_send(task, message));
            self.next = None;
            self.taken = self.typed.through;
            match sent {
                Err(failure) if failure.code() == Code::SEND_UNFRAMEABLE => {
                    let why = format!("{}{}", self.typed.place(), failure.summary());
                    self.mistyped(failure.message(why))?;
                }
                sent => sent?,
            }
        }
    }

    /// A person is told and may type again; a script ends.
    fn mistyped(&self, failure: Failure) -> Result<(), Over> {
        if self.typed.by_hand {
            self.face
                .say(&netloom_explain::diagnose(&failure).to_string());
            return Ok(());
        }
        Err(failure.into())
    }
}

/// What is typed, as messages.
struct Typed {
    coding: Option<Coding>,
    /// Said instead of what stdin brings.
    given: Option<Vec<u8>>,
    by_hand: bool,
    lines: Decoder,
    rest: Vec<u8>,
    decoded: usize,
    ended: bool,
    /// Each read is one message, of one line or several.
    whole: bool,
    /// How many of those there were.
    entries: u64,
    /// How much of what is typed was read, and how much of that is messages
    /// that were given, counted from the first connection on.
    read: u64,
    through: u64,
}

/// Why there is no next message.
enum Mistyped {
    Failed(io::Error),
    Unreadable(Failure),
}

impl Typed {
    fn new(spoken: &Spoken, given: Option<Vec<u8>>, desk: &Desk) -> Self {
        let by_hand = given.is_none() && io::stdin().is_terminal();
        let longest = spoken.longest.saturating_mul(WIDEST);
        Typed {
            coding: spoken.encode,
            ended: given.is_some(),
            given,
            by_hand,
            lines: Decoder::new(Framing::Lines, longest),
            rest: Vec::new(),
            decoded: 0,
            whole: desk.has_entries(),
            entries: 0,
            read: desk.settled(),
            through: desk.settled(),
        }
    }

    fn wants_values(&self) -> bool {
        matches!(self.coding, Some(Coding::Json | Coding::MsgPack))
    }

    /// Where the message at hand was typed, as the beginning of a sentence.
    fn place(&self) -> String {
        match self.lines.messages() + self.entries {
            0 => String::new(),
            line => format!("line {line} of the input: "),
        }
    }

    /// The next message; `None` when there are no more.
    fn poll(
        &mut self,
        stdin: &mut Desk,
        task: &mut Context<'_>,
    ) -> Poll<Result<Option<Vec<u8>>, Mistyped>> {
        if let Some(given) = self.given.take() {
            return Poll::Ready(Ok(Some(given)));
        }
        loop {
            let mut left = &self.rest[self.decoded..];
            let found = self
                .lines
                .frame(&mut left)
                .map(|found| found.map(<[u8]>::to_vec));
            self.decoded = self.rest.len() - left.len();
            if matches!(found, Ok(Some(_))) {
                self.through = self.read - left.len() as u64;
            }
            match found {
                // A blank line is no value; people and files end with some.
                Ok(Some(line)) if self.wants_values() && line.trim_ascii().is_empty() => continue,
                Ok(Some(line)) => return Poll::Ready(self.read(line).map(Some)),
                Ok(None) => {}
                Err(_) => return Poll::Ready(Err(Mistyped::Unreadable(self.too_long()))),
            }
            if self.ended {
                return Poll::Ready(Ok(None));
            }
            self.rest.clear();
            self.decoded = 0;
            let read = with_scratch(|scratch| {
                let mut buf = ReadBuf::new(scratch);
                let read = Pin::new(&mut *stdin).poll_read(task, &mut buf);
                self.rest.extend_from_slice(buf.filled());
                read
            });
            ready!(read).map_err(Mistyped::Failed)?;
            self.ended = self.rest.is_empty();
            self.read += self.rest.len() as u64;
            if self.coding.is_none() && !self.ended {
                self.through = self.read;
                return Poll::Ready(Ok(Some(std::mem::take(&mut self.rest))));
            }
            if self.whole && !self.ended {
                self.through = self.read;
                let mut entry = std::mem::take(&mut self.rest);
                self.entries += 1;
                entry.pop_if(|last| *last == b'\n');
                if self.wants_values() && entry.trim_ascii().is_empty() {
                    continue;
                }
                return Poll::Ready(self.read(entry).map(Some));
            }
            if self.ended && self.lines.is_inside() {
                self.rest.push(b'\n'); // the last line needs no end of its own
            }
        }
    }

    /// The bytes that a line says.
    fn read(&self, line: Vec<u8>) -> Result<Vec<u8>, Mistyped> {
        let Some(coding) = self.coding else {
            return Ok(line);
        };
        let text = match String::from_utf8(line) {
            Ok(text) => text,
            Err(error) if coding == Coding::Utf8 => return Ok(error.into_bytes()),
            Err(_) => {
                let why = "it is no UTF-8: --encode utf8 sends it as it is";
                return Err(Mistyped::Unreadable(self.wrong(why)));
            }
        };
        coding.read(&text).map_err(|error| {
            let complaint = Complaint::new(&text, error.span.clone(), error.to_string());
            let drawn = Fact::Complaint(Box::new(complaint));
            Mistyped::Unreadable(self.wrong(&error.to_string()).fact(drawn))
        })
    }

    /// What is wrong with the line at hand.
    fn wrong(&self, why: &str) -> Failure {
        let why = format!("{}{why}", self.place());
        Failure::new(Stage::Send, Side::Us, Code::SEND_UNFRAMEABLE).message(why)
    }

    fn too_long(&self) -> Failure {
        let line = self.lines.messages() + 1;
        Failure::new(Stage::Send, Side::Us, Code::SEND_UNFRAMEABLE).message(format!(
            "line {line} of the input is longer than a message may be"
        ))
    }
}
