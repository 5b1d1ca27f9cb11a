//! What a side of SSH can: the lists of its first packet (RFC 4253 §7.1).

use super::{KEXINIT, Reading, SshError, put};

/// The longest name (RFC 4251 §6), and how many one list may have.
const MAX_NAME: usize = 64;
const MAX_NAMES: usize = 256;

/// The algorithms a side can, each list best first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KexInit {
    /// Random bytes.
    pub cookie: [u8; 16],
    /// Ways to agree on keys.
    pub key_exchanges: Vec<String>,
    /// Kinds of host key.
    pub host_keys: Vec<String>,
    /// Ciphers, client to server and back.
    pub ciphers: [Vec<String>; 2],
    /// MACs, client to server and back.
    pub macs: [Vec<String>; 2],
    /// Compressions, client to server and back.
    pub compressions: [Vec<String>; 2],
    /// Languages, client to server and back.
    pub languages: [Vec<String>; 2],
    /// Whether a guessed packet of the key exchange follows.
    pub guess_follows: bool,
}

impl KexInit {
    /// Reads a packet's payload.
    ///
    /// # Errors
    /// When it is no such message, is cut short, or a list is malformed or has
    /// more than 256 names.
    pub fn read(payload: &[u8]) -> Result<Self, SshError> {
        let mut at = Reading(payload);
        if at.byte()? != KEXINIT {
            return Err(SshError::Message);
        }
        let cookie = at.take(16)?.try_into().map_err(|_| SshError::Message)?;
        let mut list = || names(at.text()?);
        Ok(KexInit {
            cookie,
            key_exchanges: list()?,
            host_keys: list()?,
            ciphers: [list()?, list()?],
            macs: [list()?, list()?],
            compressions: [list()?, list()?],
            languages: [list()?, list()?],
            guess_follows: at.byte()? != 0,
        })
    }

    /// The payload as it is sent.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![KEXINIT];
        out.extend_from_slice(&self.cookie);
        let pairs = [
            &self.ciphers,
            &self.macs,
            &self.compressions,
            &self.languages,
        ];
        let lists = [&self.key_exchanges, &self.host_keys];
        for list in lists.into_iter().chain(pairs.into_iter().flatten()) {
            put(&mut out, list.join(",").as_bytes());
        }
        out.push(u8::from(self.guess_follows));
        out.extend_from_slice(&[0; 4]);
        out
    }

    /// The key exchanges that a quantum computer does not break: with ML-KEM
    /// (FIPS 203), its draft Kyber, or Streamlined NTRU Prime.
    pub fn post_quantum(&self) -> impl Iterator<Item = &str> {
        let names = self.key_exchanges.iter().map(String::as_str);
        names.filter(|name| {
            ["mlkem", "sntrup", "kyber"]
                .iter()
                .any(|kind| name.contains(kind))
        })
    }
}

/// A name-list (RFC 4251 §5): names between commas, none of them empty.
fn names(text: &[u8]) -> Result<Vec<String>, SshError> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let text = std::str::from_utf8(text).map_err(|_| SshError::Message)?;
    let fits = |name: &str| {
        (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic())
    };
    let names: Vec<&str> = text.split(',').take(MAX_NAMES + 1).collect();
    if names.len() > MAX_NAMES || !names.iter().all(|name| fits(name)) {
        return Err(SshError::Message);
    }
    Ok(names.into_iter().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list() -> impl Strategy<Value = Vec<String>> {
        proptest::collection::vec("[a-z0-9@.-]{1,20}", 0..5)
    }

    #[test]
    fn lists_are_bounded() {
        assert_eq!(names(b""), Ok(vec![]));
        assert_eq!(names(b"a,b").unwrap().len(), 2);
        for wrong in [&b","[..], b"a,", b"a b", b"\xff", &[b'a'; 65]] {
            assert_eq!(
                names(wrong),
                Err(SshError::Message),
                "{}",
                wrong.escape_ascii()
            );
        }
        assert_eq!(
            names("a,".repeat(256).as_bytes().strip_suffix(b",").unwrap())
                .unwrap()
                .len(),
            256
        );
        assert!(names("a,".repeat(257).strip_suffix(',').unwrap().as_bytes()).is_err());
    }

    #[test]
    fn post_quantum_exchanges_are_known() {
        let names = [
            "curve25519-sha256",
            "sntrup761x25519-sha512@openssh.com",
            "mlkem768x25519-sha256",
        ];
        let kex = KexInit {
            key_exchanges: names.map(str::to_owned).to_vec(),
            ..KexInit::default()
        };
        assert_eq!(kex.post_quantum().collect::<Vec<_>>(), names[1..]);
    }

    proptest! {
        #[test]
        fn what_is_built_is_read(
            cookie: [u8; 16], key_exchanges in list(), host_keys in list(),
            ciphers in [list(), list()], macs in [list(), list()],
            compressions in [list(), list()], languages in [list(), list()], guess_follows: bool,
        ) {
            let kex = KexInit { cookie, key_exchanges, host_keys, ciphers, macs, compressions, languages, guess_follows };
            let bytes = kex.to_bytes();
            prop_assert_eq!(KexInit::read(&bytes), Ok(kex));
            for cut in 0..bytes.len() - 4 {
                prop_assert!(KexInit::read(&bytes[..cut]).is_err());
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(mut bytes in proptest::collection::vec(any::<u8>(), 1..200)) {
            bytes[0] = KEXINIT;
            let _ = KexInit::read(&bytes);
        }
    }
}
