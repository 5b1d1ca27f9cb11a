//! What a proxy's refusal means.

use netloom_base::failure::{Fact, ProxyAnswer, ProxyRefusal};
use netloom_base::{Code, Failure, Side, Stage};
use netloom_wire::socks::{Head, Refusal, Target};

use super::hop::Hop;

/// Who was asked for what.
pub(super) struct Case<'a> {
    pub(super) hop: &'a Hop,
    pub(super) target: &'a Target,
    pub(super) with_login: bool,
}

impl Case<'_> {
    pub(super) fn failure(&self, refusal: &Refusal) -> Failure {
        let (hop, target) = (self.hop, self.target);
        if *refusal == Refusal::OtherProtocol {
            let said = format!("what it answers is not {}", hop.protocol().1);
            return self.mute(
                Code::GREET_WRONG_PROTOCOL,
                ProxyRefusal::OtherProtocol,
                &said,
            );
        }
        let why = self.why(refusal);
        let code = match why {
            ProxyRefusal::NoLogin | ProxyRefusal::WrongLogin | ProxyRefusal::Ruleset => {
                Code::PROXY_DENIED
            }
            _ => Code::PROXY_REFUSED,
        };
        let message = match why {
            ProxyRefusal::NoLogin => format!("the proxy {hop} wants a user and a password"),
            ProxyRefusal::WrongLogin => format!("the proxy {hop} does not take this login"),
            ProxyRefusal::Ruleset => format!("the proxy {hop} does not allow {target}"),
            _ => format!("the proxy {hop} cannot reach {target}: {refusal}"),
        };
        let failure = Failure::new(Stage::Connect, Side::Path, code).message(message);
        let failure = failure.fact(self.answer(why, refusal.to_string()));
        match refusal {
            Refusal::Status(head) => told(head).into_iter().fold(failure, Failure::fact),
            _ => failure,
        }
    }

    pub(super) fn answer(&self, why: ProxyRefusal, said: String) -> Fact {
        Fact::Proxy(Box::new(ProxyAnswer {
            proxy: self.hop.to_string(),
            target: self.target.to_string(),
            protocol: self.hop.protocol().1,
            why,
            said,
        }))
    }

    fn why(&self, refusal: &Refusal) -> ProxyRefusal {
        let login = if self.with_login {
            ProxyRefusal::WrongLogin
        } else {
            ProxyRefusal::NoLogin
        };
        match refusal {
            Refusal::Reply5(reply) => match reply.0 {
                2 => ProxyRefusal::Ruleset,
                3 => ProxyRefusal::NetworkUnreachable,
                4 => ProxyRefusal::HostUnreachable,
                5 => ProxyRefusal::ConnectionRefused,
                6 => ProxyRefusal::TimedOut,
                7 | 8 => ProxyRefusal::Unsupported,
                _ => ProxyRefusal::Unsaid,
            },
            Refusal::NoMethod { .. } => login,
            Refusal::WrongLogin(_) | Refusal::Reply4(92 | 93) => ProxyRefusal::WrongLogin,
            Refusal::Reply4(_) => ProxyRefusal::Unsaid,
            Refusal::Status(head) => match (head.status, squid(head)) {
                (401 | 407, _) => login,
                (403, _) => ProxyRefusal::Ruleset,
                (_, "ERR_DNS_FAIL") => ProxyRefusal::NameUnknown,
                (504, _) => ProxyRefusal::TimedOut,
                (400 | 405 | 501, _) => ProxyRefusal::Unsupported,
                _ => ProxyRefusal::Unsaid,
            },
            Refusal::OtherProtocol => ProxyRefusal::OtherProtocol,
        }
    }
}

/// The word Squid has for its error: `ERR_DNS_FAIL 0`.
fn squid(head: &Head) -> &str {
    let told = head.header("x-squid-error").unwrap_or_default();
    told.split(' ').next().unwrap_or_default()
}

/// What an HTTP proxy says of itself.
fn told(head: &Head) -> Vec<Fact> {
    let fact = |(name, value): &(String, String)| Fact::said(format!("{name}: {value}"), "HTTP");
    head.told.iter().map(fact).collect()
}
