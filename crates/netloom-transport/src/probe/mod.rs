//! What this host's kernel knows about a failure.
//!
//! A [`Probe`] asks the local kernel only – sock_diag(7), rtnetlink(7),
//! `/proc`, the error queue of ip(7) – and needs no root. Every answer is plain
//! data, bounded in time and bytes; `None` means that this host does not say.
//! Two questions send packets, and only to the address and port that failed:
//! [`Probe::dial_armed`] and [`Probe::path`].

#[cfg(not(target_os = "linux"))]
mod absent;
mod data;
mod files;
mod groups;
mod health;
#[cfg(target_os = "linux")]
mod linux;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use netloom_base::Moment;
use netloom_base::failure::{Flow, OtherProgram};

#[cfg(not(target_os = "linux"))]
use absent as os;
#[cfg(target_os = "linux")]
use linux as os;

pub use netloom_base::failure::Icmp;

pub use health::{CAPABILITIES, Health};

pub use data::{
    Address, ClockState, Congestion, Descriptors, DialEnd, Dialled, Entry, Holder, Interface,
    ListenDrops, Neighbour, Path, PortSettings, Route, State, TcpInfo, TcpOptions, UnixEntry,
};

pub use files::{FirewallRule, Rights};

pub use groups::{Membership, MulticastCounts};

use crate::cx::Cx;

/// How long one question to the kernel may take.
const PATIENCE: Duration = Duration::from_millis(1500);

/// How soon an address may be dialled again to look at it.
const DIAL_AGAIN: Duration = Duration::from_secs(10);

/// The most addresses that are remembered as dialled.
const MOST_REMEMBERED: usize = 256;

/// How many ports are tried for a free one.
const MOST_PORTS: u16 = 64;

/// Asks the local kernel. One for each program, so that it re-dials an address
/// no more than once in ten seconds.
#[derive(Debug, Default)]
pub struct Probe {
    dialled: Mutex<Vec<(SocketAddr, Moment)>>,
}

impl Probe {
    /// A probe that has dialled nobody.
    pub fn new() -> Self {
        Probe::default()
    }

    /// Every TCP socket with this local port, of both families and in every
    /// state: those that listen, are connected, wait (TIME_WAIT) or are only
    /// bound (Linux 6.8). Source: sock_diag.
    pub async fn sockets_on(&self, cx: &Cx, port: u16) -> Option<Vec<Entry>> {
        let which = os::sockets::Which {
            local_port: port,
            ..Default::default()
        };
        ask(cx, move || os::sockets::sockets(which)).await
    }

    /// Every UDP socket with this local port, of both families. Its state is
    /// [`State::Bound`], or [`State::Established`] when it has one peer.
    /// Source: sock_diag.
    pub async fn udp_sockets_on(&self, cx: &Cx, port: u16) -> Option<Vec<Entry>> {
        let which = os::sockets::Which {
            local_port: port,
            udp: true,
            ..Default::default()
        };
        ask(cx, move || os::sockets::sockets(which)).await
    }

    /// Every TCP socket whose other end is `addr`. Source: sock_diag.
    pub async fn sockets_to(&self, cx: &Cx, addr: SocketAddr) -> Option<Vec<Entry>> {
        let which = os::sockets::Which {
            remote_port: addr.port(),
            ..Default::default()
        };
        let ip = addr.ip().to_canonical();
        let all = ask(cx, move || os::sockets::sockets(which)).await?;
        let there = |entry: &Entry| entry.remote.ip().to_canonical() == ip;
        Some(all.into_iter().filter(there).collect())
    }

    /// Every UDP socket whose only other end is `addr`. Source: sock_diag.
    pub async fn udp_sockets_to(&self, cx: &Cx, addr: SocketAddr) -> Option<Vec<Entry>> {
        let which = os::sockets::Which {
            remote_port: addr.port(),
            udp: true,
            ..Default::default()
        };
        let all = ask(cx, move || os::sockets::sockets(which)).await?;
        let there = |entry: &Entry| entry.remote.ip().to_canonical() == addr.ip();
        Some(all.into_iter().filter(there).collect())
    }

    /// The interfaces on which this host has joined a multicast group, whichever
    /// program asked for it. Source: /proc/net/igmp, /proc/net/igmp6.
    pub async fn memberships(&self, cx: &Cx, group: IpAddr) -> Option<Vec<Membership>> {
        ask(cx, move || groups::memberships(group)).await
    }

    /// What this host counted of multicast packets. Source: /proc/net/netstat,
    /// /proc/net/snmp, /proc/net/snmp6.
    pub async fn multicast_counts(&self, cx: &Cx, v6: bool) -> Option<MulticastCounts> {
        ask(cx, move || groups::counts(v6)).await
    }

    /// Every TCP socket that listens. Source: sock_diag.
    pub async fn listeners(&self, cx: &Cx) -> Option<Vec<Entry>> {
        let which = os::sockets::Which {
            only_listening: true,
            ..Default::default()
        };
        ask(cx, move || os::sockets::sockets(which)).await
    }

    /// What the kernel counts of the connection between two addresses. Source: TCP_INFO.
    pub async fn tcp_info(
        &self,
        cx: &Cx,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Option<TcpInfo> {
        ask(cx, move || os::sockets::tcp_info(local, remote)).await
    }

    /// The processes that hold sockets with these inodes; other users' are seen
    /// by root only. Source: /proc.
    pub async fn holders(&self, cx: &Cx, inodes: Vec<u32>) -> Vec<Holder> {
        let look = move || Some(os::processes::holders(&inodes));
        ask(cx, look).await.unwrap_or_default()
    }

    /// The systemd unit behind a socket's control group, which everybody may
    /// see. Source: /sys/fs/cgroup.
    pub async fn unit(&self, cx: &Cx, cgroup: u64) -> Option<String> {
        ask(cx, move || os::processes::unit(cgroup)).await
    }

    /// Unix sockets that have a name. Source: /proc/net/unix.
    pub async fn unix_sockets(&self, cx: &Cx) -> Option<Vec<UnixEntry>> {
        ask(cx, os::processes::unix_sockets).await
    }

    /// Interfaces of this network namespace. Source: rtnetlink.
    pub async fn interfaces(&self, cx: &Cx) -> Option<Vec<Interface>> {
        ask(cx, os::routes::interfaces).await
    }

    /// Addresses of this network namespace. Source: rtnetlink.
    pub async fn addresses(&self, cx: &Cx) -> Option<Vec<Address>> {
        ask(cx, os::routes::addresses).await
    }

    /// Where a packet to `addr` would go. Source: rtnetlink.
    pub async fn route(&self, cx: &Cx, addr: SocketAddr) -> Option<Route> {
        let scope = match addr {
            SocketAddr::V4(_) => 0,
            SocketAddr::V6(addr) => addr.scope_id(),
        };
        ask(cx, move || os::routes::route(addr.ip(), scope)).await
    }

    /// What is known of a host on the network of `interface`. Source: rtnetlink.
    pub async fn neighbour(&self, cx: &Cx, of: IpAddr, interface: u32) -> Option<Neighbour> {
        ask(cx, move || os::routes::neighbour(of, interface)).await
    }

    /// How ports are given out. Source: /proc/sys/net/ipv4.
    pub async fn port_settings(&self, cx: &Cx) -> Option<PortSettings> {
        ask(cx, os::limits::port_settings).await
    }

    /// What this process may do, and what this host is set to. Source: /proc,
    /// adjtimex.
    pub async fn health(&self, cx: &Cx) -> Option<Health> {
        ask(cx, os::health::health).await
    }

    /// What was dropped at listeners. Source: /proc/net/netstat.
    pub async fn listen_drops(&self, cx: &Cx) -> Option<ListenDrops> {
        ask(cx, os::limits::listen_drops).await
    }

    /// The descriptors of this process. Needs none itself, nor another thread.
    /// Source: /proc/self/fd, getrlimit.
    pub fn descriptors(&self) -> Option<Descriptors> {
        os::limits::descriptors()
    }

    /// Whether somebody keeps this host's clock in time. Source: adjtimex(2).
    pub fn clock(&self) -> Option<ClockState> {
        os::clock()
    }

    /// The names in the hosts file. Source: /etc/hosts.
    pub async fn host_names(&self, cx: &Cx) -> Option<Vec<String>> {
        ask(cx, files::host_names).await
    }

    /// The resolver's configuration as it stands. Source: /etc/resolv.conf.
    pub async fn resolver_config(&self, cx: &Cx) -> Option<String> {
        ask(cx, files::resolver_config).await
    }

    /// Whether a program of this host has a UDP port. Source: /proc/net/udp.
    pub async fn udp_port_is_taken(&self, cx: &Cx, port: u16) -> Option<bool> {
        ask(cx, move || files::udp_port_is_taken(port)).await
    }

    /// The names of the programs in `PATH`.
    pub async fn programs(&self, cx: &Cx) -> Option<Vec<String>> {
        ask(cx, files::programs).await
    }

    /// Who may do what with a file. Source: stat(2).
    pub async fn rights(&self, cx: &Cx, path: PathBuf) -> Option<Rights> {
        ask(cx, move || files::rights(&path)).await
    }

    /// The rules of this host's firewall that drop or reject; `None` where they
    /// may not be read. Source: nft(8).
    pub async fn firewall(&self, cx: &Cx) -> Option<Vec<FirewallRule>> {
        files::ruleset(cx).await
    }

    /// What the kernel counts of the TCP connections of this very process.
    /// Source: /proc/self/fd, sock_diag, TCP_INFO.
    pub fn own_flows(&self) -> Vec<Flow> {
        os::sockets::own_flows()
    }

    /// The program that holds the socket with this inode, and what it waits in
    /// on it; other users' are seen by root only. Source: /proc.
    pub async fn program_at(&self, cx: &Cx, inode: u32) -> Option<OtherProgram> {
        ask(cx, move || os::processes::program_at(inode)).await
    }

    /// The user this process acts as; `None` where users have no numbers.
    pub fn user(&self) -> Option<u32> {
        os::effective_user()
    }

    /// A port above `addr`'s that can be bound now, at this address and by this
    /// user. It is bound for a moment, never listened on.
    pub async fn free_port(&self, cx: &Cx, addr: SocketAddr) -> Option<u16> {
        let least = self
            .port_settings(cx)
            .await
            .map_or(1024, |s| s.unprivileged_start);
        // Whoever wanted 80 likes 8080 better than 1024.
        let near = match addr.port() {
            port if port < least => port.saturating_add(8000),
            port => port.saturating_add(1),
        };
        let first = near.max(least).max(1);
        let other = other_family(addr.ip());
        let look = move || {
            let free = |port: &u16| {
                bind_once(addr.ip(), *port, addr).is_ok()
                    && other.is_none_or(|ip| !is_taken(&bind_once(ip, *port, addr)))
            };
            (first..=u16::MAX).take(MOST_PORTS.into()).find(free)
        };
        ask(cx, look).await
    }

    /// Dials once more with the error queue armed, for at most `within`, and
    /// tells what the network said. An answered connection is closed at once.
    /// `None` when this address was dialled so in the last ten seconds, or
    /// where there is no error queue.
    pub async fn dial_armed(&self, cx: &Cx, addr: SocketAddr, within: Duration) -> Option<Dialled> {
        if !self.may_dial(addr, cx.now()) {
            return None;
        }
        os::dial::dial(addr, within, cx).await
    }

    /// Dials with 1, 2, 3 … hops to see who answers on the way to this very
    /// port (a traceroute without root), for at most `within`.
    pub async fn path(&self, cx: &Cx, addr: SocketAddr, within: Duration) -> Option<Path> {
        os::dial::path(addr, within, cx).await
    }

    fn may_dial(&self, addr: SocketAddr, now: Moment) -> bool {
        let mut dialled = self.dialled.lock().unwrap_or_else(PoisonError::into_inner);
        dialled.retain(|(_, at)| now.since(*at) < DIAL_AGAIN);
        if dialled.len() == MOST_REMEMBERED || dialled.iter().any(|(known, _)| *known == addr) {
            return false;
        }
        dialled.push((addr, now));
        true
    }
}

/// The same place in the other family: a server often wants both.
fn other_family(ip: IpAddr) -> Option<IpAddr> {
    match ip {
        IpAddr::V4(ip) if ip.is_loopback() => Some(Ipv6Addr::LOCALHOST.into()),
        IpAddr::V4(ip) if ip.is_unspecified() => Some(Ipv6Addr::UNSPECIFIED.into()),
        IpAddr::V6(ip) if ip.is_loopback() => Some(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => Some(Ipv4Addr::UNSPECIFIED.into()),
        _ => None,
    }
}

fn is_taken(bound: &io::Result<()>) -> bool {
    bound
        .as_ref()
        .is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
}

/// Binds as a listener does, and lets go at once; `like` gives the scope.
fn bind_once(ip: IpAddr, port: u16, like: SocketAddr) -> io::Result<()> {
    let mut addr = SocketAddr::new(ip, port);
    if let (SocketAddr::V6(addr), SocketAddr::V6(like)) = (&mut addr, like) {
        addr.set_scope_id(like.scope_id());
    }
    let domain = socket2::Domain::for_address(addr);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
    socket.set_reuse_address(cfg!(unix))?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&addr.into())
}

/// Asks away from the reactor's thread, so that a long table holds up nobody.
async fn ask<T: Send + 'static>(
    cx: &Cx,
    question: impl FnOnce() -> Option<T> + Send + 'static,
) -> Option<T> {
    if tokio::runtime::Handle::try_current().is_err() {
        return question();
    }
    let asked = tokio::task::spawn_blocking(question);
    cx.timeout(PATIENCE, asked).await?.ok().flatten()
}
