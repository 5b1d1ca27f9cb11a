//! From a name to addresses, and who said so: the hosts file, the name servers
//! of this system one by one, and `getaddrinfo(3)` where it may know more.
//!
//! Every server is asked for A and AAAA at the same time and each answer is
//! timed. A server that is silent for a second is joined by the next; one that answers with an error is followed by the next at once. So the story
//! of a lookup names the server that was slow, wrong or silent.
//!
//! What DNS does not know, the system may: multicast DNS, containers, NIS.
//! `getaddrinfo` is asked beside DNS for a single label and for `.local`, after
//! NXDOMAIN, and alone where no name server is configured. Both are told.

mod config;
mod server;
mod services;
mod sift;
mod survey;
#[cfg(test)]
mod tests;
mod udp;
mod verdict;

use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use netloom_base::failure::Step;
use netloom_base::{Failure, Stage};
use tokio::runtime::{Handle, Id};

use crate::BoxFuture;
use crate::cx::Cx;
use crate::net::{Found, NameServer, RESOLVE_TIMEOUT, Resolver, Services};
use crate::sys::{LookupError, getaddrinfo};
pub use config::Config;
use server::{Asked, Record, Servers};
use sift::{Kind, hosts_file, kind, loopbacks};
use verdict::{Candidate, SystemSaid, Verdict};

/// How long a lookup may take.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// In all.
    limit: Duration,
    /// How long a server may be silent before the next is asked too. An answer
    /// that took as long is slow.
    delay: Duration,
}

const PACE: Pace = Pace {
    limit: RESOLVE_TIMEOUT,
    delay: Duration::from_secs(1),
};

/// How long addresses of one family wait for those of the other. RFC 8305 §3
/// says 50 ms where late ones can still join; here they cannot.
const PATIENCE: Duration = Duration::from_millis(250);

/// How many runtimes a resolver keeps its servers for.
const MOST_RUNTIMES: usize = 64;

/// The names of this system, resolved with hickory.
///
/// Making one costs nothing: the configuration is read and sockets are made
/// when the first name is asked for that no file knows.
pub struct Dns {
    source: Source,
    system: AskSystem,
    pace: Pace,
    made: Mutex<Vec<Made>>,
}

/// Asks the system's resolver, which blocks.
type AskSystem = fn(&str) -> Result<Vec<IpAddr>, LookupError>;

enum Source {
    System,
    Given(Config),
}

/// The servers as one runtime uses them: their sockets belong to its reactor.
struct Made {
    runtime: Id,
    /// When the configuration they were made from was written.
    written: Option<SystemTime>,
    servers: Arc<Servers>,
}

impl Dns {
    /// As the system is configured: `/etc/resolv.conf` and the hosts file, read
    /// again when they change.
    pub fn system() -> Self {
        Dns::new(Source::System)
    }

    /// With these name servers and this hosts file.
    pub fn with(config: Config) -> Self {
        Dns::new(Source::Given(config))
    }

    fn new(source: Source) -> Self {
        Dns {
            source,
            system: getaddrinfo,
            pace: PACE,
            made: Mutex::default(),
        }
    }

    /// The servers of this runtime, or why there are none.
    fn servers(&self) -> Result<Arc<Servers>, String> {
        let runtime = Handle::current().id();
        let written = match self.source {
            Source::System => config::written(),
            Source::Given(_) => None,
        };
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.retain(|one| one.runtime != runtime || one.written == written);
        if let Some(one) = made.iter().find(|one| one.runtime == runtime) {
            return Ok(one.servers.clone());
        }
        let config = match &self.source {
            Source::System => Config::system()?,
            Source::Given(config) => config.clone(),
        };
        let servers = Arc::new(Servers::new(config, self.pace)?);
        if made.len() >= MOST_RUNTIMES {
            made.clear();
        }
        made.push(Made {
            runtime,
            written,
            servers: servers.clone(),
        });
        Ok(servers)
    }

    fn hosts(&self) -> Option<String> {
        match &self.source {
            Source::System => std::fs::read_to_string(config::hosts_path()).ok(),
            Source::Given(config) => config.hosts.clone(),
        }
    }

    async fn find(&self, name: &str, cx: &Cx) -> Result<Found, Failure> {
        let kind = kind(name);
        let known = self.hosts().map(|text| hosts_file(&text, name));
        if let Some(known) = known.filter(|known| !known.is_empty()) {
            return Ok(from_hosts_file(name, known, kind));
        }
        match kind {
            Kind::Loopback => return Ok(loopbacks().into()),
            Kind::Never => return Err(verdict::never(name)),
            Kind::Single | Kind::Local | Kind::Other => {}
        }

        let mut verdict = Verdict::new(name, cx.now(), self.pace);
        let limit = self.pace.limit;
        match self.servers() {
            Err(why) => {
                verdict.unconfigured(&why);
                verdict.system(Some(self.ask_system(name, limit, cx).await));
            }
            Ok(servers) if matches!(kind, Kind::Single | Kind::Local) => {
                verdict.asking(name, servers.config());
                let dns = ask_dns(&servers, name, limit, cx);
                let system = self.ask_system(name, limit, cx);
                let any = |heard: &Vec<Candidate>| heard.iter().any(Candidate::found);
                let (heard, said) = beside(cx, dns, any, system, SystemSaid::found).await;
                verdict.heard(heard, cx);
                verdict.system(said);
            }
            Ok(servers) => {
                verdict.asking(name, servers.config());
                verdict.heard(Some(ask_dns(&servers, name, limit, cx).await), cx);
                if verdict.is_no_such_name() {
                    let left = verdict.time_left(cx);
                    verdict.system(Some(self.ask_system(name, left, cx).await));
                }
            }
        }
        verdict.told(cx)
    }

    async fn ask_system(&self, name: &str, within: Duration, cx: &Cx) -> SystemSaid {
        let (ask, asked) = (self.system, name.to_owned());
        let began = cx.now();
        let work = tokio::task::spawn_blocking(move || ask(&asked));
        let answer = match cx.timeout(within, work).await {
            Some(Ok(answer)) => Some(answer),
            Some(Err(_)) => Some(Err(LookupError::Other("the lookup was cut short".into()))),
            None => None,
        };
        SystemSaid {
            answer,
            took: cx.now() - began,
        }
    }
}

impl Resolver for Dns {
    fn lookup<'a>(&'a self, name: &'a str, cx: &'a Cx) -> BoxFuture<'a, Result<Found, Failure>> {
        Box::pin(self.find(name, cx))
    }

    fn services<'a>(
        &'a self,
        name: &'a str,
        cx: &'a Cx,
    ) -> BoxFuture<'a, Result<Services, Failure>> {
        Box::pin(self.find_services(name, cx))
    }

    fn name_servers<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Vec<NameServer>, String>> {
        Box::pin(async move { Ok(self.servers()?.survey(cx).await) })
    }
}

/// What the hosts file knows, and that it was the hosts file that knew it:
/// nobody expects it of a name other than `localhost`.
fn from_hosts_file(name: &str, addresses: Vec<IpAddr>, kind: Kind) -> Found {
    let mut found = Found::from(addresses);
    if kind != Kind::Loopback {
        found.steps.push(Step {
            stage: Stage::Resolve,
            to: format!("{name} in the hosts file"),
            failed: None,
            took: Duration::ZERO,
        });
    }
    found
}

/// Asks the servers for the name, and for it in every search domain, until one
/// has an address or somebody who should know is silent.
async fn ask_dns(servers: &Servers, name: &str, limit: Duration, cx: &Cx) -> Vec<Candidate> {
    let began = cx.now();
    let mut heard = Vec::new();
    for full in servers.config().candidates(name) {
        let left = limit.saturating_sub(cx.now() - began);
        if left.is_zero() {
            break;
        }
        let asked = cx.now();
        let four = servers.ask(&full, Record::A, left, cx);
        let six = servers.ask(&full, Record::Aaaa, left, cx);
        let (four, six) = beside(cx, four, Asked::found, six, Asked::found).await;
        let candidate = Candidate {
            name: full,
            four,
            six,
            took: cx.now() - asked,
        };
        let may_go_on = candidate.may_exist_elsewhere();
        heard.push(candidate);
        if !may_go_on {
            break;
        }
    }
    heard
}

/// Both at the same time. Once one has found something, the other gets little
/// time more: `None` when that was not enough.
async fn beside<A, B>(
    cx: &Cx,
    one: impl Future<Output = A>,
    one_found: impl Fn(&A) -> bool,
    other: impl Future<Output = B>,
    other_found: impl Fn(&B) -> bool,
) -> (Option<A>, Option<B>) {
    let (mut one, mut other) = (pin!(one), pin!(other));
    tokio::select! {
        biased;
        done = &mut one => {
            let rest = if one_found(&done) {
                cx.timeout(PATIENCE, other).await
            } else {
                Some(other.await)
            };
            (Some(done), rest)
        }
        done = &mut other => {
            let rest = if other_found(&done) {
                cx.timeout(PATIENCE, one).await
            } else {
                Some(one.await)
            };
            (rest, Some(done))
        }
    }
}
