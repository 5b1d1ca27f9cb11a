//! What of this machine will get in a conversation's way, before one begins.
//!
//! [`examine`] asks the local kernel and the configured name servers; what is
//! made of the answers is in [`judge`], which asks nobody.

mod check;
mod judge;
#[cfg(test)]
mod tests;

use netloom_transport::Cx;
use netloom_transport::net::NameServer;
use netloom_transport::probe::{
    Address, Descriptors, Health, Interface, PortSettings, Probe, Route,
};

pub use check::{Check, Standing};
pub use judge::judge;

/// Everything that is asked, as it was answered. `None` was not answered.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    /// The user this program acts as.
    pub user: Option<u32>,
    /// Rights, settings and clock.
    pub health: Option<Health>,
    /// The descriptors of a process like this one.
    pub descriptors: Option<Descriptors>,
    /// How ports are given out.
    pub ports: Option<PortSettings>,
    /// The interfaces.
    pub interfaces: Option<Vec<Interface>>,
    /// Their addresses.
    pub addresses: Option<Vec<Address>>,
    /// The way to an IPv4 address elsewhere.
    pub way_out: Option<Route>,
    /// The way to an IPv6 address elsewhere.
    pub way_out_v6: Option<Route>,
    /// The name servers, or why there are none.
    pub name_servers: Option<Result<Vec<NameServer>, String>>,
    /// What `localhost` means here.
    pub localhost: Option<Result<Vec<std::net::IpAddr>, String>>,
    /// The environment's proxies: the variable, and its value without a password.
    pub proxies: Vec<(String, String)>,
    /// The calendar clock's year.
    pub year: i64,
}

/// Addresses that no network has (RFC 5737, RFC 3849): only the way to them is
/// looked up, nothing is sent.
const ELSEWHERE: ([u8; 4], [u16; 8]) = ([192, 0, 2, 1], [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]);

/// Asks the local kernel, and every configured name server one question.
/// `proxies` are the environment's.
pub async fn examine(probe: &Probe, proxies: Vec<(String, String)>, cx: &Cx) -> Machine {
    let localhost = netloom_base::endpoint::Host::Name("localhost".to_owned());
    Machine {
        user: probe.user(),
        health: probe.health(cx).await,
        descriptors: probe.descriptors(),
        ports: probe.port_settings(cx).await,
        interfaces: probe.interfaces(cx).await,
        addresses: probe.addresses(cx).await,
        way_out: probe.route(cx, (ELSEWHERE.0, 0).into()).await,
        way_out_v6: probe.route(cx, (ELSEWHERE.1, 0).into()).await,
        name_servers: Some(cx.net().name_servers(cx).await),
        localhost: Some(match cx.net().resolve(&localhost, cx).await {
            Ok(found) => Ok(found.addresses),
            Err(failure) => Err(failure.summary()),
        }),
        proxies,
        year: cx.wall().date().0,
    }
}
