//! What a header of version 2 says beyond the addresses: fields of a type, a
//! length and a value.

use super::Wrong;

const ALPN: u8 = 0x01;
const AUTHORITY: u8 = 0x02;
const CHECKSUM: u8 = 0x03;
const NOOP: u8 = 0x04;
const UNIQUE_ID: u8 = 0x05;
const SSL: u8 = 0x20;
const NETNS: u8 = 0x30;

/// Inside of [`SSL`].
const VERSION: u8 = 0x21;
const COMMON_NAME: u8 = 0x22;
const CIPHER: u8 = 0x23;

/// The longest number of a connection.
const LONGEST_ID: usize = 128;

/// One field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tlv {
    /// The protocol that was agreed on in TLS (RFC 7301).
    Alpn(Vec<u8>),
    /// The host name the client asked for, as in SNI.
    Authority(String),
    /// A CRC32C of the whole header. It is checked when it is read and made when
    /// it is written; the value here is what was read.
    Checksum(u32),
    /// Padding of so many bytes.
    Noop(usize),
    /// The proxy's own number of the connection, at most 128 bytes.
    UniqueId(Vec<u8>),
    /// The client's TLS session.
    Ssl(Tls),
    /// The network namespace the client came through.
    Namespace(String),
    /// Anything else.
    Other(u8, Vec<u8>),
}

/// The client's TLS session, as the proxy saw it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// Bits: 1 the client spoke TLS, 2 it showed a certificate on this
    /// connection, 4 it did in this session.
    pub client: u8,
    /// Zero when its certificate was verified.
    pub verify: u32,
    /// `TLSv1.3`.
    pub version: Option<String>,
    /// The common name in the client's certificate.
    pub common_name: Option<String>,
    /// The cipher, by OpenSSL's name.
    pub cipher: Option<String>,
    /// Anything else, by its type.
    pub others: Vec<(u8, Vec<u8>)>,
}

impl Tls {
    /// Whether the client showed a certificate and it was verified.
    pub fn is_verified(&self) -> bool {
        self.client & 6 != 0 && self.verify == 0
    }
}

/// A list of fields that must fill `bytes` exactly.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u8, &'a [u8]), Wrong>;

    fn next(&mut self) -> Option<Self::Item> {
        let kind = *self.0.first()?;
        let Some((&[_, high, low], rest)) = self.0.split_first_chunk::<3>() else {
            self.0 = &[];
            return Some(Err(Wrong::Extra(kind)));
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let Some((value, rest)) = rest.split_at_checked(length) else {
            self.0 = &[];
            return Some(Err(Wrong::Extra(kind)));
        };
        self.0 = rest;
        Some(Ok((kind, value)))
    }
}

/// Text of a field: printable, so that it can be told on.
fn text(kind: u8, value: &[u8]) -> Result<String, Wrong> {
    let text = std::str::from_utf8(value).map_err(|_| Wrong::Extra(kind))?;
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(Wrong::Extra(kind));
    }
    Ok(text.to_owned())
}

/// Reads the fields in `extras`, which are the end of `header`.
pub(super) fn read(extras: &[u8], header: &[u8]) -> Result<Vec<Tlv>, Wrong> {
    let mut tlvs = Vec::new();
    let mut seen = [false; 256];
    let mut at = header.len() - extras.len();
    for field in Fields(extras) {
        let (kind, value) = field?;
        at += 3;
        let known = matches!(kind, ALPN | AUTHORITY | CHECKSUM | UNIQUE_ID | SSL | NETNS);
        if known && std::mem::replace(&mut seen[usize::from(kind)], true) {
            return Err(Wrong::Twice(kind));
        }
        tlvs.push(match kind {
            ALPN if (1..256).contains(&value.len()) => Tlv::Alpn(value.to_vec()),
            AUTHORITY => Tlv::Authority(text(kind, value)?),
            CHECKSUM => {
                let said = u32::from_be_bytes(value.try_into().map_err(|_| Wrong::Extra(kind))?);
                let (before, after) = (&header[..at], &header[at + value.len()..]);
                if crc32c([before, &[0; 4], after]) != said {
                    return Err(Wrong::Checksum);
                }
                Tlv::Checksum(said)
            }
            NOOP => Tlv::Noop(value.len()),
            UNIQUE_ID if value.len() <= LONGEST_ID => Tlv::UniqueId(value.to_vec()),
            SSL => Tlv::Ssl(tls(value)?),
            NETNS => Tlv::Namespace(text(kind, value)?),
            ALPN | UNIQUE_ID => return Err(Wrong::Extra(kind)),
            _ => Tlv::Other(kind, value.to_vec()),
        });
        at += value.len();
    }
    Ok(tlvs)
}

fn tls(value: &[u8]) -> Result<Tls, Wrong> {
    let Some((&[client, a, b, c, d], fields)) = value.split_first_chunk::<5>() else {
        return Err(Wrong::Extra(SSL));
    };
    let mut tls = Tls {
        client,
        verify: u32::from_be_bytes([a, b, c, d]),
        ..Tls::default()
    };
    for field in Fields(fields) {
        let (kind, value) = field?;
        let place = match kind {
            VERSION => &mut tls.version,
            COMMON_NAME => &mut tls.common_name,
            CIPHER => &mut tls.cipher,
            _ => {
                tls.others.push((kind, value.to_vec()));
                continue;
            }
        };
        if place.replace(text(kind, value)?).is_some() {
            return Err(Wrong::Twice(kind));
        }
    }
    Ok(tls)
}

/// One field; `None` where its value is too long for a length.
fn put(to: &mut Vec<u8>, kind: u8, value: &[u8]) -> Option<()> {
    to.push(kind);
    to.extend(u16::try_from(value.len()).ok()?.to_be_bytes());
    to.extend(value);
    Some(())
}

pub(super) fn bytes(fields: &[Tlv]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for tlv in fields {
        match tlv {
            Tlv::Alpn(value) => put(&mut bytes, ALPN, value)?,
            Tlv::Authority(name) => put(&mut bytes, AUTHORITY, name.as_bytes())?,
            Tlv::Checksum(_) => put(&mut bytes, CHECKSUM, &[0; 4])?,
            Tlv::Noop(length) => put(&mut bytes, NOOP, &vec![0; (*length).min(super::MOST)])?,
            Tlv::UniqueId(value) => put(&mut bytes, UNIQUE_ID, value)?,
            Tlv::Ssl(tls) => put(&mut bytes, SSL, &tls_bytes(tls)?)?,
            Tlv::Namespace(name) => put(&mut bytes, NETNS, name.as_bytes())?,
            Tlv::Other(kind, value) => put(&mut bytes, *kind, value)?,
        }
    }
    Some(bytes)
}

fn tls_bytes(tls: &Tls) -> Option<Vec<u8>> {
    let mut bytes = vec![tls.client];
    bytes.extend(tls.verify.to_be_bytes());
    let named = [
        (VERSION, &tls.version),
        (COMMON_NAME, &tls.common_name),
        (CIPHER, &tls.cipher),
    ];
    for (kind, value) in named {
        if let Some(value) = value {
            put(&mut bytes, kind, value.as_bytes())?;
        }
    }
    for (kind, value) in &tls.others {
        put(&mut bytes, *kind, value)?;
    }
    Some(bytes)
}

/// Puts the checksum where one was left open, in a header that ends with `tlvs`.
pub(super) fn sign(header: &mut [u8], tlvs: &[Tlv]) {
    let Some(position) = tlvs.iter().position(|tlv| matches!(tlv, Tlv::Checksum(_))) else {
        return;
    };
    let Some(from_it) = bytes(&tlvs[position..]) else {
        return;
    };
    let sum = crc32c([&*header, &[], &[]]);
    let Some(at) = header.len().checked_sub(from_it.len()) else {
        return;
    };
    if let Some(place) = header.get_mut(at + 3..at + 7) {
        place.copy_from_slice(&sum.to_be_bytes());
    }
}

/// CRC32C (RFC 9260, appendix A), bit by bit: a header is short and rarely has one.
fn crc32c(parts: [&[u8]; 3]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        let mixed = crc ^ u32::from(*byte);
        (0..8).fold(mixed, |crc, _| {
            (crc >> 1) ^ (0x82f6_3b78 & 0u32.wrapping_sub(crc & 1))
        })
    };
    !parts.iter().copied().flatten().fold(!0, step)
}

#[cfg(test)]
mod tests {
    use super::crc32c;

    #[test]
    fn the_checksum_is_that_of_the_rfc() {
        // RFC 7143, appendix A.4, and the check value of the Castagnoli polynomial.
        assert_eq!(crc32c([&[0; 32], &[], &[]]), 0x8a91_36aa);
        assert_eq!(crc32c([b"123", b"456", b"789"]), 0xe306_9283);
    }
}
