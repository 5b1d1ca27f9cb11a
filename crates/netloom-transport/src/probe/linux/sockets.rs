//! The kernel's table of TCP sockets (sock_diag(7)): everybody's, without root.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use super::netlink::{DUMP, ask, attributes, u32_at, u64_at};
use crate::probe::data::{Entry, State, TcpInfo};

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const INFO: u16 = 2;
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
        answered |= dump(family, which, false, |entry, _| {
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
    let same = |a: SocketAddr, b: SocketAddr| {
        a.port() == b.port() && a.ip().to_canonical() == b.ip().to_canonical()
    };
    let mut found = None;
    for family in [libc::AF_INET, libc::AF_INET6] {
        dump(family, which, true, |entry, info| {
            if same(entry.local, local) && same(entry.remote, remote) && !info.is_empty() {
                found = Some(read_tcp_info(info));
            }
        });
    }
    found
}

/// Gives every socket to `each`, with its `tcp_info` when that was asked for.
fn dump(family: i32, which: Which, with_info: bool, mut each: impl FnMut(Entry, &[u8])) -> bool {
    let states: u32 = if which.only_listening {
        1 << 10
    } else {
        u32::MAX
    };
    let ext = if with_info { 1 << (INFO - 1) } else { 0 };
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
            if let Some((entry, info)) = read(body) {
                each(entry, info);
            }
        },
    );
    asked.is_ok()
}

fn read(body: &[u8]) -> Option<(Entry, &[u8])> {
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
    let mut info: &[u8] = &[];
    for (kind, value) in attributes(&body[FIXED..]) {
        match kind {
            INFO => info = value,
            ONLY_V6 => entry.only_v6 = value.first().map(|set| *set != 0),
            CGROUP => entry.cgroup = u64_at(value, 0),
            _ => {}
        }
    }
    Some((entry, info))
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
        let info = tcp_info(client.local_addr().unwrap(), addr).unwrap();
        assert!(info.len >= 104 && info.snd_cwnd > 0, "{info:?}");
    }
}
