//! Addresses as people write them: with an interface, with a port or without.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use netloom_base::endpoint::Host;
use netloom_base::failure::Step;
use netloom_base::settings::FromValue;
use netloom_base::{Code, Endpoint, Failure, Side, Stage, Value};
use socket2::Socket;

use crate::cx::Cx;
use crate::net::Found;

/// How often a free port is looked for when both families must share it.
const TRIES: usize = 16;

/// `127.0.0.1` and `::1` on the same port, each held by `hold`. A host without
/// IPv6 (or without IPv4) has the other alone. `port` tells where a socket is,
/// and `taken` is the code for an address that somebody has.
pub(crate) fn both_loopbacks<T>(
    wanted: u16,
    taken: Code,
    hold: impl Fn(SocketAddr) -> Result<T, Failure>,
    port: impl Fn(&T) -> u16,
) -> Result<Vec<T>, Failure> {
    let v4 = |port| hold((Ipv4Addr::LOCALHOST, port).into());
    let v6 = |port| hold((Ipv6Addr::LOCALHOST, port).into());
    for _ in 0..TRIES {
        let first = match v4(wanted) {
            Err(failure) if absent(&failure) => return Ok(vec![v6(wanted)?]),
            other => other?,
        };
        match v6(port(&first)) {
            Ok(second) => return Ok(vec![first, second]),
            Err(failure) if absent(&failure) => return Ok(vec![first]),
            // The kernel chose a port that is taken in the other family: ask for another.
            Err(failure) if wanted == 0 && failure.code() == taken => {}
            Err(failure) => return Err(failure),
        }
    }
    v4(wanted).map(|held| vec![held])
}

/// All interfaces of both families in one socket, or of IPv4 where there is no
/// IPv6. `hold` is told whether the socket is for the address's family alone.
pub(crate) fn every_interface<T>(
    port: u16,
    hold: impl Fn(SocketAddr, bool) -> Result<T, Failure>,
) -> Result<T, Failure> {
    match hold((Ipv6Addr::UNSPECIFIED, port).into(), false) {
        Err(failure) if absent(&failure) => hold((Ipv4Addr::UNSPECIFIED, port).into(), true),
        other => other,
    }
}

/// Lets further sockets of this program share a bound address (SO_REUSEPORT).
pub(crate) fn share(socket: &Socket) -> Result<(), Failure> {
    #[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos"))))]
    socket
        .set_reuse_port(true)
        .map_err(|error| Failure::from_io(Stage::Bind, error))?;
    #[cfg(not(unix))]
    let _ = socket;
    Ok(())
}

/// Where a socket was bound, with its real port.
pub(crate) fn local(socket: &Socket) -> Result<SocketAddr, Failure> {
    let addr = socket
        .local_addr()
        .map_err(|error| Failure::from_io(Stage::Bind, error))?;
    addr.as_socket()
        .ok_or_else(|| Failure::from_io(Stage::Bind, io::ErrorKind::InvalidData.into()))
}

/// The endpoint that was asked for as it is told of: without options, with the
/// real port, and with the address where what was written may be several.
pub(crate) fn held_at(asked: &Endpoint, addr: SocketAddr) -> Endpoint {
    let host = match asked.host() {
        Host::Loopback | Host::Name(_) => Host::from(addr),
        written => written.clone(),
    };
    let held = asked.clone().with_host(host).with_port(addr.port());
    held.without_options()
}

/// The address by which a tool of this host reaches a bound one.
pub(crate) fn near(addr: SocketAddr) -> String {
    if addr.ip().is_unspecified() {
        "localhost".to_owned()
    } else {
        addr.ip().to_string()
    }
}

/// Whether this host has no such family.
fn absent(failure: &Failure) -> bool {
    matches!(
        failure.code(),
        Code::CREATE_FAMILY_UNSUPPORTED | Code::BIND_NOT_LOCAL
    )
}

/// Finds the addresses of a host that is dialled. Where it has a name, the step
/// of finding them stands before those of whoever was asked, or in the trail of
/// the failure.
pub(crate) async fn found(host: &Host, cx: &Cx) -> Result<Found, Failure> {
    let began = cx.now();
    let found = cx.net().resolve(host, cx).await;
    let step = match host {
        Host::Name(name) => Some(Step {
            stage: Stage::Resolve,
            to: name.clone(),
            failed: found.as_ref().err().map(Failure::code),
            took: cx.now() - began,
        }),
        _ => None,
    };
    match found {
        Ok(mut found) => {
            found.steps.splice(0..0, step);
            Ok(found)
        }
        Err(failure) => Err(failure.after(step)),
    }
}

/// The address with its interface, when the host names one.
pub(crate) fn scoped(ip: IpAddr, port: u16, host: &Host) -> Result<SocketAddr, Failure> {
    let mut addr = SocketAddr::new(ip, port);
    if let (
        SocketAddr::V6(v6),
        Host::V6 {
            zone: Some(zone), ..
        },
    ) = (&mut addr, host)
    {
        let index = interface_index(zone).ok_or_else(|| {
            Failure::new(Stage::Bind, Side::Us, Code::BIND_NO_DEVICE)
                .message(format!("there is no interface `{zone}`"))
        })?;
        v6.set_scope_id(index);
    }
    Ok(addr)
}

/// An interface's number, from its name or its number.
pub(crate) fn interface_index(zone: &str) -> Option<u32> {
    match zone.parse() {
        Ok(index) => Some(index),
        Err(_) => crate::sys::interface_index(zone),
    }
}

/// An address of this host to dial from, written `ADDRESS` or `ADDRESS:PORT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalAddress(pub SocketAddr);

impl FromValue for LocalAddress {
    const HINT: &'static str = "ADDRESS";

    fn from_value(value: &Value) -> Result<Self, String> {
        let text = value.to_string();
        let with_port = text.parse::<SocketAddr>();
        let alone = || {
            text.trim_matches(['[', ']'])
                .parse::<IpAddr>()
                .map(|ip| SocketAddr::new(ip, 0))
        };
        with_port
            .or_else(|_| alone())
            .map(LocalAddress)
            .map_err(|_| format!("ADDRESS or ADDRESS:PORT of this host is expected, not `{text}`"))
    }

    fn to_value(&self) -> Option<Value> {
        Some(Value::Text(self.0.to_string()))
    }
}
