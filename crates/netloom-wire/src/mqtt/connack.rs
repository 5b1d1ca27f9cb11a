//! A server's answer to CONNECT (§3.2; MQTT 5 §3.2).

use super::{MAX_CONNACK, MqttError, length, put_length};

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Connack {
    /// Whether the server kept a session of this client.
    pub session_present: bool,
    /// 0 is yes; what the others mean says [`reason`](super::reason).
    pub code: u8,
    /// What version 5 adds; `None` in an answer of version 3.1.1.
    pub properties: Option<Vec<Property>>,
}

/// One property of MQTT 5 (§2.2.2.2), its value as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    /// Its identifier.
    pub id: u8,
    /// Its value: a number in network order, a text without its length.
    pub value: Vec<u8>,
}

/// The property in which a server says why in words (MQTT 5 §3.2.2.3.9).
const REASON_STRING: u8 = 0x1f;
/// The property that names another server to use (MQTT 5 §3.2.2.3.16).
const SERVER_REFERENCE: u8 = 0x1c;

impl Connack {
    /// Reads the packet at the beginning of `bytes`; `Ok(None)` while more must
    /// come. With it comes how many bytes it takes.
    ///
    /// # Errors
    /// When it is another packet, or malformed, or longer than the limit.
    pub fn read(bytes: &[u8]) -> Result<Option<(Self, usize)>, MqttError> {
        let Some((&first, rest)) = bytes.split_first() else {
            return Ok(None);
        };
        if first != 0x20 {
            return Err(MqttError::OtherPacket);
        }
        let Some((wanted, took)) = length(rest)? else {
            return Ok(None);
        };
        if wanted > MAX_CONNACK {
            return Err(MqttError::TooLong);
        }
        let Some(body) = rest.get(took..took + wanted) else {
            return Ok(None);
        };
        let (&[flags, code], more) = body.split_first_chunk().ok_or(MqttError::Malformed)?;
        if flags > 1 {
            return Err(MqttError::Malformed);
        }
        let properties = match more {
            [] => None,
            more => Some(properties(more)?),
        };
        let read = Connack {
            session_present: flags == 1,
            code,
            properties,
        };
        Ok(Some((read, 1 + took + wanted)))
    }

    /// The packet as it is sent; `None` where a value does not fit its property.
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        let mut body = vec![u8::from(self.session_present), self.code];
        if let Some(properties) = &self.properties {
            let mut all = Vec::new();
            for property in properties {
                property.put(&mut all)?;
            }
            put_length(&mut body, all.len())?;
            body.extend(all);
        }
        let mut packet = vec![0x20];
        put_length(&mut packet, body.len())?;
        packet.extend(body);
        (packet.len() <= MAX_CONNACK).then_some(packet)
    }

    /// Why, in the server's own words.
    pub fn reason_string(&self) -> Option<&str> {
        self.text(REASON_STRING)
    }

    /// The server that should be used instead.
    pub fn server_reference(&self) -> Option<&str> {
        self.text(SERVER_REFERENCE)
    }

    fn text(&self, id: u8) -> Option<&str> {
        let mut all = self.properties.iter().flatten();
        let property = all.find(|property| property.id == id)?;
        std::str::from_utf8(&property.value).ok()
    }
}

/// How the value of a property is written.
enum Shape {
    /// So many bytes.
    Bytes(usize),
    /// A text or bytes after their length.
    Text,
    /// Two texts.
    Pair,
}

/// The shapes of MQTT 5 §2.2.2.2.
fn shape(id: u8) -> Option<Shape> {
    Some(match id {
        0x24 | 0x25 | 0x28 | 0x29 | 0x2a => Shape::Bytes(1),
        0x13 | 0x21 | 0x22 => Shape::Bytes(2),
        0x11 | 0x27 => Shape::Bytes(4),
        0x12 | 0x15 | 0x16 | 0x1a | SERVER_REFERENCE | REASON_STRING => Shape::Text,
        0x26 => Shape::Pair,
        _ => return None,
    })
}

fn properties(bytes: &[u8]) -> Result<Vec<Property>, MqttError> {
    let (wanted, took) = length(bytes)?.ok_or(MqttError::Malformed)?;
    let mut rest = &bytes[took..];
    if rest.len() != wanted {
        return Err(MqttError::Malformed);
    }
    let mut found = Vec::new();
    while let Some((&id, after)) = rest.split_first() {
        let text = |bytes: &[u8]| Some(2 + usize::from(u16::from_be_bytes(*bytes.first_chunk()?)));
        let (skip, width) = match shape(id).ok_or(MqttError::Malformed)? {
            Shape::Bytes(n) => (0, Some(n)),
            Shape::Text => (2, text(after)),
            Shape::Pair => {
                let first = text(after);
                let second = first.and_then(|first| text(after.get(first..)?));
                (0, first.zip(second).map(|(first, second)| first + second))
            }
        };
        let split = width.and_then(|width| after.split_at_checked(width));
        let (value, next) = split.ok_or(MqttError::Malformed)?;
        found.push(Property {
            id,
            value: value[skip..].to_vec(),
        });
        rest = next;
    }
    Ok(found)
}

impl Property {
    fn put(&self, out: &mut Vec<u8>) -> Option<()> {
        out.push(self.id);
        match shape(self.id)? {
            Shape::Bytes(n) if n != self.value.len() => return None,
            Shape::Text => return super::put(out, &self.value),
            Shape::Bytes(_) | Shape::Pair => out.extend_from_slice(&self.value),
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_versions_are_read() {
        let (old, took) = Connack::read(b"\x20\x02\x01\0more").unwrap().unwrap();
        assert_eq!((old.session_present, old.code, took), (true, 0, 4));
        assert_eq!(old.properties, None);
        let new = b"\x20\x0b\0\x87\x08\x1f\0\x05never";
        let (new, took) = Connack::read(new).unwrap().unwrap();
        assert_eq!(
            (new.code, new.reason_string(), took),
            (0x87, Some("never"), 13)
        );
        assert_eq!(Connack::read(b"\x20\x02\0"), Ok(None));
        assert_eq!(Connack::read(b""), Ok(None));
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        let wrong: &[(&[u8], MqttError)] = &[
            (b"SSH-2.0", MqttError::OtherPacket),
            (b"\x20\x01\0", MqttError::Malformed),
            (b"\x20\x02\x02\0", MqttError::Malformed),
            (b"\x20\x03\0\0\x01", MqttError::Malformed),
            (b"\x20\x05\0\0\x02\xee\0", MqttError::Malformed),
            (b"\x20\xff\xff\x7f", MqttError::TooLong),
            (b"\x20\xff\xff\xff\xff", MqttError::Length),
        ];
        for (bytes, error) in wrong {
            assert_eq!(
                Connack::read(bytes),
                Err(*error),
                "{}",
                bytes.escape_ascii()
            );
        }
    }

    fn property() -> impl Strategy<Value = Property> {
        let texts = prop_oneof![Just(0x12u8), Just(0x1f), Just(0x1c)];
        let text = (texts, "[ -~]{0,30}").prop_map(|(id, text)| (id, text.into_bytes()));
        let number = (Just(0x11u8), any::<[u8; 4]>()).prop_map(|(id, n)| (id, n.to_vec()));
        let pair = Just((0x26u8, b"\0\x01a\0\x02bc".to_vec()));
        prop_oneof![text, number, pair].prop_map(|(id, value)| Property { id, value })
    }

    proptest! {
        #[test]
        fn what_is_built_is_read(
            session_present: bool, code: u8,
            properties in proptest::option::of(proptest::collection::vec(property(), 0..6)),
        ) {
            let connack = Connack { session_present, code, properties };
            let bytes = connack.to_bytes().unwrap();
            for cut in 0..bytes.len() {
                prop_assert_eq!(Connack::read(&bytes[..cut]), Ok(None));
            }
            prop_assert_eq!(Connack::read(&bytes), Ok(Some((connack, bytes.len()))));
        }

        #[test]
        fn any_bytes_are_read_or_refused(mut bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Connack::read(&bytes);
            bytes.splice(0..0, [0x20, bytes.len() as u8 & 0x7f]);
            let _ = Connack::read(&bytes);
        }
    }
}
