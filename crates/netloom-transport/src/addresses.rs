//! Addresses as people write them: with an interface, with a port or without.

use std::net::{IpAddr, SocketAddr};

use netloom_base::endpoint::Host;
use netloom_base::settings::FromValue;
use netloom_base::{Code, Failure, Side, Stage, Value};

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
