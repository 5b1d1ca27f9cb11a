//! `forward`: what comes goes on to a target, and its answers come back.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use netloom_base::failure::Fact;
use netloom_base::{Code, Endpoint, Failure, Key, SettingError, Settings, Side, Stage, settings};
use netloom_protocol::{Measures, Offer, Service};
use netloom_transport::carry::{Until, carry};
use netloom_transport::{BoxFuture, Close, Conn, Cx, Net, Peer};

use crate::balance::{Entry, Pool, Rules};
use crate::registry::ServiceKind;

settings! {
    /// Where it is carried to, and how hard that is tried.
    struct ForwardSettings {
        /// where it goes, such as tcp://10.0.0.2:80,weight=3; of several one is chosen for each connection
        to: Vec<String>,
        /// how long a target may take to answer when it is dialled
        connect_timeout: Duration = Duration::from_secs(10),
        /// how many other targets are tried when one cannot be reached [default: all, at most 3]
        retries: Option<u32>,
    }
}

/// So many other targets are tried when nobody chose.
const MOST_RETRIES: usize = 3;

/// The kind `forward`.
#[derive(Debug, Clone, Copy)]
pub struct Forward;

impl ServiceKind for Forward {
    fn name(&self) -> &'static str {
        "forward"
    }

    fn help(&self) -> &'static str {
        "carry every connection to a target and back"
    }

    fn keys(&self) -> &'static [Key] {
        static KEYS: LazyLock<Vec<Key>> =
            LazyLock::new(|| [ForwardSettings::KEYS, Rules::KEYS].concat());
        &KEYS
    }

    fn main_key(&self) -> Option<&'static str> {
        Some("to")
    }

    fn example(&self) -> &'static str {
        "to = [\"tcp://10.0.0.2:80\"]"
    }

    fn build(&self, settings: &Settings, net: &dyn Net) -> Result<Offer, Vec<SettingError>> {
        let mut own = settings.clone();
        let rules = own.take(Rules::KEYS);
        let (read, rules) = match (ForwardSettings::read(&own), Rules::read(&rules)) {
            (Ok(read), Ok(rules)) => (read, rules),
            (read, rules) => {
                let errors = [read.err(), rules.err()].into_iter().flatten();
                return Err(errors.flatten().collect());
            }
        };
        let span = || settings.last("to").and_then(|s| s.span.clone());
        let mut errors = Vec::new();
        let mut entries = Vec::new();
        for to in &read.to {
            match entry(to, net) {
                Ok(entry) => entries.push(entry),
                Err(message) => errors.push(SettingError::new("to", span(), message)),
            }
        }
        if read.to.is_empty() && rules.to_file.is_none() {
            errors.push(SettingError::new("to", span(), "`to` is missing"));
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let pool = Pool::of(entries, rules, net).map_err(|errors| {
            let placed = errors.into_iter().map(|mut error| {
                let key = error.key.clone();
                error.span = error
                    .span
                    .or_else(|| settings.last(&key).and_then(|s| s.span.clone()));
                error
            });
            placed.collect::<Vec<_>>()
        })?;
        let tries = match read.retries {
            Some(retries) => retries as usize + 1,
            None if pool.changes() => MOST_RETRIES + 1,
            None => pool.len().min(MOST_RETRIES + 1),
        };
        Ok(Offer::Bytes(Arc::new(Forwarder {
            pool,
            connect_timeout: read.connect_timeout,
            tries,
        })))
    }
}

fn entry(to: &str, net: &dyn Net) -> Result<Entry, String> {
    let endpoint: Endpoint = to
        .parse()
        .map_err(|error: netloom_base::EndpointError| error.to_string())?;
    let entry = Entry::read(&endpoint).map_err(|errors| {
        let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
        told.join("; ")
    })?;
    entry.stack(net).map_err(|failure| failure.summary())?;
    Ok(entry)
}

/// Carries connections to the targets of a pool.
struct Forwarder {
    pool: Arc<Pool>,
    connect_timeout: Duration,
    tries: usize,
}

impl Service for Forwarder {
    fn begin(self: Arc<Self>, cx: &Cx) -> Result<(), Failure> {
        self.pool.keep(cx);
        Ok(())
    }

    fn measure(&self, to: &mut dyn Measures) {
        self.pool.measure(to);
    }

    fn serve<'a>(&'a self, conn: Conn, cx: &'a Cx) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let client = match conn.peer() {
                Some(Peer::Ip(address)) if self.pool.needs_client() => Some(address.ip()),
                _ => None,
            };
            let mut tried = Vec::new();
            loop {
                let pick = match self.pool.pick(client, &tried, cx).await {
                    Ok(pick) => pick,
                    Err(failure) => {
                        conn.close(Close::Abort);
                        return Err(failure);
                    }
                };
                let stack = &pick.target().stack;
                let began = cx.now();
                let dialled = cx
                    .timeout(self.connect_timeout, cx.net().dial(stack, cx))
                    .await;
                let opened = dialled.unwrap_or_else(|| {
                    let failure = Failure::new(Stage::Connect, Side::Path, Code::CONNECT_TIMEOUT);
                    Err(failure.fact(Fact::Waited(self.connect_timeout)))
                });
                match opened.and_then(netloom_transport::Opened::stream) {
                    Ok(target) => {
                        pick.answered(cx.now() - began);
                        let carried = carry(conn, target, Until::BothEnd).await;
                        return carried.map(drop).map_err(|failed| failed.failure);
                    }
                    Err(failure) => {
                        pick.failed(&failure);
                        let failure = failure.at(&stack.endpoint);
                        tried.push(pick);
                        if tried.len() >= self.tries {
                            conn.close(Close::Abort);
                            return Err(failure);
                        }
                    }
                }
            }
        })
    }
}
