//! What a check does: it dials a target as a client would, and may say
//! something and read the answer.

use std::time::Duration;

use netloom_base::failure::Fact;
use netloom_base::{Code, Endpoint, Failure, Kind, Moment, Role, SettingError, Side, Stack, Stage};
use netloom_transport::{Close, Conn, Cx, Net, Opened};
use netloom_wire::escape;
use netloom_wire::http::{Head, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::rules::{Check, Rules, Statuses};

/// How much of an answer is read.
const MOST: usize = 64 * 1024;

/// How many of its first bytes are kept as a fact.
const FIRST: usize = 256;

/// What a check does, made ready.
#[derive(Debug, Clone)]
pub(super) enum Probe {
    Connect,
    Tls,
    Http {
        path: String,
        host: Option<String>,
        good: Statuses,
    },
    Send {
        say: Vec<u8>,
        expect: Vec<u8>,
    },
}

impl Probe {
    pub(super) fn new(rules: &Rules) -> Result<Self, Vec<SettingError>> {
        rules.check()?;
        let bytes = |key: &str, text: &Option<String>| {
            let text = text.as_deref().unwrap_or_default();
            escape::unescape(text)
                .map_err(|error| vec![SettingError::new(key, None, error.to_string())])
        };
        Ok(match rules.check {
            None | Some(Check::Connect) => Probe::Connect,
            Some(Check::Tls) => Probe::Tls,
            Some(Check::Http) => {
                let path = rules.check_path.clone().unwrap_or_else(|| "/".to_owned());
                let probe = Probe::Http {
                    host: rules.check_host.clone(),
                    good: rules.check_status.clone().unwrap_or_default(),
                    path,
                };
                probe.request("h").map_err(|key| {
                    let message = format!("`{key}` cannot stand in a request");
                    vec![SettingError::new(key, None, message)]
                })?;
                probe
            }
            Some(Check::Send) => Probe::Send {
                say: bytes("check-send", &rules.check_send)?,
                expect: bytes("check-expect", &rules.check_expect)?,
            },
        })
    }

    /// Whether a target with this stack can be checked so.
    pub(super) fn fits(&self, stack: &Stack, net: &dyn Net) -> Result<(), String> {
        match self {
            Probe::Connect => Ok(()),
            _ if stack.kind() != Kind::Stream => {
                let (target, gives) = (&stack.endpoint, stack.kind());
                Err(format!(
                    "{target} gives {gives}, and this check needs a stream"
                ))
            }
            Probe::Tls => over_tls(stack, net)
                .map(drop)
                .map_err(|failure| failure.summary()),
            Probe::Http { .. } | Probe::Send { .. } => Ok(()),
        }
    }

    /// The request by which a host is asked, or the key that spoils it.
    fn request(&self, own: &str) -> Result<Vec<u8>, &'static str> {
        let Probe::Http { path, host, .. } = self else {
            return Ok(Vec::new());
        };
        let host = host.as_deref().unwrap_or(own);
        let request = Request::new("GET", path).map_err(|_| "check-path")?;
        let request = request.header("Host", host).map_err(|_| "check-host")?;
        let request = request
            .header("User-Agent", "netloom")
            .and_then(|request| request.header("Connection", "close"));
        Ok(request.map_err(|_| "check-host")?.bytes())
    }

    /// Checks a target, within `limit`.
    pub(super) async fn look(
        &self,
        stack: &Stack,
        limit: Duration,
        cx: &Cx,
    ) -> Result<(), Failure> {
        let until = cx.now() + limit;
        let stack = match self {
            Probe::Connect => bottom(stack),
            Probe::Tls => over_tls(stack, cx.net())?,
            Probe::Http { .. } | Probe::Send { .. } => stack.clone(),
        };
        let dialled = cx.timeout(limit, cx.net().dial(&stack, cx)).await;
        let opened = dialled.unwrap_or_else(|| {
            Err(
                Failure::new(Stage::Connect, Side::Path, Code::CONNECT_TIMEOUT)
                    .fact(Fact::Waited(limit)),
            )
        })?;
        let Opened::Stream(conn) = opened else {
            return Ok(()); // there is nobody to be connected to: it can only be tried
        };
        match self {
            Probe::Connect => {
                // Nothing was said and nothing will be: no port stays in TIME_WAIT.
                conn.close(Close::Abort);
                Ok(())
            }
            Probe::Tls => {
                conn.close(Close::Orderly);
                Ok(())
            }
            Probe::Http { good, .. } => {
                let own = stack.endpoint.host().to_string();
                let request = self.request(&own).map_err(|key| {
                    Failure::new(Stage::Send, Side::Us, Stage::Send.other())
                        .message(format!("`{key}` cannot stand in a request"))
                })?;
                let mut talk = Talk { conn, until, cx };
                let answer = talk.ask(&request, |came| status(came, good)).await;
                talk.conn.close(Close::Orderly);
                answer
            }
            Probe::Send { say, expect } => {
                let mut talk = Talk { conn, until, cx };
                let answer = talk.ask(say, |came| has(came, expect)).await;
                talk.conn.close(Close::Orderly);
                answer
            }
        }
    }
}

/// The transport alone.
fn bottom(stack: &Stack) -> Stack {
    let mut stack = stack.clone();
    while let Some(lower) = stack.beneath() {
        stack = lower;
    }
    stack
}

/// The stack with TLS on it, whosever certificate is shown, unless it has TLS.
fn over_tls(stack: &Stack, net: &dyn Net) -> Result<Stack, Failure> {
    if stack.encrypts() {
        return Ok(stack.clone());
    }
    let text = format!("tls+{}", stack.endpoint);
    let endpoint: Endpoint = text
        .parse()
        .map_err(|error| netloom_transport::net::complaint(&error))?;
    net.stack(&endpoint.with_option("insecure", None), Role::Dial)
}

/// A connection that is asked something.
struct Talk<'a> {
    conn: Conn,
    until: Moment,
    cx: &'a Cx,
}

impl Talk<'_> {
    /// Says it, and reads until `judge` knows.
    async fn ask(
        &mut self,
        say: &[u8],
        judge: impl Fn(&[u8]) -> Option<Result<(), Failure>>,
    ) -> Result<(), Failure> {
        let limit = self.until - self.cx.now();
        let conn = &mut self.conn;
        let talk = async {
            conn.write_all(say)
                .await
                .map_err(|error| Failure::from_io(Stage::Send, error))?;
            let mut came = Vec::new();
            loop {
                if let Some(known) = judge(&came) {
                    return known;
                }
                if came.len() >= MOST {
                    return Err(other(&came, "it says too much, and not what is expected"));
                }
                let left = (MOST - came.len()) as u64;
                let read = (&mut *conn).take(left).read_buf(&mut came).await;
                match read.map_err(|error| Failure::from_io(Stage::Recv, error))? {
                    0 if came.is_empty() => {
                        return Err(Failure::new(Stage::Greet, Side::Peer, Code::GREET_CLOSED));
                    }
                    0 => return Err(other(&came, "it ended without what is expected")),
                    _ => {}
                }
            }
        };
        let silent = || {
            Failure::new(Stage::Recv, Side::Peer, Code::RECV_TIMEOUT)
                .message("connected, and what is expected did not come in time")
                .fact(Fact::Waited(limit))
        };
        self.cx
            .timeout(limit, talk)
            .await
            .unwrap_or_else(|| Err(silent()))
    }
}

fn status(came: &[u8], good: &Statuses) -> Option<Result<(), Failure>> {
    let mut rest = came;
    loop {
        match Head::read(rest) {
            Ok(None) => return None,
            Ok(Some((head, length))) if head.is_interim() => rest = &rest[length..],
            Ok(Some((head, _))) if good.has(head.status) => return Some(Ok(())),
            Ok(Some((head, _))) => {
                let message = format!("{}, and {good} is good", head.status_line());
                let failure = Failure::new(Stage::Greet, Side::Peer, Code::GREET_REFUSED);
                return Some(Err(failure.message(message)));
            }
            Err(_) => return Some(Err(other(rest, "it does not speak HTTP/1"))),
        }
    }
}

fn has(came: &[u8], expect: &[u8]) -> Option<Result<(), Failure>> {
    let found = came
        .windows(expect.len().max(1))
        .any(|window| window == expect);
    found.then_some(Ok(()))
}

fn other(came: &[u8], message: &str) -> Failure {
    let first = came[..came.len().min(FIRST)].to_vec();
    Failure::new(Stage::Greet, Side::Peer, Code::GREET_WRONG_PROTOCOL)
        .message(message)
        .fact(Fact::FirstBytes(first))
}
