//! Where a TLS client goes by the name it asks for, without its TLS being ended:
//! its first words are read, and carried on with the rest.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use netloom_base::endpoint::Host;
use netloom_base::failure::Fact;
use netloom_base::{Code, Endpoint, Failure, Kind, SettingError, Side, Stage};
use netloom_protocol::finish;
use netloom_transport::tls::codes;
use netloom_transport::{Close, Conn, Cx, Net};
use netloom_wire::tls::{ClientHello, HelloReader, NoHello, alert_number, looks_like};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::service::Forwarder;
use super::targets::{Targets, in_words};
use crate::balance::Target;

/// The word for whoever asks for no name, or for one that has no route.
const DEFAULT: &str = "default";

/// How many bytes are read at once; most hellos are shorter.
const PIECE: usize = 2048;

/// How many of the first bytes are kept as a fact.
const FIRST: usize = 256;

/// How many names are told to whoever asked for another.
const TOLD: usize = 8;

/// Routes as they were written: the targets of each name.
pub(super) struct Routes(Vec<(Name, Vec<Target>)>);

/// What is in a route before its `=`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    Exact(Box<str>),
    /// Names that stand before this one, written with `*.`.
    Beneath(Box<str>),
    Others,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Exact(name) => f.write_str(name),
            Name::Beneath(name) => write!(f, "*.{name}"),
            Name::Others => f.write_str(DEFAULT),
        }
    }
}

impl Routes {
    /// Reads routes such as `a.example=tcp://10.0.0.2:443`. Whoever has none goes
    /// to `others`, where there are any.
    pub(super) fn read(
        written: &[String],
        others: Targets,
        net: &dyn Net,
    ) -> Result<Self, Vec<SettingError>> {
        let mut routes = Routes(Vec::new());
        let mut errors = Vec::new();
        let single = others.lists.len() < 2 && others.gives == Kind::Stream;
        if single {
            let others = others.lists.into_iter().flatten();
            others.for_each(|target| routes.add(Name::Others, target));
        } else {
            let message = "beside routes, a target is one port that takes a stream";
            errors.push(SettingError::new("to", None, message));
        }
        for route in written {
            match read(route, net) {
                Ok((name, target)) => routes.add(name, target),
                Err(error) => errors.push(error.of(route)),
            }
        }
        if errors.is_empty() {
            Ok(routes)
        } else {
            Err(errors)
        }
    }

    fn add(&mut self, name: Name, target: Target) {
        match self.0.iter_mut().find(|(own, _)| *own == name) {
            Some((_, targets)) => targets.push(target),
            None => self.0.push((name, vec![target])),
        }
    }

    /// Who leads, with one of what `make` makes of the targets for each name.
    pub(super) fn leading(self, make: impl Fn(Vec<Target>) -> Arc<Forwarder>) -> Names {
        let mut names = Names {
            written: Vec::new(),
            exact: HashMap::new(),
            beneath: HashMap::new(),
            others: None,
        };
        for (name, targets) in self.0 {
            let words = format!("{} for {name}", in_words(&targets));
            names.written.push((name.to_string(), words));
            let made = make(targets);
            match name {
                Name::Exact(name) => drop(names.exact.insert(name, made)),
                Name::Beneath(name) => drop(names.beneath.insert(name, made)),
                Name::Others => names.others = Some(made),
            }
        }
        names
    }
}

/// Who carries for each name.
pub(super) struct Names {
    /// The names in their order, each with where it leads in words.
    written: Vec<(String, String)>,
    exact: HashMap<Box<str>, Arc<Forwarder>>,
    /// By what stands behind `*.`.
    beneath: HashMap<Box<str>, Arc<Forwarder>>,
    others: Option<Arc<Forwarder>>,
}

impl Names {
    /// Where they lead.
    pub(super) fn in_words(&self) -> String {
        listed(self.written.iter().map(|(_, words)| words))
    }

    /// The name itself before the longest that it stands beneath, that before
    /// the default.
    fn find(&self, name: Option<&str>) -> Option<&Forwarder> {
        let named = name.and_then(|name| {
            let parents = name.match_indices('.').map(|(dot, _)| &name[dot + 1..]);
            let beneath = || {
                parents
                    .into_iter()
                    .find_map(|parent| self.beneath.get(parent))
            };
            self.exact.get(name).or_else(beneath)
        });
        named.or(self.others.as_ref()).map(|found| &**found)
    }

    /// Who carries a connection, and the name it asked for. Where TLS was
    /// ended below, that is the name of that TLS; else the client's first words
    /// are read, and put back.
    ///
    /// # Errors
    /// What is no TLS, or asks for a name without a route. The client has been
    /// told then, and is gone.
    pub(super) async fn settle(
        &self,
        mut conn: Conn,
        cx: &Cx,
    ) -> Result<(Conn, Option<Box<str>>, &Forwarder), Failure> {
        let (name, came) = if conn.encrypts() {
            (conn.server_name().map(Box::from), Vec::new())
        } else {
            let mut came = Vec::new();
            let patience = cx.limits().greet_timeout;
            let heard = cx.timeout(patience, hear(&mut conn, &mut came)).await;
            let heard = heard.unwrap_or_else(|| {
                let failure = Failure::new(Stage::Tls, Side::Peer, Code::GREET_TIMEOUT);
                let failure = failure.message("the client's hello did not come in time");
                Err((failure.fact(Fact::Waited(patience)), None))
            });
            match heard {
                Ok(hello) => (hello.name, came),
                Err((failure, alert)) => {
                    let first = &came[..came.len().min(FIRST)];
                    let failure = match first {
                        [] => failure,
                        first => failure.fact(Fact::FirstBytes(first.to_vec())),
                    };
                    refuse(conn, alert, cx).await;
                    return Err(failure);
                }
            }
        };
        match self.find(name.as_deref()) {
            Some(found) => Ok((conn.unread(came), name, found)),
            None => {
                let failure = self.unknown(name.as_deref());
                // Where TLS was ended here, an alert would come too late.
                let alert = (!conn.encrypts()).then_some("unrecognized_name");
                refuse(conn, alert, cx).await;
                Err(failure)
            }
        }
    }

    fn unknown(&self, name: Option<&str>) -> Failure {
        let asked = match name {
            Some(name) => format!("no route leads to `{name}`, which the client asks for"),
            None => "the client asks for no name, and there is no default route".to_owned(),
        };
        Failure::new(Stage::Tls, Side::Peer, codes::UNKNOWN_NAME)
            .message(asked)
            .fact(Fact::said(
                format!(
                    "the routes: {}",
                    listed(self.written.iter().map(|(name, _)| name))
                ),
                "route",
            ))
    }
}

/// The first few of many.
fn listed<'a>(all: impl ExactSizeIterator<Item = &'a String>) -> String {
    let more = all.len().saturating_sub(TOLD);
    let told: Vec<&str> = all.take(TOLD).map(String::as_str).collect();
    let told = told.join(", ");
    if more == 0 {
        told
    } else {
        format!("{told} and {more} more")
    }
}

fn read(route: &str, net: &dyn Net) -> Result<(Name, Target), SettingError> {
    let error = |message: String| SettingError::new("route", None, message);
    let Some((name, to)) = route.split_once('=') else {
        let form = "a route is NAME=ENDPOINT, such as a.example=tcp://10.0.0.2:443";
        return Err(error(form.to_owned()));
    };
    let at = name.len() + 1;
    let known = match (name, name.strip_prefix("*.")) {
        (DEFAULT | "*", _) => Ok(Name::Others),
        (_, Some(parent)) => host(parent).map(Name::Beneath),
        (name, None) => host(name).map(Name::Exact),
    };
    let known = known.map_err(|message| error(message).within(0..name.len()))?;
    let whole = |wrong: SettingError| {
        let part = wrong
            .part
            .map_or(at..route.len(), |part| at + part.start..at + part.end);
        let suggestion = wrong.suggestion.map(|better| format!("{name}={better}"));
        error(wrong.message).within(part).suggest(suggestion)
    };
    let targets = Targets::read(&[to.to_owned()], None, net).map_err(|wrong| {
        wrong
            .into_iter()
            .next()
            .map_or_else(|| error(String::new()), whole)
    })?;
    let [list] = &targets.lists[..] else {
        return Err(error("a route leads to one port".to_owned()).within(at..route.len()));
    };
    match &list[..] {
        [target] if targets.gives == Kind::Stream => Ok((known, target.clone())),
        _ => Err(error("a route leads to what takes a stream".to_owned()).within(at..route.len())),
    }
}

/// A host's name as a client asks for it: in lower case and in ASCII.
fn host(written: &str) -> Result<Box<str>, String> {
    let wrong = || format!("`{written}` is no name that a client can ask for");
    let read: Endpoint = format!("tcp://{written}:1").parse().map_err(|_| wrong())?;
    match read.host() {
        Host::Name(name) if !name.contains('*') => {
            let name = name.strip_suffix('.').unwrap_or(name);
            Ok(name.to_ascii_lowercase().into())
        }
        _ => Err(wrong()),
    }
}

/// Why nobody can be found for a client, and the alert that tells it.
type Refused = (Failure, Option<&'static str>);

/// Reads the client's first words. What came is kept in `came`.
async fn hear(conn: &mut Conn, came: &mut Vec<u8>) -> Result<ClientHello, Refused> {
    let mut reader = HelloReader::default();
    loop {
        let at = came.len();
        came.resize(at + PIECE, 0);
        let got = conn.read(&mut came[at..]).await;
        came.truncate(at + got.as_ref().map_or(0, |got| *got));
        match got {
            Err(error) => return Err((conn.failure(Stage::Tls, error), None)),
            Ok(0) => {
                let code = if at == 0 {
                    Code::GREET_CLOSED
                } else {
                    codes::CLOSED
                };
                return Err((Failure::new(Stage::Tls, Side::Peer, code), None));
            }
            Ok(_) => match reader.hear(&came[at..]) {
                Ok(Some(hello)) => return Ok(hello),
                Ok(None) => {}
                Err(why) => return Err(no_hello(why, came)),
            },
        }
    }
}

fn no_hello(why: NoHello, came: &[u8]) -> Refused {
    let (code, alert) = match why {
        NoHello::OtherProtocol => {
            let spoken = looks_like(came).unwrap_or("something else");
            let failure = Failure::new(Stage::Tls, Side::Peer, codes::PEER_SPEAKS_PLAIN);
            let message = format!("the client speaks {spoken}, and is led by the name in its TLS");
            return (failure.message(message), None);
        }
        NoHello::BadName => (codes::UNKNOWN_NAME, "unrecognized_name"),
        NoHello::OtherMessage => (Stage::Tls.other(), "unexpected_message"),
        NoHello::TooLong | NoHello::Malformed => (Stage::Tls.other(), "decode_error"),
    };
    let failure = Failure::new(Stage::Tls, Side::Peer, code);
    (
        failure.message(format!("the client is not led on: {why}")),
        Some(alert),
    )
}

/// Ends a client that is not led on. Where it speaks TLS, an alert says why
/// (RFC 8446 §6.2), which it is given time to read.
async fn refuse(mut conn: Conn, alert: Option<&str>, cx: &Cx) {
    let Some(number) = alert.and_then(alert_number) else {
        return conn.close(Close::Abort);
    };
    if conn.write_all(&[21, 3, 3, 0, 2, 2, number]).await.is_ok() {
        // It is gone either way.
        let _ = finish(conn, cx).await;
    }
}
