//! The options of a UDP socket, and how they are set.

use std::io;
use std::net::{IpAddr, SocketAddr};

use netloom_base::failure::Fact;
use netloom_base::settings::{ByteSize, FromValue};
use netloom_base::{Failure, Stage, Value, settings};
use socket2::{Domain, Protocol, Socket, Type};

use crate::addresses::LocalAddress;

settings! {
    /// Options of a dialled UDP endpoint.
    pub struct DialOptions {
        /// the local address to send from, ADDRESS or ADDRESS:PORT
        source: Option<LocalAddress>,
        /// room for one datagram that comes, in bytes; what is longer is cut and told
        buffer: usize = 65_535,
        /// how many bytes the kernel keeps for a slow reader (SO_RCVBUF)
        rcvbuf: Option<ByteSize>,
        /// how many bytes the kernel keeps until they are sent (SO_SNDBUF)
        sndbuf: Option<ByteSize>,
        /// never split a datagram into fragments (IP_MTU_DISCOVER)
        df: bool,
        /// how many routers it may pass (IP_TTL); for a group 1 unless said
        ttl: Option<u8>,
        /// the type of service or traffic class, 0 to 255 (IP_TOS)
        tos: Option<u8>,
        /// the same as a code point, 0 to 63 (RFC 2474)
        dscp: Option<u8>,
        /// use this interface only (SO_BINDTODEVICE)
        device: Option<String>,
        /// allow broadcast (SO_BROADCAST)
        broadcast: bool,
        /// the interface a group or broadcast is sent through; without it, all that can
        interface: Option<String>,
        /// whether this host hears what it sends to a group (IP_MULTICAST_LOOP)
        loopback: bool = true,
    }
}

settings! {
    /// Options of a bound UDP endpoint.
    pub struct BindOptions {
        /// room for one datagram that comes, in bytes; what is longer is cut and told
        buffer: usize = 65_535,
        /// how many bytes the kernel keeps for a slow reader (SO_RCVBUF)
        rcvbuf: Option<ByteSize>,
        /// how many bytes the kernel keeps until they are sent (SO_SNDBUF)
        sndbuf: Option<ByteSize>,
        /// never split a datagram into fragments (IP_MTU_DISCOVER)
        df: bool,
        /// how many routers an answer may pass (IP_TTL); to a group 1 unless said
        ttl: Option<u8>,
        /// the type of service or traffic class, 0 to 255 (IP_TOS)
        tos: Option<u8>,
        /// the same as a code point, 0 to 63 (RFC 2474)
        dscp: Option<u8>,
        /// use this interface only (SO_BINDTODEVICE)
        device: Option<String>,
        /// allow broadcast (SO_BROADCAST)
        broadcast: bool,
        /// share the port with other programs that say so too (SO_REUSEPORT)
        reuse: bool,
        /// count what the kernel drops because nobody reads it in time (SO_RXQ_OVFL)
        drops: bool = true,
        /// the interface a group is joined on; without it, all that can
        interface: Option<String>,
        /// hear only this sender to the group (RFC 4607)
        from: Option<Sender>,
    }
}

/// The one sender to a group that is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sender(pub IpAddr);

impl FromValue for Sender {
    const HINT: &'static str = "ADDRESS";

    fn from_value(value: &Value) -> Result<Self, String> {
        let text = value.to_string();
        let address = text.trim_matches(['[', ']']).parse().map(Sender);
        address.map_err(|_| format!("the ADDRESS of a sender is expected, not `{text}`"))
    }

    fn to_value(&self) -> Option<Value> {
        Some(Value::Text(self.0.to_string()))
    }
}

/// The options a socket has, whichever side it is on.
pub(super) struct Common<'a> {
    pub(super) rcvbuf: Option<ByteSize>,
    pub(super) sndbuf: Option<ByteSize>,
    pub(super) df: bool,
    pub(super) ttl: Option<u8>,
    pub(super) tos: Option<u8>,
    pub(super) dscp: Option<u8>,
    pub(super) device: Option<&'a str>,
    pub(super) broadcast: bool,
}

macro_rules! common {
    ($options:ident) => {
        impl $options {
            pub(super) fn common(&self) -> Common<'_> {
                Common {
                    rcvbuf: self.rcvbuf,
                    sndbuf: self.sndbuf,
                    df: self.df,
                    ttl: self.ttl,
                    tos: self.tos,
                    dscp: self.dscp,
                    device: self.device.as_deref(),
                    broadcast: self.broadcast,
                }
            }
        }
    };
}

common!(DialOptions);
common!(BindOptions);

impl Common<'_> {
    /// Sets them on a socket that has no address yet.
    pub(super) fn set(&self, socket: &Socket, v6: bool) -> Result<(), Failure> {
        if let Some(size) = self.rcvbuf {
            option("rcvbuf", socket.set_recv_buffer_size(size.0 as usize))?;
        }
        if let Some(size) = self.sndbuf {
            option("sndbuf", socket.set_send_buffer_size(size.0 as usize))?;
        }
        if self.broadcast {
            option("broadcast", socket.set_broadcast(true))?;
        }
        if let Some(ttl) = self.ttl {
            option("ttl", hops(socket, v6, ttl))?;
        }
        if let Some(tos) = self.dscp.map(|dscp| dscp << 2).or(self.tos) {
            option("tos", class(socket, v6, tos))?;
        }
        if self.df {
            option("df", unfragmented(socket, v6))?;
        }
        if let Some(device) = self.device {
            bind_device(socket, device).map_err(|error| {
                Failure::from_io(Stage::Bind, error)
                    .message(format!("the interface `{device}` cannot be used"))
            })?;
        }
        Ok(())
    }
}

fn hops(socket: &Socket, v6: bool, ttl: u8) -> io::Result<()> {
    if v6 {
        socket.set_unicast_hops_v6(ttl.into())
    } else {
        socket.set_ttl_v4(ttl.into())
    }
}

#[cfg(target_os = "linux")]
fn class(socket: &Socket, v6: bool, class: u8) -> io::Result<()> {
    use std::os::fd::AsFd;

    if v6 {
        let class = i32::from(class);
        super::sys::set(socket.as_fd(), libc::IPPROTO_IPV6, libc::IPV6_TCLASS, class)
    } else {
        socket.set_tos_v4(class.into())
    }
}

#[cfg(not(target_os = "linux"))]
fn class(socket: &Socket, v6: bool, class: u8) -> io::Result<()> {
    if v6 {
        return Err(io::ErrorKind::Unsupported.into());
    }
    socket.set_tos_v4(class.into())
}

#[cfg(target_os = "linux")]
fn unfragmented(socket: &Socket, v6: bool) -> io::Result<()> {
    use std::os::fd::AsFd;

    use super::sys::set;

    let fd = socket.as_fd();
    if v6 {
        let (level, name) = (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER);
        set(fd, level, name, libc::IPV6_PMTUDISC_DO)
    } else {
        let (level, name) = (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER);
        set(fd, level, name, libc::IP_PMTUDISC_DO)
    }
}

#[cfg(not(target_os = "linux"))]
fn unfragmented(_: &Socket, _: bool) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(target_os = "linux")]
fn bind_device(socket: &Socket, device: &str) -> io::Result<()> {
    socket.bind_device(Some(device.as_bytes()))
}

#[cfg(not(target_os = "linux"))]
fn bind_device(_: &Socket, _: &str) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) fn option(name: &'static str, result: io::Result<()>) -> Result<(), Failure> {
    result.map_err(|error| {
        Failure::from_io(Stage::Create, error).message(format!("the option `{name}` cannot be set"))
    })
}

/// A socket of the address's family that does not block.
pub(super) fn make(addr: SocketAddr) -> Result<Socket, Failure> {
    let made = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP));
    let socket =
        made.map_err(|error| Failure::from_io(Stage::Create, error).fact(Fact::Tried(addr)))?;
    socket
        .set_nonblocking(true)
        .map_err(|error| Failure::from_io(Stage::Create, error))?;
    Ok(socket)
}
