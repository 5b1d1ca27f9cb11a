//! What is asked for, and where: the request's target and `Host`, and what a
//! redirect means there.

use netloom_base::endpoint::Host;
use netloom_base::{Endpoint, Stack};
use netloom_wire::http::{basic, in_target};
use url::Url;

/// A resource of an endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// What stands in the request line.
    pub(crate) target: String,
    /// What stands in `host`.
    pub(crate) host: String,
    /// What stands in `authorization`, where the endpoint names a user.
    pub(crate) authorization: Option<String>,
    /// The same as a URL, for what is relative to it.
    url: Option<Url>,
    encrypted: bool,
}

/// Where a redirect leads.
#[derive(Debug, Clone)]
pub(super) enum Next {
    /// To the same scheme, host and port.
    Here(Place),
    /// Elsewhere.
    There(Box<Elsewhere>),
    /// Nowhere: it cannot be read.
    Nowhere,
}

/// Another scheme, host or port.
#[derive(Debug, Clone)]
pub(super) struct Elsewhere {
    /// As it is told: without a user, a fragment, and long values in its query.
    pub(super) shown: String,
    /// As an endpoint, where it can be one that nobody misreads.
    pub(super) endpoint: Option<Endpoint>,
}

impl Place {
    /// What an endpoint asks for.
    pub(crate) fn of(stack: &Stack) -> Self {
        let endpoint = &stack.endpoint;
        let (scheme, usual) = if stack.encrypts() {
            ("https", 443)
        } else {
            ("http", 80)
        };
        let host = match endpoint.host() {
            Host::Loopback | Host::Any => "localhost".to_owned(),
            Host::V4(ip) => ip.to_string(),
            // A zone means something on this host only (RFC 6874 §4).
            Host::V6 { addr, .. } => format!("[{addr}]"),
            Host::Name(name) => name.clone(),
        };
        let host = match stack.port() {
            Some(port) if port != usual => format!("{host}:{port}"),
            _ => host,
        };
        let path = match endpoint.path() {
            "" => "/",
            path => path,
        };
        let query = endpoint.query().map(|query| format!("?{query}"));
        let target = in_target(&format!("{path}{}", query.unwrap_or_default()));
        let authorization = endpoint.user().map(|user| {
            let password = endpoint.password().map_or("", |secret| secret.reveal());
            basic(user, password)
        });
        Place {
            url: Url::parse(&format!("{scheme}://{host}{target}")).ok(),
            target,
            host,
            authorization,
            encrypted: stack.encrypts(),
        }
    }

    /// The same under another name.
    pub(super) fn under(&self, host: String) -> Self {
        Place {
            host,
            ..self.clone()
        }
    }

    /// The resource as a URL, to know whether it was asked for before.
    pub(super) fn known_as(&self) -> String {
        format!("{} {}{}", self.encrypted, self.host, self.target)
    }

    /// The target as it is told.
    pub(crate) fn shown(&self) -> String {
        let (path, query) = match self.target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (&*self.target, None),
        };
        shortened(path, query)
    }

    /// Whether it is asked for over TLS.
    pub(super) fn encrypted(&self) -> bool {
        self.encrypted
    }

    /// The host without its port.
    pub(super) fn bare_host(&self) -> Option<&str> {
        let (name, port) = self.host.rsplit_once(':')?;
        port.bytes()
            .all(|byte| byte.is_ascii_digit())
            .then_some(name)
    }

    /// A `location` as it is told.
    pub(super) fn redirect_shown(&self, location: &str) -> String {
        match self.redirected(location) {
            Next::Here(place) => place.shown(),
            Next::There(other) => other.shown,
            Next::Nowhere => "what is no address".to_owned(),
        }
    }

    /// Where `location` leads from here (RFC 9110 §10.2.2).
    pub(super) fn redirected(&self, location: &str) -> Next {
        let Some(from) = &self.url else {
            return Next::Nowhere;
        };
        let Ok(mut to) = from.join(location) else {
            return Next::Nowhere;
        };
        to.set_fragment(None);
        let same = to.scheme() == from.scheme()
            && to.host() == from.host()
            && to.port_or_known_default() == from.port_or_known_default();
        if same {
            let query = to.query().map(|query| format!("?{query}"));
            return Next::Here(Place {
                target: in_target(&format!("{}{}", to.path(), query.unwrap_or_default())),
                url: Some(to),
                ..self.clone()
            });
        }
        Next::There(Box::new(Elsewhere::new(&to)))
    }
}

impl Elsewhere {
    fn new(to: &Url) -> Self {
        let port = to.port().map(|port| format!(":{port}")).unwrap_or_default();
        let place = match to.host_str() {
            Some(host) => format!("{}://{host}{port}", to.scheme()),
            None => format!("{}:", to.scheme()),
        };
        Elsewhere {
            shown: format!("{place}{}", shortened(to.path(), to.query())),
            endpoint: as_endpoint(&place, to),
        }
    }
}

/// The endpoint that a server's words name. They may name a web resource and
/// nothing else: no layers, no options, no program to run.
fn as_endpoint(place: &str, to: &Url) -> Option<Endpoint> {
    let known = super::CARD.schemes.iter();
    let known = known
        .map(|scheme| scheme.name)
        .find(|name| *name == to.scheme())?;
    let query = to.query().map(|query| format!("?{query}"));
    let text = format!("{place}{}{}", to.path(), query.unwrap_or_default());
    let endpoint: Endpoint = text.parse().ok()?;
    let plain = endpoint.scheme() == known
        && endpoint.layers().is_empty()
        && endpoint.options().is_empty()
        && endpoint.opaque().is_none()
        && *endpoint.host() != Host::Any
        && *endpoint.host() != Host::Loopback
        && to.host_str() == Some(&endpoint.host().to_string());
    plain.then_some(endpoint)
}

/// How long a value in a query may be to be told: what is longer is often a
/// ticket or a password.
const LONGEST_VALUE: usize = 12;

/// A path and a query without what may be a secret, and no longer than a line.
fn shortened(path: &str, query: Option<&str>) -> String {
    let mut text: String = path.chars().take(200).collect();
    if let Some(query) = query {
        let part = |part: &str| match part.split_once('=') {
            Some((name, value)) if value.len() > LONGEST_VALUE || is_secret(name) => {
                format!("{name}=***")
            }
            _ => part.to_owned(),
        };
        let parts: Vec<String> = query.split('&').take(8).map(part).collect();
        text = format!("{text}?{}", parts.join("&"));
    }
    if text.chars().count() > 240 {
        text = text.chars().take(240).chain(['…']).collect();
    }
    text
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [
        "token", "secret", "pass", "key", "code", "auth", "sig", "session", "ticket", "state",
        "nonce",
    ]
    .iter()
    .any(|word| name.contains(word))
}
