//! From what rustls or the peer says to a failure with a code and its facts.

use std::io;

use netloom_base::endpoint::Role;
use netloom_base::failure::Fact;
use netloom_base::{Code, Failure, Side, Stage, Timestamp};
use netloom_wire::tls::{alert_name, looks_like};
use rustls::pki_types::CertificateDer;
use rustls::{CertificateError, Error, PeerIncompatible, RootCertStore};

use super::codes;
use super::sniff::Seen;
use super::x509;

/// A handshake that failed, and what is known of it.
pub(super) struct Case<'a> {
    /// Which end this is.
    pub(super) role: Role,
    pub(super) seen: &'a Seen,
    /// The certificates this end shows.
    pub(super) own: &'a [CertificateDer<'static>],
    pub(super) roots: Option<&'a RootCertStore>,
    /// The name the peer's certificate must be for.
    pub(super) name: &'a str,
    /// What each end offers, in words.
    pub(super) offers: Vec<Fact>,
    pub(super) now: Timestamp,
}

impl Case<'_> {
    /// What went wrong.
    pub(super) fn failure(&self, error: io::Error) -> Failure {
        let first = &self.seen.first;
        let plain = self.speaks_plain();
        let failure = match error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<Error>())
        {
            _ if plain.is_some() => failed(Side::Peer, codes::PEER_SPEAKS_PLAIN),
            Some(error) => self.by_error(error),
            None if error.kind() == io::ErrorKind::UnexpectedEof => {
                let failure = failed(Side::Peer, codes::CLOSED);
                if first.is_empty() {
                    failure.message("the peer closed without a byte when it was greeted with TLS")
                } else {
                    failure
                }
            }
            None => return Failure::from_io(Stage::Tls, error),
        };
        match plain {
            Some(what) => failure.message(what).fact(Fact::FirstBytes(first.clone())),
            None => failure,
        }
    }

    /// What the peer's first bytes are, when they are no TLS.
    fn speaks_plain(&self) -> Option<String> {
        let first = &self.seen.first;
        if first.is_empty() {
            return None;
        }
        match looks_like(first) {
            // A server's first handshake message is never a ClientHello (1).
            Some("TLS")
                if self.role == Role::Dial && first[0] == 22 && first.get(5) == Some(&1) =>
            {
                Some("the peer sends back what it is sent, so it is an echo and not TLS".to_owned())
            }
            Some("TLS") => None,
            Some(protocol) => Some(format!("the peer speaks {protocol}, not TLS")),
            None if netloom_wire::tls::is_record(first) => None,
            None => Some("the peer does not speak TLS".to_owned()),
        }
    }

    fn by_error(&self, error: &Error) -> Failure {
        use PeerIncompatible as No;
        let common = |code| {
            let offers = self.offers.iter().cloned();
            offers.fold(failed(Side::Peer, code), Failure::fact)
        };
        match error {
            Error::AlertReceived(alert) => self.by_alert(u8::from(*alert)),
            Error::InvalidCertificate(error) => self.by_certificate(error),
            Error::NoCertificatesPresented => {
                failed(Side::Peer, codes::CLIENT_CERTIFICATE_REQUIRED)
                    .message("the client showed no certificate, and this server requires one")
            }
            Error::NoApplicationProtocol => common(codes::NO_COMMON_ALPN),
            Error::PeerIncompatible(
                No::ServerDoesNotSupportTls12Or13
                | No::ServerTlsVersionIsDisabledByOurConfig
                | No::SupportedVersionsExtensionRequired
                | No::Tls12NotOffered
                | No::Tls12NotOfferedOrEnabled
                | No::Tls13RequiredForQuic,
            ) => common(codes::NO_COMMON_VERSION),
            Error::PeerIncompatible(
                No::NoCipherSuitesInCommon
                | No::NoKxGroupsInCommon
                | No::NoSignatureSchemesInCommon
                | No::NoEcPointFormatsInCommon
                | No::NoCertificateRequestSignatureSchemesInCommon,
            ) => common(codes::NO_COMMON_CIPHER),
            unknown => other(unknown),
        }
    }

    /// What an alert of the peer means (RFC 8446 §6.2). One about a certificate
    /// is about the one this end showed.
    fn by_alert(&self, alert: u8) -> Failure {
        let about_ours = (41..=48).contains(&alert) && !self.own.is_empty();
        let (side, code) = match alert {
            41 | 116 => (Side::Us, codes::CLIENT_CERTIFICATE_REQUIRED),
            40 if self.asked_in_vain() => (Side::Us, codes::CLIENT_CERTIFICATE_REQUIRED),
            40 | 71 => (Side::Peer, codes::NO_COMMON_CIPHER),
            70 | 86 => (Side::Peer, codes::NO_COMMON_VERSION),
            112 => (Side::Us, codes::UNKNOWN_NAME),
            120 => (Side::Peer, codes::NO_COMMON_ALPN),
            42..=48 if about_ours => (Side::Us, self.own_fault(alert)),
            45 => (Side::Us, codes::EXPIRED),
            48 => (Side::Us, codes::UNTRUSTED_ISSUER),
            _ => (Side::Peer, Stage::Tls.other()),
        };
        let mut failure = failed(side, code).fact(Fact::Alert(alert));
        let named = match alert_name(alert) {
            Some(name) => format!("{name} ({alert})"),
            None => alert.to_string(),
        };
        let why = if about_ours {
            failure = failure.fact(Fact::Chain(x509::facts(self.own)));
            "the peer refused this end's certificate".to_owned()
        } else {
            code.sentence().to_owned()
        };
        failure = failure.message(format!("{why}: it sent the alert {named}"));
        match code {
            codes::CLIENT_CERTIFICATE_REQUIRED => self.with_asked(failure),
            codes::NO_COMMON_CIPHER | codes::NO_COMMON_VERSION | codes::NO_COMMON_ALPN => {
                self.offers.iter().cloned().fold(failure, Failure::fact)
            }
            codes::UNKNOWN_NAME => failure.fact(Fact::said(
                format!("this end asked for {}", self.name),
                "settings",
            )),
            _ => failure,
        }
    }

    /// TLS 1.2 has no alert for a missing certificate: a plain refusal after
    /// one was asked for and none was shown means that.
    fn asked_in_vain(&self) -> bool {
        self.role == Role::Dial && self.own.is_empty() && self.seen.asked.is_some()
    }

    fn with_asked(&self, failure: Failure) -> Failure {
        match self.seen.asked.as_deref() {
            Some([]) => failure.fact(Fact::said(
                "the server names no issuers",
                "CertificateRequest",
            )),
            Some(names) => failure.fact(Fact::said(
                format!(
                    "the server takes certificates issued by {}",
                    names.join("; ")
                ),
                "CertificateRequest",
            )),
            None => failure,
        }
    }

    /// What the peer may have against this end's certificate. 45 and 48 say it;
    /// of the others the certificate itself may tell.
    fn own_fault(&self, alert: u8) -> Code {
        let read = self.own.first().and_then(|der| x509::read(der));
        let Some(facts) = read.map(|read| read.facts) else {
            return Stage::Tls.other();
        };
        let about_dates = matches!(alert, 42 | 45 | 46);
        // Not every end has an alert of its own for each of the two.
        if about_dates && facts.not_before > self.now {
            codes::NOT_YET_VALID
        } else if alert == 45 || about_dates && facts.not_after < self.now {
            codes::EXPIRED
        } else if alert != 48 {
            Stage::Tls.other()
        } else if facts.is_self_issued() {
            codes::SELF_SIGNED
        } else {
            codes::UNTRUSTED_ISSUER
        }
    }

    /// What is wrong with the peer's certificate.
    fn by_certificate(&self, error: &CertificateError) -> Failure {
        let chain = x509::facts(&self.seen.chain);
        let whose = match self.role {
            Role::Dial => "the certificate",
            Role::Bind => "the client's certificate",
        };
        let clock = Fact::said(format!("this host's clock says {}", self.now), "clock");
        let dated = |code, verb: &str, at: Option<Timestamp>| {
            let at = at.map(|at| format!(" on {}", day(at))).unwrap_or_default();
            let failure = failed(Side::Peer, code);
            failure
                .message(format!("{whose} {verb}{at}"))
                .fact(clock.clone())
        };
        let failure = match error {
            CertificateError::Expired => dated(
                codes::EXPIRED,
                "expired",
                chain.first().map(|c| c.not_after),
            ),
            CertificateError::ExpiredContext { not_after, .. } => dated(
                codes::EXPIRED,
                "expired",
                Some(Timestamp::since_epoch(since(*not_after))),
            ),
            CertificateError::NotValidYet => dated(
                codes::NOT_YET_VALID,
                "begins to count",
                chain.first().map(|c| c.not_before),
            ),
            CertificateError::NotValidYetContext { not_before, .. } => dated(
                codes::NOT_YET_VALID,
                "begins to count",
                Some(Timestamp::since_epoch(since(*not_before))),
            ),
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                let names = chain
                    .first()
                    .map(|c| c.names.join(", "))
                    .unwrap_or_default();
                let names = if names.is_empty() {
                    "no name at all".to_owned()
                } else {
                    names
                };
                failed(Side::Peer, codes::NAME_MISMATCH)
                    .message(format!("{whose} is for {names}, not for {}", self.name))
            }
            CertificateError::UnknownIssuer => self.unsigned(whose),
            unknown => other(&Error::InvalidCertificate(unknown.clone())),
        };
        failure.fact(Fact::Chain(chain))
    }

    /// Nobody who is trusted signed it. How far the chain goes says why.
    fn unsigned(&self, whose: &str) -> Failure {
        let read: Vec<x509::Read> = self
            .seen
            .chain
            .iter()
            .filter_map(|der| x509::read(der))
            .collect();
        let Some(first) = read.first() else {
            return failed(Side::Peer, codes::UNTRUSTED_ISSUER);
        };
        if first.facts.is_self_issued() {
            return failed(Side::Peer, codes::SELF_SIGNED)
                .message(format!("{whose} is signed by nobody but itself"));
        }
        let mut last = first;
        for _ in 0..read.len() {
            let above = |next: &&x509::Read| next.facts.subject == last.facts.issuer;
            match read.iter().find(above) {
                Some(next) if next.facts.sha256 != last.facts.sha256 => last = next,
                _ => break,
            }
        }
        let issuer = &last.facts.issuer;
        let gap = std::ptr::eq(last, first)
            && !self.seen.other_key
            && (first.names_issuer_place || self.trusts_kin_of(first));
        if gap {
            let message =
                format!("the certificate of {issuer}, which signed {whose}, was not sent");
            let place = first.issuer_place.clone().map(Fact::IssuerAt);
            return place.into_iter().fold(
                failed(Side::Peer, codes::MISSING_INTERMEDIATE).message(message),
                Failure::fact,
            );
        }
        let failure = failed(Side::Peer, codes::UNTRUSTED_ISSUER).message(format!(
            "{whose} is issued by {issuer}, who is not trusted here"
        ));
        if self.seen.other_key {
            let fact = "an authority of this name is trusted here, but with another key";
            failure.fact(Fact::said(fact, "chain"))
        } else if last.facts.is_self_issued() {
            failure
        } else {
            failure.fact(Fact::said(
                format!(
                    "the certificate of {issuer} was not sent: where it is no root, it is missing"
                ),
                "chain",
            ))
        }
    }

    /// Whether an authority of the same organisation is trusted.
    fn trusts_kin_of(&self, first: &x509::Read) -> bool {
        let Some(wanted) = &first.issuer_organisation else {
            return false;
        };
        let roots = self.roots.map_or(&[][..], |roots| &roots.roots);
        roots
            .iter()
            .any(|root| x509::organisation_in(root.subject.as_ref()).as_ref() == Some(wanted))
    }
}

/// What no rule knows, in the library's words.
fn other(error: &Error) -> Failure {
    failed(Side::Peer, Stage::Tls.other())
        .fact(Fact::said(error.to_string(), "rustls"))
        .source(error.clone())
}

/// A failure of the handshake.
fn failed(side: Side, code: Code) -> Failure {
    Failure::new(Stage::Tls, side, code)
}

fn since(time: rustls::pki_types::UnixTime) -> std::time::Duration {
    std::time::Duration::from_secs(time.as_secs())
}

fn day(at: Timestamp) -> String {
    let (year, month, day) = at.date();
    format!("{year:04}-{month:02}-{day:02}")
}

/// What may still be said when the handshake is over: a server of TLS 1.3
/// refuses a client's certificate, or its absence, only then.
pub(super) struct Late {
    pub(super) role: Role,
    pub(super) own: Vec<CertificateDer<'static>>,
    pub(super) asked: Option<Vec<String>>,
    pub(super) now: Timestamp,
}

impl Late {
    /// A TLS error as a failure inside an `io::Error`; others pass.
    pub(super) fn explain(&self, error: io::Error) -> io::Error {
        if !error
            .get_ref()
            .is_some_and(<dyn std::error::Error + Send + Sync>::is::<Error>)
        {
            return error;
        }
        let seen = Seen {
            asked: self.asked.clone(),
            ..Seen::default()
        };
        let case = Case {
            role: self.role,
            seen: &seen,
            own: &self.own,
            roots: None,
            name: "",
            offers: Vec::new(),
            now: self.now,
        };
        case.failure(error).into()
    }
}
