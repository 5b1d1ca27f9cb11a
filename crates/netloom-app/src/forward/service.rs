//! The service of one forwarder, and how it carries streams.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use netloom_base::{Failure, Kind, SettingError};
use netloom_protocol::{DatagramService, Framing, MessageService, Service};
use netloom_transport::carry::{Until, carry};
use netloom_transport::journal::Journal;
use netloom_transport::{BoxFuture, Close, Conn, Cx, Origin, Peer};

use super::ForwardSettings;
use super::account::Account;
use super::across::{FromDatagrams, ToDatagrams};
use super::reach::{Reach, Reached, Unreached};
use super::targets::{NOT_YET, Targets, in_words};
use crate::balance::Pool;

/// So many other targets are tried when nobody chose.
const MOST_RETRIES: usize = 3;

/// Carries what comes to the targets of a pool.
pub(super) struct Forwarder {
    pub(super) reach: Reach,
    gives: Kind,
    leads_to: String,
    /// Whether any target has a layer that could pass the client on.
    has_layers: bool,
    pub(super) access: Arc<Access>,
    pub(super) sessions: Sessions,
    /// One for each port of a set, where there is one.
    each: Vec<Arc<Forwarder>>,
}

/// How many clients of datagrams are remembered, and for how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sessions {
    pub(super) most: usize,
    pub(super) idle: Duration,
}

/// Where each connection is accounted for.
#[derive(Default)]
pub(super) struct Access {
    path: Option<std::path::PathBuf>,
    journal: OnceLock<Arc<Journal>>,
}

impl Access {
    pub(super) fn journal(&self) -> Option<&Journal> {
        self.journal.get().map(|journal| &**journal)
    }
}

impl Forwarder {
    pub(super) fn new(targets: Targets, settings: &ForwardSettings) -> Arc<Self> {
        let access = Arc::new(Access {
            path: settings.access_log.clone(),
            journal: OnceLock::new(),
        });
        let troubles = Arc::default();
        let gives = targets.gives;
        let one = |list: Vec<crate::balance::Target>, each| {
            let tries = match settings.retries {
                Some(retries) => retries as usize + 1,
                None => list.len().min(MOST_RETRIES + 1),
            };
            Arc::new(Forwarder {
                leads_to: in_words(&list),
                has_layers: list.iter().any(|target| target.stack.levels.len() > 1),
                reach: Reach {
                    pool: Pool::new(list),
                    connect_timeout: settings.connect_timeout,
                    tries,
                    troubles: Arc::clone(&troubles),
                },
                gives,
                access: access.clone(),
                sessions: Sessions {
                    most: settings.max_sessions,
                    idle: settings.session_idle,
                },
                each,
            })
        };
        let mut lists = targets.lists;
        match lists.len() {
            0 | 1 => one(lists.pop().unwrap_or_default(), Vec::new()),
            _ => {
                let first = lists[0].clone();
                let each = lists.into_iter().map(|list| one(list, Vec::new()));
                let each = each.collect();
                one(first, each)
            }
        }
    }

    /// Carries one connection, and tells how it ended.
    async fn convey(&self, mut conn: Conn, cx: &Cx) -> Result<(), Failure> {
        let mut account = Account::open(self.access.journal(), cx, conn.id(), || conn.peer());
        let reached = match self.reached_for(&mut conn, cx).await {
            Reaching::Reached(reached) => reached,
            Reaching::Unreached(unreached) => {
                // Not an end in order: what it asked for was never there.
                conn.close(Close::Abort);
                if let Some(mut account) = account {
                    account.tries = unreached.tries;
                    account.target.clone_from(&unreached.target);
                    account.unreached(unreached.code, unreached.side, cx);
                }
                return Err(unreached.failure());
            }
            Reaching::Left(failure) => {
                conn.close(Close::Abort);
                if let Some(account) = account {
                    account.left(failure.code(), failure.side(), cx);
                }
                return Err(failure);
            }
        };
        if let Some(account) = &mut account {
            account.target = Some(reached.pick.target().stack.endpoint.to_string());
            account.tries = reached.tries;
            account.dialled = Some(reached.took);
        }
        let target = reached.opened.stream()?;
        let _pick = reached.pick;
        match carry(conn, target, Until::BothEnd).await {
            Ok(carried) => {
                if let Some(account) = account {
                    account.carried(carried, None, cx);
                }
                Ok(())
            }
            Err(broke) => {
                if let Some(account) = account {
                    account.broke(&broke, cx);
                }
                Err(broke.failure)
            }
        }
    }

    /// Reaches a target for a client, as long as the client stays. Nothing is
    /// read from it meanwhile.
    async fn reached_for(&self, conn: &mut Conn, cx: &Cx) -> Reaching {
        let client = match conn.peer() {
            Some(Peer::Ip(addr)) => Some(addr.ip()),
            _ => None,
        };
        let origin = self.has_layers.then(|| Origin {
            client: conn.facts(),
            server_name: None,
            alpn: conn.alpn().map(Into::into),
        });
        let mut reaching = pin!(self.reach.reach(client, origin, cx));
        // Most targets answer at once, and nobody need be watched.
        let mut unwatched = Some(conn);
        let mut leaving: Option<BoxFuture<'_, Failure>> = None;
        poll_fn(|task| {
            if let Poll::Ready(reached) = reaching.as_mut().poll(task) {
                return Poll::Ready(match reached {
                    Ok(reached) => Reaching::Reached(reached),
                    Err(unreached) => Reaching::Unreached(unreached),
                });
            }
            if let Some(conn) = unwatched.take() {
                leaving = Some(Box::pin(conn.gone()));
            }
            match &mut leaving {
                Some(leaving) => leaving.as_mut().poll(task).map(Reaching::Left),
                None => Poll::Pending,
            }
        })
        .await
    }
}

/// How reaching a target for a client ended.
#[expect(clippy::large_enum_variant, reason = "it is taken apart at once")]
enum Reaching {
    Reached(Reached),
    Unreached(Unreached),
    /// The client left first, or a limit ended it.
    Left(Failure),
}

impl Service for Forwarder {
    fn serve<'a>(&'a self, conn: Conn, cx: &'a Cx) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(self.convey(conn, cx))
    }

    fn messages(self: Arc<Self>) -> Option<Arc<dyn MessageService>> {
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

    fn begin(self: Arc<Self>, cx: &Cx) -> Result<(), Failure> {
        if let Some(path) = &self.access.path {
            let _ = self.access.journal.set(Journal::open(path, cx)?);
        }
        Ok(())
    }

    fn accounts(&self) -> bool {
        true
    }
}
