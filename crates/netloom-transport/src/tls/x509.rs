//! What a certificate says (RFC 5280 §4.1), read leniently: it is evidence of
//! a failure, and the odd ones fail most.

use netloom_base::Timestamp;
use netloom_base::failure::Certificate;
use yasna::models::ObjectIdentifier;
use yasna::{ASN1Error, ASN1ErrorKind, ASN1Result, BERReader, BERReaderSeq, Tag};

/// A certificate that could be read, and what hints at its issuer.
#[derive(Debug, Clone)]
pub(super) struct Read {
    pub(super) facts: Certificate,
    /// The organisation of its issuer.
    pub(super) issuer_organisation: Option<String>,
    /// Where its issuer's certificate can be fetched (RFC 5280 §4.2.2.1): those
    /// of public authorities say so.
    pub(super) issuer_place: Option<String>,
    /// It says so, though perhaps in a form that cannot be read.
    pub(super) names_issuer_place: bool,
}

/// Reads one. `None` when it is no certificate.
pub(super) fn read(der: &[u8]) -> Option<Read> {
    let sha256 = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der);
    let sha256: [u8; 32] = sha256.as_ref().try_into().ok()?;
    yasna::parse_ber(der, |reader| {
        reader.read_sequence(|reader| {
            let read = reader.next().read_sequence(|reader| body(reader, sha256))?;
            reader.next().read_der()?; // signature algorithm
            reader.next().read_der()?; // signature
            Ok(read)
        })
    })
    .ok()
}

/// The certificates that could be read, the end's own first.
pub(super) fn facts<T: AsRef<[u8]>>(chain: &[T]) -> Vec<Certificate> {
    chain
        .iter()
        .filter_map(|der| read(der.as_ref()))
        .map(|read| read.facts)
        .collect()
}

/// A distinguished name in DER, as `CN=a, O=b`.
pub(super) fn name_in(der: &[u8]) -> Option<String> {
    let name = yasna::parse_ber(der, name).ok()?;
    Some(in_words(&name))
}

/// The organisation in the name inside a `Name`'s sequence, as a trust anchor keeps it.
pub(super) fn organisation_in(content: &[u8]) -> Option<String> {
    let length = u16::try_from(content.len()).ok()?.to_be_bytes();
    let der = [&[0x30, 0x82], &length[..], content].concat();
    organisation(&yasna::parse_ber(&der, name).ok()?)
}

#[expect(
    clippy::redundant_closure_for_method_calls,
    reason = "a path to the method is not general enough over the reader's lifetimes"
)]
fn body(reader: &mut BERReaderSeq<'_, '_>, sha256: [u8; 32]) -> ASN1Result<Read> {
    reader
        .read_optional(|reader| reader.read_tagged(Tag::context(0), |reader| reader.read_der()))?;
    reader.next().read_der()?; // serial number
    reader.next().read_der()?; // signature algorithm
    let issuer = name(reader.next())?;
    let (not_before, not_after) = reader
        .next()
        .read_sequence(|reader| Ok((time(reader.next())?, time(reader.next())?)))?;
    let subject = name(reader.next())?;
    reader.next().read_der()?; // public key
    for id in [1, 2] {
        reader.read_optional(|reader| {
            reader.read_tagged_implicit(Tag::context(id), |reader| reader.read_bitvec_bytes())
        })?;
    }
    let extensions = reader
        .read_optional(|reader| reader.read_tagged(Tag::context(3), extensions))?
        .unwrap_or_default();
    let value = |oid: &[u64]| {
        let found = extensions.iter().find(|(id, _)| id == oid);
        found.map_or(&[][..], |(_, value)| value)
    };
    Ok(Read {
        facts: Certificate {
            subject: in_words(&subject),
            issuer: in_words(&issuer),
            names: yasna::parse_ber(value(&[2, 5, 29, 17]), alternative_names).unwrap_or_default(),
            not_before,
            not_after,
            sha256,
        },
        issuer_organisation: organisation(&issuer),
        issuer_place: yasna::parse_ber(value(&[1, 3, 6, 1, 5, 5, 7, 1, 1]), issuer_place)
            .ok()
            .flatten(),
        names_issuer_place: value(&[1, 3, 6, 1, 5, 5, 7, 1, 1])
            .windows(CA_ISSUERS_DER.len())
            .any(|window| window == CA_ISSUERS_DER),
    })
}

/// id-ad-caIssuers (RFC 5280 §4.2.2.1).
const CA_ISSUERS: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 48, 2];

/// The same in DER.
const CA_ISSUERS_DER: &[u8] = &[6, 8, 0x2b, 6, 1, 5, 5, 7, 0x30, 2];

/// The first place where the issuer's certificate lies, among other information
/// of the authority.
fn issuer_place(reader: BERReader<'_, '_>) -> ASN1Result<Option<String>> {
    let places = reader.collect_sequence_of(|reader| {
        reader.read_sequence(|reader| {
            let kind = reader.next().read_oid()?;
            let place = reader.next().read_tagged_der()?;
            let uri = place.tag().tag_number == 6 && kind.components() == CA_ISSUERS;
            Ok(uri.then(|| text(22, place.value())))
        })
    })?;
    Ok(places.into_iter().flatten().next())
}

type Name = Vec<(ObjectIdentifier, String)>;

fn name(reader: BERReader<'_, '_>) -> ASN1Result<Name> {
    let mut parts = Vec::new();
    reader.read_sequence_of(|reader| {
        reader.read_set_of(|reader| {
            reader.read_sequence(|reader| {
                let kind = reader.next().read_oid()?;
                let value = reader.next().read_tagged_der()?;
                parts.push((kind, text(value.tag().tag_number, value.value())));
                Ok(())
            })
        })
    })?;
    Ok(parts)
}

/// The string types of a name: BMPString is UTF-16, TeletexString is taken for
/// Latin-1, the others are UTF-8 or a part of it.
fn text(tag: u64, bytes: &[u8]) -> String {
    let text = match tag {
        30 => {
            let units = bytes
                .chunks_exact(2)
                .map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            char::decode_utf16(units)
                .map(|c| c.unwrap_or('\u{fffd}'))
                .collect()
        }
        20 => bytes.iter().copied().map(char::from).collect(),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    };
    // It goes to terminals, and whoever made the certificate wrote it.
    text.replace(char::is_control, "\u{fffd}")
}

fn organisation(name: &Name) -> Option<String> {
    let found = name
        .iter()
        .find(|(kind, _)| kind.components() == &[2, 5, 4, 10]);
    found.map(|(_, value)| value.clone())
}

/// The most specific part first, as RFC 4514 §2.1 has it.
fn in_words(name: &Name) -> String {
    let part = |(kind, value): &(ObjectIdentifier, String)| {
        let short = match &kind.components()[..] {
            [2, 5, 4, 3] => "CN",
            [2, 5, 4, 6] => "C",
            [2, 5, 4, 7] => "L",
            [2, 5, 4, 8] => "ST",
            [2, 5, 4, 10] => "O",
            [2, 5, 4, 11] => "OU",
            [0, 9, 2342, 19_200_300, 100, 1, 25] => "DC",
            [1, 2, 840, 113_549, 1, 9, 1] => "emailAddress",
            _ => return format!("{kind}={value}"),
        };
        format!("{short}={value}")
    };
    let parts: Vec<String> = name.iter().rev().map(part).collect();
    parts.join(", ")
}

fn time(reader: BERReader<'_, '_>) -> ASN1Result<Timestamp> {
    let seconds = if reader.lookahead_tag()?.tag_number == 23 {
        reader.read_utctime()?.datetime().unix_timestamp()
    } else {
        reader.read_generalized_time()?.datetime().unix_timestamp()
    };
    let micros = seconds.checked_mul(1_000_000);
    micros
        .map(Timestamp)
        .ok_or(ASN1Error::new(ASN1ErrorKind::Invalid))
}

type Extensions = Vec<(Vec<u64>, Vec<u8>)>;

#[expect(
    clippy::redundant_closure_for_method_calls,
    reason = "a path to the method is not general enough over the reader's lifetimes"
)]
fn extensions(reader: BERReader<'_, '_>) -> ASN1Result<Extensions> {
    reader.collect_sequence_of(|reader| {
        reader.read_sequence(|reader| {
            let id = reader.next().read_oid()?.into_components();
            reader.read_optional(|reader| reader.read_bool())?;
            Ok((id, reader.next().read_bytes()?))
        })
    })
}

/// The names, addresses, mailboxes and URIs; of other kinds nothing is told.
fn alternative_names(reader: BERReader<'_, '_>) -> ASN1Result<Vec<String>> {
    let names = reader.collect_sequence_of(|reader| {
        let value = reader.read_tagged_der()?;
        Ok(match (value.tag().tag_number, value.value()) {
            (1 | 2 | 6, bytes) => Some(text(22, bytes)),
            (7, bytes) => address(bytes),
            _ => None,
        })
    })?;
    Ok(names.into_iter().flatten().collect())
}

fn address(bytes: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|b| std::net::Ipv4Addr::from(b).to_string());
    let v6 = <[u8; 16]>::try_from(bytes).map(|b| std::net::Ipv6Addr::from(b).to_string());
    v4.or(v6).ok()
}

#[cfg(test)]
mod tests {
    use netloom_base::endpoint::Role;
    use proptest::prelude::*;

    use super::*;
    use crate::tls::certificates::{Certificates, SelfSigned, names_of};
    use crate::trial::cx;

    fn made() -> Vec<u8> {
        let names = ["localhost".to_owned(), "::1".to_owned()];
        let issued = SelfSigned
            .issue(&names, Timestamp(1_795_132_800_000_000))
            .unwrap();
        issued.chain[0].to_vec()
    }

    #[test]
    fn what_was_made_is_read() {
        let read = read(&made()).unwrap();
        assert_eq!(read.facts.subject, "CN=localhost");
        assert_eq!(read.facts.names, ["localhost", "::1"]);
        assert!(read.facts.is_self_issued() && !read.names_issuer_place);
        assert_eq!(
            read.facts.not_before.to_string(),
            "2026-11-19T00:00:00.000000Z"
        );
        assert_eq!(read.facts.not_after.date(), (2027, 11, 21));
    }

    #[test]
    fn a_server_is_called_as_it_was_written() {
        let cx = cx(crate::tcp::Tcp);
        let names = |endpoint: &str| {
            let stack = cx
                .net()
                .stack(&endpoint.parse().unwrap(), Role::Bind)
                .unwrap();
            names_of(&stack).join(" ")
        };
        assert_eq!(names("tcp://:1"), "localhost 127.0.0.1 ::1");
        assert_eq!(
            names("tcp://host.example.:1"),
            "host.example localhost 127.0.0.1 ::1"
        );
        assert_eq!(names("tcp://[::2]:1"), "::2 localhost 127.0.0.1 ::1");
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_certificate_or_not(der in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (read(&der), name_in(&der), organisation_in(&der));
        }

        #[test]
        fn a_changed_certificate_is_read_or_not(changes in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..8)) {
            let mut der = made();
            for (at, byte) in changes {
                let at = usize::from(at) % der.len();
                der[at] = byte;
            }
            let _ = read(&der);
        }
    }
}
