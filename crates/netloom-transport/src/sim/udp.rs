//! Datagrams between simulated hosts: lost, doubled and overtaken by chance.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use netloom_base::endpoint::Host;
use netloom_base::failure::{Errno, Fact};
use netloom_base::{
    Address, Card, Code, Endpoint, Failure, Kind, Opens, Scheme, Side, Stack, Stage,
};

use super::world::{State, World, answered};
use crate::BoxFuture;
use crate::conn::{ConnFacts, Peer};
use crate::cx::Cx;
use crate::datagrams::{Batch, BoundDatagrams, Datagrams, HeldDatagrams, Lost, Outgoing, Received};
use crate::net::{Opened, Transport};

/// The most bytes in one datagram over IPv4 (RFC 768, RFC 791).
const LARGEST: usize = 65_507;

/// How many bytes wait for a reader before later ones are dropped: Linux's
/// default for `net.core.rmem_default`.
const MOST_WAITING: usize = 212_992;

static CARD: Card = Card {
    name: "udp",
    summary: "datagrams over UDP",
    schemes: &[Scheme {
        name: "udp",
        over: &[],
        default_port: None,
    }],
    address: Address::HostPort,
    owns_path: false,
    owns_query: false,
    needs: None,
    gives: Kind::Datagram,
    encrypts: false,
    rfcs: &["RFC 768", "udp(7)"],
    dial_keys: &[],
    bind_keys: &[],
    codes: &[],
    opens: Opens::Either,
};

/// `udp://` as one host of the simulation sees it.
pub(super) struct SimUdp {
    pub(super) world: Arc<World>,
    pub(super) host: usize,
}

impl Transport for SimUdp {
    fn card(&self) -> &'static Card {
        &CARD
    }

    fn dial<'a>(&'a self, stack: &'a Stack, cx: &'a Cx) -> BoxFuture<'a, Result<Opened, Failure>> {
        Box::pin(async move {
            let addresses = cx.net().resolve(stack.endpoint.host(), cx).await?.addresses;
            let no_address = || Failure::new(Stage::Resolve, Side::Peer, Code::RESOLVE_NO_ADDRESS);
            let to = SocketAddr::new(
                addresses.first().copied().ok_or_else(no_address)?,
                stack.port().unwrap_or(0),
            );
            let unreachable = || {
                Failure::from_io(Stage::Connect, answered(ErrorKind::NetworkUnreachable))
                    .fact(Fact::Tried(to))
            };
            let own = self
                .world
                .lock()
                .source(self.host, to.ip())
                .ok_or_else(unreachable)?;
            Ok(Opened::Datagrams(Box::new(self.hold(own, 0, Some(to))?)))
        })
    }

    fn datagrams<'a>(
        &'a self,
        stack: &'a Stack,
        cx: &'a Cx,
    ) -> BoxFuture<'a, Result<HeldDatagrams, Failure>> {
        Box::pin(async move {
            let written = stack.endpoint.host();
            let ip = match written {
                Host::Any => Some(IpAddr::from(Ipv6Addr::UNSPECIFIED)),
                _ => cx
                    .net()
                    .resolve(written, cx)
                    .await?
                    .addresses
                    .first()
                    .copied(),
            };
            let no_address = || Failure::new(Stage::Resolve, Side::Peer, Code::RESOLVE_NO_ADDRESS);
            let socket = self.hold(ip.ok_or_else(no_address)?, stack.port().unwrap_or(0), None)?;
            let endpoint = stack.endpoint.clone().with_port(socket.addr.port());
            Ok(vec![Arc::new(SimBound {
                endpoint,
                socket: Mutex::new(Some(socket)),
            }) as Arc<dyn BoundDatagrams>])
        })
    }
}

impl SimUdp {
    fn hold(
        &self,
        ip: IpAddr,
        port: u16,
        peer: Option<SocketAddr>,
    ) -> Result<SimDatagrams, Failure> {
        let failed =
            |error: io::Error, addr| Failure::from_io(Stage::Bind, error).fact(Fact::Tried(addr));
        let mut state = self.world.lock();
        let mut addr = SocketAddr::new(ip, port);
        if port == 0 {
            addr.set_port(
                state
                    .free_port(self.host)
                    .map_err(|error| failed(error, addr))?,
            );
        }
        if !state.is_local(self.host, ip) {
            return Err(failed(answered(ErrorKind::AddrNotAvailable), addr));
        }
        if !state.inboxes.is_free(self.host, addr) {
            return Err(failed(answered(ErrorKind::AddrInUse), addr));
        }
        state.inboxes.hold(
            self.host,
            addr,
            Inbox {
                peer,
                ..Inbox::default()
            },
        );
        Ok(SimDatagrams {
            world: self.world.clone(),
            host: self.host,
            addr,
            peer,
            truncated: 0,
        })
    }
}

/// What has come to one socket.
#[derive(Default)]
pub(super) struct Inbox {
    /// A connected socket takes from this address alone.
    peer: Option<SocketAddr>,
    waiting: VecDeque<(SocketAddr, Vec<u8>)>,
    bytes: usize,
    /// Came and found no room.
    dropped: u64,
    /// The peer's host said that nobody is there.
    refused: bool,
    reader: Option<Waker>,
}

struct SimDatagrams {
    world: Arc<World>,
    host: usize,
    addr: SocketAddr,
    peer: Option<SocketAddr>,
    truncated: u64,
}

/// A simulated address is one socket.
struct SimBound {
    endpoint: Endpoint,
    socket: Mutex<Option<SimDatagrams>>,
}

impl BoundDatagrams for SimBound {
    fn endpoint(&self) -> Endpoint {
        self.endpoint.clone()
    }

    fn socket(&self) -> Result<Option<Box<dyn Datagrams>>, Failure> {
        let socket = self
            .socket
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        Ok(socket.map(|socket| Box::new(socket) as Box<dyn Datagrams>))
    }
}

impl Datagrams for SimDatagrams {
    fn poll_recv(
        &mut self,
        task: &mut Context<'_>,
        batch: &mut Batch,
    ) -> Poll<Result<(), Failure>> {
        batch.clear();
        let mut state = self.world.lock();
        let Some(inbox) = state.inboxes.held(self.host, self.addr) else {
            return Poll::Ready(Ok(()));
        };
        if std::mem::take(&mut inbox.refused) {
            return Poll::Ready(Err(refused(self.peer)));
        }
        if inbox.waiting.is_empty() {
            inbox.reader = Some(task.waker().clone());
            return Poll::Pending;
        }
        let taken = batch.slots().min(inbox.waiting.len());
        let room = batch.room();
        let came: Vec<(SocketAddr, Vec<u8>)> = inbox.waiting.drain(..taken).collect();
        for (slot, (_, bytes)) in batch.slots_mut().zip(&came) {
            let len = bytes.len().min(room);
            slot[..len].copy_from_slice(&bytes[..len]);
        }
        for (slot, (from, bytes)) in came.iter().enumerate() {
            inbox.bytes -= bytes.len();
            let truncated = bytes.len() > room;
            self.truncated += u64::from(truncated);
            let of = Received {
                from: Peer::Ip(*from),
                to: None,
                interface: None,
                truncated_from: truncated.then_some(bytes.len()),
            };
            batch.came(slot, bytes.len(), room, &of);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_send(
        &mut self,
        _: &mut Context<'_>,
        run: &[Outgoing<'_>],
    ) -> Poll<Result<usize, Failure>> {
        let sent = run.iter().try_fold(0, |sent, outgoing| {
            self.send_one(outgoing).map(|()| sent + 1)
        });
        Poll::Ready(sent)
    }

    fn facts(&self) -> ConnFacts {
        ConnFacts {
            local: Some(Peer::Ip(self.addr)),
            peer: self.peer.map(Peer::Ip),
        }
    }

    fn lost(&self) -> Lost {
        let mut state = self.world.lock();
        let inbox = state.inboxes.held(self.host, self.addr);
        Lost {
            dropped: inbox.map_or(0, |inbox| inbox.dropped),
            truncated: self.truncated,
        }
    }
}

/// What a connected socket hears where nobody has the peer's port.
fn refused(peer: Option<SocketAddr>) -> Failure {
    let failure = Failure::new(Stage::Send, Side::Peer, Code::SEND_REFUSED);
    let error = answered(ErrorKind::ConnectionRefused);
    let failure = match error.raw_os_error() {
        Some(errno) => failure.fact(Fact::Errno(Errno(errno))),
        None => failure.source(error),
    };
    peer.map(Fact::Tried)
        .into_iter()
        .fold(failure, Failure::fact)
}

impl SimDatagrams {
    fn send_one(&self, outgoing: &Outgoing<'_>) -> Result<(), Failure> {
        let to = match outgoing.to {
            Some(Peer::Ip(addr)) => Some(*addr),
            Some(Peer::Named(name)) => {
                let message = format!("`{name}` is not an address that datagrams can go to");
                let failure = Failure::new(Stage::Send, Side::Us, Stage::Send.other());
                return Err(failure.message(message));
            }
            None => self.peer,
        };
        let failed = |error| Failure::from_io(Stage::Send, error);
        let to = to.ok_or_else(|| failed(answered(ErrorKind::NotConnected)))?;
        let mut state = self.world.lock();
        let own = state.inboxes.held(self.host, self.addr);
        if own.is_some_and(|inbox| std::mem::take(&mut inbox.refused)) {
            return Err(refused(self.peer));
        }
        state
            .throw(self.host, self.addr, to, outgoing.bytes)
            .map_err(|e| failed(e).fact(Fact::Tried(to)))
    }
}

impl Drop for SimDatagrams {
    fn drop(&mut self) {
        self.world.lock().inboxes.release(self.host, self.addr);
    }
}

impl State {
    fn throw(
        &mut self,
        host: usize,
        own: SocketAddr,
        to: SocketAddr,
        bytes: &[u8],
    ) -> io::Result<()> {
        if bytes.len() > LARGEST {
            return Err(answered(ErrorKind::FileTooLarge));
        }
        let source = if own.ip().is_unspecified() {
            self.source(host, to.ip())
        } else {
            Some(own.ip())
        };
        let (Some(ip), Some(peer)) = (source, self.owner(host, to.ip())) else {
            return Err(answered(ErrorKind::NetworkUnreachable));
        };
        let from = SocketAddr::new(ip, own.port());
        let now = self.now();
        let (line, chance) = self.line_and_chance(host, peer);
        let arrivals = line.throws(now, bytes.len(), chance);
        if arrivals.is_empty() {
            self.tell(|| format!("{from} > {to}: datagram of {} bytes lost", bytes.len()));
        }
        for at in arrivals {
            let bytes = bytes.to_vec();
            self.later(at, move |state| {
                state.caught((host, own), from, (peer, to), bytes);
            });
        }
        Ok(())
    }

    fn caught(
        &mut self,
        sender: (usize, SocketAddr),
        from: SocketAddr,
        to: (usize, SocketAddr),
        bytes: Vec<u8>,
    ) {
        if self.line(sender.0, to.0).cut {
            return;
        }
        let n = bytes.len();
        self.tell(|| format!("{from} > {}: datagram of {n} bytes", to.1));
        match self.inboxes.reached(to.0, to.1) {
            Some(inbox) if inbox.peer.is_none_or(|peer| peer == from) => {
                if inbox.bytes + n <= MOST_WAITING {
                    inbox.bytes += n;
                    inbox.waiting.push_back((from, bytes));
                    inbox.reader.take().into_iter().for_each(Waker::wake);
                } else {
                    inbox.dropped += 1;
                }
            }
            _ => self.nobody_there(sender, to),
        }
    }

    /// The host answers that nobody has the port (ICMP port unreachable, RFC
    /// 1122 §4.1.3.3); only a connected socket hears of it.
    fn nobody_there(&mut self, sender: (usize, SocketAddr), to: (usize, SocketAddr)) {
        let arrives = self.arrival(to.0, sender.0, 0);
        self.later(arrives, move |state| {
            let cut = state.line(to.0, sender.0).cut;
            if let Some(inbox) = state.inboxes.held(sender.0, sender.1)
                && inbox.peer == Some(to.1)
                && !cut
            {
                inbox.refused = true;
                inbox.reader.take().into_iter().for_each(Waker::wake);
            }
        });
    }
}
