//! The answer of which a failure tells, taken from its facts.

use netloom_base::endpoint::Host;
use netloom_base::failure::Fact;
use netloom_base::{Code, Endpoint, Failure, Scheme};
use netloom_protocol::PROTOCOLS;
use netloom_protocol::http::codes;

use crate::rules::draft::Draft;

/// The answer of which a failure tells.
pub(super) struct Answer<'f> {
    failure: &'f Failure,
    endpoint: Option<Endpoint>,
}

impl<'f> Answer<'f> {
    /// The answer of a failure with this code.
    pub(super) fn of(failure: &'f Failure, code: Code) -> Option<Self> {
        let endpoint = failure.endpoint().and_then(|text| text.parse().ok());
        (failure.code() == code).then_some(Answer { failure, endpoint })
    }

    /// The beginning of its diagnosis.
    pub(super) fn draft(&self) -> Draft {
        let summary = self.failure.summary();
        let said = self.failure.endpoint().and_then(|endpoint| {
            let rest = summary.strip_prefix(endpoint)?;
            rest.strip_prefix(": ")
        });
        Draft::of(self.failure, self.failure.code(), said.unwrap_or(&summary))
    }

    /// What this source said.
    pub(super) fn said(&self, from: &str) -> Option<&'f str> {
        self.facts()
            .find(|(_, source)| *source == from)
            .map(|(what, _)| what)
    }

    /// What sources whose names begin so said, in order.
    pub(super) fn from<'s>(&self, begin: &'s str) -> impl Iterator<Item = &'f str> + use<'f, 's> {
        self.facts()
            .filter(move |(_, source)| source.starts_with(begin))
            .map(|(what, _)| what)
    }

    fn facts(&self) -> impl Iterator<Item = (&'f str, &'f str)> + use<'f> {
        self.failure.facts().iter().filter_map(|fact| match fact {
            Fact::Said { what, source } => Some((&**what, &**source)),
            _ => None,
        })
    }

    /// A header of the answer.
    pub(super) fn header(&self, name: &str) -> Option<&'f str> {
        self.from("header").find_map(|header| {
            let (own, value) = header.split_once(": ")?;
            (own == name).then_some(value)
        })
    }

    pub(super) fn status(&self) -> u16 {
        self.said("status line").map_or(0, status_in)
    }

    /// What was asked, as it was written.
    pub(super) fn endpoint(&self) -> Option<&Endpoint> {
        self.endpoint.as_ref()
    }

    fn scheme(&self) -> Option<&'static Scheme> {
        let name = self.endpoint()?.scheme();
        let mut all = PROTOCOLS
            .iter()
            .flat_map(|protocol| protocol.card().schemes);
        all.find(|scheme| scheme.name == name)
    }

    /// Whether it was asked over TLS.
    pub(super) fn encrypted(&self) -> bool {
        self.scheme().is_some_and(|scheme| scheme.over.len() > 1)
    }

    /// The same resource asked for over HTTP: a WebSocket begins as such a
    /// request, on the same footing (RFC 6455 §3).
    pub(super) fn web(&self) -> Option<Endpoint> {
        let endpoint = self.endpoint()?;
        let over = self.scheme()?.over;
        let card = PROTOCOLS
            .iter()
            .map(|protocol| protocol.card())
            .find(|card| {
                card.codes
                    .iter()
                    .any(|row| row.code == codes::GATEWAY.name())
            })?;
        let scheme = card.schemes.iter().find(|scheme| scheme.over == over)?;
        (endpoint.opaque().is_none() && endpoint.layers().is_empty())
            .then(|| endpoint.with_scheme(scheme.name))
    }

    /// The same resource as a URL that other programs read.
    pub(super) fn url(&self) -> Option<String> {
        let mut endpoint = self.web()?.without_options().without_password();
        if *endpoint.host() == Host::Loopback {
            endpoint = endpoint.with_host(Host::Name("localhost".to_owned()));
        }
        Some(endpoint.to_string())
    }

    /// The same at another host, port and all, where it was an address.
    pub(super) fn under(&self, host: &str) -> Option<Endpoint> {
        let endpoint = self.endpoint()?;
        let name = host.split(':').next()?.parse::<Host>().ok()?;
        name.name()?;
        endpoint.host().ip()?;
        Some(endpoint.with_host(name))
    }

    /// A command that shows the head of the answer, asked with these flags.
    pub(super) fn curl(&self, flags: &str) -> Option<String> {
        let url = self.url()?;
        let option = |name: &str| {
            let setting = self.endpoint()?.options().last(name)?;
            Some(setting.value.to_string())
        };
        let mut words = vec!["curl -sS -o /dev/null -D -".to_owned()];
        if let Some(file) = option("ca") {
            words.push(format!("--cacert {}", shell_words::quote(&file)));
        }
        if option("insecure").is_some() {
            words.push("-k".to_owned());
        }
        if !flags.is_empty() {
            words.push(flags.to_owned());
        }
        words.push(shell_words::quote(&url).into_owned());
        Some(words.join(" "))
    }
}

/// The status in a status line.
pub(super) fn status_in(line: &str) -> u16 {
    let status = line
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    status.unwrap_or_default()
}
