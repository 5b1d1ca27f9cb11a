//! The options of a TCP socket, and how they are set.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::addresses::LocalAddress;
use crate::way::Through;
#[cfg(target_os = "linux")]
use netloom_base::failure::Errno;
use netloom_base::failure::Fact;
use netloom_base::{Failure, Side, Stage, settings};
use socket2::{SockRef, Socket, TcpKeepalive};

settings! {
    /// Options of a dialled TCP endpoint.
    pub struct DialOptions {
        /// send small writes at once instead of gathering them (TCP_NODELAY)
        nodelay: bool = true,
        /// probe a silent peer after so long, on loopback only when asked; 0s is never (SO_KEEPALIVE, TCP_KEEPIDLE)
        keepalive: Duration = Duration::from_mins(1),
        /// give up when sent data stays unacknowledged for so long (TCP_USER_TIMEOUT)
        user_timeout: Option<Duration>,
        /// use this interface only (SO_BINDTODEVICE)
        device: Option<String>,
        /// the congestion control algorithm (TCP_CONGESTION)
        congestion: Option<String>,
        /// the local address to dial from, ADDRESS or ADDRESS:PORT
        source: Option<LocalAddress>,
        /// dial through this proxy, or the one of this name in netloom.toml; direct is none
        via: Vec<Through>,
    }
}

settings! {
    /// Options of a bound TCP endpoint.
    pub struct ListenOptions {
        /// connections the kernel queues before they are accepted (listen(2))
        backlog: u32 = 4096,
        /// share the port with other programs that say so too (SO_REUSEPORT)
        reuse: bool,
        /// send small writes at once instead of gathering them (TCP_NODELAY)
        nodelay: bool = true,
        /// probe a silent peer after so long; 0s is never (SO_KEEPALIVE, TCP_KEEPIDLE)
        keepalive: Duration = Duration::from_mins(1),
        /// give up when sent data stays unacknowledged for so long (TCP_USER_TIMEOUT)
        user_timeout: Option<Duration>,
        /// use this interface only (SO_BINDTODEVICE)
        device: Option<String>,
        /// the congestion control algorithm (TCP_CONGESTION)
        congestion: Option<String>,
    }
}

/// The options a connection has, whichever side it is on. Linux hands a
/// listener's options down to what it accepts, so that a server sets them once.
pub(super) struct Common<'a> {
    pub(super) nodelay: bool,
    pub(super) keepalive: Duration,
    pub(super) user_timeout: Option<Duration>,
    pub(super) device: Option<&'a str>,
    pub(super) congestion: Option<&'a str>,
}

impl DialOptions {
    pub(super) fn common(&self) -> Common<'_> {
        Common {
            nodelay: false, // it is set later, by `Dialled`
            keepalive: self.keepalive,
            user_timeout: self.user_timeout,
            device: self.device.as_deref(),
            congestion: self.congestion.as_deref(),
        }
    }
}

impl ListenOptions {
    pub(super) fn common(&self) -> Common<'_> {
        Common {
            nodelay: self.nodelay,
            keepalive: self.keepalive,
            user_timeout: self.user_timeout,
            device: self.device.as_deref(),
            congestion: self.congestion.as_deref(),
        }
    }
}

impl Common<'_> {
    /// Sets them on a socket that is not yet connected or listening.
    pub(super) fn set(&self, socket: &Socket) -> Result<(), Failure> {
        let socket = SockRef::from(socket);
        if self.nodelay {
            option("nodelay", socket.set_tcp_nodelay(true))?;
        }
        if !self.keepalive.is_zero() {
            let probes = TcpKeepalive::new().with_time(self.keepalive.max(Duration::from_secs(1)));
            option("keepalive", socket.set_tcp_keepalive(&probes))?;
        }
        #[cfg(target_os = "linux")]
        {
            if let Some(timeout) = self.user_timeout {
                option("user-timeout", socket.set_tcp_user_timeout(Some(timeout)))?;
            }
            if let Some(device) = self.device {
                socket
                    .bind_device(Some(device.as_bytes()))
                    .map_err(|error| unusable(device, error))?;
            }
            if let Some(algorithm) = self.congestion {
                socket
                    .set_tcp_congestion(algorithm.as_bytes())
                    .map_err(|error| {
                        let said = std::fs::read_to_string(
                            "/proc/sys/net/ipv4/tcp_allowed_congestion_control",
                        );
                        let failure = Failure::from_io(Stage::Create, error).message(format!(
                            "the congestion control `{algorithm}` cannot be used"
                        ));
                        match said {
                            Ok(list) => failure.fact(Fact::said(
                                format!("this user may choose {}", list.trim()),
                                "/proc/sys/net/ipv4/tcp_allowed_congestion_control",
                            )),
                            Err(_) => failure,
                        }
                    })?;
            }
        }
        #[cfg(not(target_os = "linux"))]
        if self.user_timeout.is_some() || self.device.is_some() || self.congestion.is_some() {
            return Err(Failure::new(Stage::Create, Side::Os, Stage::Create.other())
                .message("user-timeout, device and congestion work on Linux only"));
        }
        Ok(())
    }
}

/// Why an interface cannot be used. Before Linux 5.7 naming one needs a right,
/// and it is not the port that is refused then.
#[cfg(target_os = "linux")]
fn unusable(device: &str, error: io::Error) -> Failure {
    let failure = match error.raw_os_error() {
        Some(errno @ (libc::EPERM | libc::EACCES)) => {
            Failure::new(Stage::Bind, Side::Us, Stage::Bind.other()).fact(Fact::Errno(Errno(errno)))
        }
        _ => Failure::from_io(Stage::Bind, error),
    };
    failure.message(format!("the interface `{device}` cannot be used"))
}

fn option(name: &'static str, result: io::Result<()>) -> Result<(), Failure> {
    result.map_err(|error| {
        Failure::from_io(Stage::Create, error).message(format!("the option `{name}` cannot be set"))
    })
}

/// An unconnected socket of the address's family, non-blocking.
pub(super) fn make(addr: SocketAddr) -> Result<Socket, Failure> {
    let domain = socket2::Domain::for_address(addr);
    // Linux makes it so in the one call.
    #[cfg(target_os = "linux")]
    let kind = socket2::Type::STREAM.nonblocking();
    #[cfg(not(target_os = "linux"))]
    let kind = socket2::Type::STREAM;
    let made = Socket::new(domain, kind, Some(socket2::Protocol::TCP));
    let socket =
        made.map_err(|error| Failure::from_io(Stage::Create, error).fact(Fact::Tried(addr)))?;
    #[cfg(not(target_os = "linux"))]
    socket
        .set_nonblocking(true)
        .map_err(|error| Failure::from_io(Stage::Create, error))?;
    Ok(socket)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use netloom_base::Code;

    use super::*;

    #[test]
    fn a_right_to_interfaces_is_not_a_right_to_ports() {
        let failed = |errno| unusable("eth7", io::Error::from_raw_os_error(errno)).code();
        assert_eq!(failed(libc::EPERM).name(), "bind.other");
        assert_eq!(failed(libc::ENODEV), Code::BIND_NO_DEVICE);
    }
}
