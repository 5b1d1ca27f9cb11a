//! TLS: what two sides could not agree on, and what is wrong with a certificate.

mod certificate;
mod peer;
pub(super) mod second;
mod terms;
mod trust;

use netloom_base::endpoint::Host;
use netloom_base::failure::{Certificate, Fact};
use netloom_base::{Endpoint, Failure, Stage};

use super::Rule;
use super::answers::Answers;
use super::draft::{Draft, netloom};
use second::{End, How, met};

pub(super) const RULES: &[Rule] = &[
    certificate::refused_ours,
    certificate::expired,
    certificate::not_yet_valid,
    certificate::name_mismatch,
    trust::self_signed,
    trust::untrusted_issuer,
    trust::missing_intermediate,
    trust::client_certificate,
    terms::version,
    terms::cipher,
    terms::alpn,
    terms::unknown_name,
    peer::plain,
    peer::timeout,
    peer::closed,
    peer::truncated,
    peer::other,
];

/// Whether `failure` is of TLS, whichever of its codes.
pub(super) fn is_tls(failure: &Failure) -> bool {
    let code = failure.code();
    code == Stage::Tls.other() || code.name().starts_with("tls.")
}

/// A failed handshake with what every rule about it needs.
struct Scene<'a> {
    failure: &'a Failure,
    answers: &'a Answers,
    endpoint: Option<Endpoint>,
}

impl<'a> Scene<'a> {
    fn new(failure: &'a Failure, answers: &'a Answers) -> Self {
        Scene {
            failure,
            answers,
            endpoint: failure.endpoint().and_then(|text| text.parse().ok()),
        }
    }

    /// Begins with what the failure says, and what second tries showed.
    fn draft(&self) -> Draft {
        let mut draft = Draft::begun(self.failure);
        for one in &self.answers.tries {
            draft = draft.knows(one, "second try");
        }
        draft
    }

    /// Whether this end dialled: whoever answered has no steps behind it.
    fn dialled(&self) -> bool {
        met(self.failure).is_some()
            || self
                .failure
                .trail()
                .iter()
                .any(|step| step.stage == Stage::Connect)
    }

    fn chain(&self) -> &'a [Certificate] {
        let chain = self.failure.facts().iter().find_map(|fact| match fact {
            Fact::Chain(chain) => Some(&chain[..]),
            _ => None,
        });
        chain.unwrap_or_default()
    }

    fn alert(&self) -> Option<u8> {
        self.failure.facts().iter().find_map(|fact| match fact {
            Fact::Alert(number) => Some(*number),
            _ => None,
        })
    }

    /// What was said, by its source.
    fn said(&self, by: &str) -> Option<&'a str> {
        self.failure.facts().iter().find_map(|fact| match fact {
            Fact::Said { what, source } if source == by => Some(&what[..]),
            _ => None,
        })
    }

    /// How a second try ended, if it was made.
    fn tried(&self, how: &How) -> Option<&'a End> {
        let mut tries = self.answers.tries.iter();
        Some(&tries.find(|one| one.how == *how)?.end)
    }

    fn agreed(&self, how: &How) -> Option<&'a str> {
        match self.tried(how)? {
            End::Agreed(what) => Some(what),
            _ => None,
        }
    }

    /// The name or address the server was dialled by.
    fn host(&self) -> Option<String> {
        Some(match self.endpoint.as_ref()?.host() {
            Host::Name(name) => name.trim_end_matches('.').to_owned(),
            Host::Loopback | Host::Any => "localhost".to_owned(),
            Host::V4(ip) => ip.to_string(),
            Host::V6 { addr, .. } => addr.to_string(),
        })
    }

    /// Whether a name was asked for, by what the endpoint says.
    fn asked_for_name(&self) -> bool {
        let Some(endpoint) = &self.endpoint else {
            return false;
        };
        match endpoint.options().last("sni") {
            Some(setting) => !setting.value.to_string().eq_ignore_ascii_case("off"),
            None => !matches!(endpoint.host(), Host::V4(_) | Host::V6 { .. }),
        }
    }

    /// The endpoint with an option set, or taken away.
    fn with(&self, changes: &[(&str, Option<&str>)]) -> Option<Endpoint> {
        let written = self.endpoint.as_ref()?;
        let kept = written
            .options()
            .iter()
            .filter(|setting| changes.iter().all(|(key, _)| *key != setting.key));
        let kept = kept.fold(written.without_options(), |endpoint, setting| {
            endpoint.with_option(&setting.key, Some(&setting.value.to_string()))
        });
        let added = changes.iter().fold(kept, |endpoint, (key, value)| {
            value.map_or_else(
                || endpoint.clone(),
                |value| endpoint.with_option(key, Some(value)),
            )
        });
        Some(added)
    }

    /// The same conversation with an option set, or taken away.
    fn again(&self, changes: &[(&str, Option<&str>)]) -> Option<String> {
        Some(netloom(self.verb(), &self.with(changes)?))
    }

    /// What a person does with such an endpoint.
    fn verb(&self) -> &'static str {
        if self.answers.is_stream {
            "connect"
        } else {
            "explain"
        }
    }

    /// openssl's client at the same server, asking for the same name; `more`
    /// are further flags.
    fn s_client(&self, more: &str) -> Option<String> {
        let host = self.host()?;
        let port = met(self.failure)
            .map(|at| at.port())
            .or(self.endpoint.as_ref()?.port())?;
        let at = if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        };
        let name = self.endpoint.as_ref()?.options().last("sni");
        let name = match name.map(|setting| setting.value.to_string()) {
            Some(off) if off.eq_ignore_ascii_case("off") => " -noservername".to_owned(),
            Some(name) => format!(" -servername {}", shell_words::quote(&name)),
            None => String::new(),
        };
        let at = shell_words::quote(&at).into_owned();
        Some(format!(
            "openssl s_client -connect {at}{name}{more} </dev/null 2>/dev/null"
        ))
    }
}

/// The names in a certificate that a server can be asked for: no patterns, no
/// addresses, no mailboxes.
pub(super) fn names(certificate: &Certificate) -> impl Iterator<Item = &str> {
    let plain = |name: &&str| {
        name.bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
            && name.parse::<std::net::IpAddr>().is_err()
    };
    certificate.names.iter().map(String::as_str).filter(plain)
}

/// A second try that was made in vain is evidence, but not of a fix.
fn refused(end: Option<&End>) -> bool {
    matches!(end, Some(End::Failed { .. } | End::Said(_) | End::Nothing))
}
