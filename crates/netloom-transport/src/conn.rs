//! A connection: an ordered stream of bytes with a name, limits and a trail.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use netloom_base::failure::{Fact, Flow, Step};
use netloom_base::{Failure, Stage};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::BoxFuture;
use crate::ahead::Ahead;
use crate::origin::Origin;
use crate::over::over;
use crate::seat::{Notice, Seat};
use crate::socket::Socket;

/// What carries a connection's bytes: a socket, a pipe, a TLS session.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {
    /// Who is at both ends, and what else is known while it lives.
    fn facts(&self) -> ConnFacts;

    /// The application protocol both ends agreed on below (RFC 7301), if they did.
    fn alpn(&self) -> Option<&[u8]> {
        None
    }

    /// The name the client asked for, where it said one below: in TLS (RFC 6066
    /// §3), or to the proxy that passed it on.
    fn server_name(&self) -> Option<&str> {
        None
    }

    /// Whether what is read and written here is encrypted below.
    fn encrypts(&self) -> bool {
        false
    }

    /// The kernel socket, when the bytes pass through it unchanged. The copy
    /// engine uses it; a TLS session has none to give.
    fn socket_mut(&mut self) -> Option<&mut Socket> {
        None
    }

    /// Whether to close it in order says the same to the peer as to shut it
    /// first: nothing is kept back above the socket.
    fn ends_by_closing(&self) -> bool {
        false
    }

    /// Where the TCP connection below stands, where there is one that its
    /// kernel tells of.
    fn flow(&self) -> Option<Flow> {
        None
    }

    /// Waits until the peer has left for good: until what is sent can reach
    /// nobody any more. Reads nothing, and an end of what the peer says is not
    /// taken for more than that. For ever, where nothing can tell.
    fn gone(&mut self) -> BoxFuture<'_, io::Error> {
        Box::pin(std::future::pending())
    }

    /// Gives the kernel socket up, so that another reactor can take it. A layer
    /// has none to give and comes back: its bytes are not the socket's.
    fn into_socket(self: Box<Self>) -> Result<Socket, Box<dyn Io>>;

    /// Ends it. `Orderly` after both directions were shut; `Abort` tells the
    /// peer with a reset where the transport can.
    fn close(self: Box<Self>, how: Close);
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// Everything was said.
    Orderly,
    /// Nothing more will be said or read: reset.
    Abort,
}

/// What a carrier knows of itself.
#[derive(Debug, Clone, Default)]
pub struct ConnFacts {
    /// This end.
    pub local: Option<Peer>,
    /// The other end.
    pub peer: Option<Peer>,
}

/// What carries a connection that was reset: nothing.
struct Gone;

impl Io for Gone {
    fn facts(&self) -> ConnFacts {
        ConnFacts::default()
    }

    fn into_socket(self: Box<Self>) -> Result<Socket, Box<dyn Io>> {
        Err(self)
    }

    fn close(self: Box<Self>, _: Close) {}
}

impl AsyncRead for Gone {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
    }
}

impl AsyncWrite for Gone {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
    }
}

/// One end of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Peer {
    /// An IP address and port.
    Ip(SocketAddr),
    /// A path, a program, a process: whatever names it.
    Named(Box<str>),
}

impl Peer {
    /// Its address with its port, where it has one.
    pub fn addr(&self) -> Option<SocketAddr> {
        match self {
            Peer::Ip(addr) => Some(*addr),
            Peer::Named(_) => None,
        }
    }

    /// Its address alone, where it has one: what it is counted under.
    pub fn ip(&self) -> Option<IpAddr> {
        self.addr().map(|addr| addr.ip())
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Ip(addr) => write!(f, "{addr}"),
            Peer::Named(name) => f.write_str(name),
        }
    }
}

/// The steps that led to a connection, with times.
#[derive(Debug, Default)]
struct Trail {
    /// The only step of most: an address that answered.
    reached: Option<(SocketAddr, Duration)>,
    /// Oldest first; put into words when somebody asks.
    steps: OnceLock<Vec<Step>>,
    /// What was noticed on the way, though it did not end it.
    facts: Vec<Fact>,
}

impl Trail {
    fn steps(&self) -> &[Step] {
        self.steps.get_or_init(|| {
            let step = |(addr, took): (SocketAddr, Duration)| Step {
                stage: Stage::Connect,
                to: addr.to_string(),
                failed: None,
                took,
            };
            self.reached.map(step).into_iter().collect()
        })
    }

    fn add(&mut self, more: impl IntoIterator<Item = Step>) {
        self.steps();
        if let Some(steps) = self.steps.get_mut() {
            steps.extend(more);
        }
    }
}

/// A connection.
///
/// Reading and writing count bytes and mark it alive; when its seat says that
/// a limit has passed, a pending read fails with that limit's code. That is
/// all a service must do to be bounded: read.
pub struct Conn {
    io: Box<dyn Io>,
    id: u64,
    seat: Option<Arc<Seat>>,
    /// Whom the seat would wake: looked at on every wait, so kept here, without a lock.
    waiting: Option<Waker>,
    /// The last write is waiting for the peer to read.
    sending: bool,
    /// A layer is on, which may know of another peer than its seat.
    wrapped: bool,
    trail: Option<Box<Trail>>,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl Conn {
    /// A connection over `io`, with a fresh number and no limits.
    pub fn new(io: Box<dyn Io>) -> Self {
        Conn {
            io,
            id: Conn::number(),
            seat: None,
            waiting: None,
            sending: false,
            wrapped: false,
            trail: None,
        }
    }

    /// A fresh number for a conversation that is no connection.
    pub fn number() -> u64 {
        NEXT_ID.fetch_add(1, Ordering::Relaxed)
    }

    /// The number of this connection, unique in this process.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Gives it a seat, which bounds it. It keeps the seat through every layer.
    pub fn seated(mut self, seat: Arc<Seat>) -> Self {
        self.seat = Some(seat);
        self
    }

    pub(crate) fn numbered(mut self, id: u64) -> Self {
        self.id = id;
        self
    }

    /// Its seat, if it has one.
    pub fn seat(&self) -> Option<&Arc<Seat>> {
        self.seat.as_ref()
    }

    /// Remembers the steps that led here. Hot paths do not.
    pub fn remember(&mut self, steps: impl IntoIterator<Item = Step>) {
        self.trail.get_or_insert_default().add(steps);
    }

    /// Remembers the one step that led here: `addr` answered after `took`.
    pub(crate) fn reached(&mut self, addr: SocketAddr, took: Duration) {
        let trail = self.trail.get_or_insert_default();
        debug_assert!(trail.steps.get().is_none(), "a dial is the first step");
        trail.reached = Some((addr, took));
    }

    /// The steps that led here, if they were remembered.
    pub fn trail(&self) -> &[Step] {
        self.trail.as_ref().map_or(&[], |trail| trail.steps())
    }

    /// Keeps what was noticed on the way here.
    pub fn learn(&mut self, facts: impl IntoIterator<Item = Fact>) {
        self.trail.get_or_insert_default().facts.extend(facts);
    }

    /// What was noticed on the way here, if it was remembered.
    pub fn learned(&self) -> &[Fact] {
        self.trail.as_ref().map_or(&[], |trail| &trail.facts)
    }

    /// Who is at both ends.
    pub fn facts(&self) -> ConnFacts {
        self.io.facts()
    }

    /// Who is at the other end. Of an accepted connection that is known
    /// without asking the kernel.
    pub fn peer(&self) -> Option<Peer> {
        let seat = self.seat.as_ref().filter(|_| !self.wrapped);
        let told = seat.and_then(|seat| seat.peer()).cloned();
        told.or_else(|| self.io.facts().peer)
    }

    /// The application protocol both ends agreed on (RFC 7301), if they did.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.io.alpn()
    }

    /// The name the client asked for, where it said one.
    pub fn server_name(&self) -> Option<&str> {
        self.io.server_name()
    }

    /// Whether its bytes are encrypted on their way.
    pub fn encrypts(&self) -> bool {
        self.io.encrypts()
    }

    /// What can be said of its client to whom is dialled for it.
    pub fn origin(&self) -> Origin {
        Origin {
            client: self.facts(),
            server_name: self.server_name().map(Box::from),
            alpn: self.alpn().map(Box::from),
        }
    }

    /// Turns its client away: it sees a reset, and is counted with those that
    /// the service did not let in, under the name of the setting that says so.
    pub fn refuse(self, by: &'static str) {
        if let Some(seat) = &self.seat {
            seat.turned_away(by);
        }
        self.close(Close::Abort);
    }

    /// The kernel socket, when the bytes pass through it unchanged.
    pub fn socket_mut(&mut self) -> Option<&mut Socket> {
        self.io.socket_mut()
    }

    /// Whether to close it in order says the same to the peer as to shut it first.
    pub(crate) fn ends_by_closing(&self) -> bool {
        self.io.ends_by_closing()
    }

    /// Puts a layer on: `put` takes what carried the bytes and returns what
    /// carries them now. Number, seat and trail stay.
    pub fn wrap(self, put: impl FnOnce(Box<dyn Io>) -> Box<dyn Io>) -> Self {
        Conn {
            io: put(self.io),
            wrapped: true,
            ..self
        }
    }

    /// What carries its bytes, and all the rest of it.
    pub(crate) fn hollow(self) -> (Box<dyn Io>, Self) {
        let rest = Conn {
            io: Box::new(Gone),
            waiting: None,
            ..self
        };
        (self.io, rest)
    }

    pub(crate) fn carried_by(self, io: Box<dyn Io>) -> Self {
        Conn { io, ..self }
    }

    /// Whether a layer is on, with what it knows.
    pub(crate) fn is_wrapped(&self) -> bool {
        self.wrapped
    }

    /// Puts back what was read: it will be read again, before all else, and
    /// counts once.
    pub fn unread(self, bytes: Vec<u8>) -> Self {
        if bytes.is_empty() {
            return self;
        }
        if let Some(seat) = &self.seat {
            seat.unread(bytes.len());
        }
        let wrapped = self.wrapped;
        let conn = self.wrap(|io| Box::new(Ahead::new(bytes, io)));
        Conn { wrapped, ..conn }
    }

    /// What the keeper of the seats wants of this connection, if anything. A
    /// service asks when nothing is in flight.
    pub fn notice(&self) -> Option<Notice> {
        self.seat.as_ref().and_then(|seat| seat.notice())
    }

    /// Waits, without reading, until nothing can be said to the peer any more,
    /// or until a limit has passed; then tells which.
    pub async fn gone(&mut self) -> Failure {
        let seat = self.seat.clone();
        // What is registered here is not for whoever reads later.
        self.waiting = None;
        let mut gone = self.io.gone();
        let why = std::future::poll_fn(|task| {
            if let Some(seat) = &seat {
                seat.wake_later(task.waker());
                if let Some(over) = seat.told().and_then(|told| over(told, seat, None)) {
                    return Poll::Ready(over.into());
                }
            }
            gone.as_mut().poll(task)
        })
        .await;
        drop(gone);
        self.failure(Stage::Recv, why)
    }

    /// Ends it.
    pub fn close(self, how: Close) {
        self.io.close(how);
    }

    /// A failure of this connection, with the bytes that had moved.
    pub fn failure(&self, stage: Stage, error: io::Error) -> Failure {
        let failure = Failure::from_io(stage, error).after(self.trail().iter().cloned());
        match &self.seat {
            Some(seat) => failure.fact(Fact::Moved {
                received: seat.received(),
                sent: seat.sent(),
            }),
            None => failure,
        }
    }

    /// Where it stands while its last write waits for the peer to read.
    pub(crate) fn held_up(&self) -> Option<Flow> {
        self.sending.then(|| self.io.flow())?
    }

    /// Fails when a limit has passed, and sees to it that this task is woken
    /// when one does: for a service that waits for something else than this
    /// connection. A pending read or write does it by itself.
    pub fn heed(&mut self, cx: &Context<'_>) -> io::Result<()> {
        let Some(seat) = &self.seat else {
            return Ok(());
        };
        if !self
            .waiting
            .as_ref()
            .is_some_and(|waiting| waiting.will_wake(cx.waker()))
        {
            self.waiting = Some(cx.waker().clone());
            seat.wake_later(cx.waker());
        }
        let Some(told) = seat.told() else {
            return Ok(());
        };
        let flow = (told == Notice::Idle).then(|| self.held_up()).flatten();
        let Some(over) = over(told, seat, flow) else {
            return Ok(());
        };
        if self.sending {
            // The limit ends it in the midst of sending. The peer must not take
            // the part it got for the whole: it sees a reset.
            std::mem::replace(&mut self.io, Box::new(Gone)).close(Close::Abort);
        }
        Err(over.into())
    }
}

impl fmt::Debug for Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "conn {}", self.id)
    }
}

impl AsyncRead for Conn {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let this = &mut *self;
        match Pin::new(&mut *this.io).poll_read(cx, buf) {
            Poll::Ready(result) => {
                if let (Ok(()), Some(seat)) = (&result, &this.seat) {
                    seat.came(&buf.filled()[before..]);
                }
                Poll::Ready(result)
            }
            Poll::Pending => {
                this.heed(cx)?;
                Poll::Pending
            }
        }
    }
}

impl AsyncWrite for Conn {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let written = Pin::new(&mut *this.io).poll_write(cx, buf);
        this.wrote(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let written = Pin::new(&mut *this.io).poll_write_vectored(cx, bufs);
        this.wrote(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io).poll_shutdown(cx)
    }
}

impl Conn {
    /// Reads with a system call of the caller's own, which takes bytes out of
    /// the kernel socket. Counted and bounded as any read is.
    #[cfg(target_os = "linux")]
    pub(crate) fn poll_read_by(
        &mut self,
        cx: &mut Context<'_>,
        take: impl FnMut(std::os::fd::BorrowedFd<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let Some(socket) = self.io.socket_mut() else {
            return Poll::Ready(Err(io::ErrorKind::Unsupported.into()));
        };
        let read = socket.poll_read_by(cx, take);
        match &read {
            Poll::Ready(Ok(n)) => {
                if let Some(seat) = &self.seat {
                    seat.moved_in(*n);
                }
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.heed(cx)?,
        }
        read
    }

    /// Writes with a system call of the caller's own, which puts bytes into the
    /// kernel socket. Counted and bounded as any write is.
    #[cfg(target_os = "linux")]
    pub(crate) fn poll_write_by(
        &mut self,
        cx: &mut Context<'_>,
        put: impl FnMut(std::os::fd::BorrowedFd<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let Some(socket) = self.io.socket_mut() else {
            return Poll::Ready(Err(io::ErrorKind::Unsupported.into()));
        };
        let written = socket.poll_write_by(cx, put);
        self.wrote(cx, written)
    }

    fn wrote(
        &mut self,
        cx: &Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Ready(Ok(n)) => {
                self.sending = false;
                if let Some(seat) = &self.seat {
                    seat.moved_out(*n);
                }
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                self.sending = true;
                self.heed(cx)?;
            }
        }
        written
    }
}
