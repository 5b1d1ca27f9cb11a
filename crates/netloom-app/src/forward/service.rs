//! The service of one forwarder: what it leads to, and what it says of itself.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use netloom_base::{Failure, Kind, Opens, SettingError};
use netloom_protocol::{DatagramService, Framing, Labelled, Measures, MessageService, Service};
use netloom_transport::journal::Journal;
use netloom_transport::{BoxFuture, Conn, Cx, Net};

use super::Choices;
use super::across::{FromDatagrams, ToDatagrams};
use super::datagrams::{Patience, SessionRules, sessions};
use super::names::Names;
use super::reach::{Reach, Troubles};
use super::targets::{NOT_YET, Targets, in_words};
use crate::balance::{Entry, Pool};

/// Carries what comes to the targets of a pool.
pub(super) struct Forwarder {
    pub(super) pool: Arc<Pool>,
    pub(super) reach: Reach,
    /// Who leads by the name in a client's TLS; then nobody goes to `pool`.
    pub(super) names: Option<Names>,
    gives: Kind,
    leads_to: String,
    pub(super) access: Arc<Access>,
    pub(super) sessions: SessionRules,
    /// One for all addresses, so that the caps hold for all of them.
    datagrams: OnceLock<Arc<dyn DatagramService>>,
    /// One for each port of a set, where there is one.
    each: Vec<Arc<Forwarder>>,
}

/// Where each connection is accounted for.
#[derive(Default)]
pub(super) struct Access {
    path: Option<PathBuf>,
    journal: OnceLock<Arc<Journal>>,
}

impl Access {
    pub(super) fn journal(&self) -> Option<&Journal> {
        self.journal.get().map(|journal| &**journal)
    }
}

impl Forwarder {
    pub(super) fn new(choices: &Choices, net: &dyn Net) -> Result<Arc<Self>, Vec<SettingError>> {
        let (own, rules) = (&choices.own, &choices.rules);
        let targets = Targets::read(&own.to, net)?;
        let wrong = |key, message: &str| Err(vec![SettingError::new(key, None, message)]);
        if own.to.is_empty() && own.route.is_empty() && rules.to_file.is_none() {
            return wrong("to", "`to` is missing");
        }
        let mut lists = targets.lists;
        let several = lists.len() > 1;
        if several && !own.route.is_empty() {
            return wrong(
                "route",
                "routes lead by name, and ports are paired by place: one of them",
            );
        }
        let first = if several {
            lists[0].clone()
        } else {
            lists.pop().unwrap_or_default()
        };
        let names = match &own.route[..] {
            [] => None,
            routes => Some(Names::read(routes, first.clone(), rules, net)?),
        };
        let access = Arc::new(Access {
            path: own.access_log.clone(),
            journal: OnceLock::new(),
        });
        let troubles: Arc<Troubles> = Arc::default();
        let one = |entries: Vec<Entry>, names: Option<Names>, each| {
            let words = [in_words(&entries)]
                .into_iter()
                .filter(|words| !words.is_empty());
            let file = rules
                .to_file
                .as_ref()
                .map(|path| format!("targets of {}", path.display()));
            let routes = own.route.iter().map(|route| route.replacen('=', " at ", 1));
            let words: Vec<String> = words.chain(file).chain(routes).collect();
            let pool = Pool::of(entries, rules.clone(), net)?;
            Ok::<_, Vec<SettingError>>(Arc::new(Forwarder {
                gives: targets
                    .gives
                    .or_else(|| pool.kind())
                    .unwrap_or(Kind::Stream),
                leads_to: words.join(", "),
                pool,
                reach: Reach {
                    connect_timeout: own.connect_timeout,
                    retries: own.retries,
                    troubles: troubles.clone(),
                },
                names,
                access: access.clone(),
                sessions: choices.sessions.clone(),
                datagrams: OnceLock::new(),
                each,
            }))
        };
        let each = lists.into_iter().map(|list| one(list, None, Vec::new()));
        let each = each.collect::<Result<Vec<_>, _>>()?;
        one(first, names, each)
    }

    /// Those that serve: one for each port of a set, or this one alone.
    fn places(&self) -> impl Iterator<Item = &Forwarder> {
        let own = [self].into_iter().filter(|_| self.each.is_empty());
        own.chain(self.each.iter().map(|one| &**one))
    }

    /// Every pool that somebody may be led to: those of the places first.
    fn pools(&self) -> Vec<&Arc<Pool>> {
        let own = self.places().map(|one| &one.pool);
        let named = self.names.iter().flat_map(Names::pools);
        own.chain(named).collect()
    }
}

impl Service for Forwarder {
    fn serve<'a>(&'a self, conn: Conn, cx: &'a Cx) -> BoxFuture<'a, Result<(), Failure>> {
        self.convey(conn, cx)
    }

    fn messages(self: Arc<Self>) -> Option<Arc<dyn MessageService>> {
        // Streams are carried as they are.
        (self.gives == Kind::Datagram).then(|| Arc::new(ToDatagrams(self)) as _)
    }

    fn framed_datagrams(
        self: Arc<Self>,
        framing: Framing,
        longest: usize,
    ) -> Option<Arc<dyn DatagramService>> {
        let streams = self.gives == Kind::Stream;
        streams.then(|| Arc::new(FromDatagrams::new(self, framing, longest)) as _)
    }

    fn refuses(&self, kind: Kind, framed: bool) -> Option<SettingError> {
        let told = |message: &str, suggestion: Option<&str>| {
            let suggestion = suggestion.map(str::to_owned);
            Some(SettingError::new("on", None, message).suggest(suggestion))
        };
        if self.names.is_some() && kind != Kind::Stream {
            return told("routes lead by the name in TLS over a stream", None);
        }
        let framing = Some("--framing len16");
        match (kind, self.gives, framed) {
            (Kind::Stream, Kind::Datagram, false) => told(
                "a stream comes here and its target takes datagrams: say how messages are told apart in the stream",
                framing,
            ),
            (Kind::Datagram, Kind::Stream, false) => told(
                "datagrams come here and its target takes a stream: say how messages are told apart in the stream",
                framing,
            ),
            (Kind::Stream | Kind::Datagram, ..) => None,
            _ => told(NOT_YET, None),
        }
    }

    fn nth(self: Arc<Self>, nth: usize, of: usize) -> Result<Option<Arc<dyn Service>>, String> {
        let ports = self.each.len();
        match self.each.get(nth) {
            None if ports == 0 => Ok(None),
            Some(one) if of == ports => Ok(Some(one.clone())),
            _ => {
                let here = if of == 1 { "port is" } else { "ports are" };
                Err(format!(
                    "{of} {here} listened on and its target has {ports}: they are paired by place"
                ))
            }
        }
    }

    fn leads_to(&self) -> Option<String> {
        Some(self.leads_to.clone())
    }

    fn opens(&self) -> Opens {
        match self.names {
            Some(_) => Opens::Client,
            None => Opens::Either,
        }
    }

    fn measure(&self, to: &mut dyn Measures) {
        let pools = self.pools();
        let mut places = self.places();
        for (nth, pool) in pools.iter().enumerate() {
            let nth = nth.to_string();
            let label = [("pool", nth.as_str())];
            // Of one there is nothing to tell apart.
            let labels = if pools.len() > 1 { &label[..] } else { &[] };
            let to = &mut Labelled { labels, to };
            pool.measure(to);
            if let Some(sessions) = places.next().and_then(|one| one.datagrams.get()) {
                sessions.measure(to);
            }
        }
    }

    fn datagrams(self: Arc<Self>) -> Option<Arc<dyn DatagramService>> {
        if self.gives != Kind::Datagram {
            return None;
        }
        let patience = Patience {
            connect_timeout: self.reach.connect_timeout,
            tries: self.reach.tries(&self.pool),
        };
        let make = || sessions(self.pool.clone(), &self.sessions, patience);
        Some(self.datagrams.get_or_init(make).clone())
    }

    fn begin(self: Arc<Self>, cx: &Cx) -> Result<(), Failure> {
        for pool in self.pools() {
            pool.keep(cx);
        }
        if let Some(path) = &self.access.path {
            let _ = self.access.journal.set(Journal::open(path, cx)?);
        }
        Ok(())
    }

    fn accounts(&self) -> bool {
        true
    }
}
