//! The certificates of a conversation: whom they are for, and for how long.

use std::time::Duration;

use netloom_base::failure::{Certificate, Fact};
use netloom_base::story::Told;
use netloom_base::{Code, Failure, Side, Stage, Timestamp};
use netloom_transport::tls::codes;

/// The most names of one certificate that are told.
const MOST_NAMES: usize = 8;

const DAY: i64 = 86_400;

/// One line for each certificate, the server's own first.
pub(super) fn chain(chain: &[Certificate], now: Timestamp) -> Vec<Told> {
    let line = |certificate| Told::new("chain", in_words(certificate, now), "tls");
    chain.iter().map(line).collect()
}

fn in_words(certificate: &Certificate, now: Timestamp) -> String {
    let subject = match certificate.subject.as_str() {
        "" => certificate
            .names
            .first()
            .map_or("(no name)", String::as_str),
        subject => subject,
    };
    let names = &certificate.names;
    let told_already = names.iter().all(|name| subject.ends_with(name.as_str()));
    let shown = names[..names.len().min(MOST_NAMES)].join(" ");
    let names = match names.len() {
        _ if told_already => String::new(),
        ..=MOST_NAMES => format!(" for {shown}"),
        all => format!(" for {shown} and {} more names", all - MOST_NAMES),
    };
    let signed = if certificate.is_self_issued() {
        "itself"
    } else {
        &certificate.issuer
    };
    let (from, until) = (day(certificate.not_before), day(certificate.not_after));
    let left = left(certificate, now);
    format!("{subject}{names}, signed by {signed}; {from} to {until}, {left}")
}

/// `30 days left`, or how long ago it ended.
fn left(certificate: &Certificate, now: Timestamp) -> String {
    let days = (certificate.not_after.seconds() - now.seconds()).div_euclid(DAY);
    match days {
        ..0 => format!("expired {} ago", counted(-days)),
        0 => "less than a day left".to_owned(),
        days => format!("{} left", counted(days)),
    }
}

fn counted(days: i64) -> String {
    if days == 1 {
        "1 day".to_owned()
    } else {
        format!("{days} days")
    }
}

fn day(at: Timestamp) -> String {
    let (year, month, day) = at.date();
    format!("{year:04}-{month:02}-{day:02}")
}

/// Whether every certificate outlasts `within`. An authority that signs itself
/// and was sent along decides nothing: who trusts it has it at home.
///
/// # Errors
/// `tls.expires-soon` with the dates; where there is no certificate,
/// `parse.usage`.
pub(super) fn lasts(
    chain: Option<&[Certificate]>,
    within: Duration,
    now: Timestamp,
) -> Result<(), Failure> {
    let Some(chain) = chain else {
        let failure = Failure::new(Stage::Parse, Side::Us, Code::PARSE_USAGE);
        return Err(failure.message("--expires-within needs an endpoint that shows a certificate"));
    };
    let end = now
        .seconds()
        .saturating_add(i64::try_from(within.as_secs()).unwrap_or(i64::MAX));
    let counts =
        |(i, certificate): &(usize, &Certificate)| *i == 0 || !certificate.is_self_issued();
    let soon: Vec<Certificate> = chain
        .iter()
        .enumerate()
        .filter(counts)
        .map(|(_, certificate)| certificate)
        .filter(|certificate| certificate.not_after.seconds() <= end)
        .cloned()
        .collect();
    let Some(first) = soon.iter().min_by_key(|certificate| certificate.not_after) else {
        return Ok(());
    };
    let own = chain.first() == Some(first);
    let whose = if own {
        "the certificate"
    } else {
        "a certificate of the chain"
    };
    let message = format!(
        "{whose} expires on {}, {}",
        day(first.not_after),
        left(first, now)
    );
    Err(Failure::new(Stage::Tls, Side::Peer, codes::EXPIRES_SOON)
        .message(message)
        .fact(Fact::Chain(soon))
        .fact(Fact::Limit {
            name: "expires-within",
            allows: within.as_secs(),
        })
        .fact(Fact::said(format!("this host's clock says {now}"), "clock")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_790_000_000_000_000);

    fn certificate(subject: &str, issuer: &str, days: i64) -> Certificate {
        Certificate {
            subject: subject.to_owned(),
            issuer: issuer.to_owned(),
            names: vec!["a.example".to_owned(), "b.example".to_owned()],
            not_before: Timestamp(0),
            not_after: Timestamp(NOW.0 + days * DAY * 1_000_000),
            sha256: [7; 32],
        }
    }

    #[test]
    fn what_expires_in_time_is_named_and_a_root_is_not() {
        let month = Duration::from_hours(30 * 24);
        let leaf = |days| certificate("CN=a.example", "CN=between", days);
        let between = |days| certificate("CN=between", "CN=root", days);
        let root = certificate("CN=root", "CN=root", 3);
        assert!(lasts(Some(&[leaf(31), between(400), root.clone()]), month, NOW).is_ok());
        let failure = lasts(Some(&[leaf(90), between(29), root]), month, NOW).unwrap_err();
        assert_eq!(failure.code(), codes::EXPIRES_SOON);
        let summary = failure.summary();
        assert!(
            summary.starts_with("a certificate of the chain expires on "),
            "{summary}"
        );
        assert!(summary.ends_with(", 29 days left"), "{summary}");
        // One that signs itself and is the server's own must last too.
        let own = certificate("CN=a.example", "CN=a.example", 0);
        let failure = lasts(Some(&[own]), month, NOW).unwrap_err();
        assert!(
            failure.summary().ends_with("less than a day left"),
            "{failure}"
        );
        assert_eq!(
            lasts(None, month, NOW).unwrap_err().code(),
            Code::PARSE_USAGE
        );
    }

    #[test]
    fn a_certificate_is_one_line() {
        let told = chain(&[certificate("CN=a.example", "CN=between", 1)], NOW);
        assert_eq!(
            told[0].text,
            "CN=a.example for a.example b.example, signed by CN=between; 1970-01-01 to 2026-09-22, 1 day left"
        );
        let mut plain = certificate("CN=a.example", "CN=a.example", -2);
        plain.names.truncate(1);
        assert!(
            chain(&[plain], NOW)[0]
                .text
                .starts_with("CN=a.example, signed by itself; ")
        );
    }
}
