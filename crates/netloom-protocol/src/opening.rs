//! The first words of a conversation, read with a deadline and a limit, and
//! told apart from those of other protocols.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use netloom_base::failure::Fact;
use netloom_base::{Code, Failure, Moment, Side, Stage};
use netloom_transport::tls::codes::PEER_SPEAKS_TLS;
use netloom_transport::{Conn, ConnFacts, Cx};
use netloom_wire::tls::looks_like;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use crate::service::finish;

/// How long a server may take for its first words.
pub const GREET_TIMEOUT: Duration = Duration::from_secs(10);

/// How many bytes a server's first words may have.
const MOST: usize = 64 * 1024;

/// How many of the first bytes are kept as a fact.
const FIRST: usize = 256;

/// How long a peer that has answered may take before it hears more.
const TAKES_NO_MORE: Duration = Duration::from_millis(500);

/// How far something long was said.
#[derive(Debug, Default)]
pub struct Said {
    /// How many bytes the connection took.
    pub sent: usize,
    /// What ended it before the end.
    pub error: Option<io::Error>,
    /// The peer ended its side meanwhile.
    pub closed: bool,
}

/// What a step moved, and how many bytes.
enum Moved {
    Out(usize),
    In(usize),
}

/// Takes what has come. A connection that is broken has nothing to say: what
/// broke it is told to the side that sends.
fn hear(conn: &mut Conn, task: &mut Context<'_>, came: &mut Vec<u8>) -> Poll<usize> {
    let mut buffer = [0; 4096];
    let mut buffer = ReadBuf::new(&mut buffer);
    match Pin::new(conn).poll_read(task, &mut buffer) {
        Poll::Ready(Ok(())) => {
            came.extend_from_slice(buffer.filled());
            Poll::Ready(buffer.filled().len())
        }
        Poll::Ready(Err(_)) | Poll::Pending => Poll::Pending,
    }
}

/// A dialled conversation while its first words are said.
pub struct Opening<'a> {
    conn: Conn,
    cx: &'a Cx,
    /// What the peer should speak, as people call it.
    protocol: &'static str,
    began: Moment,
    until: Moment,
    came: Vec<u8>,
    taken: usize,
    sent: u64,
    /// The peer has shown that it speaks the protocol.
    recognised: bool,
}

impl<'a> Opening<'a> {
    /// Begins; from now on the greeting deadline runs.
    pub fn new(conn: Conn, protocol: &'static str, cx: &'a Cx) -> Self {
        Opening {
            conn,
            cx,
            protocol,
            began: cx.now(),
            until: cx.now() + GREET_TIMEOUT,
            came: Vec::new(),
            taken: 0,
            sent: 0,
            recognised: false,
        }
    }

    /// The peer has shown that it speaks the protocol: from now on an end is an
    /// end in the middle, and no sign of another protocol.
    pub fn recognise(&mut self) {
        self.recognised = true;
    }

    /// The greeting deadline runs anew: for what comes after a first exchange.
    pub fn renew(&mut self) {
        self.until = self.cx.now() + GREET_TIMEOUT;
    }

    /// Says something.
    ///
    /// # Errors
    /// `send.*` or `greet.timeout`; where the peer had said something before it
    /// stopped listening, `greet.wrong-protocol` or what else fits that.
    pub async fn say(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let left = self.left();
        let said = async {
            self.conn.write_all(bytes).await?;
            self.conn.flush().await
        };
        match self.cx.timeout(left, said).await {
            None => Err(self.late()),
            Some(Ok(())) => {
                self.sent += bytes.len() as u64;
                Ok(())
            }
            Some(Err(error)) => Err(self.told(self.conn.failure(Stage::Send, error))),
        }
    }

    /// Says something long while it listens: a peer may answer before it has
    /// heard everything, and stop listening. `enough` looks at what came and
    /// says whether that is such an answer; then the peer is given a little
    /// time to take more, and no longer.
    ///
    /// # Errors
    /// As [`Opening::say`], where the peer had not said anything.
    pub async fn say_hearing(
        &mut self,
        bytes: &[u8],
        mut enough: impl FnMut(&[u8]) -> bool,
    ) -> Result<Said, Failure> {
        let mut said = Said::default();
        let mut answered = false;
        while said.sent < bytes.len() && !(said.closed && answered) {
            let patience = if answered {
                TAKES_NO_MORE.min(self.left())
            } else {
                self.left()
            };
            let conn = &mut self.conn;
            let came = &mut self.came;
            let hears = !said.closed && came.len() < MOST;
            let step = poll_fn(|task| {
                if hears && let Poll::Ready(read) = hear(conn, task, came) {
                    return Poll::Ready(Ok(Moved::In(read)));
                }
                let written = Pin::new(&mut *conn).poll_write(task, &bytes[said.sent..]);
                written.map_ok(Moved::Out)
            });
            match self.cx.timeout(patience, step).await {
                None if answered => return Ok(said),
                None => return Err(self.late()),
                Some(Ok(Moved::Out(n))) => said.sent += n,
                Some(Ok(Moved::In(0))) => said.closed = true,
                Some(Ok(Moved::In(_))) => answered = enough(&self.came[self.taken..]),
                Some(Err(error)) => {
                    self.cx.timeout(TAKES_NO_MORE, self.hear_out()).await;
                    if self.came.len() == self.taken {
                        return Err(self.along(self.conn.failure(Stage::Send, error)));
                    }
                    said.error = Some(error);
                    return Ok(said);
                }
            }
        }
        if said.sent < bytes.len() {
            return Ok(said);
        }
        let heard = self.came.len() > self.taken;
        let patience = if answered {
            TAKES_NO_MORE.min(self.left())
        } else {
            self.left()
        };
        match self.cx.timeout(patience, self.conn.flush()).await {
            Some(Ok(())) => Ok(said),
            None if !answered => Err(self.late()),
            Some(Err(error)) if !heard => Err(self.along(self.conn.failure(Stage::Send, error))),
            flushed => {
                let late = io::Error::from(io::ErrorKind::TimedOut);
                said.error = Some(flushed.and_then(Result::err).unwrap_or(late));
                Ok(said)
            }
        }
    }

    /// Takes what comes until there is no more.
    async fn hear_out(&mut self) {
        let mut buffer = [0; 4096];
        while self.came.len() < MOST {
            match self.conn.read(&mut buffer).await {
                Ok(n @ 1..) => self.came.extend_from_slice(&buffer[..n]),
                Ok(0) | Err(_) => return,
            }
        }
    }

    /// The next line, without its end.
    ///
    /// # Errors
    /// `greet.closed-before-banner` when not one byte came, `greet.timeout`,
    /// `greet.wrong-protocol` when the peer ends or goes on without an end of
    /// line, `recv.*`.
    pub async fn line(&mut self) -> Result<Vec<u8>, Failure> {
        let mut looked = self.taken;
        loop {
            if let Some(end) = self.came[looked..].iter().position(|&byte| byte == b'\n') {
                let line = &self.came[self.taken..looked + end];
                let line = line.strip_suffix(b"\r").unwrap_or(line).to_vec();
                self.taken = looked + end + 1;
                return Ok(line);
            }
            looked = self.came.len();
            self.more().await?;
            if self.is_clearly_other() {
                return Err(self.wrong());
            }
        }
    }

    /// The next `n` bytes.
    ///
    /// # Errors
    /// As [`Opening::line`].
    pub async fn bytes(&mut self, n: usize) -> Result<Vec<u8>, Failure> {
        while self.came.len() - self.taken < n {
            self.more().await?;
        }
        let taken = self.came[self.taken..self.taken + n].to_vec();
        self.taken += n;
        Ok(taken)
    }

    /// What came and was not taken, without waiting.
    pub fn rest(&self) -> &[u8] {
        &self.came[self.taken..]
    }

    /// Whether anything came at all.
    pub fn heard(&self) -> bool {
        !self.came.is_empty()
    }

    /// Passes over the next `n` bytes of [`Opening::rest`].
    pub fn pass(&mut self, n: usize) {
        self.taken = self.came.len().min(self.taken + n);
    }

    /// Reads once more, for no longer than `patience`: how many bytes came, 0 at
    /// the end or when the limit is reached, `None` when nothing came in time.
    ///
    /// # Errors
    /// `recv.*`
    pub async fn read_within(&mut self, patience: Duration) -> Result<Option<usize>, Failure> {
        if self.came.len() >= MOST {
            return Ok(Some(0));
        }
        let patience = patience.min(self.left());
        let mut buffer = [0; 4096];
        match self.cx.timeout(patience, self.conn.read(&mut buffer)).await {
            None => Ok(None),
            Some(Ok(n)) => {
                self.came.extend_from_slice(&buffer[..n]);
                Ok(Some(n))
            }
            Some(Err(error)) => Err(self.told(self.conn.failure(Stage::Recv, error))),
        }
    }

    /// Reads once more.
    ///
    /// # Errors
    /// As [`Opening::line`].
    pub async fn more(&mut self) -> Result<(), Failure> {
        if self.came.len() >= MOST {
            return Err(self.broken("said far too much in the middle"));
        }
        let left = self.left();
        let mut buffer = [0; 4096];
        match self.cx.timeout(left, self.conn.read(&mut buffer)).await {
            None => Err(self.late()),
            Some(Ok(0)) if self.came.is_empty() => Err(self.closed("closed in order (FIN)")),
            Some(Ok(0)) => Err(self.broken("ended it in the middle")),
            Some(Ok(n)) => {
                self.came.extend_from_slice(&buffer[..n]);
                Ok(())
            }
            Some(Err(error)) => {
                let failure = self.conn.failure(Stage::Recv, error);
                match failure.errno() {
                    Some(errno) if self.came.is_empty() && failure.code() == Code::RECV_RESET => {
                        let closed = self.closed("reset the connection (RST)");
                        Err(closed.fact(Fact::Errno(errno)))
                    }
                    _ => Err(self.told(failure)),
                }
            }
        }
    }

    /// What the peer's first bytes look like, where that is not what it should
    /// speak.
    pub fn other(&self) -> Option<&'static str> {
        let name = looks_like(&self.came)?;
        let mut names = name.split(" or ");
        names.all(|name| name != self.protocol).then_some(name)
    }

    /// Whether what came before any end of line is of a protocol that has none:
    /// no use to wait for one.
    fn is_clearly_other(&self) -> bool {
        let text = |byte: &u8| byte.is_ascii_graphic() || matches!(byte, b' ' | b'\t' | b'\r');
        !self.recognised
            && !self.came.iter().all(text)
            && !self.came.contains(&b'\n')
            && self.other().is_some()
    }

    /// The peer ended it before a byte came.
    fn closed(&self, how: &str) -> Failure {
        let after = (self.cx.now() - self.began).as_secs_f64() * 1e3;
        let what = match self.sent {
            0 => format!("the peer {how} after {after:.1} ms"),
            n => format!("the peer {how} after {after:.1} ms, and after {n} bytes from here"),
        };
        let failure = Failure::new(Stage::Greet, Side::Peer, Code::GREET_CLOSED);
        self.along(failure.fact(Fact::said(what, "recv")))
    }

    /// The peer did what its protocol does not, if it is its protocol.
    fn broken(&self, what: &str) -> Failure {
        if !self.recognised {
            return self.wrong();
        }
        let message = format!("the peer {what} of its greeting in {}", self.protocol);
        self.told(Failure::new(Stage::Greet, Side::Peer, Stage::Greet.other()).message(message))
    }

    /// The peer does not speak what it should: which protocol it is, if its
    /// first bytes say so.
    pub fn wrong(&self) -> Failure {
        let wanted = self.protocol;
        let (code, message) = match self.other() {
            Some("TLS") => (
                PEER_SPEAKS_TLS,
                format!("the peer speaks TLS, not plain {wanted}"),
            ),
            Some(other) => (
                Code::GREET_WRONG_PROTOCOL,
                format!("the peer speaks {other}, not {wanted}"),
            ),
            None => (
                Code::GREET_WRONG_PROTOCOL,
                format!("the peer does not speak {wanted}"),
            ),
        };
        self.told(Failure::new(Stage::Greet, Side::Peer, code).message(message))
    }

    /// The peer refuses, in these words, said where `source` tells.
    pub fn refused(&self, message: String, words: String, source: &'static str) -> Failure {
        let failure = Failure::new(Stage::Greet, Side::Peer, Code::GREET_REFUSED);
        self.along(failure.message(message).fact(Fact::said(words, source)))
    }

    /// Adds the steps that led here.
    pub fn along(&self, failure: Failure) -> Failure {
        if failure.trail().is_empty() {
            failure.after(self.conn.trail().iter().cloned())
        } else {
            failure
        }
    }

    /// Adds the first bytes that came, and the steps that led here.
    pub fn told(&self, failure: Failure) -> Failure {
        let failure = self.along(failure);
        match &self.came[..self.came.len().min(FIRST)] {
            [] => failure,
            first => failure.fact(Fact::FirstBytes(first.to_vec())),
        }
    }

    /// The connection, while the first words are said.
    pub fn conn(&self) -> &Conn {
        &self.conn
    }

    /// Who is at both ends.
    pub fn facts(&self) -> ConnFacts {
        self.conn.facts()
    }

    /// The world it happens in.
    pub fn cx(&self) -> &'a Cx {
        self.cx
    }

    /// Ends it in order, waiting a little for the peer to do so too.
    pub async fn end(self) {
        // Everything was learned; how it ends says nothing more.
        let _ = finish(self.conn, self.cx).await;
    }

    /// The connection, when the first words are over.
    pub fn into_conn(self) -> Conn {
        self.conn
    }

    fn left(&self) -> Duration {
        let now = self.cx.now();
        if now < self.until {
            self.until - now
        } else {
            Duration::ZERO
        }
    }

    fn late(&self) -> Failure {
        if !self.recognised && self.other().is_some() {
            return self.wrong();
        }
        let wanted = self.protocol;
        let message = match self.came.len() {
            0 => format!("the peer said nothing where {wanted} was expected"),
            n => format!("the peer said {n} bytes and then no more, where {wanted} was expected"),
        };
        let failure = Failure::new(Stage::Greet, Side::Peer, Code::GREET_TIMEOUT).message(message);
        self.told(failure.fact(Fact::Waited(GREET_TIMEOUT)))
    }
}
