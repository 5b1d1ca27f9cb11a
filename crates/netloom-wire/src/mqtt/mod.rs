//! How a conversation in MQTT begins: CONNECT and its answer, of versions
//! 3.1.1 and 5 (OASIS standards; section numbers are of 3.1.1 unless said).

mod connack;
mod reason;

use std::fmt;

pub use connack::{Connack, Property};
pub use reason::reason;

/// The packet that ends a conversation in order (§3.14).
pub const DISCONNECT: [u8; 2] = [0xe0, 0];

/// The longest answer that is read, in bytes after its fixed header.
pub const MAX_CONNACK: usize = 16 * 1024;

/// A version of the protocol, by its level in CONNECT (§3.1.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// 3.1.1, of 2014.
    V3_1_1,
    /// 5.0, of 2019.
    V5,
}

impl Version {
    /// Its number as people write it.
    pub fn name(self) -> &'static str {
        match self {
            Version::V3_1_1 => "3.1.1",
            Version::V5 => "5",
        }
    }

    fn level(self) -> u8 {
        match self {
            Version::V3_1_1 => 4,
            Version::V5 => 5,
        }
    }
}

/// What is wrong with bytes that should be MQTT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MqttError {
    /// It is another packet than the one that was expected.
    OtherPacket,
    /// The remaining length has more than four bytes (§2.2.3).
    Length,
    /// The packet is longer than the limit.
    TooLong,
    /// The packet is cut short, or says what it may not.
    Malformed,
}

impl fmt::Display for MqttError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MqttError::OtherPacket => "this is another packet than was expected",
            MqttError::Length => "the length of the packet has more than four bytes",
            MqttError::TooLong => "the packet is longer than the limit",
            MqttError::Malformed => "the packet is cut short or malformed",
        })
    }
}

impl std::error::Error for MqttError {}

/// A client's first packet (§3.1), without a will.
#[derive(Debug, Clone, Copy)]
pub struct Connect<'a> {
    /// The version to speak.
    pub version: Version,
    /// Who the client is to the server.
    pub client_id: &'a str,
    /// Whether nothing of an earlier session counts.
    pub clean: bool,
    /// The longest silence of the client, in seconds; 0 for any.
    pub keep_alive: u16,
    /// The user.
    pub user: Option<&'a str>,
    /// The password. Version 3.1.1 allows one only with a user.
    pub password: Option<&'a [u8]>,
}

impl Connect<'_> {
    /// The packet as it is sent; `None` where a text is longer than 65,535
    /// bytes or has a NUL (§1.5.3).
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        let user = self.user.map(str::as_bytes);
        let password = self
            .password
            .filter(|_| user.is_some() || self.version == Version::V5);
        let texts = [Some(self.client_id.as_bytes()), user];
        if texts.iter().flatten().any(|text| text.contains(&0)) {
            return None;
        }
        let mut body = Vec::new();
        put(&mut body, b"MQTT")?;
        body.push(self.version.level());
        let flag = |set: bool, bit: u8| u8::from(set) << bit;
        body.push(flag(user.is_some(), 7) | flag(password.is_some(), 6) | flag(self.clean, 1));
        body.extend_from_slice(&self.keep_alive.to_be_bytes());
        if self.version == Version::V5 {
            body.push(0); // no properties (MQTT 5 §3.1.2.11)
        }
        for text in [Some(self.client_id.as_bytes()), user, password]
            .into_iter()
            .flatten()
        {
            put(&mut body, text)?;
        }
        let mut packet = vec![0x10];
        put_length(&mut packet, body.len())?;
        packet.extend_from_slice(&body);
        Some(packet)
    }
}

/// A text or bytes with their length in two bytes before them (§1.5.3).
fn put(out: &mut Vec<u8>, text: &[u8]) -> Option<()> {
    let length = u16::try_from(text.len()).ok()?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(text);
    Some(())
}

/// Writes a remaining length (§2.2.3); `None` above 268,435,455.
pub fn put_length(out: &mut Vec<u8>, mut length: usize) -> Option<()> {
    if length >= 1 << 28 {
        return None;
    }
    loop {
        let low = (length & 0x7f) as u8;
        length >>= 7;
        out.push(if length > 0 { low | 0x80 } else { low });
        if length == 0 {
            return Some(());
        }
    }
}

/// Reads a remaining length: the number and how many bytes it takes;
/// `Ok(None)` while more must come.
///
/// # Errors
/// When it has more than four bytes.
pub fn length(bytes: &[u8]) -> Result<Option<(usize, usize)>, MqttError> {
    let mut length = 0;
    for (i, byte) in bytes.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Ok(Some((length, i + 1)));
        }
    }
    if bytes.len() < 4 {
        Ok(None)
    } else {
        Err(MqttError::Length)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_connect_is_as_the_standard_shows_it() {
        let mut connect = Connect {
            version: Version::V3_1_1,
            client_id: "ab",
            clean: true,
            keep_alive: 10,
            user: Some("u"),
            password: Some(b"\0p"),
        };
        assert_eq!(
            connect.to_bytes().unwrap(),
            b"\x10\x15\0\x04MQTT\x04\xc2\0\x0a\0\x02ab\0\x01u\0\x02\0p"
        );
        (connect.version, connect.user) = (Version::V5, None);
        assert_eq!(
            connect.to_bytes().unwrap(),
            b"\x10\x13\0\x04MQTT\x05\x42\0\x0a\0\0\x02ab\0\x02\0p"
        );
        // 3.1.1 has no password without a user.
        connect.version = Version::V3_1_1;
        assert_eq!(connect.to_bytes().unwrap()[9], 0x02);
        connect.client_id = "a\0";
        assert_eq!(connect.to_bytes(), None);
        let long = "x".repeat(65_536);
        connect.client_id = &long;
        assert_eq!(connect.to_bytes(), None);
    }

    #[test]
    fn a_length_has_four_bytes_at_most() {
        assert_eq!(length(&[0x80, 0x80, 0x80]), Ok(None));
        assert_eq!(length(&[0x80, 0x80, 0x80, 0x80]), Err(MqttError::Length));
        assert_eq!(
            length(&[0xff, 0xff, 0xff, 0x7f]),
            Ok(Some((268_435_455, 4)))
        );
        assert_eq!(put_length(&mut Vec::new(), 268_435_456), None);
    }

    proptest! {
        #[test]
        fn lengths_read_as_they_were_written(n in 0usize..1 << 28, more: Vec<u8>) {
            let mut bytes = Vec::new();
            put_length(&mut bytes, n).unwrap();
            let took = bytes.len();
            bytes.extend(more);
            prop_assert_eq!(length(&bytes), Ok(Some((n, took))));
        }

        #[test]
        fn a_connect_is_as_long_as_it_says(
            client_id in "[a-z]{0,300}", user in proptest::option::of("[a-z]{0,9}"),
            password in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..9)), v5: bool,
        ) {
            let version = if v5 { Version::V5 } else { Version::V3_1_1 };
            let connect = Connect {
                version, client_id: &client_id, clean: true, keep_alive: 10,
                user: user.as_deref(), password: password.as_deref(),
            };
            let bytes = connect.to_bytes().unwrap();
            let (rest, took) = length(&bytes[1..]).unwrap().unwrap();
            prop_assert_eq!(1 + took + rest, bytes.len());
            prop_assert_eq!(crate::tls::looks_like(&bytes), Some("MQTT"));
        }
    }
}
