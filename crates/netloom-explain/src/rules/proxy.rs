//! A proxy on the way that did not pass bytes through.
//!
//! What a proxy says of itself (who may, what is allowed) is known from its
//! answer; what it says of the target is hearsay: it looked from another place,
//! and a firewall's reset looks to it like a port nobody listens on.

use netloom_base::diagnosis::Verdict::{Confirmed, Likely, Possible};
use netloom_base::failure::{Fact, ProxyAnswer, ProxyRefusal};
use netloom_base::{Diagnosis, Endpoint, Failure};

use super::Rule;
use super::answers::Answers;
use super::draft::Draft;

pub(super) const RULES: &[Rule] = &[proxy];

fn proxy(failure: &Failure, _: &Answers) -> Option<Diagnosis> {
    let answer = failure.facts().iter().find_map(|fact| match fact {
        Fact::Proxy(answer) => Some(&**answer),
        _ => None,
    })?;
    let case = Case { failure, answer };
    let draft = Draft::of(failure, failure.code(), case.what());
    let mut diagnosis = case.causes(draft).done()?;
    // The step is the failure itself.
    let own = format!("proxy {} → ", answer.proxy);
    let told = |fact: &str| fact.starts_with(&own);
    diagnosis.evidence.retain(|evidence| !told(&evidence.fact));
    Some(diagnosis)
}

struct Case<'a> {
    failure: &'a Failure,
    answer: &'a ProxyAnswer,
}

impl Case<'_> {
    fn what(&self) -> String {
        let ProxyAnswer {
            proxy,
            target,
            said,
            ..
        } = self.answer;
        match self.answer.why {
            ProxyRefusal::NoLogin => format!("the proxy {proxy} wants a user and a password"),
            ProxyRefusal::WrongLogin => format!("the proxy {proxy} does not take this login"),
            ProxyRefusal::Ruleset => format!("the proxy {proxy} does not allow {target}"),
            ProxyRefusal::Closed | ProxyRefusal::Silent | ProxyRefusal::OtherProtocol => {
                format!("the proxy {proxy}: {said}")
            }
            _ => format!("the proxy {proxy} cannot reach {target}"),
        }
    }

    fn causes(&self, draft: Draft) -> Draft {
        let ProxyAnswer { target, .. } = self.answer;
        let by_itself = "the proxy says so of itself";
        let hearsay = "the proxy says so, as it looks from there";
        match self.answer.why {
            ProxyRefusal::NoLogin => self.login(draft.cause(
                "this proxy lets in only whom it knows",
                Confirmed,
                by_itself,
            )),
            ProxyRefusal::WrongLogin => self.login(draft.cause(
                "this proxy does not know the user, or the password is another",
                Confirmed,
                by_itself,
            )),
            ProxyRefusal::Ruleset => self.without(
                draft
                    .cause(
                        format!("the proxy's rules do not allow {target}, or not for this user"),
                        Confirmed,
                        by_itself,
                    )
                    .advice("whoever runs the proxy can allow it; many allow CONNECT to port 443 only"),
            ),
            ProxyRefusal::ConnectionRefused => self.without(
                draft
                    .cause(format!("nothing listens on {target}"), Likely, hearsay)
                    .cause(
                        "a firewall between the proxy and the target rejects it",
                        Possible,
                        "a reset by a firewall looks the same to the proxy",
                    ),
            ),
            ProxyRefusal::HostUnreachable | ProxyRefusal::NetworkUnreachable => self.elsewhere(
                draft.cause(
                    format!("the proxy has no way to {target}"),
                    Likely,
                    hearsay,
                ),
                Possible,
            ),
            ProxyRefusal::NameUnknown => self.elsewhere(draft, Likely),
            ProxyRefusal::TimedOut => self.without(draft.cause(
                format!("{target} does not answer the proxy: packets are dropped on the way, or the host is down"),
                Likely,
                hearsay,
            )),
            ProxyRefusal::Unsupported => self.unsupported(draft),
            ProxyRefusal::Unsaid => self.elsewhere(
                draft
                    .cause(format!("nothing listens on {target}"), Possible, "")
                    .cause(
                        "the proxy's rules do not allow it",
                        Possible,
                        "this answer does not tell why",
                    ),
                Possible,
            ),
            ProxyRefusal::Closed => self.without(draft)
                .cause(
                    format!("it is no {} proxy", self.answer.protocol),
                    Possible,
                    "what does not understand often closes",
                )
                .cause(
                    "the proxy does not take clients from this address",
                    Possible,
                    "",
                ),
            ProxyRefusal::Silent => self.without(draft)
                .cause(
                    format!("{target} does not answer the proxy, which still waits for it"),
                    Possible,
                    "",
                )
                .cause(
                    format!("it is no {} proxy", self.answer.protocol),
                    Possible,
                    "what waits for other words is silent",
                ),
            ProxyRefusal::OtherProtocol => self.other_protocol(draft),
        }
    }

    fn login(&self, draft: Draft) -> Draft {
        let (scheme, host) = self.parts();
        draft.advice(format!(
            "give it one: --via '{scheme}://USER@{host},password-env=VARIABLE', or password-file in a [via.NAME] table"
        ))
    }

    /// The scheme of the proxy, and its host and port.
    fn parts(&self) -> (&str, &str) {
        let (scheme, rest) = self.answer.proxy.split_once("://").unwrap_or_default();
        (scheme, rest.rsplit_once('@').map_or(rest, |(_, host)| host))
    }

    /// The proxy may know another network, or resolve otherwise.
    fn elsewhere(&self, draft: Draft, name: netloom_base::diagnosis::Verdict) -> Draft {
        let host = self
            .answer
            .target
            .rsplit_once(':')
            .map_or("", |(host, _)| host);
        let is_name = host.parse::<std::net::IpAddr>().is_err() && !host.starts_with('[');
        if !is_name {
            return self.without(draft);
        }
        let draft = draft.cause(
            format!("the proxy cannot resolve `{host}`"),
            name,
            "it resolves with its own name servers",
        );
        self.resolved_here(self.without(draft))
    }

    fn resolved_here(&self, draft: Draft) -> Draft {
        let (Some(endpoint), true) = (self.endpoint(), self.is_only_proxy()) else {
            return draft
                .advice("resolve the name here: write resolve=here among the proxy's options");
        };
        let via = format!("{},resolve=here", self.answer.proxy);
        draft.fix("or resolve the name here", connect(&endpoint, &via))
    }

    fn unsupported(&self, draft: Draft) -> Draft {
        let (scheme, _) = self.parts();
        let draft = draft.cause(
            format!("this proxy does not do what a {scheme}:// proxy is asked for"),
            Likely,
            "its answer says that it does not understand the request or this kind of address",
        );
        let is_v6 = self.answer.target.starts_with('[');
        let draft = if is_v6 {
            draft.advice("many proxies carry IPv4 only: name the host instead of its IPv6 address")
        } else {
            draft
        };
        self.without(draft)
    }

    fn other_protocol(&self, draft: Draft) -> Draft {
        let first = self.failure.facts().iter().find_map(|fact| match fact {
            Fact::FirstBytes(bytes) => Some(&bytes[..]),
            _ => None,
        });
        let (scheme, host) = self.parts();
        let speaks = match first.unwrap_or_default() {
            [b'H', b'T', b'T', b'P', ..] => Some(("HTTP", "http")),
            [5, ..] => Some(("SOCKS5", "socks5")),
            [0, 90..=93, ..] => Some(("SOCKS4", "socks4a")),
            // The record of a TLS alert.
            [21, 3, ..] => Some(("TLS", "https")),
            _ => None,
        };
        match speaks.filter(|(_, other)| *other != scheme) {
            Some((name, other)) => {
                let draft = draft.cause(
                    format!("it speaks {name}"),
                    Confirmed,
                    "its first bytes are of that protocol",
                );
                match self.endpoint() {
                    Some(endpoint) if self.is_only_proxy() => {
                        let via = format!("{other}://{host}");
                        draft.fix("speak that to it", connect(&endpoint, &via))
                    }
                    _ => draft.advice(format!("write it as {other}://{host}")),
                }
            }
            None => self.without(draft.cause("what listens there is no proxy", Possible, "")),
        }
    }

    /// Whether the target can be had without the proxy.
    fn without(&self, draft: Draft) -> Draft {
        match self.endpoint() {
            Some(endpoint) => draft.fix(
                "see whether it can be reached from here",
                connect(&endpoint, "direct"),
            ),
            None => draft,
        }
    }

    /// Whether `--via` with one proxy says the whole way: no other before it,
    /// and nobody who must log in.
    fn is_only_proxy(&self) -> bool {
        let mut steps = self.failure.trail().iter();
        let crossed = steps.any(|step| step.failed.is_none() && step.to.starts_with("proxy "));
        !crossed && !self.answer.proxy.contains('@')
    }

    /// The endpoint without its way.
    fn endpoint(&self) -> Option<Endpoint> {
        let written: Endpoint = self.failure.endpoint()?.parse().ok()?;
        let mut bare = written.without_options();
        for option in written
            .options()
            .iter()
            .filter(|option| option.key != "via")
        {
            bare = match &option.value {
                netloom_base::Value::Present => bare.with_option(&option.key, None),
                value => bare.with_option(&option.key, Some(&value.to_string())),
            };
        }
        Some(bare)
    }
}

fn connect(endpoint: &Endpoint, via: &str) -> String {
    let (text, via) = (endpoint.to_string(), shell_words::quote(via));
    format!("netloom connect {} --via {via}", shell_words::quote(&text))
}
