//! Dials that listen to what the network says about them: ICMP by way of the
//! error queue (ip(7), `IP_RECVERR`), and hop by hop.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::unix::AsyncFd;

use super::sys;
use crate::cx::Cx;
use crate::errqueue;
use netloom_base::failure::Icmp;

use crate::probe::data::{DialEnd, Dialled, Path};

/// How far is looked.
const MOST_HOPS: u8 = 24;

/// A dial on its way.
struct Dial(AsyncFd<Socket>);

impl Dial {
    /// Begins one, with at most `hops` if that is said. `Err` when it failed at once.
    fn begin(addr: SocketAddr, hops: Option<u8>) -> Result<Self, Dialled> {
        let at_once = |error: &io::Error, icmp| Dialled {
            end: DialEnd::Failed(error.raw_os_error().unwrap_or(libc::EIO)),
            icmp,
            took: Duration::ZERO,
        };
        let made = || {
            let domain = Domain::for_address(addr);
            let socket = Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
            errqueue::arm(errqueue::fd(&socket), addr)?;
            match hops {
                Some(hops) if addr.is_ipv4() => socket.set_ttl_v4(hops.into())?,
                Some(hops) => socket.set_unicast_hops_v6(hops.into())?,
                None => {}
            }
            Ok(socket)
        };
        let socket = made().map_err(|error| at_once(&error, None))?;
        match socket.connect(&addr.into()) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
            Err(error) => return Err(at_once(&error, errqueue::read(errqueue::fd(&socket)))),
        }
        sys::watch(socket)
            .map(Dial)
            .map_err(|error| at_once(&error, None))
    }

    async fn end(&self, cx: &Cx, within: Duration) -> (DialEnd, Option<Icmp>) {
        let ready = cx.timeout(within, self.0.writable()).await;
        let socket = self.0.get_ref();
        let end = match ready {
            None => DialEnd::Silent,
            Some(_) => match socket.take_error() {
                Ok(None) => DialEnd::Connected,
                Ok(Some(error)) | Err(error) => {
                    DialEnd::Failed(error.raw_os_error().unwrap_or(libc::EIO))
                }
            },
        };
        (end, errqueue::read(errqueue::fd(socket)))
    }
}

pub(in crate::probe) async fn dial(addr: SocketAddr, within: Duration, cx: &Cx) -> Option<Dialled> {
    let began = cx.now();
    let (end, icmp) = match Dial::begin(addr, None) {
        Ok(dial) => dial.end(cx, within).await,
        Err(ended) => (ended.end, ended.icmp),
    };
    Some(Dialled {
        end,
        icmp,
        took: cx.now() - began,
    })
}

/// Dials with 1, 2, 3 … hops, all at once, and sees who answers.
pub(in crate::probe) async fn path(addr: SocketAddr, within: Duration, cx: &Cx) -> Option<Path> {
    let over = cx.now() + within;
    let mut path = Path::default();
    let mut dials = Vec::new();
    for hops in 1..=MOST_HOPS {
        match Dial::begin(addr, Some(hops)) {
            Ok(dial) => dials.push((hops, dial)),
            Err(ended) if hops == 1 => {
                ended.icmp?; // nothing leaves this host
            }
            Err(_) => break,
        }
    }
    for (hops, dial) in dials {
        let (end, icmp) = dial.end(cx, over - cx.now()).await;
        path.tried = hops;
        match (end, icmp) {
            (_, Some(icmp)) if icmp.is_time_exceeded() => path.hops.push((hops, icmp.from)),
            (DialEnd::Silent, None) => {}
            (DialEnd::Failed(_), Some(icmp)) => {
                path.hops.push((hops, icmp.from)); // whoever rejects it is the last on the way
                break;
            }
            _ => {
                path.arrived = Some(hops);
                break;
            }
        }
    }
    Some(path)
}
