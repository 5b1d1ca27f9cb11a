//! Second tries: a handshake that failed is begun again, a little different,
//! at the very same address. What changes the answer is what it hung on.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use netloom_base::endpoint::{Host, Level};
use netloom_base::failure::{Certificate, Fact};
use netloom_base::{Code, Endpoint, Failure, Kind, Role, Settings, Stack, Stage, Value};
use netloom_transport::tls::codes;
use netloom_transport::{Close, Cx};
use netloom_wire::tls::{
    ALL_GROUPS, Hello, NEW_CIPHERS, OLD_CIPHERS, Reply, alert_name, cipher_name, group_name,
    is_record, reply, version_name,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::names;

/// The most further handshakes with one server.
const MOST: usize = 3;

/// How long one may take.
const WITHIN: Duration = Duration::from_millis(1200);

/// Application protocols that servers have names for (RFC 7301 §6).
const PROTOCOLS: &str = "h2,http/1.1,http/1.0,mqtt,imap,pop3,ftp,nntp,managesieve,xmpp-client,xmpp-server,irc,postgresql,tds/8.0,dot,ntske/1,coap,stun.turn,webrtc,smb,rpc,acme-tls/1,spdy/3.1";

/// What was different.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// Nothing: what fails once may work the next moment.
    Same,
    /// No name was asked for.
    WithoutName,
    /// This name was asked for.
    Named(String),
    /// TLS 1.2 was allowed too.
    Older,
    /// TLS 1.3 was allowed too.
    Newer,
    /// Only TLS 1.2, whose hello is small.
    Small,
    /// No application protocol was asked for.
    WithoutAlpn,
    /// Every application protocol that has a name was offered.
    AnyAlpn,
    /// A hello of TLS 1.1, which is not spoken here.
    OldVersion,
    /// A hello of TLS 1.2 with ciphers that are not spoken here.
    AnyCipher,
    /// A hello of TLS 1.3 with groups and ciphers that are not spoken here.
    AnyGroup,
}

impl How {
    fn words(&self) -> String {
        match self {
            How::Same => "the same again".into(),
            How::WithoutName => "without a name".into(),
            How::Named(name) => format!("with the name {name}"),
            How::Older => "with TLS 1.2 too".into(),
            How::Newer => "with TLS 1.3 too".into(),
            How::Small => "with TLS 1.2 only".into(),
            How::WithoutAlpn => "without an application protocol".into(),
            How::AnyAlpn => "with other application protocols".into(),
            How::OldVersion => "with TLS 1.1 and older".into(),
            How::AnyCipher => "with older ciphers".into(),
            How::AnyGroup => "with every group and cipher of TLS 1.3".into(),
        }
    }
}

/// How a second try ended.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// A session: what was agreed on, in words.
    Agreed(String),
    /// It failed too.
    Failed {
        /// The code.
        code: Code,
        /// The alert that was sent.
        alert: Option<u8>,
        /// The certificates that were shown.
        chain: Vec<Certificate>,
    },
    /// What the server would go on with, or its refusal; only a hello was sent.
    Said(Reply),
    /// No answer.
    Nothing,
}

/// One second try.
#[derive(Debug, Clone, PartialEq)]
pub struct Try {
    /// What was different.
    pub how: How,
    /// How it ended.
    pub end: End,
}

impl fmt::Display for Try {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.how.words())?;
        match &self.end {
            End::Agreed(what) => write!(f, "agreed on {what}"),
            End::Failed {
                alert: Some(alert), ..
            }
            | End::Said(Reply::Alert(alert)) => said_alert(f, *alert),
            End::Failed { code, chain, .. } => {
                let seen = chain.first().filter(|_| *code == codes::NAME_MISMATCH);
                match seen.map(|first| first.names.join(" ")) {
                    Some(names) => write!(f, "the certificate is for {names}"),
                    None => f.write_str(code.sentence()),
                }
            }
            End::Said(Reply::Chose {
                version,
                cipher,
                group,
            }) => {
                let version = version_name(*version).unwrap_or("an unknown version");
                write!(f, "the server chose {version}, {}", cipher_words(*cipher))?;
                match group.map(group_words) {
                    Some(group) => write!(f, ", {group}"),
                    None => Ok(()),
                }
            }
            End::Nothing => f.write_str("no answer"),
        }
    }
}

fn said_alert(f: &mut fmt::Formatter<'_>, alert: u8) -> fmt::Result {
    match alert_name(alert) {
        Some(name) => write!(f, "the server sent the alert {name} ({alert})"),
        None => write!(f, "the server sent the alert {alert}"),
    }
}

/// A cipher by its name, or by its number.
pub(super) fn cipher_words(cipher: u16) -> String {
    cipher_name(cipher).map_or_else(|| format!("cipher 0x{cipher:04x}"), str::to_owned)
}

/// A group by its name, or by its number.
pub(super) fn group_words(group: u16) -> String {
    group_name(group).map_or_else(|| format!("group {group}"), str::to_owned)
}

/// The address that TLS was spoken to.
pub(in crate::rules) fn met(failure: &Failure) -> Option<SocketAddr> {
    let mut steps = failure.trail().iter().rev();
    let open = steps.find(|step| step.stage == Stage::Connect && step.failed.is_none())?;
    open.to.parse().ok()
}

/// Where TLS stands in what was dialled, and where it was dialled to.
pub(in crate::rules) struct Ground {
    /// From TLS down, at the very address.
    stack: Stack,
    /// The name the server was asked for, if a name.
    name: Option<String>,
    /// The whole gives a stream.
    pub(in crate::rules) is_stream: bool,
}

impl Ground {
    /// Of a failure at the dialling end.
    pub(in crate::rules) fn of(failure: &Failure, cx: &Cx) -> Option<Self> {
        let at = met(failure)?;
        let endpoint: Endpoint = failure.endpoint()?.parse().ok()?;
        let mut stack = cx.net().stack(&endpoint, Role::Dial).ok()?;
        let is_stream = stack.kind() == Kind::Stream;
        let encrypts = |level: &Level| level.card.codes.iter().any(|c| c.stage == Stage::Tls);
        let place = stack.levels.iter().position(encrypts)?;
        stack.levels.drain(..place);
        let name = match (option(&stack.levels[0].settings, "sni"), endpoint.host()) {
            (Some(off), _) if off.eq_ignore_ascii_case("off") => None,
            (Some(name), _) => Some(name),
            (None, Host::Name(name)) => Some(name.trim_end_matches('.').to_owned()),
            (None, Host::Loopback | Host::Any) => Some("localhost".to_owned()),
            (None, Host::V4(_) | Host::V6 { .. }) => None,
        };
        stack.endpoint = endpoint.with_address(at);
        let mut ground = Ground {
            stack,
            name,
            is_stream,
        };
        if let Some(name) = ground.name.clone() {
            ground.set("sni", Some(&name));
        }
        Some(ground)
    }

    fn settings(&self) -> &Settings {
        &self.stack.levels[0].settings
    }

    fn set(&mut self, key: &str, value: Option<&str>) {
        let others = self.settings().iter().filter(|setting| setting.key != key);
        let mut settings: Settings = others.cloned().collect();
        if let Some(value) = value {
            settings.push(key, Value::from(value), None);
        }
        self.stack.levels[0].settings = settings;
    }

    /// The same with other settings.
    fn varied(&self, changes: &[(&str, Option<&str>)]) -> Stack {
        let mut other = Ground {
            stack: self.stack.clone(),
            name: None,
            is_stream: self.is_stream,
        };
        for (key, value) in changes {
            other.set(key, *value);
        }
        other.stack
    }

    /// The tries that may tell more of a failure, as many as may be.
    pub(in crate::rules) async fn tries(&self, failure: &Failure, cx: &Cx, tries: &mut Vec<Try>) {
        let code = failure.code();
        let listed = first_name(failure.facts().iter().find_map(|fact| match fact {
            Fact::Chain(chain) => Some(&chain[..]),
            _ => None,
        }));
        let other = |name: &String| self.name.as_ref() != Some(name);
        if code == codes::NAME_MISMATCH || code == codes::UNKNOWN_NAME {
            let mut seen = listed;
            if self.name.is_some() {
                self.attempt(How::WithoutName, cx, tries).await;
                if let Some(End::Failed { chain, .. }) = tries.last().map(|last| &last.end) {
                    seen = seen.or_else(|| first_name(Some(chain)));
                }
            }
            if let Some(name) = seen.filter(other) {
                self.attempt(How::Named(name), cx, tries).await;
            }
        } else if code == codes::NO_COMMON_VERSION {
            if option(self.settings(), "min").is_some_and(|min| min == "1.3") {
                self.attempt(How::Older, cx, tries).await;
            }
            if option(self.settings(), "max").is_some_and(|max| max == "1.2") {
                self.attempt(How::Newer, cx, tries).await;
            }
            let agreed = |one: &Try| matches!(one.end, End::Agreed(_));
            if !tries.iter().any(agreed) {
                self.attempt(How::OldVersion, cx, tries).await;
            }
        } else if code == codes::NO_COMMON_CIPHER {
            self.attempt(How::AnyCipher, cx, tries).await;
            self.attempt(How::AnyGroup, cx, tries).await;
        } else if code == codes::NO_COMMON_ALPN {
            self.attempt(How::WithoutAlpn, cx, tries).await;
            self.attempt(How::AnyAlpn, cx, tries).await;
        } else if code == codes::TIMEOUT {
            self.attempt(How::Small, cx, tries).await;
        } else if code == codes::CLOSED {
            self.attempt(How::Same, cx, tries).await;
            self.attempt(How::Small, cx, tries).await;
            if self.name.is_some() {
                self.attempt(How::WithoutName, cx, tries).await;
            }
        }
    }

    async fn attempt(&self, how: How, cx: &Cx, tries: &mut Vec<Try>) {
        if tries.len() >= MOST {
            return;
        }
        let ours = self.name.as_deref();
        let verify = option(self.settings(), "verify-name").or_else(|| self.name.clone());
        let verify = verify.as_deref();
        let stack = match &how {
            How::Same => self.varied(&[]),
            How::WithoutName => self.varied(&[("sni", Some("off")), ("verify-name", verify)]),
            How::Named(name) => self.varied(&[("sni", Some(name)), ("verify-name", None)]),
            How::Older => self.varied(&[("min", None)]),
            How::Newer => self.varied(&[("max", None)]),
            How::Small => self.varied(&[("min", None), ("max", Some("1.2"))]),
            How::WithoutAlpn => self.varied(&[("alpn", None)]),
            How::AnyAlpn => self.varied(&[("alpn", Some(PROTOCOLS))]),
            How::OldVersion | How::AnyCipher | How::AnyGroup => {
                let hello = Hello {
                    version: if how == How::OldVersion {
                        0x0302
                    } else {
                        0x0303
                    },
                    only_13: how == How::AnyGroup,
                    ciphers: if how == How::AnyGroup {
                        NEW_CIPHERS
                    } else {
                        OLD_CIPHERS
                    },
                    groups: ALL_GROUPS,
                    name: ours,
                };
                let end = self.ask(&hello, cx).await;
                tries.push(Try { how, end });
                return;
            }
        };
        // Nobody is told of it: it is no conversation of theirs.
        let quiet = cx.bare();
        let dialled = cx.timeout(WITHIN, quiet.net().dial(&stack, &quiet)).await;
        let end = match dialled {
            None => End::Nothing,
            Some(Ok(opened)) => match opened.stream() {
                Ok(conn) => {
                    let last = conn.trail().last().map(|step| step.to.clone());
                    conn.close(Close::Orderly);
                    let told = last.unwrap_or_default();
                    let what = told.split_once(", ").map_or("a session", |(_, what)| what);
                    End::Agreed(what.to_owned())
                }
                Err(_) => End::Nothing,
            },
            Some(Err(failure)) => failed(&failure),
        };
        tries.push(Try { how, end });
    }

    /// Sends a hello that is not ours to keep, and reads which way it would go.
    async fn ask(&self, hello: &Hello<'_>, cx: &Cx) -> End {
        let mut below = self.stack.clone();
        below.levels.drain(..1);
        if below.levels.is_empty() {
            return End::Nothing;
        }
        let mut random = [0; 32];
        for byte in &mut random {
            *byte = cx.random_below(256) as u8;
        }
        let asked = async {
            let mut conn = cx.net().dial(&below, cx).await.ok()?.stream().ok()?;
            conn.write_all(&hello.bytes(random)).await.ok()?;
            conn.flush().await.ok()?;
            let (mut came, mut part) = (Vec::new(), [0; 4096]);
            let said = loop {
                if let Some(said) = reply(&came) {
                    break Some(said);
                }
                let enough = came.len() > 64 * 1024 || !is_record(&came) && !came.is_empty();
                match conn.read(&mut part).await {
                    Ok(n @ 1..) if !enough => came.extend_from_slice(&part[..n]),
                    _ => break None,
                }
            };
            conn.close(Close::Abort);
            said
        };
        let said = cx.timeout(WITHIN, asked).await.flatten();
        said.map_or(End::Nothing, End::Said)
    }
}

fn failed(failure: &Failure) -> End {
    let mut alert = None;
    let mut chain = Vec::new();
    for fact in failure.facts() {
        match fact {
            Fact::Alert(number) => alert = Some(*number),
            Fact::Chain(certificates) => chain.clone_from(certificates),
            _ => {}
        }
    }
    End::Failed {
        code: failure.code(),
        alert,
        chain,
    }
}

fn option(settings: &Settings, key: &str) -> Option<String> {
    Some(settings.last(key)?.value.to_string())
}

/// The first name of a certificate that a server can be asked for.
fn first_name(chain: Option<&[Certificate]>) -> Option<String> {
    names(chain?.first()?).next().map(str::to_owned)
}
