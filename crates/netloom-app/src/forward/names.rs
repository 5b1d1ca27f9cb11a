//! Where a TLS client goes by the name it asks for, without its TLS being ended:
//! its first words are read, and carried on with the rest.

use std::collections::HashMap;
use std::sync::Arc;

use netloom_base::endpoint::Host;
use netloom_base::failure::Fact;
use netloom_base::{Code, Endpoint, Failure, SettingError, Side, Stage};
use netloom_protocol::finish;
use netloom_transport::tls::codes;
use netloom_transport::{Close, Conn, Cx, Net};
use netloom_wire::tls::{ClientHello, HelloReader, NoHello, alert_number, looks_like};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::targets::{Wrong, stream};
use crate::balance::{Entry, Pool, Rules};

/// The word for whoever asks for no name, or for one that has no route.
const DEFAULT: &str = "default";

/// How many bytes are read at once; most hellos are shorter.
const PIECE: usize = 2048;

/// How many of the first bytes are kept as a fact.
const FIRST: usize = 256;

/// How many names are told to whoever asked for another.
const TOLD: usize = 8;

/// The targets of each name.
pub(super) struct Names {
    exact: HashMap<Box<str>, Arc<Pool>>,
    /// Names that may stand before these, each without its `*.`.
    beneath: HashMap<Box<str>, Arc<Pool>>,
    others: Option<Arc<Pool>>,
}

/// What is in a route before its `=`.
enum Name {
    Exact(Box<str>),
    Beneath(Box<str>),
    Others,
}

impl Names {
    /// Reads routes such as `a.example=tcp://10.0.0.2:443`. Whoever has no route
    /// goes to `others`.
    pub(super) fn read(
        routes: &[String],
        mut others: Vec<Entry>,
        rules: &Rules,
        net: &dyn Net,
    ) -> Result<Self, Vec<SettingError>> {
        let (mut exact, mut beneath) = (HashMap::new(), HashMap::new());
        let mut errors = Vec::new();
        for route in routes {
            match read(route, net) {
                Ok((Name::Others, target)) => others.push(target),
                Ok((Name::Exact(name), target)) => {
                    exact.entry(name).or_insert_with(Vec::new).push(target);
                }
                Ok((Name::Beneath(name), target)) => {
                    beneath.entry(name).or_insert_with(Vec::new).push(target);
                }
                Err(wrong) => errors.push(wrong.tell("route", route)),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let pool = |entries| Pool::of(entries, rules.clone(), net);
        let pooled = |all: HashMap<Box<str>, Vec<Entry>>| {
            let named = all
                .into_iter()
                .map(|(name, entries)| Ok((name, pool(entries)?)));
            named.collect::<Result<HashMap<_, _>, Vec<SettingError>>>()
        };
        let others = (!others.is_empty()).then(|| pool(others));
        Ok(Names {
            exact: pooled(exact)?,
            beneath: pooled(beneath)?,
            others: others.transpose()?,
        })
    }

    /// Every pool that somebody may be led to.
    pub(super) fn pools(&self) -> impl Iterator<Item = &Arc<Pool>> {
        let named = self.exact.values().chain(self.beneath.values());
        named.chain(&self.others)
    }

    /// The name itself before the longest that it stands beneath, that before
    /// the default.
    fn find(&self, name: Option<&str>) -> Option<&Arc<Pool>> {
        let named = name.and_then(|name| {
            let parents = name.match_indices('.').map(|(dot, _)| &name[dot + 1..]);
            let beneath = || {
                parents
                    .into_iter()
                    .find_map(|parent| self.beneath.get(parent))
            };
            self.exact.get(name).or_else(beneath)
        });
        named.or(self.others.as_ref())
    }

    /// The targets for a connection, and the name it asked for. Where TLS was
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
    ) -> Result<(Conn, Option<Box<str>>, Arc<Pool>), Failure> {
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
        if let Some(found) = self.find(name.as_deref()) {
            return Ok((conn.unread(came), name, found.clone()));
        }
        let failure = self.unknown(name.as_deref());
        // Where TLS was ended here, an alert would come too late.
        let alert = (!conn.encrypts()).then_some("unrecognized_name");
        refuse(conn, alert, cx).await;
        Err(failure)
    }

    fn unknown(&self, name: Option<&str>) -> Failure {
        let exact = self.exact.keys().map(ToString::to_string);
        let beneath = self.beneath.keys().map(|name| format!("*.{name}"));
        let mut known: Vec<String> = exact.chain(beneath).collect();
        known.sort_unstable();
        let more = known.len().saturating_sub(TOLD);
        known.truncate(TOLD);
        if more > 0 {
            known.push(format!("{more} more"));
        }
        let asked = match name {
            Some(name) => format!("no route leads to `{name}`, which the client asks for"),
            None => "the client asks for no name, and there is no default route".to_owned(),
        };
        Failure::new(Stage::Tls, Side::Peer, codes::UNKNOWN_NAME)
            .message(asked)
            .fact(Fact::said(
                format!("the routes: {}", known.join(", ")),
                "route",
            ))
    }
}

fn read(route: &str, net: &dyn Net) -> Result<(Name, Entry), Wrong> {
    let form = "a route is NAME=ENDPOINT, such as a.example=tcp://10.0.0.2:443";
    let (name, to) = route
        .split_once('=')
        .ok_or_else(|| Wrong::of(form.to_owned()))?;
    let before = &route[..=name.len()];
    let known = match (name, name.strip_prefix("*.")) {
        (DEFAULT | "*", _) => Name::Others,
        (_, Some(parent)) => Name::Beneath(host(parent).map_err(Wrong::of)?),
        (name, None) => Name::Exact(host(name).map_err(Wrong::of)?),
    };
    let entry = stream(to, net).map_err(|wrong| wrong.behind(before, route))?;
    Ok((known, entry))
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
