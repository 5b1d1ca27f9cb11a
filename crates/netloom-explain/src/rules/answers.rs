//! What was asked and answered: the rules' only source besides the failure.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use netloom_base::Timestamp;
use netloom_transport::probe::{
    Address, ClockState, Descriptors, DialEnd, Dialled, Entry, FirewallRule, Holder, Interface,
    ListenDrops, Neighbour, Path, PortSettings, Rights, Route, UnixEntry,
};

use super::tls::second::Try;

/// Recorded answers. `None` is a question that was not asked or not answered.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    /// The user this program acts as.
    pub user: Option<u32>,
    /// This process.
    pub own_process: u32,
    /// This program's file.
    pub program: Option<PathBuf>,
    /// Sockets with the port in question.
    pub sockets: Option<Vec<Entry>>,
    /// Sockets that listen on this host.
    pub listeners: Option<Vec<Entry>>,
    /// Sockets connected to the address in question.
    pub towards: Option<Vec<Entry>>,
    /// Who holds them, as far as that can be seen.
    pub holders: Vec<Holder>,
    /// The units behind control groups of sockets whose holder cannot be seen.
    pub units: Vec<(u64, String)>,
    /// Addresses of this host.
    pub addresses: Option<Vec<Address>>,
    /// Interfaces of this host.
    pub interfaces: Option<Vec<Interface>>,
    /// Whether IPv6 is switched off on this host.
    pub no_v6: Option<bool>,
    /// The way to the address in question.
    pub route: Option<Route>,
    /// The next hop on that way, and what is known of it.
    pub neighbour: Option<(IpAddr, Option<Neighbour>)>,
    /// How this host gives out ports.
    pub ports: Option<PortSettings>,
    /// What was dropped at listeners of this host.
    pub drops: Option<ListenDrops>,
    /// A port that can be bound now.
    pub free_port: Option<u16>,
    /// How a second dial went.
    pub dialled: Option<Dialled>,
    /// Who answered on the way.
    pub path: Option<Path>,
    /// The descriptors of this process.
    pub descriptors: Option<Descriptors>,
    /// Whether a TLS handshake was answered where plain words were not.
    pub speaks_tls: Option<bool>,
    /// The same place with a PROXY header before the conversation, or without the
    /// one that was sent, where that was answered.
    pub across_header: Option<netloom_base::Endpoint>,
    /// The protocol's other ports at the same address, by their scheme, and how
    /// a dial of each went.
    pub elsewhere: Option<Vec<(&'static str, u16, Dialled)>>,
    /// Unix sockets that have a name.
    pub unix: Option<Vec<UnixEntry>>,
    /// What is dialled gives a stream: it can be talked to by hand.
    pub is_stream: bool,
    /// What this host's clock says.
    pub now: Option<Timestamp>,
    /// How far it can be trusted.
    pub clock: Option<ClockState>,
    /// Handshakes that were begun again, a little different.
    pub tries: Vec<Try>,
    /// The names in the hosts file.
    pub host_names: Option<Vec<String>>,
    /// The resolver's configuration as it stands.
    pub resolver_config: Option<String>,
    /// The ways to the name servers that failed, and whether they take TCP.
    pub servers: Vec<ServerWay>,
    /// The programs in `PATH`.
    pub programs: Option<Vec<String>>,
    /// The file a program was to be run from.
    pub rights: Option<(PathBuf, Option<Rights>)>,
    /// The rules of this host's firewall that drop or reject.
    pub firewall: Option<Vec<FirewallRule>>,
}

/// The way to a name server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerWay {
    /// The server.
    pub server: SocketAddr,
    /// Where a packet to it goes.
    pub route: Option<Route>,
    /// Whether a program of this host has its port; known only of a server here.
    pub runs: Option<bool>,
    /// How a dial to the same port over TCP ended; asked only when far may be gone.
    pub over_tcp: Option<DialEnd>,
}

impl Answers {
    /// Whether an address is this host's.
    pub fn is_local(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        ip.is_loopback()
            || ip.is_unspecified()
            || matches!(self.route, Some(Route::Way { local: true, .. }))
            || self.addresses.iter().flatten().any(|own| own.ip == ip)
    }

    /// The listeners that a connection to `addr` would meet.
    pub fn listeners_for(&self, addr: SocketAddr) -> impl Iterator<Item = &Entry> {
        let all = self.listeners.iter().flatten();
        all.filter(move |entry| entry.listens_for(addr))
    }

    /// Who holds a socket.
    pub fn holder(&self, entry: &Entry) -> Option<&Holder> {
        let held = |holder: &&Holder| entry.inode != 0 && holder.inode == entry.inode;
        self.holders.iter().find(held)
    }

    /// The unit that made a socket whose holder cannot be seen.
    pub fn unit(&self, entry: &Entry) -> Option<&str> {
        let mut known = self.units.iter();
        let (_, unit) = known.find(|(cgroup, _)| entry.cgroup == Some(*cgroup))?;
        Some(unit)
    }

    /// Whether the next hop was asked for and did not answer.
    pub fn next_hop_is_dead(&self) -> bool {
        matches!(
            self.neighbour,
            Some((_, Some(Neighbour::Failed | Neighbour::Incomplete)))
        )
    }

    /// The name of an interface.
    pub fn interface(&self, index: u32) -> Option<&str> {
        let mut all = self.interfaces.iter().flatten();
        Some(&all.find(|interface| interface.index == index)?.name)
    }
}
