//! Version 2: binary.

use std::net::{IpAddr, SocketAddr};

use super::v1::SHORTEST_LINE;
use super::{Carrier, Command, Ends, Header, MOST, Pair, Read, Version, Wrong, tlv};

/// What every header begins with: no line that a server of HTTP, SMTP or the
/// like would take for one of its own.
pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Signature, version and command, family and carrier, length.
const FIRST: usize = 16;

/// The bytes of a unix socket's name.
const UNIX: usize = 108;

pub(super) fn read(bytes: &[u8]) -> Result<Read, Wrong> {
    if bytes.len() < SHORTEST_LINE {
        return Ok(Read::More(SHORTEST_LINE - bytes.len()));
    }
    let rest = &bytes[SIGNATURE.len()..];
    let (first, family) = (rest[0], rest[1]);
    if first >> 4 != 2 {
        return Err(Wrong::Version);
    }
    let command = match first & 15 {
        0 => Command::Local,
        1 => Command::Proxy,
        _ => return Err(Wrong::Command),
    };
    // Each has its values; a pair of which one is unspecified names nothing.
    let (family, carrier) = match (family >> 4, family & 15) {
        (family @ 1..=3, 1) => (family, Carrier::Stream),
        (family @ 1..=3, 2) => (family, Carrier::Datagram),
        (0..=3, 0) | (0, 1..=2) => (0, Carrier::Stream),
        _ => return Err(Wrong::Family),
    };
    let needs = match (command, family) {
        (Command::Proxy, 1) => 12,
        (Command::Proxy, 2) => 36,
        (Command::Proxy, 3) => 2 * UNIX,
        _ => 0,
    };
    let Some(&low) = rest.get(3) else {
        // The upper half of the length is known.
        let length = usize::from(rest[2]) << 8;
        if length > MOST {
            return Err(Wrong::Long(u16::from_be_bytes([rest[2], 0])));
        }
        return Ok(Read::More(1 + length.max(needs)));
    };
    let said = u16::from_be_bytes([rest[2], low]);
    let length = usize::from(said);
    if length > MOST {
        return Err(Wrong::Long(said));
    }
    if length < needs {
        return Err(Wrong::Short);
    }
    let total = FIRST + length;
    if bytes.len() < total {
        return Ok(Read::More(total - bytes.len()));
    }
    let whole = &bytes[..total];
    let (addresses, extras) = whole[FIRST..].split_at(needs);
    let ends = match (command, family) {
        (Command::Local, _) | (_, 0) => Ends::Unspecified,
        (_, 3) => {
            let (client, server) = addresses.split_at(UNIX);
            Ends::Unix {
                carrier,
                client: trimmed(client),
                server: trimmed(server),
            }
        }
        _ => ip_ends(carrier, addresses).ok_or(Wrong::Short)?,
    };
    // Where the addresses are not understood, what stands behind them cannot be found.
    let tlvs = if ends == Ends::Unspecified {
        Vec::new()
    } else {
        tlv::read(extras, whole)?
    };
    let header = Header {
        version: Version::V2,
        command,
        ends,
        tlvs,
    };
    Ok(Read::Whole(header, total))
}

/// Two addresses and two ports, of the family whose size they have.
fn ip_ends(carrier: Carrier, bytes: &[u8]) -> Option<Ends> {
    let (ips, ports) = bytes.split_at_checked(bytes.len().checked_sub(4)?)?;
    let (client, server) = ips.split_at(ips.len() / 2);
    let ip = |bytes: &[u8]| match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        _ => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
    };
    let port = |at: usize| u16::from_be_bytes([ports[at], ports[at + 1]]);
    Some(Ends::Ip {
        carrier,
        client: SocketAddr::new(ip(client)?, port(0)),
        server: SocketAddr::new(ip(server)?, port(2)),
    })
}

/// Without the zeros at its end; an abstract name begins with one.
fn trimmed(name: &[u8]) -> Vec<u8> {
    let end = name
        .iter()
        .rposition(|&byte| byte != 0)
        .map_or(0, |at| at + 1);
    name[..end].to_vec()
}

pub(super) fn bytes(header: &Header) -> Option<Vec<u8>> {
    let mut bytes = SIGNATURE.to_vec();
    bytes.push(match header.command {
        Command::Local => 0x20,
        Command::Proxy => 0x21,
    });
    let carried = |carrier: &Carrier| match carrier {
        Carrier::Stream => 1,
        Carrier::Datagram => 2,
    };
    let ends = match header.command {
        Command::Local => &Ends::Unspecified,
        Command::Proxy => &header.ends,
    };
    let mut addresses = Vec::new();
    bytes.push(match ends {
        Ends::Unspecified => 0,
        Ends::Ip {
            carrier,
            client,
            server,
        } => {
            let family = match Pair::of(*client, *server) {
                Pair::V4(client, server) => {
                    addresses.extend([client.ip().octets(), server.ip().octets()].concat());
                    0x10
                }
                Pair::V6(client, server) => {
                    addresses.extend([client.ip().octets(), server.ip().octets()].concat());
                    0x20
                }
            };
            addresses.extend(client.port().to_be_bytes());
            addresses.extend(server.port().to_be_bytes());
            family | carried(carrier)
        }
        Ends::Unix {
            carrier,
            client,
            server,
        } => {
            for name in [client, server] {
                let mut field = [0; UNIX];
                let length = name.len().min(UNIX);
                field[..length].copy_from_slice(&name[..length]);
                addresses.extend(field);
            }
            0x30 | carried(carrier)
        }
    });
    // Behind addresses that say nothing there is no place for anything.
    let extras = match ends {
        Ends::Unspecified => Vec::new(),
        _ => tlv::bytes(&header.tlvs)?,
    };
    let length = addresses.len() + extras.len();
    if length > MOST {
        return None;
    }
    bytes.extend(u16::try_from(length).ok()?.to_be_bytes());
    bytes.extend(addresses);
    bytes.extend(extras);
    tlv::sign(&mut bytes, &header.tlvs);
    Some(bytes)
}
