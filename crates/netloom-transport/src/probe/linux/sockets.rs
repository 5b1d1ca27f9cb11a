//! The kernel's table of TCP sockets (sock_diag(7)): everybody's, without root.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use netloom_base::failure::{Flow, OtherEnd};

use super::netlink::{DUMP, ask, attributes, u32_at, u64_at};
use super::processes::inode_of;
use crate::flow;
use crate::probe::data::{Congestion, Entry, State, TcpInfo, TcpOptions};

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const INFO: u16 = 2;
const CONGESTION: u16 = 4;
const ONLY_V6: u16 = 11;
const CGROUP: u16 = 21;

/// The fixed part of an answer, `struct inet_diag_msg`.
const FIXED: usize = 72;

/// The most sockets that are kept of one answer.
const MOST: usize = 200_000;

/// Which sockets are asked for; 0 is any port.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::probe) struct Which {
    pub(in crate::probe) local_port: u16,
    pub(in crate::probe) remote_port: u16,
    pub(in crate::probe) only_listening: bool,
    /// UDP, and not TCP.
    pub(in crate::probe) udp: bool,
}

pub(in crate::probe) fn sockets(which: Which) -> Option<Vec<Entry>> {
    let mut found = Vec::new();
    let mut answered = false;
    for family in [libc::AF_INET, libc::AF_INET6] {
        answered |= dump(family, which, false, |entry, _, _| {
            if found.len() < MOST {
                found.push(entry);
            }
        });
    }
    answered.then_some(found)
}

pub(in crate::probe) fn tcp_info(local: SocketAddr, remote: SocketAddr) -> Option<TcpInfo> {
    let which = Which {
        local_port: local.port(),
        remote_port: remote.port(),
        only_listening: false,
        udp: false,
    };
    let mut found = None;
    for family in [libc::AF_INET, libc::AF_INET6] {
        dump(family, which, true, |entry, info, congestion| {
            if same(entry.local, local) && same(entry.remote, remote) && !info.is_empty() {
                found = Some(TcpInfo {
                    congestion: Congestion::from_kernel(congestion),
                    ..read_tcp_info(info)
                });
            }
        });
    }
    found
}

/// The connections of this process, as far as they still live.
pub(in crate::probe) fn own_flows() -> Vec<Flow> {
    let held = std::fs::read_dir("/proc/self/fd").into_iter().flatten();
    let own: Vec<u32> = held
        .flatten()
        .take(MOST_OWN)
        .filter_map(|fd| inode_of(&std::fs::read_link(fd.path()).ok()?))
        .collect();
    let mut found = Vec::new();
    let mut others = Vec::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        dump(family, Which::default(), true, |entry, info, _| {
            if entry.remote.port() == 0 || others.len() == MOST {
                return;
            }
            if own.contains(&entry.inode) && !info.is_empty() {
                let ends = (entry.local, entry.remote);
                let queues = (entry.unread(), entry.send_queue);
                found.push(flow::read(ends, queues, info));
            }
            others.push(entry);
        });
    }
    for flow in &mut found {
        let (near, far) = (flow.local, flow.remote);
        let other = others.iter().find(|entry| {
            same(entry.local, far) && same(entry.remote, near) && entry.state != State::TimeWait
        });
        flow.other = other.map(|entry| OtherEnd {
            unread: entry.unread(),
            unsent: entry.send_queue,
            inode: entry.inode,
            uid: entry.uid,
        });
    }
    found
}

fn same(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() == b.port() && a.ip().to_canonical() == b.ip().to_canonical()
}

/// The most descriptors of this process that are looked at.
const MOST_OWN: usize = 4_096;

/// Gives every socket to `each`, with its `tcp_info` and the name of its
/// congestion control when those were asked for.
fn dump(
    family: i32,
    which: Which,
    with_info: bool,
    mut each: impl FnMut(Entry, &[u8], &[u8]),
) -> bool {
    let states: u32 = if which.only_listening {
        1 << 10
    } else {
        u32::MAX
    };
    let ext = if with_info {
        1 << (INFO - 1) | 1 << (CONGESTION - 1)
    } else {
        0
    };
    let protocol = if which.udp {
        libc::IPPROTO_UDP
    } else {
        libc::IPPROTO_TCP
    };
    let mut question = vec![family as u8, protocol as u8, ext, 0];
    question.extend(states.to_ne_bytes());
    question.extend(which.local_port.to_be_bytes());
    question.extend(which.remote_port.to_be_bytes());
    question.resize(48, 0); // any address, any interface
    question.extend([0xff; 8]); // any cookie
    let asked = ask(
        libc::NETLINK_SOCK_DIAG,
        SOCK_DIAG_BY_FAMILY,
        DUMP,
        &question,
        |_, body| {
            if let Some((entry, info, congestion)) = read(body) {
                each(entry, info, congestion);
            }
        },
    );
    asked.is_ok()
}

fn read(body: &[u8]) -> Option<(Entry, &[u8], &[u8])> {
    let fixed = body.get(..FIXED)?;
    let v6 = i32::from(fixed[0]) == libc::AF_INET6;
    let port = |at: usize| u16::from_be_bytes([fixed[at], fixed[at + 1]]);
    let scope = u32_at(fixed, 40)?;
    let address = |at: usize, port: u16| -> Option<SocketAddr> {
        let octets: [u8; 16] = fixed[at..at + 16].try_into().ok()?;
        if v6 {
            let ip = Ipv6Addr::from(octets);
            let scope = if ip.is_unicast_link_local() { scope } else { 0 };
            return Some(SocketAddrV6::new(ip, port, 0, scope).into());
        }
        let ip = Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3]);
        Some(SocketAddr::new(IpAddr::V4(ip), port))
    };
    let mut entry = Entry {
        local: address(8, port(4))?,
        remote: address(24, port(6))?,
        state: State::from_number(fixed[1])?,
        expires: Duration::from_millis(u32_at(fixed, 52)?.into()),
        recv_queue: u32_at(fixed, 56)?,
        send_queue: u32_at(fixed, 60)?,
        uid: u32_at(fixed, 64)?,
        inode: u32_at(fixed, 68)?,
        cgroup: None,
        only_v6: None,
    };
    let (mut info, mut congestion): (&[u8], &[u8]) = (&[], &[]);
    for (kind, value) in attributes(&body[FIXED..]) {
        match kind {
            INFO => info = value,
            CONGESTION => congestion = value,
            ONLY_V6 => entry.only_v6 = value.first().map(|set| *set != 0),
            CGROUP => entry.cgroup = u64_at(value, 0),
            _ => {}
        }
    }
    Some((entry, info, congestion))
}

/// Reads `struct tcp_info` as far as this kernel fills it.
fn read_tcp_info(bytes: &[u8]) -> TcpInfo {
    let byte = |at: usize| bytes.get(at).copied().unwrap_or(0);
    let word = |at: usize| u32_at(bytes, at).unwrap_or(0);
    let long = |at: usize| u64_at(bytes, at).unwrap_or(0);
    let micros = |at: usize| Duration::from_micros(word(at).into());
    let millis = |at: usize| Duration::from_millis(word(at).into());
    TcpInfo {
        len: bytes.len(),
        probes: byte(3),
        backoff: byte(4),
        app_limited: byte(7) & 1 != 0,
        unacked: word(24),
        lost: word(32),
        last_data_sent: millis(44),
        last_data_recv: millis(52),
        options: TcpOptions(byte(5)),
        // Two fields of four bits, which the kernel lays out as the processor does.
        snd_wscale: half(byte(6), cfg!(target_endian = "little")),
        rcv_wscale: half(byte(6), cfg!(target_endian = "big")),
        congestion: Congestion::default(),
        snd_mss: word(16),
        rcv_mss: word(20),
        advmss: word(84),
        pmtu: word(60),
        rtt: micros(68),
        rttvar: micros(72),
        snd_ssthresh: word(76),
        snd_cwnd: word(80),
        total_retrans: word(100),
        notsent: word(144),
        min_rtt: micros(148),
        delivery_rate: long(160),
        busy: Duration::from_micros(long(168)),
        rwnd_limited: Duration::from_micros(long(176)),
        sndbuf_limited: Duration::from_micros(long(184)),
        snd_wnd: word(228),
        rcv_wnd: word(232),
    }
}

fn half(byte: u8, low: bool) -> u8 {
    if low { byte & 0x0f } else { byte >> 4 }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn an_old_kernels_shorter_answer_leaves_the_rest_zero() {
        let mut bytes = vec![0; 104];
        bytes[24..28].copy_from_slice(&7u32.to_ne_bytes());
        let info = read_tcp_info(&bytes);
        assert_eq!((info.len, info.unacked, info.snd_wnd), (104, 7, 0));
    }

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "the kernel is asked about real sockets"
    )]
    fn the_kernel_tells_of_our_listener_and_of_both_ends() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let client = TcpStream::connect(addr).unwrap();
        let (_server, _) = listener.accept().unwrap();
        let which = Which {
            local_port: addr.port(),
            ..Which::default()
        };
        let found = sockets(which).unwrap();
        let states: Vec<State> = found.iter().map(|entry| entry.state).collect();
        assert!(states.contains(&State::Listen) && states.contains(&State::Established));
        assert!(found.iter().any(|entry| entry.listens_for(addr)));
        let own = client.local_addr().unwrap();
        let flows = own_flows();
        let flow = flows.iter().find(|flow| flow.local == own).unwrap();
        assert_eq!((flow.remote, flow.unsent, flow.unread), (addr, 0, 0));
        assert!(flow.window.is_some_and(|window| window > 0), "{flow}");
        let other = flow.other.unwrap();
        assert_eq!((other.unread, other.unsent), (0, 0));
        assert_ne!(other.inode, 0);
        let info = tcp_info(client.local_addr().unwrap(), addr).unwrap();
        assert!(info.len >= 104 && info.snd_cwnd > 0, "{info:?}");
        let read = |name: &str| std::fs::read_to_string(format!("/proc/sys/net/ipv4/{name}"));
        if let Ok(name) = read("tcp_congestion_control") {
            assert_eq!(info.congestion.name(), name.trim());
        }
        for (name, agreed) in [
            ("tcp_timestamps", info.options.timestamps()),
            ("tcp_sack", info.options.sack()),
            ("tcp_window_scaling", info.options.window_scale()),
        ] {
            if let Ok(set) = read(name) {
                assert_eq!(agreed, set.trim() != "0", "{name}");
            }
        }
        assert!(info.snd_mss >= 536 && info.advmss >= 536, "{info:?}");
        assert!(
            info.snd_wscale <= 14 && info.pmtu > info.snd_mss,
            "{info:?}"
        );
    }
}
