//! One program for all clients.

use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use netloom_base::failure::Fact;
use netloom_base::{Code, Failure, Kind, SettingError, Side, Stage};
use netloom_protocol::{Service, finish};
use netloom_transport::conn::{ConnFacts, Io};
use netloom_transport::socket::Socket;
use netloom_transport::{BoxFuture, Close, Conn, Cx};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::PollSender;

use super::{Program, talk};

/// So much of what it says is read at once.
const CHUNK: usize = 16 * 1024;

/// So many chunks may wait for a client: 1 MiB at most.
const BEHIND: usize = 64;

/// So many pieces of what clients say may wait for the program.
const AHEAD: usize = 16;

/// A program that every client talks to. It is started for the first client,
/// and again for the first that comes after it has ended.
pub(super) struct Shared {
    program: Program,
    running: tokio::sync::Mutex<Option<Arc<Hub>>>,
}

impl Shared {
    pub(super) fn new(program: Program) -> Self {
        Shared {
            program,
            running: tokio::sync::Mutex::new(None),
        }
    }

    /// A place at the program, which runs.
    async fn enter(&self, cx: &Cx) -> Result<(Place, oneshot::Receiver<TooSlow>), Failure> {
        let mut running = self.running.lock().await;
        if let Some(entered) = running.as_ref().and_then(Hub::enter) {
            return Ok(entered);
        }
        let program = self.program.start(&[], cx).await?;
        let (to_program, from_clients) = mpsc::channel(AHEAD);
        let hub = Arc::new(Hub {
            to_program,
            clients: Mutex::new(Some(Clients::default())),
        });
        let entered = hub.enter();
        let (task_hub, task_cx) = (hub.clone(), cx.clone());
        let command = self.program.command.clone();
        cx.spawn(async move {
            task_hub
                .run(program, from_clients, &command, &task_cx)
                .await;
        });
        *running = Some(hub);
        entered.ok_or_else(|| Failure::new(Stage::Close, Side::Us, Code::STOPPED))
    }
}

impl Service for Shared {
    fn begin(self: Arc<Self>, cx: &Cx) -> Result<(), Failure> {
        cx.net().look(&self.program.stack)
    }

    fn refuses(&self, kind: Kind, _: bool) -> Option<SettingError> {
        super::no_stream(kind)
    }

    fn risk(&self) -> Option<String> {
        Some(self.program.risk())
    }

    fn serve<'a>(&'a self, mut conn: Conn, cx: &'a Cx) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let (place, too_slow) = match self.enter(cx).await {
                Ok(entered) => entered,
                Err(failure) => {
                    conn.close(Close::Abort);
                    return Err(failure);
                }
            };
            let mut place = Conn::new(Box::new(place));
            let ended = tokio::select! {
                biased;
                Ok(TooSlow) = too_slow => None,
                ended = talk::hold(&mut conn, &mut place, cx) => Some(ended?),
            };
            match ended {
                None => {
                    conn.close(Close::Abort);
                    Err(TooSlow.into())
                }
                Some(ended) => {
                    finish(conn, cx).await?;
                    ended
                }
            }
        })
    }
}

/// A client was left behind: it reads more slowly than the program speaks.
struct TooSlow;

impl From<TooSlow> for Failure {
    fn from(_: TooSlow) -> Self {
        Failure::new(Stage::Send, Side::Peer, Code::LIMIT_SLOW_READER)
            .message("the client reads too slowly, and the program speaks to all")
            .fact(Fact::Limit {
                name: "bytes that wait for one client",
                allows: (BEHIND * CHUNK) as u64,
            })
    }
}

/// What everybody's bytes go through.
struct Hub {
    to_program: mpsc::Sender<Vec<u8>>,
    /// `None` when the program has ended.
    clients: Mutex<Option<Clients>>,
}

#[derive(Default)]
struct Clients {
    next: u64,
    all: Vec<Client>,
}

struct Client {
    number: u64,
    to: mpsc::Sender<Arc<[u8]>>,
    too_slow: oneshot::Sender<TooSlow>,
}

impl Hub {
    fn clients(&self) -> MutexGuard<'_, Option<Clients>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place, unless the program has ended.
    fn enter(self: &Arc<Self>) -> Option<(Place, oneshot::Receiver<TooSlow>)> {
        let (to, said) = mpsc::channel(BEHIND);
        let (too_slow, left_behind) = oneshot::channel();
        let mut clients = self.clients();
        let clients = clients.as_mut()?;
        let number = clients.next;
        clients.next += 1;
        clients.all.push(Client {
            number,
            to,
            too_slow,
        });
        let place = Place {
            hub: self.clone(),
            number,
            hears: PollSender::new(self.to_program.clone()),
            said,
            rest: None,
        };
        Some((place, left_behind))
    }

    /// Says a chunk to all; whoever cannot take it is left behind.
    fn say(&self, chunk: &[u8]) {
        let chunk: Arc<[u8]> = chunk.into();
        if let Some(clients) = self.clients().as_mut() {
            let behind = |client: &mut Client| client.to.try_send(chunk.clone()).is_err();
            for slow in clients.all.extract_if(.., behind) {
                let _ = slow.too_slow.send(TooSlow); // or it has just left
            }
        }
    }

    /// Runs the program to its end. When the service is told to stop, the
    /// program reads the end of its input.
    async fn run(
        &self,
        program: Conn,
        mut from_clients: mpsc::Receiver<Vec<u8>>,
        command: &str,
        cx: &Cx,
    ) {
        let (mut output, mut input) = tokio::io::split(program);
        let feed = async {
            let mut stopping = pin!(cx.shutdown().draining());
            loop {
                let said = tokio::select! {
                    biased;
                    () = &mut stopping => None,
                    said = from_clients.recv() => said,
                };
                let fed = match said {
                    Some(said) => input.write_all(&said).await,
                    None => break,
                };
                if fed.is_err() {
                    break; // it closed its input; what it says may go on
                }
            }
            let _ = input.shutdown().await;
            from_clients.close();
            std::future::pending::<()>().await;
        };
        let listen = async {
            let mut chunk = vec![0; CHUNK];
            loop {
                match output.read(&mut chunk).await {
                    Ok(0) => return Ok(()),
                    Ok(n) => self.say(&chunk[..n]),
                    Err(error) => return Err(Failure::from_io(Stage::Close, error)),
                }
            }
        };
        let ended = tokio::select! {
            biased;
            () = cx.shutdown().aborted() => Ok(()),
            ended = listen => ended,
            () = feed => Ok(()),
        };
        *self.clients() = None;
        let how = ended.err().map(|failure| failure.summary());
        let how = how.unwrap_or_else(|| format!("`{command}` ended"));
        if !cx.shutdown().is_draining() {
            cx.remark(
                cx.service(),
                format!("{how}; the next client starts it again"),
            );
        }
    }
}

/// One client's place at the program.
struct Place {
    hub: Arc<Hub>,
    number: u64,
    hears: PollSender<Vec<u8>>,
    said: mpsc::Receiver<Arc<[u8]>>,
    /// What is left of a chunk, and from where.
    rest: Option<(Arc<[u8]>, usize)>,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(clients) = self.hub.clients().as_mut() {
            clients.all.retain(|client| client.number != self.number);
        }
    }
}

impl AsyncRead for Place {
    fn poll_read(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (chunk, from) = match self.rest.take() {
            Some(rest) => rest,
            None => match ready!(self.said.poll_recv(task)) {
                Some(chunk) => (chunk, 0),
                None => return Poll::Ready(Ok(())),
            },
        };
        let some = (chunk.len() - from).min(buf.remaining());
        buf.put_slice(&chunk[from..from + some]);
        if from + some < chunk.len() {
            self.rest = Some((chunk, from + some));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Place {
    fn poll_write(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        ready!(self.hears.poll_reserve(task)).map_err(gone)?;
        self.hears.send_item(buf.to_vec()).map_err(gone)?;
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// This client has said everything; the others have not.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Io for Place {
    fn facts(&self) -> ConnFacts {
        ConnFacts::default()
    }

    fn into_socket(self: Box<Self>) -> Result<Socket, Box<dyn Io>> {
        Err(self)
    }

    fn close(self: Box<Self>, _: Close) {}
}
