//! Interfaces, addresses, routes and neighbours (rtnetlink(7)).

use std::net::IpAddr;

use super::netlink::{DUMP, ask, attributes, put, u16_at, u32_at};
use crate::probe::data::{Address, Interface, Neighbour, Route};

const GET_LINK: u16 = 18;
const GET_ADDR: u16 = 22;
const GET_ROUTE: u16 = 26;
const GET_NEIGHBOUR: u16 = 30;

/// The most entries that are kept of one answer.
const MOST: usize = 10_000;

pub(in crate::probe) fn interfaces() -> Option<Vec<Interface>> {
    let mut found = Vec::new();
    ask(libc::NETLINK_ROUTE, GET_LINK, DUMP, &[0; 16], |_, body| {
        let name = attributes(body.get(16..).unwrap_or_default()).find(|(kind, _)| *kind == 3);
        if let (Some(index), Some(flags), Some((_, name))) =
            (u32_at(body, 4), u32_at(body, 8), name)
            && found.len() < MOST
        {
            found.push(Interface {
                index,
                name: String::from_utf8_lossy(name.strip_suffix(b"\0").unwrap_or(name)).into(),
                up: flags & libc::IFF_UP as u32 != 0,
                running: flags & libc::IFF_RUNNING as u32 != 0,
                loopback: flags & libc::IFF_LOOPBACK as u32 != 0,
                multicast: flags & libc::IFF_MULTICAST as u32 != 0,
            });
        }
    })
    .ok()?;
    Some(found)
}

pub(in crate::probe) fn addresses() -> Option<Vec<Address>> {
    /// IFA_F_DADFAILED and IFA_F_TENTATIVE.
    const NOT_YET: u8 = 0x08 | 0x40;
    let mut found = Vec::new();
    ask(libc::NETLINK_ROUTE, GET_ADDR, DUMP, &[0; 8], |_, body| {
        let (mut address, mut local) = (None, None);
        for (kind, value) in attributes(body.get(8..).unwrap_or_default()) {
            match kind {
                1 => address = ip(value),
                2 => local = ip(value),
                _ => {}
            }
        }
        // On a point-to-point interface the address is the other end's.
        if let (Some(ip), Some(interface)) = (local.or(address), u32_at(body, 4))
            && found.len() < MOST
        {
            found.push(Address {
                ip,
                prefix: body[1],
                interface,
                tentative: body[2] & NOT_YET != 0,
            });
        }
    })
    .ok()?;
    Some(found)
}

pub(in crate::probe) fn route(to: IpAddr, scope: u32) -> Option<Route> {
    const LOCAL: u8 = 2;
    let mut question = vec![family(to), if to.is_ipv4() { 32 } else { 128 }];
    question.resize(12, 0);
    put(&mut question, 1, &octets(to));
    if scope != 0 {
        put(&mut question, 4, &scope.to_ne_bytes());
    }
    let mut found = None;
    let asked = ask(libc::NETLINK_ROUTE, GET_ROUTE, 0, &question, |_, body| {
        let (mut interface, mut via, mut from) = (0, None, None);
        for (kind, value) in attributes(body.get(12..).unwrap_or_default()) {
            match kind {
                4 => interface = u32_at(value, 0).unwrap_or(0),
                5 => via = ip(value),
                7 => from = ip(value),
                18 => via = value.get(2..).and_then(ip), // of the other family (RFC 5549)
                _ => {}
            }
        }
        let kind = body.get(7).copied().unwrap_or(0);
        found = Some(match kind {
            6 => Route::Refused(libc::EINVAL), // a black hole
            7 => Route::Refused(libc::EHOSTUNREACH),
            8 => Route::Refused(libc::EACCES),
            _ => Route::Way {
                local: kind == LOCAL,
                interface,
                via,
                from,
            },
        });
    });
    match asked {
        Ok(()) => found,
        Err(error) => match error.raw_os_error() {
            Some(
                errno @ (libc::ENETUNREACH | libc::EHOSTUNREACH | libc::EACCES | libc::EINVAL),
            ) => Some(Route::Refused(errno)),
            _ => None,
        },
    }
}

pub(in crate::probe) fn neighbour(of: IpAddr, interface: u32) -> Option<Neighbour> {
    let mut question = vec![family(of)];
    question.resize(12, 0);
    let mut found = None;
    ask(
        libc::NETLINK_ROUTE,
        GET_NEIGHBOUR,
        DUMP,
        &question,
        |_, body| {
            let same = attributes(body.get(12..).unwrap_or_default())
                .any(|(kind, value)| kind == 1 && ip(value) == Some(of));
            if same && u32_at(body, 4) == Some(interface) {
                found = match u16_at(body, 8).unwrap_or(0) {
                    0x01 => Some(Neighbour::Incomplete),
                    0x02 | 0x40 | 0x80 => Some(Neighbour::Reachable),
                    0x04 | 0x08 | 0x10 => Some(Neighbour::Stale),
                    0x20 => Some(Neighbour::Failed),
                    _ => None,
                };
            }
        },
    )
    .ok()?;
    found
}

fn family(ip: IpAddr) -> u8 {
    if ip.is_ipv4() {
        libc::AF_INET as u8
    } else {
        libc::AF_INET6 as u8
    }
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_found_and_leads_to_itself() {
        let lo = interfaces()
            .unwrap()
            .into_iter()
            .find(|i| i.loopback)
            .unwrap();
        let own = addresses().unwrap();
        assert!(
            own.iter()
                .any(|a| a.ip.is_loopback() && a.interface == lo.index)
        );
        let way = route(IpAddr::from([127, 0, 0, 1]), 0).unwrap();
        assert!(matches!(way, Route::Way { local: true, .. }), "{way:?}");
    }
}
