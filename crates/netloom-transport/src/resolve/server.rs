//! The name servers, each asked through a hickory resolver of its own, so that
//! it is known which of them answered what.

use std::borrow::Cow;
use std::future::poll_fn;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use hickory_resolver::Resolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{RData, RecordType};
use netloom_base::failure::Errno;

use super::Pace;
use super::config::Config;
use super::udp::Hearing;
use crate::cx::Cx;
use crate::net::Served;
use crate::race::{Run, stagger};

/// How many answers of one server are kept for as long as they may be.
const CACHE: u64 = 256;

/// What DNS is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Record {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Where a service is (RFC 2782).
    Srv,
}

impl Record {
    /// The record's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Record::A => "A",
            Record::Aaaa => "AAAA",
            Record::Srv => "SRV",
        }
    }

    /// What it tells.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Record::A | Record::Aaaa => "an address",
            Record::Srv => "a server",
        }
    }
}

/// What one server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Addresses(Vec<IpAddr>),
    Services(Vec<Served>),
    /// The name exists without such a record.
    NoData,
    /// NXDOMAIN.
    NoName,
    /// An error, by its name.
    Error(Cow<'static, str>),
    Silence,
}

impl Answer {
    /// Whether another server would have to say the same.
    fn is_final(&self) -> bool {
        !matches!(self, Answer::Error(_) | Answer::Silence)
    }
}

/// An answer, and whether it was remembered from an earlier lookup.
pub(super) struct Heard {
    pub(super) answer: Answer,
    pub(super) remembered: bool,
    /// How long it may be kept, where it says so.
    pub(super) ttl: Option<Duration>,
}

/// What all servers said of one record.
pub(super) struct Asked {
    pub(super) record: Record,
    pub(super) runs: Vec<Run<SocketAddr, Heard>>,
    pub(super) took: Duration,
}

impl Asked {
    /// The answer that counts: a final one, or the first error, or silence.
    pub(super) fn answer(&self) -> &Answer {
        let answers = || self.runs.iter().filter_map(|run| run.result.as_ref());
        answers()
            .find(|heard| heard.answer.is_final())
            .or_else(|| answers().find(|heard| heard.answer != Answer::Silence))
            .map_or(&Answer::Silence, |heard| &heard.answer)
    }

    pub(super) fn found(&self) -> bool {
        matches!(self.answer(), Answer::Addresses(_) | Answer::Services(_))
    }

    /// How long the answer that counts may be kept.
    pub(super) fn ttl(&self) -> Option<Duration> {
        let answers = self.runs.iter().filter_map(|run| run.result.as_ref());
        answers
            .filter(|heard| heard.answer.is_final())
            .find_map(|heard| heard.ttl)
    }
}

/// The servers of a configuration.
pub(super) struct Servers {
    config: Config,
    pace: Pace,
    each: Vec<Server>,
}

/// One of them, and whoever asks it.
pub(super) struct Server {
    pub(super) addr: SocketAddr,
    pub(super) resolver: Resolver<Hearing>,
    hearing: Hearing,
}

impl Servers {
    pub(super) fn new(config: Config, pace: Pace) -> Result<Self, String> {
        let mut each = Vec::new();
        for addr in config.asked() {
            each.push(Server::new(addr, pace).map_err(|error| error.to_string())?);
        }
        if each.is_empty() {
            return Err("no name server is configured".to_owned());
        }
        Ok(Servers { config, pace, each })
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    pub(super) fn each(&self) -> &[Server] {
        &self.each
    }

    /// Asks for one record of a full name.
    pub(super) async fn ask(&self, full: &str, record: Record, within: Duration, cx: &Cx) -> Asked {
        let began = cx.now();
        let ask = |&place: &usize| async move {
            let left = within.saturating_sub(cx.now() - began);
            let server = &self.each[place];
            let heard = cx.timeout(left, server.lookup(full, record)).await;
            heard.unwrap_or(Heard {
                answer: Answer::Silence,
                remembered: false,
                ttl: None,
            })
        };
        let field = 0..self.each.len();
        let runs = stagger(cx, field, self.pace.delay, ask, |heard| {
            heard.answer.is_final()
        })
        .await;
        let by_server = |run: Run<usize, Heard>| Run {
            who: self.each[run.who].addr,
            began: run.began,
            took: run.took,
            result: run.result,
        };
        Asked {
            record,
            runs: runs.into_iter().map(by_server).collect(),
            took: cx.now() - began,
        }
    }
}

impl Server {
    /// A resolver that knows one server. The rest is ours: the hosts file, the
    /// search domains, and how long to wait.
    fn new(addr: SocketAddr, pace: Pace) -> Result<Self, NetError> {
        let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
        for connection in &mut connections {
            connection.port = addr.port();
        }
        let config = NameServerConfig::new(addr.ip(), true, connections);
        let mut options = ResolverOpts::default();
        options.timeout = pace.limit;
        options.attempts = 0; // UDP questions are repeated below; an error is not asked for twice
        options.cache_size = CACHE;
        options.use_hosts_file = ResolveHosts::Never;
        options.num_concurrent_reqs = 1;
        // With them kept, an alias over two answers is followed once too often (0.26.3).
        options.preserve_intermediates = false;
        let hearing = Hearing::default();
        let config = ResolverConfig::from_name_servers(vec![config]);
        let resolver = Resolver::builder_with_config(config, hearing.clone())
            .with_options(options)
            .build()?;
        Ok(Server {
            addr,
            resolver,
            hearing,
        })
    }

    async fn lookup(&self, full: &str, record: Record) -> Heard {
        let kind = match record {
            Record::A => RecordType::A,
            Record::Aaaa => RecordType::AAAA,
            Record::Srv => RecordType::SRV,
        };
        let mut work = pin!(self.resolver.lookup(full, kind));
        // What is ready before a packet could come was in the cache.
        let at_once = poll_fn(|task| {
            Poll::Ready(match work.as_mut().poll(task) {
                Poll::Ready(result) => Some(result),
                Poll::Pending => None,
            })
        })
        .await;
        let (result, at_once) = match at_once {
            Some(result) => (result, true),
            None => (work.await, false),
        };
        let ttl = result.as_ref().ok().and_then(kept);
        let answer = self.read(result);
        Heard {
            remembered: at_once && answer.is_final(),
            answer,
            ttl,
        }
    }

    /// What a result says; hickory keeps to itself why no question left.
    pub(super) fn read(&self, result: Result<Lookup, NetError>) -> Answer {
        match (result, self.hearing.heard()) {
            (Err(NetError::NoConnections), Some(errno)) => Answer::Error(errno.to_string().into()),
            (result, _) => read(result),
        }
    }
}

fn read(result: Result<Lookup, NetError>) -> Answer {
    let error = match result {
        Ok(lookup) => {
            let addresses: Vec<IpAddr> = lookup
                .answers()
                .iter()
                .filter_map(|record| record.data.ip_addr())
                .collect();
            let services: Vec<Served> = lookup.answers().iter().filter_map(served).collect();
            return match (addresses.is_empty(), services.is_empty()) {
                (false, _) => Answer::Addresses(addresses),
                (true, false) => Answer::Services(services),
                (true, true) => Answer::NoData,
            };
        }
        Err(error) => error,
    };
    match error {
        NetError::Timeout => Answer::Silence,
        NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NXDomain => Answer::NoName,
            ResponseCode::NoError => Answer::NoData,
            code => Answer::Error(rcode(code)),
        },
        NetError::Dns(DnsError::ResponseCode(code)) => Answer::Error(rcode(code)),
        NetError::Io(error) if error.kind() == ErrorKind::TimedOut => Answer::Silence,
        NetError::Io(error) => Answer::Error(match error.raw_os_error() {
            Some(errno) => Errno(errno).to_string().into(),
            None => error.to_string().into(),
        }),
        other => Answer::Error(other.to_string().into()),
    }
}

/// How long all of an answer may be kept: what was remembered says how long still.
fn kept(lookup: &Lookup) -> Option<Duration> {
    let least = lookup.answers().iter().map(|record| record.ttl).min();
    least.map(|seconds| Duration::from_secs(seconds.into()))
}

fn served(record: &hickory_resolver::proto::rr::Record) -> Option<Served> {
    let RData::SRV(srv) = &record.data else {
        return None;
    };
    Some(Served {
        host: srv.target.to_ascii().trim_end_matches('.').to_owned(),
        port: srv.port,
        priority: srv.priority,
        weight: srv.weight,
    })
}

/// A response code by its name in the registry (RFC 6895 §2.3).
fn rcode(code: ResponseCode) -> Cow<'static, str> {
    match code {
        ResponseCode::FormErr => "FORMERR".into(),
        ResponseCode::ServFail => "SERVFAIL".into(),
        ResponseCode::NXDomain => "NXDOMAIN".into(),
        ResponseCode::NotImp => "NOTIMP".into(),
        ResponseCode::Refused => "REFUSED".into(),
        ResponseCode::NotAuth => "NOTAUTH".into(),
        ResponseCode::NotZone => "NOTZONE".into(),
        ResponseCode::BADVERS => "BADVERS".into(),
        other => format!("RCODE {}", u16::from(other)).into(),
    }
}
