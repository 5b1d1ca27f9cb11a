//! Opening a UDP socket towards somebody.
//!
//! Nothing is said to the other end, so no answer can choose among several
//! addresses: the first one that this host has a way to is taken.

use std::io;
use std::net::SocketAddr;

use netloom_base::endpoint::Host;
use netloom_base::failure::Fact;
use netloom_base::{Code, Failure, Side, Stack, Stage};
use socket2::Socket;

use super::Mailbox;
use super::blame::Known;
use super::group::{self, is_broadcast, is_group};
use super::manner::{Manner, peer};
use super::options::{DialOptions, make, option};
use crate::addresses::{found, scoped};
use crate::conn::Peer;
use crate::cx::Cx;
use crate::net::{Opened, mistakes};

pub(super) async fn dial(stack: &Stack, cx: &Cx) -> Result<Opened, Failure> {
    let options =
        DialOptions::read(&stack.transport().settings).map_err(|e| mistakes(stack, &e))?;
    let host = stack.endpoint.host();
    let port = stack.port().unwrap_or(0);
    let found = found(host, cx).await?;
    let source = options.source.map(|source| source.0);
    let fits = |ip: &std::net::IpAddr| source.is_none_or(|own| own.is_ipv4() == ip.is_ipv4());
    let mut failed = None;
    for ip in found.addresses.into_iter().filter(fits) {
        let to = scoped(ip, port, host)?;
        match towards(to, host, &options, cx).await {
            Ok(mut opened) => {
                let learned = &mut opened.1.learned;
                learned.splice(0..0, found.facts);
                return Ok(Opened::Datagrams(Box::new(Mailbox::new(
                    opened.0, opened.1,
                )?)));
            }
            // Only the lack of a way is a reason to try the next.
            Err(failure) if failure.code() == Code::CONNECT_NO_ROUTE => failed = Some(failure),
            Err(failure) => return Err(failure.after(found.steps)),
        }
    }
    let nothing = || {
        Failure::new(Stage::Resolve, Side::Us, Code::RESOLVE_NO_FAMILY)
            .message("the host has no address of the family it is to be dialled from")
    };
    Err(failed.unwrap_or_else(nothing).after(found.steps))
}

async fn towards(
    to: SocketAddr,
    host: &Host,
    options: &DialOptions,
    cx: &Cx,
) -> Result<(Socket, Manner), Failure> {
    let socket = make(to)?;
    options.common().set(&socket, to.is_ipv6())?;
    if let Some(source) = options.source {
        socket
            .bind(&source.0.into())
            .map_err(|error| Failure::from_io(Stage::Bind, error).fact(Fact::Tried(source.0)))?;
    }
    let mut manner = Manner {
        v6: to.is_ipv6(),
        df: options.df,
        broadcast: options.broadcast,
        room: options.buffer.max(1),
        ..Manner::default()
    };
    if is_group(to.ip()) {
        many(&socket, to, host, options, &mut manner, cx).await?;
    } else if options.broadcast && is_broadcast(to.ip(), cx).await {
        // Whoever answers does so from an address of its own.
        manner.default_to = Some(peer(to));
    } else {
        one(&socket, to, &mut manner, cx).await?;
        manner.connected = Some(peer(to));
    }
    let local = socket.local_addr().ok().and_then(|addr| addr.as_socket());
    manner.local = local.map(peer);
    Ok((socket, manner))
}

/// One host: the kernel sends there, and hears only from there.
async fn one(socket: &Socket, to: SocketAddr, manner: &mut Manner, cx: &Cx) -> Result<(), Failure> {
    #[cfg(target_os = "linux")]
    {
        use std::os::fd::AsFd;
        manner.armed = crate::errqueue::arm(socket.as_fd(), to).is_ok();
        // Without it nobody knows what came too fast; with it there is no harm.
        let _ = super::sys::set(socket.as_fd(), libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1);
    }
    let over = cx.now() + group::DETECTION;
    loop {
        let Err(error) = socket.connect(&to.into()) else {
            return Ok(());
        };
        // An address of ours that is being checked may not be used yet.
        if to.is_ipv6() && is_not_yet(&error) && cx.now() < over {
            cx.sleep(group::LOOK_AGAIN).await;
            continue;
        }
        #[cfg(unix)]
        if error.raw_os_error() == Some(libc::EINVAL) {
            return Err(Failure::from_io(Stage::Connect, error).fact(Fact::Tried(to)));
        }
        let known = Known {
            to: Some(to),
            no_broadcast: !manner.broadcast && is_broadcast(to.ip(), cx).await,
            ..Known::default()
        };
        return Err(known.failure(error));
    }
}

fn is_not_yet(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
}

/// A group, or everybody: out of every interface that can, and whoever answers
/// is heard.
async fn many(
    socket: &Socket,
    to: SocketAddr,
    host: &Host,
    options: &DialOptions,
    manner: &mut Manner,
    cx: &Cx,
) -> Result<(), Failure> {
    if !to.ip().is_multicast() && !options.broadcast {
        let denied = Known {
            to: Some(to),
            no_broadcast: true,
            ..Known::default()
        };
        return Err(denied.failure(forbidden()));
    }
    let asked = options.interface.as_deref();
    let ways = group::ways(to, host, asked, cx).await?;
    let (ways, unable) = group::ready(ways, to, cx).await;
    if ways.is_empty() {
        let failure = Failure::new(Stage::Join, Side::Os, Code::JOIN_NO_INTERFACE)
            .message(format!(
                "no interface has an address to send to {} from",
                to.ip()
            ))
            .fact(Fact::Tried(to));
        return Err(unable.into_iter().fold(failure, Failure::fact));
    }
    if to.ip().is_multicast() {
        let hops = options.ttl.unwrap_or(1).into();
        if to.is_ipv6() {
            option("ttl", socket.set_multicast_hops_v6(hops))?;
            option("loopback", socket.set_multicast_loop_v6(options.loopback))?;
        } else {
            option("ttl", socket.set_multicast_ttl_v4(hops))?;
            option("loopback", socket.set_multicast_loop_v4(options.loopback))?;
        }
    }
    manner.learned = ways
        .iter()
        .map(|way| Fact::said(format!("sent through {}", way.name), "rtnetlink"))
        .chain(unable)
        .collect();
    manner.interfaces = ways
        .iter()
        .map(|way| way.index)
        .filter(|i| *i != 0)
        .collect();
    manner.default_to = Some(Peer::Ip(to));
    Ok(())
}

/// What the kernel answers to a broadcast that was not allowed.
fn forbidden() -> io::Error {
    #[cfg(unix)]
    return io::Error::from_raw_os_error(libc::EACCES);
    #[cfg(not(unix))]
    io::ErrorKind::PermissionDenied.into()
}
