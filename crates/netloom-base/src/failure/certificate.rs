//! What a certificate says of itself (RFC 5280), as far as a failure needs it.

use std::fmt;

use crate::clock::Timestamp;

/// One certificate of a chain, as it was sent. Nothing of it is checked here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Whom it is about: `CN=example.org`. Empty where only `names` say so.
    pub subject: String,
    /// Who signed it, by its own word.
    pub issuer: String,
    /// The DNS names, addresses and URIs it is for.
    pub names: Vec<String>,
    /// It counts from then on.
    pub not_before: Timestamp,
    /// It counts until then.
    pub not_after: Timestamp,
    /// SHA-256 of its DER bytes.
    pub sha256: [u8; 32],
}

impl Certificate {
    /// The SHA-256 fingerprint as other programs print it: `AB:CD:…`.
    pub fn fingerprint(&self) -> String {
        let pairs: Vec<String> = self.sha256.iter().map(|b| format!("{b:02X}")).collect();
        pairs.join(":")
    }

    /// Whether it names itself as its issuer.
    pub fn is_self_issued(&self) -> bool {
        self.subject == self.issuer
    }
}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |text: &'_ str| {
            if text.is_empty() {
                "(no name)".to_owned()
            } else {
                text.to_owned()
            }
        };
        write!(f, "{}", name(&self.subject))?;
        if self.is_self_issued() {
            write!(f, ", issued by itself")?;
        } else {
            write!(f, ", issued by {}", name(&self.issuer))?;
        }
        if !self.names.is_empty() {
            write!(f, ", for {}", self.names.join(" "))?;
        }
        let (from, until) = (Day(self.not_before), Day(self.not_after));
        write!(
            f,
            ", valid {from} to {until}, SHA-256 {}",
            self.fingerprint()
        )
    }
}

struct Day(Timestamp);

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.0.date();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_told_on_one_line() {
        let certificate = Certificate {
            subject: "CN=a".to_owned(),
            issuer: "CN=b".to_owned(),
            names: vec!["a.example".to_owned(), "192.0.2.1".to_owned()],
            not_before: Timestamp(0),
            not_after: Timestamp(86_400_000_000),
            sha256: [0xab; 32],
        };
        let told = certificate.to_string();
        assert!(
            told.starts_with("CN=a, issued by CN=b, for a.example 192.0.2.1, valid 1970-01-01 to 1970-01-02, SHA-256 AB:AB:"),
            "{told}"
        );
    }
}
