//! Holding a simulated TCP address and taking what comes to it.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard};
use std::task::{Poll, Waker};

use netloom_base::endpoint::Host;
use netloom_base::failure::Fact;
use netloom_base::{Endpoint, Failure, Stack, Stage};

use super::io::SimIo;
use super::world::{State, World, answered};
use crate::BoxFuture;
use crate::conn::{Close, Peer};
use crate::cx::Cx;
use crate::listener::{Accepted, Bound, Listener};
use crate::tcp::ListenOptions;

/// The connections that wait at a held address.
pub(super) struct Queue {
    listening: bool,
    backlog: usize,
    /// Streams by number, and who dialled them.
    waiting: VecDeque<(u64, SocketAddr)>,
    waker: Option<Waker>,
}

/// What an address says to somebody who knocks.
pub(super) enum Answer {
    Refused,
    /// No room in the queue: nothing is said, and the client knocks again.
    Silence,
    Welcome,
}

impl Queue {
    pub(super) fn knock(&self) -> Answer {
        if !self.listening {
            Answer::Refused
        } else if self.waiting.len() >= self.backlog {
            Answer::Silence
        } else {
            Answer::Welcome
        }
    }

    pub(super) fn push(&mut self, stream: u64, from: SocketAddr) {
        self.waiting.push_back((stream, from));
        self.waker.take().into_iter().for_each(Waker::wake);
    }
}

pub(super) async fn bind(
    world: &Arc<World>,
    host: usize,
    stack: &Stack,
    options: &ListenOptions,
    cx: &Cx,
) -> Result<Vec<Arc<dyn Bound>>, Failure> {
    let written = stack.endpoint.host();
    let addresses = match written {
        Host::Any => vec![Ipv6Addr::UNSPECIFIED.into()],
        _ => cx.net().resolve(written, cx).await?.addresses,
    };
    let mut port = stack.port().unwrap_or(0);
    if port == 0 {
        let free = world.lock().free_port(host);
        port = free.map_err(|error| Failure::from_io(Stage::Bind, error))?;
    }
    let mut bound: Vec<Arc<dyn Bound>> = Vec::new();
    for ip in addresses {
        let held = hold(world, host, SocketAddr::new(ip, port), options)?;
        bound.push(Arc::new(SimBound::new(held, &stack.endpoint)));
    }
    Ok(bound)
}

fn hold(
    world: &Arc<World>,
    host: usize,
    addr: SocketAddr,
    options: &ListenOptions,
) -> Result<Held, Failure> {
    let mut state = world.lock();
    let wrong = |kind| Err(Failure::from_io(Stage::Bind, answered(kind)).fact(Fact::Tried(addr)));
    if !state.is_local(host, addr.ip()) {
        return wrong(ErrorKind::AddrNotAvailable);
    }
    if !state.listeners.is_free(host, addr) {
        return wrong(ErrorKind::AddrInUse);
    }
    let backlog = usize::try_from(options.backlog)
        .unwrap_or(usize::MAX)
        .max(1);
    state.listeners.hold(
        host,
        addr,
        Queue {
            listening: false,
            backlog,
            waiting: VecDeque::new(),
            waker: None,
        },
    );
    Ok(Held {
        world: world.clone(),
        host,
        addr,
    })
}

/// An address, until it is dropped.
struct Held {
    world: Arc<World>,
    host: usize,
    addr: SocketAddr,
}

impl Held {
    fn queue<R>(&self, change: impl FnOnce(&mut Queue) -> R) -> (MutexGuard<'_, State>, Option<R>) {
        let mut state = self.world.lock();
        let done = state.listeners.held(self.host, self.addr).map(change);
        (state, done)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.world.lock().listeners.release(self.host, self.addr);
    }
}

struct SimBound {
    held: Arc<Held>,
    endpoint: Endpoint,
    given: AtomicBool,
}

impl SimBound {
    fn new(held: Held, asked: &Endpoint) -> Self {
        let host = match asked.host() {
            Host::Loopback | Host::Name(_) => Host::from(held.addr),
            written => written.clone(),
        };
        let endpoint = asked
            .clone()
            .with_host(host)
            .with_port(held.addr.port())
            .without_options();
        SimBound {
            held: Arc::new(held),
            endpoint,
            given: AtomicBool::new(false),
        }
    }
}

impl Bound for SimBound {
    fn endpoint(&self) -> Endpoint {
        self.endpoint.clone()
    }

    /// One, and then none: a simulation has one thread.
    fn listener(&self) -> Result<Option<Box<dyn Listener>>, Failure> {
        if self.given.swap(true, Ordering::AcqRel) {
            return Ok(None);
        }
        drop(self.held.queue(|queue| queue.listening = true));
        Ok(Some(Box::new(SimListener(self.held.clone()))))
    }
}

struct SimListener(Arc<Held>);

impl Listener for SimListener {
    fn accept(&mut self) -> BoxFuture<'_, Result<Accepted, Failure>> {
        Box::pin(std::future::poll_fn(|cx| {
            let (state, next) = self.0.queue(|queue| {
                let next = queue.waiting.pop_front();
                if next.is_none() {
                    queue.waker = Some(cx.waker().clone());
                }
                next
            });
            drop(state);
            match next.flatten() {
                Some((stream, from)) => {
                    let io = SimIo::new(self.0.world.clone(), stream, 1);
                    Poll::Ready(Ok(Accepted::io(Box::new(io), Peer::Ip(from))))
                }
                None => Poll::Pending,
            }
        }))
    }
}

impl Drop for SimListener {
    /// Who still waits in the queue is reset, as a kernel does.
    fn drop(&mut self) {
        let (mut state, waiting) = self.0.queue(|queue| {
            queue.listening = false;
            std::mem::take(&mut queue.waiting)
        });
        for (stream, _) in waiting.into_iter().flatten() {
            state.close(stream, 1, Close::Abort);
        }
    }
}
