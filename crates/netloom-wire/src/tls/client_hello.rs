//! What a client asks for in its first words, read without answering them: the
//! name, the protocols, the versions (RFC 8446 §4.1.2, RFC 6066 §3, RFC 7301).
//!
//! The words may come in several records and in pieces of any size; what is not
//! whole within [`LONGEST_HELLO`] is none. Where the client encrypts its hello
//! (RFC 9849), the outer one is read, with its public name.

use std::fmt;

use super::is_record;

/// The most bytes that are read for a hello, with the heads of its records.
/// One with post-quantum keys and every extension in use has 2 KiB.
pub const LONGEST_HELLO: usize = 16 * 1024;

const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;
const SUPPORTED_VERSIONS: u16 = 43;
const ENCRYPTED_HELLO: u16 = 0xfe0d;

/// A client's first words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientHello {
    /// The name it asks for: in lower case, without a dot at its end. What no
    /// server could be called so is an error, not a name.
    pub name: Option<Box<str>>,
    /// The application protocols it offers, best first.
    pub alpn: Vec<Box<[u8]>>,
    /// The newest version it offers, as on the wire: `0x0304` is TLS 1.3.
    pub version: u16,
    /// An encrypted hello came along, or one that looks so to keep others in
    /// company: `name` may be the public one of its server.
    pub is_outer: bool,
}

/// Why bytes are no hello.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoHello {
    /// They are not TLS.
    OtherProtocol,
    /// They are TLS, and not a client's first words.
    OtherMessage,
    /// It does not end within [`LONGEST_HELLO`].
    TooLong,
    /// Its lengths do not fit, or it says twice what can be said once.
    Malformed,
    /// The name is none that a host can have.
    BadName,
}

impl fmt::Display for NoHello {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoHello::OtherProtocol => f.write_str("its first bytes are not TLS"),
            NoHello::OtherMessage => f.write_str("its first message is not a ClientHello"),
            NoHello::TooLong => write!(f, "its hello does not end within {LONGEST_HELLO} bytes"),
            NoHello::Malformed => f.write_str("its hello is not written as it should be"),
            NoHello::BadName => f.write_str("the name it asks for is none that a host can have"),
        }
    }
}

impl std::error::Error for NoHello {}

/// Hears a hello, in pieces.
///
/// ```
/// use netloom_wire::tls::{Hello, HelloReader, NEW_CIPHERS};
///
/// let hello = Hello {
///     version: 0x0303,
///     only_13: true,
///     ciphers: NEW_CIPHERS,
///     groups: &[29],
///     name: Some("a.example"),
/// };
/// let mut reader = HelloReader::default();
/// let heard = reader.hear(&hello.bytes([0; 32])).unwrap().unwrap();
/// assert_eq!(heard.name.as_deref(), Some("a.example"));
/// assert_eq!(heard.version, 0x0304);
/// ```
#[derive(Debug, Default)]
pub struct HelloReader {
    /// The head of a record, as far as it came.
    head: Vec<u8>,
    /// How much of that record is still to come.
    left: usize,
    message: Vec<u8>,
    heard: usize,
}

impl HelloReader {
    /// How many bytes were heard.
    pub fn heard(&self) -> usize {
        self.heard
    }

    /// Hears what came next; the hello once it is whole. What stands behind it
    /// is not looked at.
    ///
    /// # Errors
    /// Why this can be no hello, as soon as that is sure.
    pub fn hear(&mut self, mut bytes: &[u8]) -> Result<Option<ClientHello>, NoHello> {
        while !bytes.is_empty() {
            if self.heard >= LONGEST_HELLO {
                return Err(NoHello::TooLong);
            }
            let taken = if self.left > 0 {
                let taken = self.left.min(bytes.len()).min(LONGEST_HELLO - self.heard);
                self.message.extend_from_slice(&bytes[..taken]);
                self.left -= taken;
                taken
            } else {
                self.head.push(bytes[0]);
                self.begin_record()?;
                1
            };
            self.heard += taken;
            bytes = &bytes[taken..];
            if let Some(hello) = self.whole()? {
                return Ok(Some(hello));
            }
        }
        Ok(None)
    }

    /// One more byte of a record's head came.
    fn begin_record(&mut self) -> Result<(), NoHello> {
        if !is_record(&self.head) {
            // What begins as TLS may not turn into something else later.
            return Err(if self.message.is_empty() {
                NoHello::OtherProtocol
            } else {
                NoHello::Malformed
            });
        }
        if self.head[0] != 22 {
            return Err(NoHello::OtherMessage);
        }
        if let [_, _, _, high, low] = self.head[..] {
            self.left = usize::from(u16::from_be_bytes([high, low]));
            self.head.clear();
            // RFC 8446 §5.1: a part of a handshake is never empty, and no record
            // that is not encrypted is longer than this.
            if self.left == 0 || self.left > 1 << 14 {
                return Err(NoHello::Malformed);
            }
        }
        Ok(())
    }

    fn whole(&self) -> Result<Option<ClientHello>, NoHello> {
        let Some((&[kind, a, b, c], body)) = self.message.split_first_chunk::<4>() else {
            return match self.message.first() {
                None | Some(1) => Ok(None),
                Some(_) => Err(NoHello::OtherMessage),
            };
        };
        if kind != 1 {
            return Err(NoHello::OtherMessage);
        }
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        if length > LONGEST_HELLO {
            return Err(NoHello::TooLong);
        }
        body.get(..length).map(read).transpose()
    }
}

/// Takes parts off the front of a message.
struct Parts<'a>(&'a [u8]);

impl<'a> Parts<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], NoHello> {
        let (part, rest) = self.0.split_at_checked(length).ok_or(NoHello::Malformed)?;
        self.0 = rest;
        Ok(part)
    }

    fn word(&mut self) -> Result<u16, NoHello> {
        let word = self.take(2)?;
        Ok(u16::from_be_bytes([word[0], word[1]]))
    }

    /// A part behind its length in `width` bytes, 1 or 2.
    fn counted(&mut self, width: usize) -> Result<Parts<'a>, NoHello> {
        let length = self.take(width)?;
        let add = |sum: usize, byte: &u8| sum << 8 | usize::from(*byte);
        self.take(length.iter().fold(0, add)).map(Parts)
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn read(body: &[u8]) -> Result<ClientHello, NoHello> {
    let mut body = Parts(body);
    let mut hello = ClientHello {
        version: body.word()?,
        ..ClientHello::default()
    };
    body.take(32)?; // the random
    let session = body.counted(1)?;
    let ciphers = body.counted(2)?;
    let compression = body.counted(1)?;
    let odd = ciphers.is_empty() || ciphers.0.len() % 2 != 0;
    if session.0.len() > 32 || odd || compression.is_empty() {
        return Err(NoHello::Malformed);
    }
    if body.is_empty() {
        return Ok(hello); // from before there were extensions
    }
    let mut extensions = body.counted(2)?;
    if !body.is_empty() {
        return Err(NoHello::Malformed);
    }
    let mut seen = Vec::new();
    while !extensions.is_empty() {
        let kind = extensions.word()?;
        let mut content = extensions.counted(2)?;
        if !matches!(
            kind,
            SERVER_NAME | ALPN | SUPPORTED_VERSIONS | ENCRYPTED_HELLO
        ) {
            continue; // also those that stand for none (GREASE, RFC 8701)
        }
        if seen.contains(&kind) {
            return Err(NoHello::Malformed);
        }
        seen.push(kind);
        match kind {
            SERVER_NAME => hello.name = name(&mut content)?,
            ALPN => hello.alpn = protocols(&mut content)?,
            SUPPORTED_VERSIONS => {
                let mut versions = content.counted(1)?;
                while !versions.is_empty() {
                    let version = versions.word()?;
                    if (0x0301..=0x0304).contains(&version) {
                        hello.version = hello.version.max(version);
                    }
                }
            }
            _ => hello.is_outer = content.0.first() == Some(&0),
        }
        if kind != ENCRYPTED_HELLO && !content.is_empty() {
            return Err(NoHello::Malformed);
        }
    }
    Ok(hello)
}

/// The one host name of the list; other kinds of names do not exist.
fn name(content: &mut Parts<'_>) -> Result<Option<Box<str>>, NoHello> {
    let mut list = content.counted(2)?;
    let mut found = None;
    while !list.is_empty() {
        let kind = list.take(1)?[0];
        let entry = list.counted(2)?;
        if kind != 0 {
            continue;
        }
        if found.is_some() {
            return Err(NoHello::Malformed);
        }
        found = Some(host_name(entry.0).ok_or(NoHello::BadName)?);
    }
    Ok(found)
}

/// A name as it can be looked up: letters, digits, hyphens, underscores, and
/// dots between them. RFC 6066 wants no dot at its end; some send one.
fn host_name(bytes: &[u8]) -> Option<Box<str>> {
    let bytes = bytes.strip_suffix(b".").unwrap_or(bytes);
    let letter = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let label = |label: &[u8]| (1..=63).contains(&label.len()) && label.iter().all(letter);
    let fits = bytes.len() <= 253 && bytes.split(|&byte| byte == b'.').all(label);
    let text = std::str::from_utf8(bytes).ok().filter(|_| fits)?;
    Some(text.to_ascii_lowercase().into())
}

fn protocols(content: &mut Parts<'_>) -> Result<Vec<Box<[u8]>>, NoHello> {
    let mut list = content.counted(2)?;
    let mut all = Vec::new();
    while !list.is_empty() {
        let name = list.counted(1)?;
        if name.is_empty() {
            return Err(NoHello::Malformed);
        }
        all.push(name.0.into());
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{ALL_GROUPS, Hello, NEW_CIPHERS};
    use super::*;

    fn counted(width: usize, content: &[u8]) -> Vec<u8> {
        let length = (content.len() as u32).to_be_bytes();
        [&length[4 - width..], content].concat()
    }

    fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
        [&kind.to_be_bytes()[..], &counted(2, content)].concat()
    }

    fn asks_for(name: &[u8]) -> Vec<u8> {
        extension(0, &counted(2, &[&[0][..], &counted(2, name)].concat()))
    }

    fn message(extensions: &[u8]) -> Vec<u8> {
        let body = [
            &[3, 3][..],
            &[7; 32],
            &[0, 0, 4, 0x1a, 0x1a, 0x13, 0x01, 1, 0],
            &counted(2, extensions),
        ];
        [&[1][..], &counted(3, &body.concat())].concat()
    }

    /// In records of at most so many bytes each.
    fn records(message: &[u8], size: usize) -> Vec<u8> {
        let record = |part: &[u8]| [&[22, 3, 1][..], &counted(2, part)].concat();
        message.chunks(size).flat_map(record).collect()
    }

    fn hear(stream: &[u8], cut: usize) -> Result<Option<ClientHello>, NoHello> {
        let mut reader = HelloReader::default();
        for piece in stream.chunks(cut) {
            if let Some(hello) = reader.hear(piece)? {
                return Ok(Some(hello));
            }
        }
        Ok(None)
    }

    fn name_of(extensions: &[u8]) -> Result<Option<Box<str>>, NoHello> {
        let heard = hear(&records(&message(extensions), 1 << 14), usize::MAX)?;
        Ok(heard.expect("it is whole").name)
    }

    #[test]
    fn a_name_is_read_from_records_and_pieces_of_any_size() {
        let grease = [extension(0x0a0a, &[]), extension(0xfafa, &[0])].concat();
        let alpn = extension(16, &counted(2, b"\x02h2\x08http/1.1"));
        let versions = extension(43, &counted(1, &[0x7a, 0x7a, 3, 4, 3, 3]));
        let all = [grease, alpn, asks_for(b"a.example"), versions].concat();
        for size in [1, 2, 3, 5, 40, 1 << 14] {
            let stream = records(&message(&all), size);
            for cut in [1, 4, 6, usize::MAX] {
                let hello = hear(&stream, cut).unwrap().unwrap();
                assert_eq!(hello.name.as_deref(), Some("a.example"), "{size} by {cut}");
                assert_eq!(hello.version, 0x0304);
                assert_eq!(
                    hello.alpn,
                    [b"h2".as_slice().into(), b"http/1.1".as_slice().into()]
                );
                assert!(!hello.is_outer);
            }
            // Nothing is known before its last byte.
            assert_eq!(hear(&stream[..stream.len() - 1], usize::MAX), Ok(None));
        }
    }

    #[test]
    fn a_hello_may_be_without_a_name_or_without_extensions() {
        assert_eq!(name_of(&[]), Ok(None));
        assert_eq!(name_of(&extension(0, &counted(2, &[]))), Ok(None));
        let old = [&[3, 1][..], &[7; 32], &[0, 0, 2, 0, 5, 1, 0]].concat();
        let stream = records(&[&[1][..], &counted(3, &old)].concat(), 100);
        let hello = hear(&stream, 1).unwrap().unwrap();
        assert_eq!((hello.name, hello.version), (None, 0x0301));
    }

    #[test]
    fn an_outer_hello_says_so() {
        let outer = [
            asks_for(b"public.example"),
            extension(0xfe0d, &[0, 0, 1, 0, 1]),
        ]
        .concat();
        let stream = records(&message(&outer), 1 << 14);
        let hello = hear(&stream, 1).unwrap().unwrap();
        assert_eq!(hello.name.as_deref(), Some("public.example"));
        assert!(hello.is_outer);
    }

    #[test]
    fn a_name_is_what_can_be_looked_up() {
        for (written, read) in [
            (&b"A.Example"[..], Ok("a.example")),
            (b"a.example.", Ok("a.example")),
            (b"_sip.a-b.example", Ok("_sip.a-b.example")),
            (b"localhost", Ok("localhost")),
            (b"a.example..", Err(NoHello::BadName)),
            (b"a\0.example", Err(NoHello::BadName)),
            (b"a.example\0evil", Err(NoHello::BadName)),
            (b"", Err(NoHello::BadName)),
            (b".", Err(NoHello::BadName)),
            (b"*.example", Err(NoHello::BadName)),
            (b"a example", Err(NoHello::BadName)),
            (b"\xc3\xa4.example", Err(NoHello::BadName)),
            (b"[::1]", Err(NoHello::BadName)),
            (&[b'a'; 64], Err(NoHello::BadName)),
        ] {
            let name = name_of(&asks_for(written));
            let name = name.map(|name| name.unwrap().into_string());
            assert_eq!(name, read.map(str::to_owned), "{}", written.escape_ascii());
        }
        let long = [b"a.".repeat(127), b"b".to_vec()].concat();
        assert_eq!(name_of(&asks_for(&long)), Err(NoHello::BadName));
    }

    #[test]
    fn what_is_no_hello_is_told() {
        let good = records(&message(&asks_for(b"a.example")), 1 << 14);
        let record = |kind: u8, part: &[u8]| [&[kind, 3, 1][..], &counted(2, part)].concat();
        let two = [asks_for(b"a.example"), asks_for(b"b.example")].concat();
        let mut entry = [&[0][..], &counted(2, b"a.example")].concat();
        entry.extend_from_within(..);
        for (stream, wrong) in [
            (b"GET / HTTP/1.1\r\n\r\n".to_vec(), NoHello::OtherProtocol),
            (b"SSH-2.0-x\r\n".to_vec(), NoHello::OtherProtocol),
            (vec![0x80, 46, 1, 3, 1], NoHello::OtherProtocol), // SSL 2
            (record(21, &[2, 0]), NoHello::OtherMessage),
            (record(22, &[2, 0, 0, 0]), NoHello::OtherMessage),
            (record(22, &[]), NoHello::Malformed),
            (
                [&record(22, &[1]), &b"GET "[..]].concat(),
                NoHello::Malformed,
            ),
            (records(&message(&two), 1 << 14), NoHello::Malformed),
            (
                records(&message(&extension(0, &counted(2, &entry))), 999),
                NoHello::Malformed,
            ),
            (
                records(&message(&extension(0, &[0, 9, 0])), 999),
                NoHello::Malformed,
            ),
            (
                records(&message(&extension(16, &[0, 1, 0])), 999),
                NoHello::Malformed,
            ),
            (vec![22, 3, 1, 0x48, 0, 1], NoHello::Malformed),
            (record(22, &[1, 0xff, 0xff, 0xff]), NoHello::TooLong),
            (
                records(&message(&extension(99, &vec![0; 17_000])), 9999),
                NoHello::TooLong,
            ),
            // As many records as there may be, of one byte each.
            (
                records(&[&[1, 0, 0x3f, 0][..], &[0; 9000]].concat(), 1),
                NoHello::TooLong,
            ),
        ] {
            for cut in [1, usize::MAX] {
                let start = stream[..stream.len().min(20)].escape_ascii();
                assert_eq!(hear(&stream, cut), Err(wrong), "{start} by {cut}");
            }
        }
        assert!(hear(&good, 1).is_ok());
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_alike_however_it_is_cut(
            noise in proptest::collection::vec(any::<u8>(), 0..200), cut in 1usize..60, flip in any::<(usize, u8)>(),
        ) {
            let mut stream = records(&message(&[asks_for(b"a.example"), noise].concat()), 50);
            let at = flip.0 % stream.len();
            stream[at] ^= flip.1;
            prop_assert_eq!(hear(&stream, usize::MAX), hear(&stream, cut));
        }

        #[test]
        fn our_own_hellos_are_read(name in proptest::option::of("[a-z0-9]{1,20}(\\.[a-z]{1,9}){0,3}"), cut in 1usize..60) {
            let own = Hello { version: 0x0303, only_13: true, ciphers: NEW_CIPHERS, groups: ALL_GROUPS, name: name.as_deref() };
            let hello = hear(&own.bytes([9; 32]), cut).unwrap().unwrap();
            prop_assert_eq!(hello.name.as_deref(), name.as_deref());
        }
    }
}
