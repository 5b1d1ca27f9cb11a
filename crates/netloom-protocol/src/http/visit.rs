//! A visit: ask, follow, and say what was found.

use std::borrow::Cow;

use netloom_base::endpoint::Host;
use netloom_base::failure::Fact;
use netloom_base::story::Told;
use netloom_base::{Failure, Role, Side, Stack};
use netloom_transport::{Close, Conn, Cx};

use super::codes;
use super::environment::Environment;
use super::exchange::{Answer, Asked, ask};
use super::place::{Next, Place};
use super::signs::{facts, judge};
use super::tell::{clean, told};
use crate::greeting::{Greeted, Visit};

/// How many redirects are followed.
const REDIRECTS: usize = 10;

/// Asks for what the endpoint names, and follows where it leads.
pub(super) async fn greet(
    mut conn: Conn,
    visit: Visit<'_>,
    environment: Environment,
    cx: &Cx,
) -> Result<Greeted, Failure> {
    let mut lines = Vec::new();
    lines.extend(proxies(visit.stack, environment));
    if let Some(chosen) = other_protocol("http", &conn) {
        lines.push(chosen);
        return Ok(Greeted {
            conn: Some(conn),
            told: lines,
        });
    }
    let mut stack = Cow::Borrowed(visit.stack);
    let mut place = Place::of(&stack);
    let mut send = visit.send;
    let mut way = Way::default();
    loop {
        let here = |failure: Failure| failure.at(&stack.endpoint);
        let asked = Asked::new(&place, send)?;
        let answer = ask(conn, &asked, "HTTP", cx).await.map_err(here)?;
        if let Some(failure) = judge(&asked, &answer) {
            return Err(here(with_environment(failure, visit.stack, environment)));
        }
        lines.extend(told("http", &answer));
        let second = match other_host(&stack, &asked, &answer) {
            Some(other) => again(visit, &stack, other, cx).await,
            None => None,
        };
        if let Some(failure) = wrong_host(&asked, &answer, second.as_ref()) {
            return Err(here(failure));
        }
        let next = answer
            .header("location")
            .filter(|_| matches!(answer.status(), 301..=303 | 307 | 308))
            .map(|location| place.redirected(location));
        let Some(next) = next else {
            return Ok(way.ended(answer, lines));
        };
        if way.goes_round(&place, &answer, &next) {
            return Err(here(way.round(&asked, &answer)));
        }
        // What was posted is posted again only where the server asks for that
        // (RFC 9110 §15.4).
        if !matches!(answer.status(), 307 | 308) {
            send = None;
        }
        match next {
            Next::Here(other) => {
                lines.push(line(format!("it redirects to {}", other.shown())));
                close(answer);
                way.followed = true;
                let again = Visit {
                    stack: &stack,
                    ..visit
                };
                conn = again.dial_again(cx).await.map_err(here)?;
                place = other;
            }
            Next::There(other) => {
                let shown = other.shown;
                lines.push(line(format!("it redirects to {shown}")));
                let Some(endpoint) = other.endpoint.filter(|_| visit.deep) else {
                    let why = if visit.deep {
                        "it was not followed: netloom does not read that as an endpoint"
                    } else {
                        "another endpoint: it was not followed, --deep does"
                    };
                    lines.push(line(why.to_owned()));
                    return Ok(way.ended(answer, lines));
                };
                close(answer);
                way.followed = true;
                let there = cx.net().stack(&endpoint, Role::Dial)?;
                let again = Visit {
                    stack: &there,
                    ..visit
                };
                conn = again
                    .dial_again(cx)
                    .await
                    .map_err(|failure| failure.at(&endpoint))?;
                place = Place::of(&there);
                stack = Cow::Owned(there);
            }
            Next::Nowhere => {
                lines.push(line("it redirects to what is no address".to_owned()));
                return Ok(way.ended(answer, lines));
            }
        }
    }
}

/// What both ends agreed to speak inside TLS, where it is not HTTP/1.
pub(crate) fn other_protocol(about: &'static str, conn: &Conn) -> Option<Told> {
    let chosen = conn.alpn().filter(|name| !name.starts_with(b"http/1."))?;
    let chosen = clean(&String::from_utf8_lossy(chosen));
    let text =
        format!("the server chose {chosen}, and netloom asks in http/1.1 only: nothing was asked");
    Some(Told::new(about, text, "alpn"))
}

fn line(text: String) -> Told {
    Told::new("http", text, "location")
}

/// What other programs would do with this host.
fn proxies(stack: &Stack, environment: Environment) -> Option<Told> {
    let proxy = environment.proxy_for(stack.endpoint.host(), stack.encrypts())?;
    let text = format!(
        "other programs would go through {} ({}); netloom asked directly",
        proxy.shown, proxy.variable
    );
    Some(Told::new("http", text, "environment"))
}

fn with_environment(failure: Failure, stack: &Stack, environment: Environment) -> Failure {
    match proxies(stack, environment) {
        Some(told) => failure.fact(Fact::said(told.text, told.source)),
        None => failure,
    }
}

fn close(answer: Answer<'_>) {
    answer.opening.into_conn().close(Close::Orderly);
}

/// The redirects that were followed.
#[derive(Default)]
struct Way {
    seen: Vec<String>,
    hops: Vec<String>,
    cookie: Option<String>,
    followed: bool,
}

impl Way {
    /// Remembers a redirect, and says whether it leads where one was before.
    fn goes_round(&mut self, from: &Place, answer: &Answer<'_>, next: &Next) -> bool {
        self.seen.push(from.known_as());
        let (to, again) = match next {
            Next::Here(to) => (to.shown(), self.seen.contains(&to.known_as())),
            Next::There(other) => (other.shown.clone(), false),
            Next::Nowhere => return false,
        };
        self.hops
            .push(format!("{}: {} to {to}", from.shown(), answer.status()));
        let cookie = answer
            .header("set-cookie")
            .and_then(|set| set.split_once('='));
        let cookie = cookie.map(|(name, _)| name);
        self.cookie = self.cookie.take().or(cookie.map(clean));
        again || self.hops.len() > REDIRECTS
    }

    /// Nothing but redirects.
    fn round(&self, asked: &Asked<'_>, answer: &Answer<'_>) -> Failure {
        let message = if self.hops.len() > REDIRECTS {
            format!("more than {REDIRECTS} redirects, and no end")
        } else {
            "the redirects lead back to where they were before".to_owned()
        };
        let failure = facts(codes::REDIRECT_LOOP, Side::Peer, message, asked, answer);
        let hops = self.hops.iter().enumerate();
        let failure = hops.fold(failure, |failure, (i, hop)| {
            failure.fact(Fact::said(hop.clone(), format!("redirect {}", i + 1)))
        });
        match &self.cookie {
            Some(name) => failure.fact(Fact::said(
                format!("the answers set the cookie {name}, which was not sent back"),
                "set-cookie",
            )),
            None => failure,
        }
    }

    /// The end of a visit. A connection that a redirect led to is ended here:
    /// whose end can be seen is the one that was given.
    fn ended(self, answer: Answer<'_>, told: Vec<Told>) -> Greeted {
        let conn = answer.opening.into_conn();
        if self.followed {
            conn.close(Close::Orderly);
            return Greeted { conn: None, told };
        }
        Greeted {
            conn: Some(conn),
            told,
        }
    }
}

/// The failure of a server that serves other names: it says so, or the same
/// request under another name is served.
fn wrong_host(
    asked: &Asked<'_>,
    answer: &Answer<'_>,
    second: Option<&(Asked<'_>, Answer<'_>)>,
) -> Option<Failure> {
    let served = second.filter(|(_, answer)| (200..300).contains(&answer.status()));
    if answer.status() != 421 && served.is_none() {
        return None;
    }
    let host = &asked.place.host;
    let message = match served {
        Some((other, _)) => format!("the server serves {}, not {host}", other.place.host),
        None => format!("the server does not answer for {host} here (421)"),
    };
    let failure = facts(codes::WRONG_HOST, Side::Us, message, asked, answer);
    Some(match second {
        Some((other, answer)) => failure
            .fact(Fact::said(other.shown(), "second request"))
            .fact(Fact::said(
                clean(&answer.head.status_line()),
                "second status line",
            )),
        None => failure,
    })
}

/// The same request under another name. How it fails is not told: the first
/// answer is what matters.
async fn again<'a>(
    visit: Visit<'_>,
    stack: &Stack,
    place: Place,
    cx: &'a Cx,
) -> Option<(Asked<'static>, Answer<'a>)> {
    let asked = Asked::new(&place, None).ok()?;
    let conn = Visit { stack, ..visit }.dial_again(cx).await.ok()?;
    let answer = ask(conn, &asked, "HTTP", cx).await.ok()?;
    Some((asked, answer))
}

/// The same under the other name that the server may serve, where the answer
/// may be that of a server for other names: for an address the name TLS asked
/// for, the one in its certificate, or `localhost`; else the name without its port.
fn other_host(stack: &Stack, asked: &Asked<'_>, answer: &Answer<'_>) -> Option<Place> {
    if asked.method != "GET" || !matches!(answer.status(), 400 | 404 | 421) {
        return None;
    }
    let host = stack.endpoint.host();
    let is_name = |name: &String| {
        let read = name.parse::<Host>();
        read.is_ok_and(|host| host.name().is_some())
    };
    let asked_for = || {
        let mut levels = stack.levels.iter();
        let sni = levels.find_map(|level| level.settings.last("sni"))?;
        Some(sni.value.to_string()).filter(is_name)
    };
    let in_certificate = || {
        let mut facts = answer.opening.conn().learned().iter();
        let own = facts.find_map(|fact| match fact {
            Fact::Chain(chain) => chain.first(),
            _ => None,
        })?;
        own.names.iter().find(|name| is_name(name)).cloned()
    };
    let loopback = || host.is_loopback().then(|| "localhost".to_owned());
    let place = &asked.place;
    let other = match host.ip() {
        Some(_) => {
            let name = asked_for().or_else(in_certificate).or_else(loopback)?;
            let port = place
                .bare_host()
                .and_then(|bare| place.host.strip_prefix(bare));
            name + port.unwrap_or_default()
        }
        None => place.bare_host()?.to_owned(),
    };
    Some(place.under(other))
}
