//! Who looks on while bytes go by: the dump of `-v`, a recording, the figures
//! of the status line. None of them changes a byte.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use netloom_base::Moment;
use netloom_base::failure::Flow;
use netloom_transport::conn::{ConnFacts, Io};
use netloom_transport::socket::Socket;
use netloom_transport::{Close, Conn, Cx, Peer};
use netloom_wire::coding::Coding;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

use crate::contract::Stop;
use crate::editor::is_there;
use crate::recording::Recorder;
use crate::view::Face;

/// Everybody who looks on. Its clones are one.
#[derive(Clone)]
pub(crate) struct Watch(Arc<Inner>);

struct Inner {
    face: Face,
    cx: Cx,
    dumps: AtomicBool,
    /// Whether a person may ask for the dump later, and reads the figures.
    by_hand: bool,
    /// Several conversations at once: each dump says whose it is.
    several: bool,
    recorder: Option<Recorder>,
    figures: Mutex<Figures>,
    changed: Notify,
}

/// What the status line tells.
#[derive(Debug, Clone, Default)]
pub(crate) struct Figures {
    pub(crate) received: u64,
    pub(crate) sent: u64,
    /// How many conversations there are, and both ends of the newest.
    pub(crate) open: usize,
    pub(crate) ends: Option<(SocketAddr, SocketAddr)>,
}

/// One conversation that is looked at.
#[derive(Debug)]
pub(crate) struct Seen {
    conn: u64,
    endpoint: String,
    began: Moment,
    received: u64,
    sent: u64,
}

impl Watch {
    pub(crate) fn new(face: &Face, recorder: Option<Recorder>, several: bool, cx: &Cx) -> Self {
        Watch(Arc::new(Inner {
            face: face.clone(),
            cx: cx.clone(),
            dumps: AtomicBool::new(face.is_verbose() && !face.is_json()),
            by_hand: is_there(),
            several,
            recorder,
            figures: Mutex::default(),
            changed: Notify::new(),
        }))
    }

    /// Begins or ends the dump.
    pub(crate) fn dump(&self, on: bool) {
        self.0.dumps.store(on, Ordering::Relaxed);
    }

    pub(crate) fn dumps(&self) -> bool {
        self.0.dumps.load(Ordering::Relaxed)
    }

    /// What may still be wrong when all went well: a recording is not whole.
    pub(crate) fn finish(&self) -> Result<(), Stop> {
        let failure = self.0.recorder.as_ref().and_then(Recorder::failure);
        failure.map_or(Ok(()), |failure| Err(failure.into()))
    }

    pub(crate) fn figures(&self) -> Figures {
        self.lock().clone()
    }

    /// Waits until the figures change.
    pub(crate) async fn changed(&self) {
        self.0.changed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Figures> {
        let figures = &self.0.figures;
        figures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn somebody_looks(&self) -> bool {
        self.dumps() || self.0.recorder.is_some() || self.0.by_hand
    }

    /// Looks at all that goes over `conn` from now on, if anybody wants to.
    pub(crate) fn on(&self, conn: Conn, endpoint: &str, stack: &str) -> Conn {
        if !self.somebody_looks() {
            return conn;
        }
        let seen = self.open(conn.id(), endpoint, (stack, "stream"), &conn.facts());
        let watch = self.clone();
        conn.wrap(|io| {
            Box::new(Watched {
                io,
                look: Look { watch, seen },
                over: (false, false),
            })
        })
    }

    /// Begins to look at a conversation of `stack` that carries its bytes `by`
    /// stream or datagram.
    pub(crate) fn open(
        &self,
        conn: u64,
        endpoint: &str,
        (stack, by): (&str, &'static str),
        facts: &ConnFacts,
    ) -> Seen {
        if let Some(recorder) = &self.0.recorder {
            let peer = facts.peer.as_ref().map(Peer::to_string);
            recorder.opened(conn, endpoint, (stack, by), peer.as_deref());
        }
        let mut figures = self.lock();
        figures.open += 1;
        figures.ends = match (&facts.local, &facts.peer) {
            (Some(Peer::Ip(local)), Some(Peer::Ip(peer))) => Some((*local, *peer)),
            _ => None,
        };
        drop(figures);
        self.0.changed.notify_one();
        Seen {
            conn,
            endpoint: endpoint.to_owned(),
            began: self.0.cx.now(),
            received: 0,
            sent: 0,
        }
    }

    /// These bytes went by.
    pub(crate) fn saw(&self, seen: &mut Seen, inbound: bool, bytes: &[u8]) {
        let count = bytes.len() as u64;
        let at = {
            let mut figures = self.lock();
            let (all, own) = if inbound {
                (&mut figures.received, &mut seen.received)
            } else {
                (&mut figures.sent, &mut seen.sent)
            };
            *all += count;
            std::mem::replace(own, *own + count)
        };
        self.0.changed.notify_one();
        if let Some(recorder) = &self.0.recorder {
            recorder.bytes(seen.conn, inbound, bytes);
        }
        if self.dumps() {
            let noun = if count == 1 { "byte" } else { "bytes" };
            let mut text = self.head(seen, inbound, &format!("{count} {noun} at {at}"));
            let sign = sign(inbound);
            for (row, shown) in Coding::Hexdump.show(bytes).lines().enumerate() {
                let offset = at + row as u64 * 16;
                let rest = shown.get(8..).unwrap_or_default();
                _ = write!(text, "\n{sign} {offset:08x}{rest}");
            }
            self.0.face.trace(&text);
        }
    }

    /// One side has said everything.
    pub(crate) fn ended(&self, seen: &Seen, inbound: bool) {
        if let Some(recorder) = &self.0.recorder {
            recorder.ended(seen.conn, inbound);
        }
        if self.dumps() {
            self.0.face.trace(&self.head(seen, inbound, "end"));
        }
    }

    /// The conversation is over.
    pub(crate) fn close(&self, seen: &Seen) {
        let mut figures = self.lock();
        figures.open = figures.open.saturating_sub(1);
        figures.ends = None;
        drop(figures);
        self.0.changed.notify_one();
        if let Some(recorder) = &self.0.recorder {
            recorder.closed(seen.conn);
        }
    }

    fn head(&self, seen: &Seen, inbound: bool, what: &str) -> String {
        let after = (self.0.cx.now() - seen.began).as_secs_f64();
        let whose = if self.0.several {
            format!("[{}] ", seen.endpoint)
        } else {
            String::new()
        };
        format!("{} {whose}{after:.6} s  {what}", sign(inbound))
    }
}

fn sign(inbound: bool) -> char {
    if inbound { '<' } else { '>' }
}

/// A connection that is looked at.
struct Watched {
    io: Box<dyn Io>,
    look: Look,
    /// What has ended: what comes, what goes.
    over: (bool, bool),
}

/// Tells that it is over when it goes.
struct Look {
    watch: Watch,
    seen: Seen,
}

impl Drop for Look {
    fn drop(&mut self) {
        self.watch.close(&self.seen);
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.io).poll_read(task, buf))?;
        let came = &buf.filled()[before..];
        if !came.is_empty() {
            this.look.watch.saw(&mut this.look.seen, true, came);
        } else if buf.remaining() > 0 && !std::mem::replace(&mut this.over.0, true) {
            this.look.watch.ended(&this.look.seen, true);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let n = ready!(Pin::new(&mut this.io).poll_write(task, bytes))?;
        if n > 0 {
            this.look.watch.saw(&mut this.look.seen, false, &bytes[..n]);
        }
        Poll::Ready(Ok(n))
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(task)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(Pin::new(&mut this.io).poll_shutdown(task))?;
        if !std::mem::replace(&mut this.over.1, true) {
            this.look.watch.ended(&this.look.seen, false);
        }
        Poll::Ready(Ok(()))
    }
}

impl Io for Watched {
    fn facts(&self) -> ConnFacts {
        self.io.facts()
    }

    fn flow(&self) -> Option<Flow> {
        self.io.flow()
    }

    fn alpn(&self) -> Option<&[u8]> {
        self.io.alpn()
    }

    /// What went over the socket would not be seen.
    fn socket_mut(&mut self) -> Option<&mut Socket> {
        None
    }

    fn into_socket(self: Box<Self>) -> Result<Socket, Box<dyn Io>> {
        Err(self)
    }

    fn close(self: Box<Self>, how: Close) {
        self.io.close(how);
    }
}
