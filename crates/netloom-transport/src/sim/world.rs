//! The state of the simulated network: hosts, lines, who holds which port.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use netloom_base::{Code, Moment};

use super::executor::Executor;
use super::link::{Line, Link};
use super::listen::Queue;
use super::stream::Stream;
use super::udp::Inbox;
use crate::net::{Found, Services};

/// The whole network behind one lock.
pub(super) struct World(Mutex<State>);

/// What the lock guards.
pub(super) struct State {
    me: Weak<World>,
    executor: Arc<Executor>,
    random: fastrand::Rng,
    pub(super) hosts: Vec<Host>,
    /// What the resolver says instead of a host's addresses.
    pub(super) names: BTreeMap<String, Result<Found, Code>>,
    pub(super) services: BTreeMap<String, Result<Services, Code>>,
    link: Link,
    lines: BTreeMap<(usize, usize), Line>,
    pub(super) listeners: Ports<Queue>,
    pub(super) inboxes: Ports<Inbox>,
    /// By number; a stream is here until both its ends are gone.
    pub(super) streams: BTreeMap<u64, Stream>,
    /// How many streams use a port of a host.
    pub(super) used: BTreeMap<(usize, u16), usize>,
    next: u64,
    /// Bytes after which the next stream between two hosts is reset, by direction.
    pub(super) fuses: BTreeMap<(usize, usize), u64>,
    trace: Option<Vec<String>>,
}

pub(super) struct Host {
    pub(super) name: Arc<str>,
    pub(super) addresses: Vec<IpAddr>,
    next_port: u16,
}

/// Where the ports that nobody chose begin (RFC 6335 §6).
const FIRST_FREE_PORT: u16 = 49_152;

/// The most lines a trace keeps.
const LONGEST_TRACE: usize = 1_000_000;

impl World {
    pub(super) fn new(executor: Arc<Executor>, seed: u64) -> Arc<Self> {
        Arc::new_cyclic(|me| {
            World(Mutex::new(State {
                me: me.clone(),
                executor,
                random: fastrand::Rng::with_seed(seed),
                hosts: Vec::new(),
                names: BTreeMap::new(),
                services: BTreeMap::new(),
                link: Link::default(),
                lines: BTreeMap::new(),
                listeners: Ports::default(),
                inboxes: Ports::default(),
                streams: BTreeMap::new(),
                used: BTreeMap::new(),
                next: 0,
                fuses: BTreeMap::new(),
                trace: None,
            }))
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(super) fn now(&self) -> Moment {
        self.executor.now()
    }

    /// Does `act` to the network when the clock is at `when`.
    pub(super) fn later(&self, when: Moment, act: impl FnOnce(&mut State) + Send + 'static) {
        let me = self.me.clone();
        self.executor.at(when, move || {
            if let Some(world) = me.upgrade() {
                act(&mut world.lock());
            }
        });
    }

    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// The host of that name; a new one gets the next address of 10.0.0.0/8.
    pub(super) fn host(&mut self, name: &str) -> usize {
        if let Some(known) = self.hosts.iter().position(|host| &*host.name == name) {
            return known;
        }
        let number = self.hosts.len() as u32 + 1;
        let address = Ipv4Addr::from(0x0a00_0000 + number);
        self.hosts.push(Host {
            name: name.into(),
            addresses: vec![address.into()],
            next_port: FIRST_FREE_PORT,
        });
        self.hosts.len() - 1
    }

    /// Which host has `ip`, seen from `from`.
    pub(super) fn owner(&self, from: usize, ip: IpAddr) -> Option<usize> {
        if ip.is_loopback() {
            return Some(from);
        }
        self.hosts
            .iter()
            .position(|host| host.addresses.contains(&ip))
    }

    /// The address `from` uses towards `to`.
    pub(super) fn source(&self, from: usize, to: IpAddr) -> Option<IpAddr> {
        if to.is_loopback() {
            return Some(to);
        }
        self.hosts[from]
            .addresses
            .iter()
            .find(|own| own.is_ipv4() == to.is_ipv4())
            .copied()
    }

    /// Whether `ip` may be bound on `host`.
    pub(super) fn is_local(&self, host: usize, ip: IpAddr) -> bool {
        ip.is_unspecified() || ip.is_loopback() || self.hosts[host].addresses.contains(&ip)
    }

    /// A port of `host` that nobody uses.
    pub(super) fn free_port(&mut self, host: usize) -> io::Result<u16> {
        for _ in FIRST_FREE_PORT..=u16::MAX {
            let port = self.hosts[host].next_port;
            self.hosts[host].next_port = port.checked_add(1).unwrap_or(FIRST_FREE_PORT);
            let taken = self.used.contains_key(&(host, port))
                || self.listeners.any_at(host, port)
                || self.inboxes.any_at(host, port);
            if !taken {
                return Ok(port);
            }
        }
        Err(answered(ErrorKind::AddrNotAvailable))
    }

    pub(super) fn line(&mut self, from: usize, to: usize) -> &mut Line {
        self.line_and_chance(from, to).0
    }

    /// A line, and the chance that decides what happens on it.
    pub(super) fn line_and_chance(
        &mut self,
        from: usize,
        to: usize,
    ) -> (&mut Line, &mut fastrand::Rng) {
        let link = if from == to {
            Link::loopback()
        } else {
            self.link
        };
        (
            self.lines
                .entry((from, to))
                .or_insert_with(|| Line::new(link)),
            &mut self.random,
        )
    }

    /// When something that is sent now on a stream arrives.
    pub(super) fn arrival(&mut self, from: usize, to: usize, bytes: usize) -> Moment {
        let now = self.now();
        let (line, chance) = self.line_and_chance(from, to);
        line.carries(now, bytes, chance)
    }

    /// Every link that was not set by itself.
    pub(super) fn set_default(&mut self, link: Link) {
        self.link = link;
    }

    pub(super) fn set_link(&mut self, a: usize, b: usize, link: Link) {
        for way in [(a, b), (b, a)] {
            self.line(way.0, way.1).link = link;
        }
    }

    pub(super) fn record(&mut self) {
        self.trace.get_or_insert_default();
    }

    pub(super) fn trace(&self) -> Vec<String> {
        self.trace.clone().unwrap_or_default()
    }

    pub(super) fn tell(&mut self, what: impl FnOnce() -> String) {
        let now = self.now();
        if let Some(trace) = &mut self.trace
            && trace.len() < LONGEST_TRACE
        {
            trace.push(format!("{:.9} {}", now.since_start().as_secs_f64(), what()));
        }
    }
}

/// Who holds which address of which host.
pub(super) struct Ports<T>(BTreeMap<(usize, u16), Vec<(IpAddr, T)>>);

impl<T> Default for Ports<T> {
    fn default() -> Self {
        Ports(BTreeMap::new())
    }
}

impl<T> Ports<T> {
    /// Whether `addr` meets no other holder.
    pub(super) fn is_free(&self, host: usize, addr: SocketAddr) -> bool {
        let ip = addr.ip();
        let meets = |held: IpAddr| held == ip || covers(held, ip) || covers(ip, held);
        !self
            .0
            .get(&(host, addr.port()))
            .is_some_and(|holders| holders.iter().any(|(held, _)| meets(*held)))
    }

    pub(super) fn hold(&mut self, host: usize, addr: SocketAddr, value: T) {
        self.0
            .entry((host, addr.port()))
            .or_default()
            .push((addr.ip(), value));
    }

    /// The holder of exactly `addr`.
    pub(super) fn held(&mut self, host: usize, addr: SocketAddr) -> Option<&mut T> {
        let holders = self.0.get_mut(&(host, addr.port()))?;
        holders
            .iter_mut()
            .find(|(held, _)| *held == addr.ip())
            .map(|(_, value)| value)
    }

    /// Who gets what is sent to `addr`.
    pub(super) fn reached(&mut self, host: usize, addr: SocketAddr) -> Option<&mut T> {
        let ip = addr.ip();
        let holders = self.0.get_mut(&(host, addr.port()))?;
        holders
            .iter_mut()
            .find(|(held, _)| *held == ip || covers(*held, ip))
            .map(|(_, value)| value)
    }

    pub(super) fn release(&mut self, host: usize, addr: SocketAddr) -> Option<T> {
        let holders = self.0.get_mut(&(host, addr.port()))?;
        let place = holders.iter().position(|(held, _)| *held == addr.ip())?;
        let (_, value) = holders.remove(place);
        if holders.is_empty() {
            self.0.remove(&(host, addr.port()));
        }
        Some(value)
    }

    fn any_at(&self, host: usize, port: u16) -> bool {
        self.0.contains_key(&(host, port))
    }
}

/// Whether a socket bound to `any` gets what is sent to `ip`. As on Linux, `::`
/// is every address of both families and `0.0.0.0` those of IPv4.
fn covers(any: IpAddr, ip: IpAddr) -> bool {
    any.is_unspecified() && (any.is_ipv6() || ip.is_ipv4())
}

/// What a kernel answers where this happens.
pub(super) fn answered(kind: ErrorKind) -> io::Error {
    #[cfg(unix)]
    {
        let errno = match kind {
            ErrorKind::AddrInUse => libc::EADDRINUSE,
            ErrorKind::AddrNotAvailable => libc::EADDRNOTAVAIL,
            ErrorKind::ConnectionRefused => libc::ECONNREFUSED,
            ErrorKind::ConnectionReset => libc::ECONNRESET,
            ErrorKind::BrokenPipe => libc::EPIPE,
            ErrorKind::NetworkUnreachable => libc::ENETUNREACH,
            ErrorKind::NotConnected => libc::ENOTCONN,
            ErrorKind::FileTooLarge => libc::EMSGSIZE,
            other => return other.into(),
        };
        io::Error::from_raw_os_error(errno)
    }
    #[cfg(not(unix))]
    kind.into()
}
