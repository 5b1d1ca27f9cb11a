//! TCP between simulated hosts: the same card and options as the real one.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use netloom_base::failure::Fact;
use netloom_base::{Card, Failure, Stack, Stage};

use super::io::SimIo;
use super::listen::{self, Answer};
use super::stream::Stream;
use super::world::{World, answered};
use crate::BoxFuture;
use crate::cx::Cx;
use crate::listener::Bound;
use crate::net::{Opened, Transport, mistakes};
use crate::race;
use crate::tcp::{DialOptions, ListenOptions, Tcp};

/// How long a client waits for an answer before it knocks again; doubled each time.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// `tcp://` as one host of the simulation sees it.
pub(super) struct SimTcp {
    pub(super) world: Arc<World>,
    pub(super) host: usize,
}

impl Transport for SimTcp {
    fn card(&self) -> &'static Card {
        Tcp.card()
    }

    fn dial<'a>(&'a self, stack: &'a Stack, cx: &'a Cx) -> BoxFuture<'a, Result<Opened, Failure>> {
        Box::pin(self.open(stack, cx))
    }

    fn bind<'a>(
        &'a self,
        stack: &'a Stack,
        cx: &'a Cx,
    ) -> BoxFuture<'a, Result<Vec<Arc<dyn Bound>>, Failure>> {
        Box::pin(async move {
            let options = ListenOptions::read(&stack.transport().settings)
                .map_err(|e| mistakes(stack, &e))?;
            listen::bind(&self.world, self.host, stack, &options, cx).await
        })
    }
}

impl SimTcp {
    async fn open(&self, stack: &Stack, cx: &Cx) -> Result<Opened, Failure> {
        let options =
            DialOptions::read(&stack.transport().settings).map_err(|e| mistakes(stack, &e))?;
        let source = options.source.map(|source| source.0);
        race::connect(stack, source, cx, |addr| self.attempt(addr, source, cx)).await
    }

    async fn attempt(
        &self,
        to: SocketAddr,
        source: Option<SocketAddr>,
        cx: &Cx,
    ) -> Result<SimIo, Failure> {
        let (local, peer) = self.ends(to, source)?;
        let knocked = self.knock((self.host, local), (peer, to), cx).await;
        knocked.map_err(|error| Failure::from_io(Stage::Connect, error))
    }

    /// This end's address, and the host at the other end.
    fn ends(
        &self,
        to: SocketAddr,
        source: Option<SocketAddr>,
    ) -> Result<(SocketAddr, usize), Failure> {
        let failed = |stage, error: io::Error| Failure::from_io(stage, error);
        let mut state = self.world.lock();
        let peer = state.owner(self.host, to.ip());
        let ip = match source {
            Some(chosen) if !state.is_local(self.host, chosen.ip()) => {
                return Err(failed(Stage::Bind, answered(ErrorKind::AddrNotAvailable))
                    .fact(Fact::Local(chosen)));
            }
            Some(chosen) if !chosen.ip().is_unspecified() => Some(chosen.ip()),
            _ => state.source(self.host, to.ip()),
        };
        let (Some(ip), Some(peer)) = (ip, peer) else {
            return Err(failed(
                Stage::Connect,
                answered(ErrorKind::NetworkUnreachable),
            ));
        };
        let port = match source.map(|chosen| chosen.port()).filter(|port| *port != 0) {
            Some(port) => port,
            None => state
                .free_port(self.host)
                .map_err(|error| failed(Stage::Connect, error))?,
        };
        Ok((SocketAddr::new(ip, port), peer))
    }

    /// Knocks until somebody answers.
    async fn knock(
        &self,
        from: (usize, SocketAddr),
        to: (usize, SocketAddr),
        cx: &Cx,
    ) -> io::Result<SimIo> {
        let mut wait = FIRST_WAIT;
        let mut welcomed = None;
        loop {
            let began = cx.now();
            if let Some(there) = self.passes(from.0, to.0) {
                cx.sleep(there).await;
                let answer = if welcomed.is_some() {
                    Answer::Welcome
                } else {
                    self.answer(to)
                };
                if let (Answer::Welcome, None) = (&answer, &welcomed) {
                    welcomed = Some(self.establish(from, to));
                }
                let back = if matches!(answer, Answer::Silence) {
                    None
                } else {
                    self.passes(to.0, from.0)
                };
                if let Some(back) = back {
                    cx.sleep(back).await;
                    return match welcomed {
                        Some(io) => Ok(io.established()),
                        None => Err(answered(ErrorKind::ConnectionRefused)),
                    };
                }
            }
            cx.sleep((began + wait) - cx.now()).await;
            wait *= 2;
        }
    }

    /// How long one packet takes, when it gets through.
    fn passes(&self, from: usize, to: usize) -> Option<Duration> {
        let mut state = self.world.lock();
        let (line, chance) = state.line_and_chance(from, to);
        line.passes(chance).then(|| line.takes(chance))
    }

    fn answer(&self, to: (usize, SocketAddr)) -> Answer {
        self.world
            .lock()
            .listeners
            .reached(to.0, to.1)
            .map_or(Answer::Refused, |queue| queue.knock())
    }

    /// The connection comes into being, and into the listener's queue.
    fn establish(&self, from: (usize, SocketAddr), to: (usize, SocketAddr)) -> SimIo {
        let mut state = self.world.lock();
        state.tell(|| format!("{} > {}: connection", from.1, to.1));
        let link = state.line(from.0, to.0).link;
        let id = state.add_stream(Stream::new(from, to, link.window, link.segment));
        if let Some(queue) = state.listeners.reached(to.0, to.1) {
            queue.push(id, from.1);
        }
        drop(state);
        SimIo::new(self.world.clone(), id, 0).connecting()
    }
}
