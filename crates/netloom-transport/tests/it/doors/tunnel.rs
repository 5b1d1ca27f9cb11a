//! A layer from a stream to many, as QUIC and SSH have them: frames of a
//! stream's number, a length and bytes. No bytes is that stream's end. There
//! is no flow control: one slow stream holds up the others.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use netloom_base::endpoint::Level;
use netloom_base::{Address, Card, Failure, Kind, Opens, Scheme, Stack};
use netloom_transport::socket::Socket;
use netloom_transport::{BoxFuture, Close, Conn, ConnFacts, Cx, Datagrams, Io, Layer, Mux, Opened};
use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, ReadHalf, WriteHalf,
};
use tokio::sync::mpsc;

pub(super) struct Tunnelled;

static CARD: Card = Card {
    name: "tunnelled",
    summary: "many streams in one",
    schemes: &[Scheme {
        name: "tunnelled",
        over: &["tcp"],
        default_port: None,
    }],
    address: Address::HostPort,
    owns_path: false,
    owns_query: false,
    needs: Some(Kind::Stream),
    gives: Kind::Mux,
    encrypts: false,
    rfcs: &[],
    dial_keys: &[],
    bind_keys: &[],
    codes: &[],
    opens: Opens::Either,
};

impl Layer for Tunnelled {
    fn card(&self) -> &'static Card {
        &CARD
    }

    fn dial<'a>(
        &'a self,
        below: Opened,
        _: &'a Level,
        _: &'a Stack,
        cx: &'a Cx,
    ) -> BoxFuture<'a, Result<Opened, Failure>> {
        Box::pin(async move { Ok(Opened::Mux(Box::new(Tunnel::over(below.stream()?, 0, cx)))) })
    }

    fn answer<'a>(
        &'a self,
        below: Opened,
        _: &'a Level,
        _: &'a Stack,
        cx: &'a Cx,
    ) -> BoxFuture<'a, Result<Opened, Failure>> {
        Box::pin(async move { Ok(Opened::Mux(Box::new(Tunnel::over(below.stream()?, 1, cx)))) })
    }
}

type Frame = (u16, Vec<u8>);

/// Where each stream's incoming bytes go.
type Streams = Arc<Mutex<HashMap<u16, WriteHalf<DuplexStream>>>>;

struct Tunnel {
    /// Even numbers are the dialler's, odd ones the answerer's.
    next: AtomicU16,
    inside: Inside,
    came: tokio::sync::Mutex<mpsc::Receiver<Conn>>,
}

/// What the tasks of a tunnel share.
#[derive(Clone)]
struct Inside {
    facts: ConnFacts,
    streams: Streams,
    out: mpsc::Sender<Frame>,
    cx: Cx,
}

impl Tunnel {
    fn over(conn: Conn, first: u16, cx: &Cx) -> Self {
        let (out, frames) = mpsc::channel(16);
        let (arrived, came) = mpsc::channel(16);
        let inside = Inside {
            facts: conn.facts(),
            streams: Streams::default(),
            out,
            cx: cx.clone(),
        };
        let (reading, writing) = tokio::io::split(conn);
        cx.spawn(write_frames(writing, frames));
        // Weak: only the program's ends keep the tunnel open.
        let (streams, out) = (inside.streams.clone(), inside.out.downgrade());
        let (facts, cx_in) = (inside.facts.clone(), cx.clone());
        let join = move |number| {
            let inside = Inside {
                facts: facts.clone(),
                streams: streams.clone(),
                out: out.upgrade()?,
                cx: cx_in.clone(),
            };
            Some(inside.stream(number))
        };
        cx.spawn(read_frames(
            reading,
            inside.streams.clone(),
            first,
            join,
            arrived,
        ));
        Tunnel {
            next: AtomicU16::new(first),
            inside,
            came: tokio::sync::Mutex::new(came),
        }
    }
}

impl Mux for Tunnel {
    fn open(&self) -> BoxFuture<'_, Result<Conn, Failure>> {
        Box::pin(async move {
            let number = self.next.fetch_add(2, Ordering::Relaxed);
            Ok(self.inside.stream(number))
        })
    }

    fn accept(&self) -> BoxFuture<'_, Result<Option<Conn>, Failure>> {
        Box::pin(async move { Ok(self.came.lock().await.recv().await) })
    }

    fn datagrams(&self) -> Option<Box<dyn Datagrams>> {
        None
    }
}

impl Inside {
    /// A stream's end for the program; the other end is served by a task.
    fn stream(&self, number: u16) -> Conn {
        let (theirs, ours) = tokio::io::duplex(4096);
        let (from_program, to_program) = tokio::io::split(ours);
        self.streams.lock().unwrap().insert(number, to_program);
        self.cx.spawn(pack(number, from_program, self.out.clone()));
        Conn::new(Box::new(Piece {
            bytes: theirs,
            facts: self.facts.clone(),
        }))
    }
}

/// Makes frames of what the program writes to one stream.
async fn pack(number: u16, mut from_program: ReadHalf<DuplexStream>, out: mpsc::Sender<Frame>) {
    let mut bytes = vec![0; 1024];
    loop {
        let n = from_program.read(&mut bytes).await.unwrap_or(0);
        if out.send((number, bytes[..n].to_vec())).await.is_err() || n == 0 {
            return;
        }
    }
}

async fn write_frames(mut writing: WriteHalf<Conn>, mut frames: mpsc::Receiver<Frame>) {
    while let Some((number, bytes)) = frames.recv().await {
        let length = bytes.len() as u16;
        let frame = [&number.to_be_bytes(), &length.to_be_bytes(), &*bytes].concat();
        if writing.write_all(&frame).await.is_err() {
            return;
        }
    }
    // The peer may have gone first; then there is nobody to tell.
    let _ = writing.shutdown().await;
}

/// Hands out what comes until the connection ends.
async fn read_frames(
    mut reading: ReadHalf<Conn>,
    streams: Streams,
    first: u16,
    join: impl Fn(u16) -> Option<Conn>,
    arrived: mpsc::Sender<Conn>,
) {
    // The peer counts its streams up, so a lower number is one that has ended.
    let mut next = 1 - first;
    while let Ok((number, bytes)) = read_frame(&mut reading).await {
        if number == next
            && let Some(conn) = join(number)
        {
            next += 2;
            // Nobody accepts any more: the stream is dropped, which ends it.
            let _ = arrived.send(conn).await;
        }
        let Some(mut to_program) = streams.lock().unwrap().remove(&number) else {
            continue;
        };
        if !bytes.is_empty() && to_program.write_all(&bytes).await.is_ok() {
            streams.lock().unwrap().insert(number, to_program);
        } else {
            let _ = to_program.shutdown().await;
        }
    }
    streams.lock().unwrap().clear();
}

async fn read_frame(reading: &mut ReadHalf<Conn>) -> io::Result<Frame> {
    let number = reading.read_u16().await?;
    let mut bytes = vec![0; usize::from(reading.read_u16().await?)];
    reading.read_exact(&mut bytes).await?;
    Ok((number, bytes))
}

/// One stream of a tunnel.
struct Piece {
    bytes: DuplexStream,
    facts: ConnFacts,
}

impl Io for Piece {
    fn facts(&self) -> ConnFacts {
        self.facts.clone()
    }

    fn into_socket(self: Box<Self>) -> Result<Socket, Box<dyn Io>> {
        Err(self)
    }

    fn close(self: Box<Self>, _: Close) {}
}

impl AsyncRead for Piece {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.bytes).poll_read(cx, buf)
    }
}

impl AsyncWrite for Piece {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.bytes).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.bytes).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.bytes).poll_shutdown(cx)
    }
}
