//! Groups and broadcast: on which interfaces, each of them named.
//!
//! The kernel would choose one interface by its routes and say nothing, or
//! none and fail. So every interface that is up and carries multicast is
//! joined, and sent through, by its number.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use netloom_base::endpoint::Host;
use netloom_base::failure::Fact;
use netloom_base::{Code, Failure, Side, Stage};
use socket2::Socket;

use crate::addresses::interface_index;
use crate::cx::Cx;
use crate::probe::{Address, Interface, Probe};

/// How long a new address may take until duplicate address detection lets it
/// be used (RFC 4862 §5.4: one probe and one second, after a random one).
pub(super) const DETECTION: Duration = Duration::from_secs(3);

/// How often it is looked at meanwhile.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Whether datagrams to it go to several hosts at once by its very form.
pub(super) fn is_group(ip: IpAddr) -> bool {
    ip.is_multicast() || ip == IpAddr::from([255, 255, 255, 255])
}

/// Whether a group lies on one link or one host, so that the same address is
/// another group on each interface (RFC 4291 §2.7).
pub(super) fn is_of_one_link(group: Ipv6Addr) -> bool {
    group.is_multicast() && group.octets()[1] & 0xf <= 2
}

/// Whether an address is all hosts of one of this host's networks (RFC 919).
pub(super) async fn is_broadcast(ip: IpAddr, cx: &Cx) -> bool {
    let IpAddr::V4(ip) = ip else { return false };
    if ip.is_broadcast() {
        return true;
    }
    let own = Probe::new().addresses(cx).await.unwrap_or_default();
    own.iter().any(|address| match address.ip {
        IpAddr::V4(own) if address.prefix < 31 => {
            let hosts = u32::MAX.checked_shr(address.prefix.into()).unwrap_or(0);
            ip.to_bits() == own.to_bits() | hosts
        }
        _ => false,
    })
}

/// An interface that a group is reached by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) index: u32,
    pub(super) name: String,
    /// What is sent through it stays on this host.
    pub(super) loopback: bool,
}

/// The interfaces for a group: the one that was asked for, or all that can.
pub(super) async fn ways(
    group: SocketAddr,
    host: &Host,
    asked: Option<&str>,
    cx: &Cx,
) -> Result<Vec<Way>, Failure> {
    let zone = match host {
        Host::V6 {
            zone: Some(zone), ..
        } => Some(zone.as_str()),
        _ => None,
    };
    let known = Probe::new().interfaces(cx).await;
    if let Some(asked) = asked.or(zone) {
        let index = interface_index(asked).ok_or_else(|| no_such(asked, known.as_deref()))?;
        let found = known.iter().flatten().find(|i| i.index == index);
        let name = found.map_or_else(|| asked.to_owned(), |found| found.name.clone());
        let loopback = found.is_some_and(|found| found.loopback);
        return Ok(vec![Way {
            index,
            name,
            loopback,
        }]);
    }
    // A system that does not say which it has chooses one itself.
    let Some(known) = known else {
        return Ok(vec![Way {
            index: 0,
            name: "the system's choice".to_owned(),
            loopback: false,
        }]);
    };
    let ways: Vec<Way> = known
        .iter()
        .filter(|interface| interface.up && interface.multicast)
        .map(|interface| Way {
            index: interface.index,
            name: interface.name.clone(),
            loopback: interface.loopback,
        })
        .collect();
    if ways.is_empty() {
        return Err(nowhere(group, &known));
    }
    Ok(ways)
}

/// Of those, the ones that have an address to send from; waits for those whose
/// address is being checked.
pub(super) async fn ready(ways: Vec<Way>, group: SocketAddr, cx: &Cx) -> (Vec<Way>, Vec<Fact>) {
    let over = cx.now() + DETECTION;
    loop {
        let Some(addresses) = Probe::new().addresses(cx).await else {
            return (ways, Vec::new());
        };
        let of = |way: &Way, tentative: bool| {
            let fits = |address: &&Address| {
                let local = match address.ip {
                    IpAddr::V4(_) => group.is_ipv4(),
                    IpAddr::V6(_) => group.is_ipv6(),
                };
                address.interface == way.index && local && address.tentative == tentative
            };
            addresses.iter().any(|address| fits(&address))
        };
        let waits = ways.iter().any(|way| !of(way, false) && of(way, true));
        if waits && cx.now() < over {
            cx.sleep(LOOK_AGAIN).await;
            continue;
        }
        let version = if group.is_ipv4() { "IPv4" } else { "IPv6" };
        let (able, unable): (Vec<Way>, Vec<Way>) = ways
            .into_iter()
            .partition(|way| of(way, false) || way.index == 0);
        let told = unable.iter().map(|way| {
            Fact::said(
                format!("not sent through {}: it has no {version} address", way.name),
                "rtnetlink",
            )
        });
        return (able, told.collect());
    }
}

/// Joins a group on every way; what was joined and what was not is told.
pub(super) fn join(
    socket: &Socket,
    group: SocketAddr,
    from: Option<IpAddr>,
    ways: &[Way],
) -> Result<Vec<Fact>, Failure> {
    let ip = group.ip();
    let (mut told, mut joined, mut last) = (Vec::new(), false, None);
    for way in ways {
        match join_on(socket, ip, from, way.index) {
            Ok(()) => {
                joined = true;
                let sender =
                    from.map_or_else(String::new, |from| format!(" (only {from} is heard)"));
                told.push(Fact::said(
                    format!("joined {ip} on {}{sender}", way.name),
                    "setsockopt",
                ));
            }
            Err(error) => {
                let why = match error.raw_os_error() {
                    Some(errno) => netloom_base::failure::Errno(errno).to_string(),
                    None => error.to_string(),
                };
                told.push(Fact::said(
                    format!("could not join {ip} on {}: {why}", way.name),
                    "setsockopt",
                ));
                last = Some(error);
            }
        }
    }
    match last {
        Some(error) if !joined => {
            let failure = Failure::new(Stage::Join, Side::Os, Code::JOIN_NO_INTERFACE)
                .message(format!("no interface would join the group {ip}"))
                .fact(Fact::Tried(group));
            let failure = match error.raw_os_error() {
                Some(errno) => failure.fact(Fact::Errno(netloom_base::failure::Errno(errno))),
                None => failure.source(error),
            };
            Err(told.into_iter().fold(failure, Failure::fact))
        }
        _ => Ok(told),
    }
}

#[cfg(target_os = "linux")]
fn join_on(socket: &Socket, group: IpAddr, from: Option<IpAddr>, index: u32) -> io::Result<()> {
    use std::os::fd::AsFd;

    if let Some(from) = from {
        // struct group_source_req: the interface, then two addresses of 128 bytes.
        const ADDRESS: usize = size_of::<libc::sockaddr_storage>();
        let start = size_of::<usize>();
        let mut request = vec![0; start + 2 * ADDRESS];
        request[..4].copy_from_slice(&index.to_ne_bytes());
        for (i, ip) in [group, from].into_iter().enumerate() {
            let peer = crate::conn::Peer::Ip(SocketAddr::new(ip, 0));
            let at = start + i * ADDRESS;
            super::name::write(&peer, ip.is_ipv6(), &mut request[at..at + ADDRESS]);
        }
        let level = if group.is_ipv4() {
            libc::IPPROTO_IP
        } else {
            libc::IPPROTO_IPV6
        };
        return super::sys::set_bytes(
            socket.as_fd(),
            level,
            libc::MCAST_JOIN_SOURCE_GROUP,
            &request,
        );
    }
    match group {
        IpAddr::V4(group) => {
            socket.join_multicast_v4_n(&group, &socket2::InterfaceIndexOrAddress::Index(index))
        }
        IpAddr::V6(group) => socket.join_multicast_v6(&group, index),
    }
}

#[cfg(not(target_os = "linux"))]
fn join_on(socket: &Socket, group: IpAddr, from: Option<IpAddr>, index: u32) -> io::Result<()> {
    use std::net::Ipv4Addr;

    match (group, from) {
        (IpAddr::V4(group), None) => socket.join_multicast_v4(&group, &Ipv4Addr::UNSPECIFIED),
        (IpAddr::V6(group), None) => socket.join_multicast_v6(&group, index),
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// Hears only what this socket joined: Linux would hand it every group that
/// any program of this host joined (ip(7), `IP_MULTICAST_ALL`).
pub(super) fn only_own(socket: &Socket, v6: bool) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    return if v6 {
        socket.set_multicast_all_v6(false)
    } else {
        socket.set_multicast_all_v4(false)
    };
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (socket, v6);
        Ok(())
    }
}

fn no_such(name: &str, known: Option<&[Interface]>) -> Failure {
    let failure = Failure::new(Stage::Bind, Side::Us, Code::BIND_NO_DEVICE)
        .message(format!("there is no interface `{name}`"));
    match known {
        Some(known) => known.iter().map(says).fold(failure, Failure::fact),
        None => failure,
    }
}

pub(super) fn nowhere(group: SocketAddr, known: &[Interface]) -> Failure {
    let failure = Failure::new(Stage::Join, Side::Os, Code::JOIN_NO_INTERFACE)
        .message(format!("no interface of this host carries {}", group.ip()))
        .fact(Fact::Tried(group));
    known.iter().map(says).fold(failure, Failure::fact)
}

fn says(interface: &Interface) -> Fact {
    let state = if interface.up { "up" } else { "down" };
    let carries = if interface.multicast {
        "carries multicast"
    } else {
        "carries no multicast"
    };
    Fact::said(
        format!("{} is {state} and {carries}", interface.name),
        "rtnetlink",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_known_by_their_form() {
        for (ip, group) in [
            ("239.1.2.3", true),
            ("224.0.0.1", true),
            ("255.255.255.255", true),
            ("ff02::1", true),
            ("10.0.0.255", false),
            ("::1", false),
        ] {
            assert_eq!(is_group(ip.parse().unwrap()), group, "{ip}");
        }
    }

    #[test]
    fn when_no_interface_can_all_are_named() {
        let down = Interface {
            index: 2,
            name: "eth0".to_owned(),
            up: false,
            running: false,
            loopback: false,
            multicast: true,
        };
        let failure = nowhere("239.1.2.3:5000".parse().unwrap(), &[down]);
        assert_eq!(failure.code(), Code::JOIN_NO_INTERFACE);
        let facts: Vec<String> = failure.facts().iter().map(ToString::to_string).collect();
        assert!(
            facts.contains(&"eth0 is down and carries multicast".to_owned()),
            "{facts:?}"
        );
    }
}
