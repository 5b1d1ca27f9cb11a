//! Listening on TCP.
//!
//! The first socket of an address is bound without `SO_REUSEPORT`, so that a
//! second program is told that the port is taken; the option is set before
//! `listen`, so that this program's further listeners may share the port.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use netloom_base::endpoint::Host;
use netloom_base::failure::Fact;
use netloom_base::{Code, Endpoint, Failure, Stack, Stage};
use socket2::Socket as Raw;

use super::options::{ListenOptions, make};
use crate::accept;
use crate::addresses::{both_loopbacks, every_interface, held_at, local, near, scoped, share};
use crate::cx::Cx;
use crate::listener::{Bound, Listener};
use crate::net::mistakes;

pub(super) async fn bind(stack: &Stack, cx: &Cx) -> Result<Vec<Arc<dyn Bound>>, Failure> {
    let options =
        ListenOptions::read(&stack.transport().settings).map_err(|e| mistakes(stack, &e))?;
    let port = stack.port().unwrap_or(0);
    let host = stack.endpoint.host();
    let bound = match host {
        Host::Loopback => both_loopbacks(
            port,
            Code::BIND_IN_USE,
            |addr| hold(addr, &options, true),
            |held| held.addr.port(),
        )?,
        Host::Any => vec![every_interface(port, |addr, alone| {
            hold(addr, &options, alone)
        })?],
        _ => {
            let mut bound = Vec::new();
            for ip in cx.net().resolve(host, cx).await?.addresses {
                bound.push(hold(scoped(ip, port, host)?, &options, true)?);
            }
            bound
        }
    };
    let shared = |held: Held| -> Arc<dyn Bound> {
        Arc::new(TcpBound::new(held, &stack.endpoint, options.clone()))
    };
    Ok(bound.into_iter().map(shared).collect())
}

/// A listening socket and its real address.
struct Held {
    socket: Raw,
    addr: SocketAddr,
}

fn hold(addr: SocketAddr, options: &ListenOptions, only_own_family: bool) -> Result<Held, Failure> {
    let socket = prepare(addr, options, only_own_family)?;
    if options.reuse {
        share(&socket)?;
    }
    bind_to(&socket, addr)?;
    let addr = local(&socket)?;
    share(&socket)?;
    listen(&socket, addr, options.backlog)?;
    Ok(Held { socket, addr })
}

fn prepare(
    addr: SocketAddr,
    options: &ListenOptions,
    only_own_family: bool,
) -> Result<Raw, Failure> {
    let socket = make(addr)?;
    let set =
        |result: io::Result<()>| result.map_err(|error| Failure::from_io(Stage::Create, error));
    // Old connections in TIME_WAIT do not keep a restarted server from its port.
    #[cfg(unix)]
    set(socket.set_reuse_address(true))?;
    if addr.is_ipv6() {
        set(socket.set_only_v6(only_own_family))?;
    }
    options.common().set(&socket)?;
    Ok(socket)
}

fn bind_to(socket: &Raw, addr: SocketAddr) -> Result<(), Failure> {
    socket
        .bind(&addr.into())
        .map_err(|error| Failure::from_io(Stage::Bind, error).fact(Fact::Tried(addr)))
}

fn listen(socket: &Raw, addr: SocketAddr, backlog: u32) -> Result<(), Failure> {
    let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
    socket
        .listen(backlog)
        .map_err(|error| Failure::from_io(Stage::Listen, error).fact(Fact::Tried(addr)))
}

/// A TCP address that is held.
struct TcpBound {
    addr: SocketAddr,
    endpoint: Endpoint,
    options: ListenOptions,
    only_own_family: bool,
    /// The socket that took the address, until a reactor takes it.
    first: Mutex<Option<Raw>>,
}

impl TcpBound {
    fn new(held: Held, asked: &Endpoint, options: ListenOptions) -> Self {
        let endpoint = held_at(asked, held.addr);
        let only_own_family = !held.addr.ip().is_unspecified() || held.addr.is_ipv4();
        TcpBound {
            addr: held.addr,
            endpoint,
            options,
            only_own_family,
            first: Mutex::new(Some(held.socket)),
        }
    }
}

impl Bound for TcpBound {
    fn endpoint(&self) -> Endpoint {
        self.endpoint.clone()
    }

    fn try_with(&self) -> Option<String> {
        Some(format!("nc {} {}", near(self.addr), self.addr.port()))
    }

    fn listener(&self) -> Result<Option<Box<dyn Listener>>, Failure> {
        let first = self
            .first
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let socket = match first {
            Some(socket) => socket,
            None if cfg!(unix) => {
                let socket = prepare(self.addr, &self.options, self.only_own_family)?;
                share(&socket)?;
                bind_to(&socket, self.addr)?;
                listen(&socket, self.addr, self.options.backlog)?;
                socket
            }
            None => return Ok(None),
        };
        accept::tcp(socket.into())
            .map(Some)
            .map_err(|error| Failure::from_io(Stage::Listen, error))
    }
}
