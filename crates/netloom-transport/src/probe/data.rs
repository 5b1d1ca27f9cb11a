//! What the kernel answers, as plain data. Every type reads as a line of
//! evidence, and `source` of a method's page says who said it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use netloom_base::failure::Icmp;

/// The state of a TCP socket (RFC 9293 §3.3.2), as sock_diag(7) numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Connected.
    Established,
    /// It asked for a connection.
    SynSent,
    /// It was asked for one.
    SynRecv,
    /// It closed first; the peer has not answered.
    FinWait1,
    /// It closed first; the peer has not closed.
    FinWait2,
    /// Closed; late segments are waited for.
    TimeWait,
    /// It has an address, and neither listens nor is connected.
    Bound,
    /// The peer closed; this program has not.
    CloseWait,
    /// Both closed; the last acknowledgement is missing.
    LastAck,
    /// It accepts connections.
    Listen,
    /// Both closed at once.
    Closing,
}

impl State {
    /// From the kernel's number; `None` for one that this table lacks.
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => State::Established,
            2 => State::SynSent,
            3 | 12 => State::SynRecv,
            4 => State::FinWait1,
            5 => State::FinWait2,
            6 => State::TimeWait,
            7 | 13 => State::Bound,
            8 => State::CloseWait,
            9 => State::LastAck,
            10 => State::Listen,
            11 => State::Closing,
            _ => return None,
        })
    }

    /// The state's name, as ss(8) and netstat(8) write it.
    pub const fn name(self) -> &'static str {
        match self {
            State::Established => "ESTABLISHED",
            State::SynSent => "SYN_SENT",
            State::SynRecv => "SYN_RECV",
            State::FinWait1 => "FIN_WAIT1",
            State::FinWait2 => "FIN_WAIT2",
            State::TimeWait => "TIME_WAIT",
            State::Bound => "BOUND",
            State::CloseWait => "CLOSE_WAIT",
            State::LastAck => "LAST_ACK",
            State::Listen => "LISTEN",
            State::Closing => "CLOSING",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One TCP socket of this host and network namespace, whoever owns it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its address; `::ffff:a.b.c.d` stays as the kernel wrote it.
    pub local: SocketAddr,
    /// The other end; unspecified with port 0 where there is none.
    pub remote: SocketAddr,
    /// Its state.
    pub state: State,
    /// Bytes to read; of a listener, connections that wait to be accepted.
    pub recv_queue: u32,
    /// Bytes not acknowledged; of a listener, how many connections may wait.
    pub send_queue: u32,
    /// The user that made it; 0 also for TIME_WAIT, which belongs to nobody.
    pub uid: u32,
    /// Its inode; 0 when no program holds it any more.
    pub inode: u32,
    /// The control group that made it (cgroups(7), version 2).
    pub cgroup: Option<u64>,
    /// Whether an IPv6 socket refuses IPv4 (IPV6_V6ONLY); `None` where the kernel does not say.
    pub only_v6: Option<bool>,
    /// How long its timer still runs: of TIME_WAIT, until the address is free.
    pub expires: Duration,
}

impl Entry {
    /// Whether more connections wait than the listener allows: the kernel drops further ones.
    pub fn queue_is_full(&self) -> bool {
        self.state == State::Listen && self.recv_queue > self.send_queue
    }

    /// Bytes that came and that its program has not read. The kernel counts the
    /// peer's end (FIN) as one more.
    pub fn unread(&self) -> u32 {
        match self.state {
            State::Listen => 0,
            State::CloseWait => self.recv_queue.saturating_sub(1),
            _ => self.recv_queue,
        }
    }

    /// Whether a connection to `addr` on this host would meet this listener.
    pub fn listens_for(&self, addr: SocketAddr) -> bool {
        self.state == State::Listen && self.is_at(addr)
    }

    /// Whether a datagram to `addr` on this host, from whomever, would meet this
    /// UDP socket.
    pub fn receives_for(&self, addr: SocketAddr) -> bool {
        self.state == State::Bound && self.is_at(addr)
    }

    fn is_at(&self, addr: SocketAddr) -> bool {
        if self.local.port() != addr.port() {
            return false;
        }
        let (own, asked) = (self.local.ip().to_canonical(), addr.ip().to_canonical());
        if own == asked {
            return true;
        }
        let any = own.is_unspecified();
        any && (own.is_ipv4() == asked.is_ipv4() || own.is_ipv6() && self.only_v6 != Some(true))
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.local, self.state)?;
        if self.remote.port() != 0 {
            write!(f, " with {}", self.remote)?;
        }
        match self.state {
            State::TimeWait => write!(f, ", {:.0} s left", self.expires.as_secs_f64()),
            _ if self.inode == 0 => f.write_str(", held by no program"),
            _ => write!(f, ", inode {}", self.inode),
        }
    }
}

/// A program that holds a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The socket's inode.
    pub inode: u32,
    /// The process.
    pub pid: u32,
    /// Its descriptor.
    pub fd: u32,
    /// The program's name, at most 15 bytes (proc_pid_comm(5)).
    pub program: String,
    /// Its command line, at most 200 bytes of it.
    pub command: String,
    /// The user it runs as.
    pub uid: u32,
    /// The systemd unit it belongs to.
    pub unit: Option<String>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Holder { inode, fd, pid, .. } = self;
        write!(
            f,
            "inode {inode} is fd {fd} of process {pid} `{}`",
            self.command
        )?;
        match &self.unit {
            Some(unit) => write!(f, ", unit {unit}"),
            None => Ok(()),
        }
    }
}

/// What the kernel counts of one TCP connection (tcp(7), `TCP_INFO`). A field
/// that this kernel's answer was too short for is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TcpInfo {
    /// How many bytes the kernel answered with.
    pub len: usize,
    /// Segments sent and not acknowledged.
    pub unacked: u32,
    /// Segments taken for lost.
    pub lost: u32,
    /// How often the retransmission timer doubled.
    pub backoff: u8,
    /// Window probes without an answer.
    pub probes: u8,
    /// Segments sent again, in all.
    pub total_retrans: u32,
    /// Round-trip time, smoothed.
    pub rtt: Duration,
    /// Its mean deviation.
    pub rttvar: Duration,
    /// The least round-trip time of late.
    pub min_rtt: Duration,
    /// The congestion window, in segments.
    pub snd_cwnd: u32,
    /// The slow start threshold, in segments.
    pub snd_ssthresh: u32,
    /// The window that the peer offers, in bytes.
    pub snd_wnd: u32,
    /// The window that we offer, in bytes.
    pub rcv_wnd: u32,
    /// Bytes that wait to be sent.
    pub notsent: u32,
    /// Bytes per second of late.
    pub delivery_rate: u64,
    /// Whether the program, and not the network, limited that.
    pub app_limited: bool,
    /// How long there was something to send.
    pub busy: Duration,
    /// How long of that the peer's window forbade it.
    pub rwnd_limited: Duration,
    /// How long of that the send buffer was too small.
    pub sndbuf_limited: Duration,
    /// Since data was last sent.
    pub last_data_sent: Duration,
    /// Since data last came.
    pub last_data_recv: Duration,
    /// The path MTU, in bytes.
    pub pmtu: u32,
    /// The most bytes of a segment that is sent now (MSS, without options).
    pub snd_mss: u32,
    /// The size of the segments that come, as the kernel estimates it.
    pub rcv_mss: u32,
    /// The most bytes of a segment that this end said it takes.
    pub advmss: u32,
    /// The options both ends agreed on.
    pub options: TcpOptions,
    /// By how many bits the window is scaled that the peer offers (RFC 7323).
    pub snd_wscale: u8,
    /// By how many bits the window is scaled that we offer.
    pub rcv_wscale: u8,
    /// What controls congestion.
    pub congestion: Congestion,
}

/// What both ends of a TCP connection agreed on, as `TCP_INFO` tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TcpOptions(pub(super) u8);

impl TcpOptions {
    /// Timestamps (RFC 7323).
    pub const fn timestamps(self) -> bool {
        self.0 & 1 != 0
    }

    /// Selective acknowledgements (RFC 2018).
    pub const fn sack(self) -> bool {
        self.0 & 2 != 0
    }

    /// Window scaling (RFC 7323).
    pub const fn window_scale(self) -> bool {
        self.0 & 4 != 0
    }

    /// Explicit congestion notification (RFC 3168).
    pub const fn ecn(self) -> bool {
        self.0 & 8 != 0
    }
}

/// The name of a congestion control, such as `cubic`; empty where it is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Congestion([u8; 16]);

impl Congestion {
    #[cfg(target_os = "linux")]
    /// From the kernel's bytes, of which at most 16 are a name.
    pub(super) fn from_kernel(bytes: &[u8]) -> Self {
        let name = bytes.iter().take_while(|byte| byte.is_ascii_graphic());
        let mut own = [0; 16];
        for (to, from) in own.iter_mut().zip(name) {
            *to = *from;
        }
        Congestion(own)
    }

    /// The name.
    pub fn name(&self) -> &str {
        let end = self.0.iter().position(|byte| *byte == 0);
        std::str::from_utf8(&self.0[..end.unwrap_or(self.0.len())]).unwrap_or_default()
    }
}

/// An interface of this network namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Whether it is switched on (IFF_UP).
    pub up: bool,
    /// Whether it has a carrier (IFF_RUNNING).
    pub running: bool,
    /// Whether it is the loopback interface.
    pub loopback: bool,
    /// Whether it carries multicast (IFF_MULTICAST).
    pub multicast: bool,
}

/// An address of this network namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The address.
    pub ip: IpAddr,
    /// The bits of its network.
    pub prefix: u8,
    /// The number of its interface.
    pub interface: u32,
    /// Whether it may not be used yet: duplicate address detection runs or failed (RFC 4862).
    pub tentative: bool,
}

/// Where a packet would go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// There is a way.
    Way {
        /// Whether it stays on this host.
        local: bool,
        /// The number of the interface.
        interface: u32,
        /// The next router; `None` when the destination is on the interface's own network.
        via: Option<IpAddr>,
        /// The address it would be sent from.
        from: Option<IpAddr>,
    },
    /// There is none: the kernel's error number.
    Refused(i32),
}

/// What is known of a host on the same network (ip-neighbour(8)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Neighbour {
    /// It answered of late.
    Reachable,
    /// It answered before.
    Stale,
    /// It was asked and has not answered.
    Incomplete,
    /// It was asked and did not answer.
    Failed,
}

impl Neighbour {
    /// The state's name, as ip(8) writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Neighbour::Reachable => "REACHABLE",
            Neighbour::Stale => "STALE",
            Neighbour::Incomplete => "INCOMPLETE",
            Neighbour::Failed => "FAILED",
        }
    }
}

/// Ports as the kernel is set to give them out (ip(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortSettings {
    /// Ports below need CAP_NET_BIND_SERVICE.
    pub unprivileged_start: u16,
    /// The first and the last port that a client is given.
    pub ephemeral: (u16, u16),
}

/// What was dropped at listeners since the namespace began (netstat's TcpExt).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenDrops {
    /// Because a queue was full.
    pub overflows: u64,
    /// For any reason.
    pub drops: u64,
}

/// How far this host's clock can be trusted (adjtimex(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockState {
    /// Whether somebody keeps it in time: an NTP client, or whoever runs this machine.
    pub synchronised: bool,
    /// How wrong it may be at most, as they say.
    pub error: Duration,
}

/// The descriptors of this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptors {
    /// How many are open.
    pub open: u64,
    /// How many may be.
    pub limit: u64,
    /// How many the limit may be raised to.
    pub hard_limit: u64,
    /// Of what kind the first thousands are, most first.
    pub kinds: Vec<(String, u64)>,
    /// What the whole host has open and may have.
    pub host: Option<(u64, u64)>,
}

/// A unix socket with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnixEntry {
    /// Its name as it was bound, `@` first for an abstract one.
    pub name: String,
    /// Whether it listens.
    pub listens: bool,
    /// Its inode.
    pub inode: u32,
}

/// How a dial with its error queue armed ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialled {
    /// How it ended.
    pub end: DialEnd,
    /// What the network said about it.
    pub icmp: Option<Icmp>,
    /// How long it took.
    pub took: Duration,
}

/// How a dial ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DialEnd {
    /// It was answered; the connection was closed at once.
    Connected,
    /// The kernel's error number.
    Failed(i32),
    /// Nobody answered in time.
    Silent,
}

/// Who answered on the way to a port.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Path {
    /// The routers that answered: hops from here, and their address.
    pub hops: Vec<(u8, IpAddr)>,
    /// At how many hops the destination itself answered, in whatever way.
    pub arrived: Option<u8>,
    /// How many hops were tried.
    pub tried: u8,
}
