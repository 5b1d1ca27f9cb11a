//! What the kernel answers (errno(3)), those numbers that sockets give.

use netloom_base::Stage::{Accept, Bind, Close, Connect, Create, Join, Listen, Recv, Send};
use netloom_base::failure::Errno;

use super::{Meaning, Row, after};

pub(super) fn find(text: &str) -> Option<Meaning> {
    let number = after(text, &["errno"]).unwrap_or(text);
    let by_number = || {
        let number: i32 = after(text, &["errno"])?.parse().ok()?;
        Errno(number).name()
    };
    // The same number under another name.
    let number = match number.to_ascii_uppercase().as_str() {
        "EWOULDBLOCK" => "EAGAIN",
        "ENOTSUP" => "EOPNOTSUPP",
        _ => by_number().unwrap_or(number),
    };
    let row = ROWS
        .iter()
        .find(|row| row.name.eq_ignore_ascii_case(number))?;
    let also =
        Errno::named(row.name).map_or_else(String::new, |errno| format!("errno {}", errno.0));
    Some(row.meaning(
        "errno",
        row.name.to_owned(),
        also,
        "errno(3), socket(7), tcp(7), ip(7)",
    ))
}

macro_rules! rows {
    ($( $name:literal, $says:literal, [$($stage:ident)+], [$($code:literal)*], [$($next:literal),+]; )*) => {
        pub(super) const ROWS: &[Row] = &[
            $( Row { name: $name, says: $says, stages: &[$($stage),+], codes: &[$($code),*], next: &[$($next),+] } ),*
        ];
    };
}

rows! {
    "EACCES", "permission was denied: a low port without a capability, a socket file without write permission, a broadcast without SO_BROADCAST, or a rule of this host", [Bind Connect Send],
        ["bind.denied.privileged-port" "bind.denied.path" "connect.denied.path" "connect.denied.local-firewall" "send.denied.broadcast"],
        ["cat /proc/sys/net/ipv4/ip_unprivileged_port_start", "ls -l SOCKET-FILE"];
    "EADDRINUSE", "the address is taken: by a listener, an open connection, one in TIME_WAIT, or an overlapping wildcard", [Bind Listen],
        ["bind.in-use.listener" "bind.in-use.time-wait" "bind.in-use.connection" "bind.in-use.overlap" "bind.in-use.bound" "bind.in-use.socket-file"],
        ["ss -tanp 'sport = :PORT'", "netloom listen tcp://:PORT, which names who holds it"];
    "EADDRNOTAVAIL", "the address is not this host's, or no local port is left for this destination", [Bind Connect],
        ["bind.not-local" "connect.no-local-port"],
        ["ip -brief address", "ss -tan state time-wait | wc -l"];
    "EAFNOSUPPORT", "this host has no such address family, or the address is not of the socket's family", [Create Connect],
        ["create.family-unsupported" "connect.other"],
        ["sysctl net.ipv6.conf.all.disable_ipv6"];
    "EAGAIN", "nothing can be done now without waiting; on connect of a unix socket the server's queue is full, on a socket with a timeout it has passed", [Recv Send Connect],
        ["connect.other" "recv.other" "send.other"],
        ["wait until the socket is ready (poll(2)), then try again"];
    "EALREADY", "a connect is under way on this socket already", [Connect],
        ["connect.other"],
        ["wait until the socket is writable, then read SO_ERROR"];
    "EBADF", "the number is no open descriptor of this process: closed already, or never opened", [Send Recv Close],
        ["fd.not-usable" "close.other"],
        ["ls -l /proc/PID/fd", "strace -e trace=close,socket,accept4 COMMAND"];
    "ECONNABORTED", "the connection was given up before it could be accepted, or by this host's own software", [Accept],
        ["accept.other"],
        ["accept the next one: this is no failure of the listener"];
    "ECONNREFUSED", "the host answered that nobody takes connections there: no program listens, or a firewall says so in its name; of a datagram socket, that an earlier datagram met a closed port", [Connect Send Recv],
        ["connect.refused.no-listener" "connect.refused.other-family" "connect.refused.loopback-only" "connect.rejected.firewall" "connect.stale-socket" "send.refused.no-listener"],
        ["netloom explain HOST:PORT", "ss -ltn, on the server"];
    "ECONNRESET", "the peer, or somebody in its name, ended the connection at once: it closed with unread data, crashed, set linger 0, or no longer knew the connection", [Recv Send],
        ["recv.reset" "recv.reset.keep-alive-race"],
        ["netloom explain HOST:PORT", "look at the server's log at that second"];
    "EDESTADDRREQ", "the socket has no destination, and none was given", [Send],
        ["send.other"],
        ["connect the socket first, or use sendto(2)"];
    "EFAULT", "an address of memory that was handed to the kernel is not this process's", [Send Recv],
        ["send.other" "recv.other"],
        ["this is a mistake of the program: run it under valgrind or a sanitizer"];
    "EHOSTDOWN", "the kernel knows that the host is down", [Connect Send],
        ["connect.other" "send.other"],
        ["ip neighbour"];
    "EHOSTUNREACH", "the last hop cannot find the host, or a router or firewall said that it may not be reached", [Connect Send],
        ["connect.unreachable.neighbour" "connect.rejected.firewall" "send.rejected.firewall"],
        ["netloom explain HOST:PORT, which names who said it", "ip neighbour"];
    "EINPROGRESS", "the connect goes on in the background: of a non-blocking socket, no failure", [Connect],
        ["connect.other"],
        ["wait until the socket is writable, then read SO_ERROR"];
    "EINTR", "a signal came before anything was done", [Accept Recv Send],
        ["accept.other" "recv.other" "send.other"],
        ["call again: nothing was lost"];
    "EINVAL", "an argument is wrong: a link-local address without its interface, a socket that does not listen, an unknown option", [Bind Connect Accept],
        ["bind.no-scope" "accept.other"],
        ["write fe80::1%eth0, with the interface", "strace -f -e trace=network COMMAND"];
    "EIO", "reading or writing failed below the kernel's own code", [Recv Send],
        ["recv.other" "send.other"],
        ["dmesg | tail"];
    "EISCONN", "the socket is connected already", [Connect Send],
        ["connect.other" "send.other"],
        ["make a new socket for a new connection"];
    "ELOOP", "the path of the socket file leads through too many symbolic links", [Connect Bind],
        ["connect.other" "bind.other"],
        ["namei -l PATH"];
    "EMFILE", "this process may open no more descriptors", [Accept Create],
        ["accept.no-descriptors" "create.no-descriptors"],
        ["ls /proc/PID/fd | wc -l", "grep 'open files' /proc/PID/limits", "netloom explain create.no-descriptors"];
    "EMSGSIZE", "the datagram is larger than the socket or the path takes", [Send],
        ["send.too-large"],
        ["stay at 1,200 bytes for a datagram", "tracepath HOST"];
    "ENAMETOOLONG", "the path is too long: a socket file's has at most 107 bytes", [Bind Connect],
        ["bind.other" "connect.other"],
        ["use a shorter path, or one that begins with @ (abstract)"];
    "ENETDOWN", "the interface is switched off", [Connect Send],
        ["connect.other" "send.other"],
        ["ip link"];
    "ENETRESET", "the connection was dropped because keep-alive got no answer", [Recv Send],
        ["recv.other" "send.other"],
        ["netloom explain HOST:PORT"];
    "ENETUNREACH", "this host has no route to that network, often none of IPv6 at all", [Connect Send],
        ["connect.unreachable.no-route"],
        ["ip route get ADDRESS", "netloom explain HOST:PORT"];
    "ENFILE", "the whole host has run out of open files", [Accept Create],
        ["accept.no-descriptors" "create.no-descriptors"],
        ["cat /proc/sys/fs/file-nr"];
    "ENOBUFS", "the kernel has no memory left for this socket or queue", [Send Accept],
        ["accept.no-descriptors" "send.other"],
        ["cat /proc/net/sockstat", "sysctl net.ipv4.tcp_mem"];
    "ENODEV", "there is no such interface", [Bind Join],
        ["bind.no-device" "join.no-interface"],
        ["ip -brief link"];
    "ENOENT", "there is no such file: the socket file or its folder does not exist", [Connect Bind],
        ["connect.no-such-path" "bind.no-such-path" "exec.not-found"],
        ["ls -ld FOLDER", "ss -xl"];
    "ENOMEM", "the kernel has no memory left", [Create Accept],
        ["accept.no-descriptors" "create.other"],
        ["free -m", "dmesg | grep -i 'out of memory'"];
    "ENOPROTOOPT", "the socket does not know this option", [Create],
        ["create.other"],
        ["strace -e trace=setsockopt COMMAND"];
    "ENOTCONN", "the socket is not connected, or not any more", [Recv Send Close],
        ["recv.other" "send.other" "close.other"],
        ["connect first; after a reset make a new socket"];
    "ENOTDIR", "a part of the path is no folder", [Bind Connect],
        ["bind.other" "connect.other"],
        ["namei -l PATH"];
    "ENOTSOCK", "the descriptor is no socket, or what stands at the path is none", [Connect Accept],
        ["connect.not-a-socket" "fd.not-usable"],
        ["ls -l /proc/PID/fd/N", "stat PATH"];
    "EOPNOTSUPP", "this kind of socket cannot do that", [Accept Listen Send],
        ["accept.other" "listen.other" "send.other"],
        ["look whether a datagram socket is used as a stream"];
    "EPERM", "a rule of this host forbids it: its firewall, a security module, a container's policy", [Connect Send Bind],
        ["connect.denied.local-firewall" "send.denied.local-firewall" "bind.denied.privileged-port"],
        ["nft list ruleset, as root", "ausearch -m avc -ts recent, as root"];
    "EPFNOSUPPORT", "this host has no such protocol family", [Create],
        ["create.other"],
        ["lsmod", "zgrep CONFIG_IPV6 /proc/config.gz"];
    "EPIPE", "the peer had already closed: what is written now is read by nobody", [Send],
        ["send.peer-closed"],
        ["read before you write: the peer may have said why", "netloom explain HOST:PORT"];
    "EPROTO", "the two ends of a protocol in the kernel did not understand each other", [Accept Connect],
        ["accept.other" "connect.other"],
        ["accept the next one"];
    "EPROTONOSUPPORT", "this family has no such protocol here", [Create],
        ["create.family-unsupported"],
        ["cat /proc/net/protocols"];
    "EPROTOTYPE", "the socket at that path is of another type: stream, datagram or seqpacket", [Connect],
        ["connect.other"],
        ["ss -xl, which tells u_str, u_dgr and u_seq apart"];
    "EROFS", "the file system of the socket file is read-only", [Bind],
        ["bind.other"],
        ["findmnt -T PATH"];
    "ESHUTDOWN", "this end was shut: nothing more can be sent", [Send],
        ["send.other"],
        ["send before shutdown(2)"];
    "ESOCKTNOSUPPORT", "this family has no sockets of that type", [Create],
        ["create.other"],
        ["man 2 socket"];
    "ESTALE", "the file system of the socket file is not there any more", [Connect],
        ["connect.other"],
        ["findmnt -T PATH"];
    "ETIMEDOUT", "no answer came in time: of connect, to not one SYN; of an open connection, to what was sent or to keep-alive", [Connect Recv Send],
        ["connect.timeout.dropped" "connect.timeout.queue-full" "recv.other"],
        ["netloom explain HOST:PORT, which names the last hop that answered", "ss -tno state syn-sent"];
    "ETOOMANYREFS", "too many descriptors are on their way through unix sockets", [Send],
        ["send.other"],
        ["ulimit -n"];
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_number_on_this_system() {
        assert!(ROWS.len() >= 45, "{}", ROWS.len());
        for row in ROWS {
            assert!(Errno::named(row.name).is_some(), "{}", row.name);
        }
        assert_eq!(
            find("EWOULDBLOCK").map(|found| found.name).as_deref(),
            Some("EAGAIN")
        );
    }
}
