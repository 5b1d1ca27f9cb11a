//! Version 1: one line of text.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Carrier, Command, Ends, Header, LONGEST_LINE, Pair, Read, Version, Wrong};

/// What every line begins with.
pub(super) const WORD: &[u8] = b"PROXY ";

/// The shortest line: `PROXY UNKNOWN` and its CRLF. No header of version 2 is
/// shorter, so this much can be read of whatever comes.
pub(super) const SHORTEST_LINE: usize = 15;

pub(super) fn read(bytes: &[u8]) -> Result<Read, Wrong> {
    let end = bytes.iter().take(LONGEST_LINE).position(|&b| b == b'\n');
    let line = &bytes[..end.unwrap_or(bytes.len())];
    let (line, returned) = match line.strip_suffix(b"\r") {
        Some(line) => (line, true),
        None => (line, false),
    };
    // Only the two bytes at its end are no printable ones.
    if !line.iter().all(|byte| matches!(byte, b' '..=b'~')) || (end.is_some() && !returned) {
        return Err(Wrong::Control);
    }
    let text = std::str::from_utf8(line).map_err(|_| Wrong::Control)?;
    match end {
        Some(end) => Ok(Read::Whole(whole(text)?, end + 1)),
        None if returned && bytes.len() < LONGEST_LINE => Ok(Read::More(1)),
        None => {
            let more = missing(text)?;
            if bytes.len() + more > LONGEST_LINE {
                return Err(Wrong::LongLine);
            }
            Ok(Read::More(more))
        }
    }
}

/// How many bytes a line that begins so has at least behind this.
fn missing(text: &str) -> Result<usize, Wrong> {
    if text.len() < SHORTEST_LINE {
        return Ok(SHORTEST_LINE - text.len());
    }
    let mut words = text.split(' ').skip(1);
    // A space and `0.0.0.0`, or a space and `::`.
    let address = match words.next() {
        Some("TCP4") => 8,
        Some("TCP6") => 3,
        Some("UNKNOWN") => return Ok(2),
        _ => return Err(Wrong::Line),
    };
    Ok(match words.count() {
        1 => address + 6,
        2 => 6,
        3 => 4,
        4 => 2,
        _ => return Err(Wrong::Line),
    })
}

fn whole(text: &str) -> Result<Header, Wrong> {
    let mut words = text.split(' ').skip(1);
    let v4 = |word: &str| word.parse::<Ipv4Addr>().ok().map(IpAddr::from);
    let v6 = |word: &str| word.parse::<Ipv6Addr>().ok().map(IpAddr::from);
    let address = |word: &str, is_v4: bool| if is_v4 { v4(word) } else { v6(word) };
    let is_v4 = match words.next() {
        Some("TCP4") => true,
        Some("TCP6") => false,
        // Whatever stands behind it says nothing.
        Some("UNKNOWN") => return Ok(Header::local(Version::V1)),
        _ => return Err(Wrong::Line),
    };
    let parts: Vec<&str> = words.take(5).collect();
    let [client, server, from, to] = parts[..] else {
        return Err(Wrong::Line);
    };
    let end = |ip: &str, word: &str| Some(SocketAddr::new(address(ip, is_v4)?, port(word)?));
    let client = end(client, from).ok_or(Wrong::Line)?;
    let server = end(server, to).ok_or(Wrong::Line)?;
    Ok(Header::of(Version::V1, client, server))
}

/// A port as it is written: no sign, and no zeros before it.
fn port(word: &str) -> Option<u16> {
    let plain = word.bytes().all(|byte| byte.is_ascii_digit());
    let padded = word.len() > 1 && word.starts_with('0');
    word.parse().ok().filter(|_| plain && !padded)
}

pub(super) fn line(header: &Header) -> String {
    match (header.command, &header.ends) {
        (
            Command::Proxy,
            Ends::Ip {
                carrier: Carrier::Stream,
                client,
                server,
            },
        ) => {
            let (from, to) = (client.port(), server.port());
            match Pair::of(*client, *server) {
                Pair::V4(client, server) => {
                    format!("PROXY TCP4 {} {} {from} {to}\r\n", client.ip(), server.ip())
                }
                Pair::V6(client, server) => {
                    format!("PROXY TCP6 {} {} {from} {to}\r\n", client.ip(), server.ip())
                }
            }
        }
        _ => "PROXY UNKNOWN\r\n".to_owned(),
    }
}
