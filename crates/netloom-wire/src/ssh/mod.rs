//! How a conversation in SSH begins: one line from each side (RFC 4253 §4.2),
//! then packets (§6), of which the first says what the side can (§7.1).

mod kexinit;

use std::fmt;

pub use kexinit::KexInit;

/// The longest identification, with its CR and LF (RFC 4253 §4.2).
pub const MAX_IDENTIFICATION: usize = 255;

/// The most lines a server may say before its identification.
pub const MAX_BEFORE: usize = 64;

/// The longest packet that everybody must take (RFC 4253 §6.1).
pub const MAX_PACKET: usize = 35_000;

/// The first byte of a packet's payload (RFC 4253 §12).
pub const DISCONNECT: u8 = 1;
/// To be ignored (§11.2).
pub const IGNORE: u8 = 2;
/// To be shown to who wants to know (§11.3).
pub const DEBUG: u8 = 4;
/// What a side can (§7.1).
pub const KEXINIT: u8 = 20;

/// The reason of a [`disconnect`] that ends a visit: `BY_APPLICATION` (§11.1).
pub const BY_APPLICATION: u32 = 11;

/// What is wrong with bytes that should be SSH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SshError {
    /// A line that begins with `SSH-` is no identification.
    Identification,
    /// A packet's length or padding cannot be.
    Packet,
    /// A message is cut short, or says what it may not.
    Message,
}

impl fmt::Display for SshError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SshError::Identification => "the line is no identification of SSH",
            SshError::Packet => "the packet has no possible length",
            SshError::Message => "the message is cut short or malformed",
        })
    }
}

impl std::error::Error for SshError {}

/// Who is there: `SSH-2.0-OpenSSH_9.2p1 Debian-2`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identification {
    /// The version of the protocol: `2.0`; `1.99` speaks 2.0 too.
    pub version: String,
    /// The software and its version.
    pub software: String,
    /// What follows it after a space.
    pub comments: Option<String>,
}

impl Identification {
    /// Ours, or whoever's: `None` where a part has a character that may not
    /// stand there, or the line would be too long.
    pub fn new(version: &str, software: &str, comments: Option<&str>) -> Option<Self> {
        let word = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        let said = comments.is_none_or(|text| text.bytes().all(|b| matches!(b, b' '..=b'~')));
        let made = Identification {
            version: version.to_owned(),
            software: software.to_owned(),
            comments: comments.map(str::to_owned),
        };
        let fits = word(version) && !version.contains('-') && word(software) && said;
        (fits && made.to_bytes().len() <= MAX_IDENTIFICATION).then_some(made)
    }

    /// Reads a line, without its end. `Ok(None)` is one of the lines that may
    /// stand before it: they do not begin with `SSH-`.
    ///
    /// # Errors
    /// When it begins so and is no identification.
    pub fn read(line: &[u8]) -> Result<Option<Self>, SshError> {
        let Some(rest) = line.strip_prefix(b"SSH-") else {
            return Ok(None);
        };
        let rest = std::str::from_utf8(rest).map_err(|_| SshError::Identification)?;
        let (version, rest) = rest.split_once('-').ok_or(SshError::Identification)?;
        let (software, comments) = match rest.split_once(' ') {
            Some((software, comments)) => (software, Some(comments)),
            None => (rest, None),
        };
        let read = Identification::new(version, software, comments);
        read.ok_or(SshError::Identification).map(Some)
    }

    /// The line as it is sent, with its end.
    pub fn to_bytes(&self) -> Vec<u8> {
        format!("{self}\r\n").into_bytes()
    }

    /// Whether it speaks version 2 (RFC 4253 §5.1).
    pub fn speaks_2(&self) -> bool {
        matches!(&*self.version, "2.0" | "1.99")
    }
}

impl fmt::Display for Identification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SSH-{}-{}", self.version, self.software)?;
        match &self.comments {
            Some(comments) => write!(f, " {comments}"),
            None => Ok(()),
        }
    }
}

/// A packet without encryption around a payload (RFC 4253 §6).
pub fn packet(payload: &[u8]) -> Vec<u8> {
    let unpadded = 4 + 1 + payload.len();
    // At least four bytes, to a multiple of eight.
    let padding = 4 + (8 - (unpadded + 4) % 8) % 8;
    let length = (1 + payload.len() + padding) as u32;
    let mut out = Vec::with_capacity(unpadded + padding);
    out.extend_from_slice(&length.to_be_bytes());
    out.push(padding as u8);
    out.extend_from_slice(payload);
    out.resize(unpadded + padding, 0);
    out
}

/// The payload of the first packet in `bytes`, and how many of them it takes;
/// `Ok(None)` while more must come.
///
/// # Errors
/// When the length cannot be.
pub fn payload(bytes: &[u8]) -> Result<Option<(&[u8], usize)>, SshError> {
    let Some((length, rest)) = bytes.split_first_chunk() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes(*length) as usize;
    // The shortest packet has 16 bytes, of which four are the length.
    if !(12..=MAX_PACKET - 4).contains(&length) {
        return Err(SshError::Packet);
    }
    let Some((&padding, _)) = rest.split_first() else {
        return Ok(None);
    };
    let end = length
        .checked_sub(usize::from(padding))
        .filter(|end| *end >= 2);
    let end = end.filter(|_| padding >= 4).ok_or(SshError::Packet)?;
    if rest.len() < length {
        return Ok(None);
    }
    Ok(Some((&rest[1..end], 4 + length)))
}

/// The payload that ends a conversation (RFC 4253 §11.1).
pub fn disconnect(reason: u32, description: &str) -> Vec<u8> {
    let mut out = vec![DISCONNECT];
    out.extend_from_slice(&reason.to_be_bytes());
    put(&mut out, description.as_bytes());
    put(&mut out, b"");
    out
}

/// Why the other side ends it: the reason's number and its words.
///
/// # Errors
/// When the payload is no such message.
pub fn read_disconnect(payload: &[u8]) -> Result<(u32, Vec<u8>), SshError> {
    let mut at = Reading(payload);
    if at.byte()? != DISCONNECT {
        return Err(SshError::Message);
    }
    Ok((at.number()?, at.text()?.to_vec()))
}

fn put(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(&(text.len() as u32).to_be_bytes());
    out.extend_from_slice(text);
}

/// The types of RFC 4251 §5, one after the other.
struct Reading<'a>(&'a [u8]);

impl<'a> Reading<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], SshError> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or(SshError::Message)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, SshError> {
        Ok(self.take(1)?[0])
    }

    fn number(&mut self) -> Result<u32, SshError> {
        let (number, rest) = self.0.split_first_chunk().ok_or(SshError::Message)?;
        self.0 = rest;
        Ok(u32::from_be_bytes(*number))
    }

    fn text(&mut self) -> Result<&'a [u8], SshError> {
        let length = self.number()? as usize;
        self.take(length)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn identifications_are_read() {
        let line = b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3";
        let read = Identification::read(line).unwrap().unwrap();
        assert_eq!(read.software, "OpenSSH_9.2p1");
        assert_eq!(read.comments.as_deref(), Some("Debian-2+deb12u3"));
        assert!(read.speaks_2());
        assert_eq!(read.to_bytes(), [&line[..], b"\r\n"].concat());
        let old = Identification::read(b"SSH-1.5-1.2.27").unwrap().unwrap();
        assert!(!old.speaks_2());
        assert_eq!(Identification::read(b"Welcome!"), Ok(None));
        for wrong in [
            &b"SSH-"[..],
            b"SSH-2.0",
            b"SSH-2.0-",
            b"SSH--x",
            b"SSH-2.0-a\x07",
            b"SSH-2.0-\xff",
        ] {
            assert!(
                Identification::read(wrong).is_err(),
                "{}",
                wrong.escape_ascii()
            );
        }
        let long = [&b"SSH-2.0-"[..], &[b'a'; 250]].concat();
        assert!(Identification::read(&long).is_err());
    }

    #[test]
    fn a_packet_that_cannot_be_is_refused_before_it_is_read() {
        assert_eq!(payload(b"GET / HTTP"), Err(SshError::Packet));
        assert_eq!(payload(&[0, 0, 0, 12, 0]), Err(SshError::Packet));
        assert_eq!(payload(&[0, 0, 0, 12, 11]), Err(SshError::Packet));
        assert_eq!(payload(&[0, 0, 0, 12, 10]), Ok(None));
        assert_eq!(payload(&[0, 0]), Ok(None));
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(body in proptest::collection::vec(any::<u8>(), 1..300), more: Vec<u8>) {
            let whole = packet(&body);
            prop_assert_eq!(whole.len() % 8, 0);
            for cut in 0..whole.len() {
                prop_assert_eq!(payload(&whole[..cut]), Ok(None));
            }
            let all = [&whole[..], &more].concat();
            prop_assert_eq!(payload(&all), Ok(Some((&body[..], whole.len()))));
        }

        #[test]
        fn a_goodbye_is_understood(reason: u32, words in "[ -~]{0,40}") {
            let said = disconnect(reason, &words);
            prop_assert_eq!(read_disconnect(&said), Ok((reason, words.into_bytes())));
            for cut in 0..said.len().saturating_sub(4) {
                prop_assert!(read_disconnect(&said[..cut]).is_err());
            }
        }

        #[test]
        fn what_is_identified_reads_the_same(version in "[0-9.]{1,4}", software in "[!-~]{1,40}", comments in proptest::option::of("[ -~]{0,40}")) {
            let made = Identification::new(&version, &software, comments.as_deref()).unwrap();
            prop_assert_eq!(Identification::read(made.to_string().as_bytes()), Ok(Some(made)));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = Identification::read(&bytes);
            let _ = read_disconnect(&bytes);
            if let Ok(Some((_, used))) = payload(&bytes) {
                prop_assert!(used <= bytes.len());
            }
        }
    }
}
