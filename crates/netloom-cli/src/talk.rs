//! This end of a conversation held by a person or a script: what is sent comes
//! from stdin or a text, what is received goes to stdout, as bytes or as JSON.

mod framed;

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use netloom_base::failure::Fact;
use netloom_base::{Code, Failure, Side, Stage};
use netloom_transport::carry::{Carried, CarryFailure, End, Until, carry};
use netloom_transport::conn::{ConnFacts, Io};
use netloom_transport::progress::Progress;
use netloom_transport::socket::Socket;
use netloom_transport::tls::codes;
use netloom_transport::{Close, Conn, Cx};
use netloom_wire::tls::is_record;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

use crate::desk::{Desk, Settling};
use crate::messages::Spoken;
use crate::view::{Data, Face, json_line, now};

/// What this end says and waits for.
#[derive(Default, Clone)]
pub(crate) struct Script {
    /// Sent instead of stdin.
    pub(crate) send: Option<Vec<u8>>,
    /// The conversation ends well when this has been received.
    pub(crate) expect: Option<Vec<u8>>,
    /// End when the peer has said everything, whatever stdin may still bring.
    pub(crate) until_peer_ends: bool,
    /// Another conversation may follow, so stdout stays open after this one.
    pub(crate) keep_stdout: bool,
    /// In messages, or in bytes typed and shown otherwise than they are.
    pub(crate) spoken: Option<Spoken>,
    /// With whom, where records of several conversations are written.
    pub(crate) endpoint: Option<String>,
}

/// Holds the conversation to its end.
pub(crate) async fn talk(
    conn: Conn,
    desk: &Desk,
    script: Script,
    face: &Face,
    cx: &Cx,
) -> Result<Carried, Failure> {
    if let Some(spoken) = script.spoken {
        return framed::talk(conn, desk.clone(), script, spoken, face, cx).await;
    }
    let conn = if desk.is_kept() && script.send.is_none() {
        Settling::on(conn, desk)
    } else {
        conn
    };
    let until = if script.until_peer_ends || script.expect.is_some() {
        Until::SecondEnds
    } else {
        Until::BothEnd
    };
    let (tell_match, mut matched) = oneshot::channel();
    let heads = Arc::new(Mutex::new(Heads::default()));
    cx.progress().count(0, 0);
    let pipe = Pipe {
        desk: desk.clone(),
        send: script.send,
        sent: 0,
        keep_open: script.expect.is_some(),
        keep_stdout: script.keep_stdout || face.is_json(),
        json: face.is_json().then(|| Json {
            conn: conn.id(),
            endpoint: script.endpoint.clone(),
            both: face.is_verbose(),
            pending: Vec::new(),
            written: 0,
        }),
        expect: script.expect.clone().map(Expect::new),
        moved: Carried::default(),
        progress: cx.progress().clone(),
        heads: heads.clone(),
        found: false,
        matched: Some(tell_match),
    };
    let facts = conn.facts();
    let steps = conn.trail().to_vec();
    let ended = tokio::select! {
        biased;
        Ok(carried) = &mut matched => return Ok(carried),
        ended = carry(Conn::new(Box::new(pipe)), conn, until) => ended,
    };
    // What was expected and the end may have come together.
    if let Ok(carried) = matched.try_recv() {
        return Ok(carried);
    }
    // A server of TLS answers plain words with an alert, and closes.
    if let Some(failure) = lock(&heads).met_tls() {
        return Err(failure.after(steps));
    }
    match ended {
        // Whoever read our stdout has had enough, and that is their right.
        Err(CarryFailure {
            end: End::First,
            carried,
            failure,
            ..
        }) if failure.code() == Code::SEND_PEER_CLOSED => {
            face.reader_left();
            Ok(carried)
        }
        Err(CarryFailure {
            end: End::First,
            failure,
            carried,
            ..
        }) if matches!(failure.stage(), Stage::Send | Stage::Close) => Err(failure
            .message("standard output cannot be written")
            .fact(Fact::Moved {
                received: carried.back,
                sent: carried.forth,
            })),
        Err(CarryFailure {
            failure, carried, ..
        }) => {
            let failure = failure.fact(Fact::Moved {
                received: carried.back,
                sent: carried.forth,
            });
            Err(match facts.peer {
                Some(peer) => failure.fact(Fact::said(
                    format!("the other end is {peer}"),
                    "getpeername",
                )),
                None => failure,
            })
        }
        Ok(carried) => match script.expect {
            Some(expected) => Err(unmet(&expected, carried)),
            None => Ok(carried),
        },
    }
}

fn unmet(expected: &[u8], carried: Carried) -> Failure {
    Failure::new(Stage::Recv, Side::Peer, Code::RECV_UNEXPECTED)
        .message(format!(
            "the peer ended without `{}`",
            netloom_wire::escape::escape(expected)
        ))
        .fact(Fact::Moved {
            received: carried.back,
            sent: carried.forth,
        })
}

/// How each side began.
#[derive(Default)]
struct Heads {
    said: Head,
    heard: Head,
}

/// The first bytes of one side, and how many there were in all.
#[derive(Default)]
struct Head {
    first: Vec<u8>,
    all: u64,
}

impl Head {
    /// Two alerts, and one byte more.
    const MOST: usize = 15;

    fn take_in(&mut self, bytes: &[u8]) {
        let room = Self::MOST.saturating_sub(self.first.len());
        self.first
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.all += bytes.len() as u64;
    }

    /// The TLS alert that is all there was, by its number.
    fn is_alert(&self) -> Option<u8> {
        let [21, 3, _, 0, 2, _, alert] = *self.first.get(..7)? else {
            return None;
        };
        let rest = &self.first[7..];
        let only = rest.is_empty() || rest.len() == 7 && matches!(rest, [21, 3, _, 0, 2, ..]);
        (only && self.all == self.first.len() as u64).then_some(alert)
    }
}

impl Heads {
    /// The failure, where words without TLS were answered with an alert of TLS
    /// and nothing else. A program that speaks TLS through this pipe began with
    /// a record itself.
    fn met_tls(&self) -> Option<Failure> {
        let alert = self.heard.is_alert()?;
        if self.said.all == 0 || is_record(&self.said.first) {
            return None;
        }
        let failure = Failure::new(Stage::Greet, Side::Peer, codes::PEER_SPEAKS_TLS)
            .message("the peer speaks TLS, and was spoken to without")
            .fact(Fact::Alert(alert))
            .fact(Fact::FirstBytes(self.heard.first.clone()))
            .fact(Fact::Moved {
                received: self.heard.all,
                sent: self.said.all,
            });
        Some(failure)
    }
}

fn lock(heads: &Mutex<Heads>) -> MutexGuard<'_, Heads> {
    heads.lock().unwrap_or_else(PoisonError::into_inner)
}

/// This end as a carrier of bytes.
struct Pipe {
    desk: Desk,
    send: Option<Vec<u8>>,
    sent: usize,
    /// After a text was sent, wait for the answer instead of ending this side.
    keep_open: bool,
    /// There may still be something to tell on stdout.
    keep_stdout: bool,
    json: Option<Json>,
    expect: Option<Expect>,
    moved: Carried,
    /// Where that is told to whoever may end this.
    progress: Progress,
    heads: Arc<Mutex<Heads>>,
    /// What was expected has come; nothing more is taken.
    found: bool,
    /// Told once that is also written.
    matched: Option<oneshot::Sender<Carried>>,
}

impl Pipe {
    /// Tells a program that wants to know everything what is said to the peer.
    fn tell_said(&mut self, said: &[u8]) {
        if let Some(json) = self.json.as_mut().filter(|json| json.both)
            && !said.is_empty()
        {
            json.put(false, said);
        }
    }

    /// So many bytes more, to the peer and from it.
    fn count(&mut self, forth: usize, back: usize) {
        self.moved.forth += forth as u64;
        self.moved.back += back as u64;
        self.progress.count(self.moved.back, self.moved.forth);
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Some(json) = this.json.as_mut().filter(|json| json.both) {
            // Whoever writes what comes is told that nobody reads it.
            let _ = ready!(json.flush(&mut this.desk, task));
        }
        let Some(text) = &this.send else {
            let before = buf.filled().len();
            let read = Pin::new(&mut this.desk).poll_read(task, buf);
            let said = &buf.filled()[before..];
            lock(&this.heads).said.take_in(said);
            this.tell_said(said);
            this.count(said.len(), 0);
            return read;
        };
        let left = &text[this.sent..];
        if left.is_empty() && this.keep_open {
            return Poll::Pending; // woken by what is received
        }
        let n = left.len().min(buf.remaining());
        buf.put_slice(&left[..n]);
        let said = left[..n].to_vec();
        lock(&this.heads).said.take_in(&said);
        this.tell_said(&said);
        this.sent += n;
        this.count(n, 0);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.found {
            ready!(self.as_mut().poll_flush(task))?;
            return Poll::Pending; // whoever waits for the match ends this
        }
        let this = &mut *self;
        let taken = match &mut this.json {
            None => ready!(Pin::new(&mut this.desk).poll_write(task, bytes))?,
            Some(json) => {
                ready!(json.flush(&mut this.desk, task))?;
                json.put(true, bytes);
                let _ = json.flush(&mut this.desk, task)?; // the rest goes with the next
                bytes.len()
            }
        };
        this.count(0, taken);
        lock(&this.heads).heard.take_in(&bytes[..taken]);
        if let Some(expect) = &mut this.expect {
            this.found = expect.feed(&bytes[..taken]);
        }
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Some(json) = &mut this.json {
            ready!(json.flush(&mut this.desk, task))?;
        }
        ready!(Pin::new(&mut this.desk).poll_flush(task))?;
        if this.found
            && let Some(matched) = this.matched.take()
        {
            // Nobody waits any more when the conversation is being given up.
            let _ = matched.send(this.moved);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(task))?;
        if self.keep_stdout {
            return Poll::Ready(Ok(()));
        }
        // Whoever reads it sees the end, though stdin may still bring something.
        Pin::new(&mut self.desk).poll_shutdown(task)
    }
}

impl Io for Pipe {
    fn facts(&self) -> ConnFacts {
        ConnFacts::default()
    }

    fn into_socket(self: Box<Self>) -> Result<Socket, Box<dyn Io>> {
        Err(self)
    }

    fn close(self: Box<Self>, _: Close) {}
}

/// Bytes as JSON Lines on their way to stdout.
struct Json {
    conn: u64,
    endpoint: Option<String>,
    /// Also what is said.
    both: bool,
    pending: Vec<u8>,
    written: usize,
}

impl Json {
    fn put(&mut self, inbound: bool, bytes: &[u8]) {
        let data = Data {
            conn: self.conn,
            endpoint: self.endpoint.as_deref(),
            inbound,
            from: None,
            bytes,
        };
        self.pending.drain(..self.written);
        self.written = 0;
        self.pending
            .extend_from_slice(json_line(&data, now()).as_bytes());
        self.pending.push(b'\n');
    }

    fn flush(&mut self, to: &mut Desk, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.pending.len() {
            self.written +=
                ready!(Pin::new(&mut *to).poll_write(task, &self.pending[self.written..]))?;
        }
        Poll::Ready(Ok(()))
    }
}

/// Looks for a text in what comes, however it is cut.
pub(crate) struct Expect {
    text: Vec<u8>,
    seen: Vec<u8>,
}

impl Expect {
    pub(crate) fn new(text: Vec<u8>) -> Self {
        Expect {
            text,
            seen: Vec::new(),
        }
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) -> bool {
        self.seen.extend_from_slice(bytes);
        let found = self.text.is_empty()
            || self
                .seen
                .windows(self.text.len())
                .any(|window| window == self.text);
        // Of what has been looked through, only a beginning of the text matters.
        let keep = self.text.len().saturating_sub(1).min(self.seen.len());
        self.seen.drain(..self.seen.len() - keep);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_alert_in_answer_to_plain_words_is_tls_met() {
        let alert: &[u8] = &[21, 3, 3, 0, 2, 2, 50];
        let met = |said: &[u8], heard: &[&[u8]]| {
            let mut heads = Heads::default();
            heads.said.take_in(said);
            for part in heard {
                heads.heard.take_in(part);
            }
            heads.met_tls().is_some()
        };
        assert!(met(b"hello\n", &[alert]));
        assert!(met(b"hello\n", &[&alert[..3], &alert[3..], alert]));
        assert!(!met(b"", &[alert])); // nothing was said
        assert!(!met(b"\x16\x03\x01\x02\0\x01", &[alert])); // they speak TLS themselves
        assert!(!met(b"hello\n", &[b"\x16\x03\x03\0\x02\x02\x32"]));
        assert!(!met(b"hello\n", &[alert, b"more"]));
        assert!(!met(b"hello\n", &[&alert[..6]]));
        assert!(!met(b"hello\n", &[]));
    }

    #[test]
    fn a_text_is_found_across_reads() {
        let mut expect = Expect::new(b"abcab".to_vec());
        for byte in b"xxabcabcaz" {
            assert!(!expect.feed(&[*byte]) || *byte == b'b', "{byte}");
        }
        let mut expect = Expect::new(b"250 ok".to_vec());
        assert!(!expect.feed(b"220 hi\r\n25"));
        assert!(expect.feed(b"0 ok\r\n"));
    }
}
