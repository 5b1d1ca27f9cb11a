//! Holding a UDP address.
//!
//! As with TCP, the first socket of an address is bound without `SO_REUSEPORT`,
//! so that a second program is told that the port is taken; further sockets of
//! this program share it. A group's address is shared with everybody by
//! nature, and has one socket: each would get a copy.

use std::collections::VecDeque;
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use netloom_base::endpoint::Host;
use netloom_base::failure::Fact;
use netloom_base::{Code, Endpoint, Failure, Side, Stack, Stage};
use socket2::Socket;

use super::Mailbox;
use super::group::{self, Way, is_group};
use super::manner::{Manner, peer};
use super::options::{BindOptions, make, option};
use crate::addresses::{both_loopbacks, every_interface, held_at, local, near, scoped, share};
use crate::conn::Peer;
use crate::cx::Cx;
use crate::datagrams::{BoundDatagrams, Datagrams, HeldDatagrams};
use crate::net::mistakes;

pub(super) async fn bind(stack: &Stack, cx: &Cx) -> Result<HeldDatagrams, Failure> {
    let options =
        BindOptions::read(&stack.transport().settings).map_err(|e| mistakes(stack, &e))?;
    let port = stack.port().unwrap_or(0);
    let host = stack.endpoint.host();
    let held = match host {
        Host::Loopback => both_loopbacks(
            port,
            Code::BIND_BOUND,
            |addr| hold(addr, &options, true),
            |held| held.addr.port(),
        )?,
        Host::Any => vec![every_interface(port, |addr, alone| {
            hold(addr, &options, alone)
        })?],
        _ => {
            let mut held = Vec::new();
            for ip in cx.net().resolve(host, cx).await?.addresses {
                let addr = scoped(ip, port, host)?;
                if is_group(ip) {
                    held.extend(hold_group(addr, host, &options, cx).await?);
                } else {
                    held.push(hold_when_ready(addr, &options, cx).await?);
                }
            }
            held
        }
    };
    let bound = |held: Held| -> Arc<dyn BoundDatagrams> {
        let asked = match &held.on {
            Some(host) => stack.endpoint.clone().with_host(host.clone()),
            None => stack.endpoint.clone(),
        };
        Arc::new(UdpBound::new(held, &asked, options.clone()))
    };
    Ok(held.into_iter().map(bound).collect())
}

/// A bound socket, its real address and what was noticed.
struct Held {
    socket: Socket,
    addr: SocketAddr,
    only_own_family: bool,
    learned: Vec<Fact>,
    /// The interfaces by which it is said to the group that is joined.
    ways: Vec<u32>,
    stays_here: bool,
    /// The host with its interface, where nobody named one and there must be one.
    on: Option<Host>,
}

/// Waits for an address of ours that is being checked (RFC 4862).
async fn hold_when_ready(
    addr: SocketAddr,
    options: &BindOptions,
    cx: &Cx,
) -> Result<Held, Failure> {
    let over = cx.now() + group::DETECTION;
    loop {
        match hold(addr, options, true) {
            Err(failure)
                if failure.code() == Code::BIND_NOT_LOCAL
                    && cx.now() < over
                    && is_being_checked(addr, cx).await =>
            {
                cx.sleep(group::LOOK_AGAIN).await;
            }
            other => return other,
        }
    }
}

async fn is_being_checked(addr: SocketAddr, cx: &Cx) -> bool {
    let own = crate::probe::Probe::new().addresses(cx).await;
    let mut own = own.iter().flatten();
    own.any(|address| address.ip == addr.ip() && address.tentative)
}

fn hold(addr: SocketAddr, options: &BindOptions, only_own_family: bool) -> Result<Held, Failure> {
    let socket = prepare(addr, options, only_own_family)?;
    if options.reuse {
        share(&socket)?;
    }
    bind_to(&socket, addr)?;
    let addr = local(&socket)?;
    share(&socket)?;
    Ok(Held {
        socket,
        addr,
        only_own_family,
        learned: Vec::new(),
        ways: Vec::new(),
        stays_here: false,
        on: None,
    })
}

/// A group's address, joined on its interfaces: one socket for all of them. A
/// group of one link is another on each, and has a socket on each (RFC 4007 §6).
async fn hold_group(
    addr: SocketAddr,
    host: &Host,
    options: &BindOptions,
    cx: &Cx,
) -> Result<Vec<Held>, Failure> {
    let ways = match addr.ip() {
        ip if ip.is_multicast() => {
            group::ways(addr, host, options.interface.as_deref(), cx).await?
        }
        _ => Vec::new(),
    };
    let SocketAddr::V6(of_link) = addr else {
        return Ok(vec![hold_joined(addr, ways, options, cx).await?]);
    };
    if of_link.scope_id() != 0 || !group::is_of_one_link(*of_link.ip()) {
        return Ok(vec![hold_joined(addr, ways, options, cx).await?]);
    }
    let (mut held, mut failed, mut at) = (Vec::<Held>::new(), None, of_link);
    for way in ways {
        at.set_scope_id(way.index);
        let on = (way.index != 0).then(|| Host::V6 {
            addr: *at.ip(),
            zone: Some(way.name.clone()),
        });
        match hold_joined(at.into(), vec![way], options, cx).await {
            Ok(one) => {
                at.set_port(one.addr.port());
                held.push(Held { on, ..one });
            }
            Err(failure) => failed = Some(failure),
        }
    }
    match failed {
        Some(failure) if held.is_empty() => Err(failure),
        _ => Ok(held),
    }
}

/// One socket for a group, joined on these interfaces. Whoever answers nobody in
/// particular says it to the group, by all of them that have an address.
async fn hold_joined(
    addr: SocketAddr,
    ways: Vec<Way>,
    options: &BindOptions,
    cx: &Cx,
) -> Result<Held, Failure> {
    let socket = prepare(addr, options, true)?;
    socket
        .set_reuse_address(true)
        .map_err(|error| Failure::from_io(Stage::Create, error))?;
    let (mut learned, mut says, mut stays_here) = (Vec::new(), Vec::new(), false);
    if addr.ip().is_multicast() {
        option("multicast-all", group::only_own(&socket, addr.is_ipv6()))?;
        // Bound first: from the moment it is joined, what comes is kept.
        bind_to(&socket, bindable(addr))?;
        let from = options.from.map(|from| from.0);
        learned = group::join(&socket, addr, from, &ways)?;
        let hops = options.ttl.unwrap_or(1).into();
        if addr.is_ipv6() {
            option("ttl", socket.set_multicast_hops_v6(hops))?;
        } else {
            option("ttl", socket.set_multicast_ttl_v4(hops))?;
        }
        stays_here = ways.iter().all(|way| way.loopback);
        let (able, _) = group::ready(ways, addr, cx).await;
        says = able.iter().map(|way| way.index).collect();
    } else {
        bind_to(&socket, addr)?;
    }
    let mut addr = addr;
    addr.set_port(local(&socket)?.port());
    Ok(Held {
        socket,
        addr,
        only_own_family: true,
        learned,
        ways: says,
        stays_here,
        on: None,
    })
}

/// Where a group's socket is bound: to the group itself, which keeps out what
/// comes to other addresses. Elsewhere than on Linux that may not be possible.
fn bindable(group: SocketAddr) -> SocketAddr {
    if cfg!(target_os = "linux") {
        return group;
    }
    match group {
        SocketAddr::V4(group) => ([0, 0, 0, 0], group.port()).into(),
        SocketAddr::V6(group) => (Ipv6Addr::UNSPECIFIED, group.port()).into(),
    }
}

fn prepare(
    addr: SocketAddr,
    options: &BindOptions,
    only_own_family: bool,
) -> Result<Socket, Failure> {
    let socket = make(addr)?;
    if addr.is_ipv6() {
        socket
            .set_only_v6(only_own_family)
            .map_err(|error| Failure::from_io(Stage::Create, error))?;
    }
    options.common().set(&socket, addr.is_ipv6())?;
    #[cfg(target_os = "linux")]
    ask(&socket, addr, options.drops).map_err(|error| Failure::from_io(Stage::Create, error))?;
    Ok(socket)
}

/// Asks the kernel to say how many it dropped and, where a socket has many
/// addresses, to which of them a datagram came.
#[cfg(target_os = "linux")]
fn ask(socket: &Socket, addr: SocketAddr, drops: bool) -> std::io::Result<()> {
    use std::os::fd::AsFd;

    use super::sys::set;

    let fd = socket.as_fd();
    if drops {
        set(fd, libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1)?;
    }
    if addr.ip().is_unspecified() || is_group(addr.ip()) {
        // An IPv6 socket gets IPv4 datagrams too, each with the words of its own family.
        if addr.is_ipv6() {
            set(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?;
        }
        set(fd, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?;
    }
    Ok(())
}

fn bind_to(socket: &Socket, addr: SocketAddr) -> Result<(), Failure> {
    socket.bind(&addr.into()).map_err(|error| {
        // Whoever has it does not listen: datagram sockets never do.
        if error.kind() == std::io::ErrorKind::AddrInUse {
            let failure =
                Failure::new(Stage::Bind, Side::Os, Code::BIND_BOUND).fact(Fact::Tried(addr));
            return match error.raw_os_error() {
                Some(errno) => failure.fact(Fact::Errno(netloom_base::failure::Errno(errno))),
                None => failure.source(error),
            };
        }
        Failure::from_io(Stage::Bind, error).fact(Fact::Tried(addr))
    })
}

/// A UDP address that is held.
struct UdpBound {
    addr: SocketAddr,
    endpoint: Endpoint,
    options: BindOptions,
    only_own_family: bool,
    learned: Vec<Fact>,
    ways: Vec<u32>,
    stays_here: bool,
    /// The socket that took the address and those beside it, until reactors
    /// take them.
    held: Mutex<VecDeque<Socket>>,
}

impl UdpBound {
    fn new(held: Held, asked: &Endpoint, options: BindOptions) -> Self {
        let endpoint = held_at(asked, held.addr);
        UdpBound {
            addr: held.addr,
            endpoint,
            options,
            only_own_family: held.only_own_family,
            learned: held.learned,
            ways: held.ways,
            stays_here: held.stays_here,
            held: Mutex::new([held.socket].into()),
        }
    }

    fn held(&self) -> MutexGuard<'_, VecDeque<Socket>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there can be several sockets, which share the peers.
    fn can_be_shared(&self) -> bool {
        cfg!(unix) && !self.is_shared()
    }

    fn another(&self) -> Result<Socket, Failure> {
        let socket = prepare(self.addr, &self.options, self.only_own_family)?;
        share(&socket)?;
        bind_to(&socket, self.addr)?;
        Ok(socket)
    }
}

impl BoundDatagrams for UdpBound {
    fn endpoint(&self) -> Endpoint {
        self.endpoint.clone()
    }

    fn socket(&self) -> Result<Option<Box<dyn Datagrams>>, Failure> {
        let held = self.held().pop_front();
        let socket = match held {
            Some(socket) => socket,
            None if self.can_be_shared() => self.another()?,
            None => return Ok(None),
        };
        let manner = Manner {
            local: Some(peer(self.addr)),
            v6: self.addr.is_ipv6(),
            df: self.options.df,
            broadcast: self.options.broadcast,
            // A group's numbered ways; what the system chooses is no number.
            interfaces: self.ways.iter().copied().filter(|way| *way != 0).collect(),
            default_to: (!self.ways.is_empty()).then_some(Peer::Ip(self.addr)),
            room: self.options.buffer.max(1),
            ..Manner::default()
        };
        Ok(Some(Box::new(Mailbox::new(socket, manner)?)))
    }

    fn share_among(&self, sockets: usize) -> Result<(), Failure> {
        let mut held = self.held();
        while self.can_be_shared() && held.len() < sockets {
            held.push_back(self.another()?);
        }
        Ok(())
    }

    fn try_with(&self) -> Option<String> {
        if self.is_shared() {
            return None;
        }
        Some(format!("nc -u {} {}", near(self.addr), self.addr.port()))
    }

    fn learned(&self) -> &[Fact] {
        &self.learned
    }

    fn is_shared(&self) -> bool {
        is_group(self.addr.ip())
    }

    fn stays_here(&self) -> bool {
        self.stays_here
    }
}
