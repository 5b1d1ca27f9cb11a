//! A first question and its answer: which version, cipher and group a server
//! would choose. Nothing is agreed on and no key is made; a server that is too
//! old for us is only asked what it is.

/// What a client says it can do.
#[derive(Debug, Clone, Copy)]
pub struct Hello<'a> {
    /// The newest version up to TLS 1.2, as it stands on the wire: `0x0302` is TLS 1.1.
    pub version: u16,
    /// Whether TLS 1.3 is asked for instead, without a key to go with it: a
    /// server that agrees says which group it wants.
    pub only_13: bool,
    /// The cipher suites, best first.
    pub ciphers: &'a [u16],
    /// The groups, best first; none where there are no curves to speak of.
    pub groups: &'a [u16],
    /// The name of the server.
    pub name: Option<&'a str>,
}

/// What a server answered to a [`Hello`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// It would go on so.
    Chose {
        /// The version.
        version: u16,
        /// The cipher suite.
        cipher: u16,
        /// The group, where TLS 1.3 asks for one.
        group: Option<u16>,
    },
    /// It refused, with this alert.
    Alert(u8),
}

/// Cipher suites that servers of the last 25 years take and we do not: key
/// exchange without forward secrecy, CBC, 3DES, RC4, and CCM.
pub const OLD_CIPHERS: &[u16] = &[
    0xc02f, 0xc030, 0xc02b, 0xc02c, 0xcca8, 0xcca9, 0x009e, 0x009f, 0xccaa, 0xc027, 0xc028, 0xc023,
    0xc024, 0xc013, 0xc014, 0xc009, 0xc00a, 0x0067, 0x006b, 0x0033, 0x0039, 0x009c, 0x009d, 0x003c,
    0x003d, 0x002f, 0x0035, 0xc012, 0x0016, 0x000a, 0x0005, 0x0004,
];

/// The cipher suites of TLS 1.3, all of them.
pub const NEW_CIPHERS: &[u16] = &[0x1301, 0x1302, 0x1303, 0x1304, 0x1305];

/// Groups of every family.
pub const ALL_GROUPS: &[u16] = &[
    29, 23, 24, 25, 30, 256, 257, 258, 259, 260, 26, 27, 28, 0x11ec, 0x11eb, 0x11ed,
];

/// Signature schemes of every family, SHA-1 too.
const SIGNATURES: &[u16] = &[
    0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0807, 0x0808, 0x0809, 0x080a, 0x080b, 0x0401,
    0x0501, 0x0601, 0x0203, 0x0201,
];

/// The random of a HelloRetryRequest (RFC 8446 §4.1.3): a ServerHello that asks
/// for another key.
const RETRY: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// Bytes after their length in `width` bytes. What is put in is bounded by its
/// callers: a few lists of numbers and one host name.
fn counted(width: usize, content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u32).to_be_bytes();
    [&length[4 - width..], content].concat()
}

fn words(list: &[u16]) -> Vec<u8> {
    list.iter().flat_map(|word| word.to_be_bytes()).collect()
}

impl Hello<'_> {
    /// The bytes of the ClientHello in its record (RFC 5246 §7.4.1.2, RFC 8446 §4.1.2).
    pub fn bytes(&self, random: [u8; 32]) -> Vec<u8> {
        let mut extensions = Vec::new();
        let mut extend = |kind: u16, content: &[u8]| {
            extensions.extend(kind.to_be_bytes());
            extensions.extend(counted(2, content));
        };
        if let Some(name) = self.name.filter(|name| name.len() < 256) {
            let entry = [&[0][..], &counted(2, name.as_bytes())].concat();
            extend(0, &counted(2, &entry));
        }
        if !self.groups.is_empty() {
            extend(10, &counted(2, &words(self.groups)));
            extend(11, &[1, 0]); // points as they are
        }
        if self.version >= 0x0303 || self.only_13 {
            extend(13, &counted(2, &words(SIGNATURES)));
        }
        if self.only_13 {
            extend(43, &counted(1, &words(&[0x0304])));
            extend(51, &counted(2, &[])); // no key: the server names its group
        }
        extend(0xff01, &[0]); // nothing is renegotiated
        let session: &[u8] = if self.only_13 { &random } else { &[] };
        let body = [
            &self.version.to_be_bytes()[..],
            &random,
            &counted(1, session),
            &counted(2, &words(self.ciphers)),
            &[1, 0], // not compressed
            &counted(2, &extensions),
        ]
        .concat();
        let handshake = [&[1][..], &counted(3, &body)].concat();
        // The record's own version is 3.1 for the sake of old servers.
        [&[22, 3, 1][..], &counted(2, &handshake)].concat()
    }
}

/// Reads what a server answered. `None` when more bytes are needed or these are
/// no answer; [`super::is_record`] tells the two apart.
pub fn reply(bytes: &[u8]) -> Option<Reply> {
    let mut rest = bytes;
    let mut handshake = Vec::new();
    loop {
        let (&[kind, 3, _, high, low], after) = rest.split_first_chunk::<5>()? else {
            return None;
        };
        let body = after.get(..usize::from(u16::from_be_bytes([high, low])))?;
        rest = &after[body.len()..];
        match kind {
            21 => return body.get(1).copied().map(Reply::Alert),
            22 => handshake.extend_from_slice(body),
            _ => return None,
        }
        let Some((&[message, a, b, c], after)) = handshake.split_first_chunk::<4>() else {
            continue;
        };
        if message != 2 {
            return None;
        }
        if let Some(body) = after.get(..u32::from_be_bytes([0, a, b, c]) as usize) {
            return server_hello(body);
        }
    }
}

fn server_hello(body: &[u8]) -> Option<Reply> {
    let word = |at: usize| Some(u16::from_be_bytes(*body.get(at..)?.first_chunk()?));
    let mut version = word(0)?;
    let is_retry = body.get(2..34)? == RETRY;
    let session = usize::from(*body.get(34)?);
    let cipher = word(35 + session)?;
    let mut group = None;
    // Behind the cipher: one byte of compression, then the extensions.
    let mut at = 35 + session + 2 + 1 + 2;
    while let (Some(kind), Some(length)) = (word(at), word(at + 2)) {
        match kind {
            43 => version = word(at + 4)?,
            51 if is_retry || length >= 2 => group = word(at + 4),
            _ => {}
        }
        at += 4 + usize::from(length);
    }
    Some(Reply::Chose {
        version,
        cipher,
        group,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{is_record, looks_like};
    use super::*;

    const OLD: Hello<'_> = Hello {
        version: 0x0302,
        only_13: false,
        ciphers: OLD_CIPHERS,
        groups: &[23, 24],
        name: Some("old.example"),
    };

    #[test]
    fn a_hello_is_a_record_whose_lengths_fit() {
        let bytes = OLD.bytes([7; 32]);
        assert_eq!(looks_like(&bytes), Some("TLS"));
        let record = usize::from(u16::from_be_bytes([bytes[3], bytes[4]]));
        assert_eq!(record, bytes.len() - 5);
        let handshake = u32::from_be_bytes([0, bytes[6], bytes[7], bytes[8]]) as usize;
        assert_eq!(handshake, bytes.len() - 9);
        assert_eq!(&bytes[9..11], [3, 2]);
        assert!(bytes.windows(11).any(|window| window == b"old.example"));
    }

    #[test]
    fn answers_are_read() {
        assert_eq!(reply(&[21, 3, 1, 0, 2, 2, 70]), Some(Reply::Alert(70)));
        let mut body = vec![3, 1];
        body.extend([9; 32]);
        body.extend([0, 0, 0x2f, 0, 0, 0]);
        let mut bytes = vec![22, 3, 1, 0, 4 + body.len() as u8, 2, 0, 0, body.len() as u8];
        bytes.extend(&body);
        let chose = Reply::Chose {
            version: 0x0301,
            cipher: 0x002f,
            group: None,
        };
        assert_eq!(reply(&bytes), Some(chose));
        for cut in 0..bytes.len() {
            assert_eq!(reply(&bytes[..cut]), None, "{cut}");
        }
        // The same in two records.
        let halves = [
            &[22, 3, 1, 0, 10][..],
            &bytes[5..15],
            &[22, 3, 1, 0, (bytes.len() - 15) as u8],
            &bytes[15..],
        ];
        assert_eq!(reply(&halves.concat()), Some(chose));
    }

    #[test]
    fn a_request_for_another_key_names_its_group() {
        let mut body = vec![3, 3];
        body.extend(RETRY);
        body.extend([
            0, 0x13, 0x02, 0, 0, 12, 0, 43, 0, 2, 3, 4, 0, 51, 0, 2, 0, 25,
        ]);
        let mut bytes = vec![22, 3, 3, 0, 4 + body.len() as u8, 2, 0, 0, body.len() as u8];
        bytes.extend(&body);
        let chose = Reply::Chose {
            version: 0x0304,
            cipher: 0x1302,
            group: Some(25),
        };
        assert_eq!(reply(&bytes), Some(chose));
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_not(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = reply(&bytes);
        }

        #[test]
        fn any_handshake_is_an_answer_or_not(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let message = [&[2][..], &counted(3, &body)].concat();
            let _ = reply(&[&[22, 3, 3][..], &counted(2, &message)].concat());
        }

        #[test]
        fn every_hello_is_a_record(version in 0x0300u16..=0x0303, only_13 in any::<bool>(), name in proptest::option::of("[a-z.]{1,300}")) {
            let hello = Hello { version, only_13, ciphers: NEW_CIPHERS, groups: ALL_GROUPS, name: name.as_deref() };
            let bytes = hello.bytes([0; 32]);
            prop_assert!(is_record(&bytes));
            prop_assert_eq!(usize::from(u16::from_be_bytes([bytes[3], bytes[4]])), bytes.len() - 5);
            prop_assert_eq!(reply(&bytes), None);
        }
    }
}
