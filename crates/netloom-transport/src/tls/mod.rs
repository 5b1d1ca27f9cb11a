//! TLS over any stream (RFC 8446, RFC 5246): rustls with aws-lc-rs.
//!
//! Nothing is loaded before the first endpoint with `tls` in it: no provider,
//! no file, and this system's trusted authorities only when the first server
//! must be judged. They are read as files (rustls-native-certs) and webpki
//! judges, not the platform's verifier: so what `ca` names is added alike on
//! every platform, and a refusal says which rule it broke.
//!
//! The hall of the room is [`Certificates`]: who makes a certificate where an
//! endpoint says `cert=auto`.

mod blame;
mod certificates;
mod client;
pub mod codes;
mod files;
mod io;
mod judge;
mod options;
mod server;
mod session;
mod sniff;
mod x509;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use netloom_base::endpoint::{Host, Level};
use netloom_base::failure::{Fact, Step};
use netloom_base::settings::Setting;
use netloom_base::{
    Address, Card, Failure, Kind, Opens, Role, Scheme, Settings, Side, Stack, Stage, Timestamp,
};
use rustls::SupportedProtocolVersion;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};

use crate::BoxFuture;
use crate::conn::{Close, Conn, Io};
use crate::cx::Cx;
use crate::net::{Layer, Opened};
use client::{ClientSide, Platform};
use io::{Away, TlsIo};
use server::ServerSide;
use sniff::{Sniff, Witness};

pub use certificates::{Certificates, Issued, SelfSigned};
pub use options::{Alpn, Cert, ClientAuth, DialOptions, ListenOptions, Sni, Version};
pub use session::Session;

/// How long a client's handshake may take. A server's is bounded by the
/// greeting deadline of whoever accepted.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// What is kept of written bytes that the transport has no room for.
const SEND_BUFFER: usize = 64 * 1024;

/// How many endpoints are remembered with their files read.
const REMEMBERED: usize = 64;

static CARD: Card = Card {
    name: "tls",
    summary: "a stream that nobody between can read or change",
    schemes: &[Scheme {
        name: "tls",
        over: &["tcp"],
        default_port: None,
    }],
    address: Address::HostPort,
    owns_path: false,
    owns_query: false,
    needs: Some(Kind::Stream),
    gives: Kind::Stream,
    encrypts: true,
    rfcs: &["RFC 8446", "RFC 5246", "RFC 6066", "RFC 7301", "RFC 5280"],
    dial_keys: DialOptions::KEYS,
    bind_keys: ListenOptions::KEYS,
    codes: codes::CODES,
    opens: Opens::Client,
};

/// The layer behind `tls://` and `tls+…`.
pub struct Tls {
    maker: Arc<dyn Certificates>,
    platform: Platform,
    clients: Remembered<ClientSide>,
    servers: Remembered<ServerSide>,
}

impl Tls {
    /// The layer, where `maker` makes the certificates for `cert=auto`.
    pub fn new(maker: Arc<dyn Certificates>) -> Self {
        Tls {
            maker,
            platform: Platform::default(),
            clients: Remembered::default(),
            servers: Remembered::default(),
        }
    }

    /// Opens a session over `conn`, from the client's side, and says what was
    /// agreed on. `level` holds the options, and the endpoint's host is the
    /// name, unless they say otherwise.
    ///
    /// # Errors
    /// A code of [`codes`] with what is known of the peer.
    pub async fn connect(
        &self,
        conn: Conn,
        level: &Level,
        stack: &Stack,
        cx: &Cx,
    ) -> Result<(Conn, Session), Failure> {
        let side = match self.clients.get(level, stack) {
            Some(side) => side,
            None => self
                .clients
                .put(level, stack, ClientSide::read(level, stack)?),
        };
        if side.options.insecure {
            let name = side.name();
            cx.remark(&Arc::from(""), format!("the certificate of {name} is not checked (insecure): whoever is on the path can read and change everything"));
        }
        let _greeting = cx.progress().enter(Stage::Tls);
        let witness = Witness::default();
        let began = cx.now();
        let (conn, below) = apart(conn);
        // Boxed: a handshake is large, and what holds this future lives longer.
        let greeting = Box::pin(side.greet(below, &witness, &self.platform, cx));
        let greeting = Box::pin(cx.timeout(HANDSHAKE_TIMEOUT, greeting));
        let (mut conn, met) = within(conn, async {
            greeting.await.unwrap_or_else(|| {
                let failure = Failure::new(Stage::Tls, Side::Peer, codes::TIMEOUT);
                let failure = failure.fact(Fact::Waited(HANDSHAKE_TIMEOUT));
                Err(match &witness.look().first {
                    none if none.is_empty() => failure,
                    first => failure.fact(Fact::FirstBytes(first.clone())),
                })
            })
        })
        .await;
        let mut step = Step {
            stage: Stage::Tls,
            to: side.name(),
            failed: met.as_ref().err().map(Failure::code),
            took: cx.now() - began,
        };
        match met {
            Ok((io, session)) => {
                step.to = format!("{}, {session}", step.to);
                conn.remember([step]);
                if !session.chain.is_empty() {
                    conn.learn([Fact::Chain(session.chain.clone())]);
                }
                if side.options.insecure {
                    conn.learn([Fact::said("the certificate was not checked", "insecure")]);
                }
                Ok((conn.wrap(|_| Box::new(io)), session))
            }
            Err(failure) => Err(failure.after(conn.trail().iter().cloned().chain([step]))),
        }
    }

    /// Answers a session on `conn`, from the server's side, and says what was
    /// agreed on.
    ///
    /// # Errors
    /// A code of [`codes`] with what is known of the peer.
    pub async fn accept(
        &self,
        conn: Conn,
        level: &Level,
        stack: &Stack,
        cx: &Cx,
    ) -> Result<(Conn, Session), Failure> {
        let side = match self.servers.get(level, stack) {
            Some(side) => side,
            None => self
                .servers
                .put(level, stack, ServerSide::read(level, stack)?),
        };
        let witness = Witness::default();
        let (conn, below) = apart(conn);
        let answering = Box::pin(side.answer(below, &witness, &*self.maker, cx));
        let (conn, met) = within(conn, answering).await;
        let (io, session) = met.map_err(|failure| failure.after(conn.trail().iter().cloned()))?;
        Ok((conn.wrap(|_| Box::new(io)), session))
    }
}

impl Default for Tls {
    /// With certificates that sign themselves.
    fn default() -> Self {
        Tls::new(Arc::new(SelfSigned))
    }
}

impl Layer for Tls {
    fn card(&self) -> &'static Card {
        &CARD
    }

    /// Reads the files anew, so that what is dialled or bound next has them.
    fn check(&self, level: &Level, stack: &Stack) -> Result<(), Failure> {
        match stack.role {
            Role::Dial => {
                let read = ClientSide::read(level, stack)?;
                let known = self.clients.get(level, stack);
                // One whose files have not changed keeps its sessions.
                if !known.is_some_and(|known| known.has_same_files(&read)) {
                    self.clients.put(level, stack, read);
                }
            }
            Role::Bind => drop(
                self.servers
                    .put(level, stack, ServerSide::read(level, stack)?),
            ),
        }
        Ok(())
    }

    fn prepare(&self, level: &Level, stack: &Stack, cx: &Cx) -> Result<(), Failure> {
        let side = match self.servers.get(level, stack) {
            Some(side) => side,
            None => self
                .servers
                .put(level, stack, ServerSide::read(level, stack)?),
        };
        if let Some(made) = side.prepare(&*self.maker, cx)? {
            let (names, print) = (made.names.join(" "), made.fingerprint());
            cx.remark(
                &Arc::from(""),
                format!("made a certificate for {names}, SHA-256 {print}"),
            );
        }
        Ok(())
    }

    fn dial<'a>(
        &'a self,
        below: Opened,
        level: &'a Level,
        stack: &'a Stack,
        cx: &'a Cx,
    ) -> BoxFuture<'a, Result<Opened, Failure>> {
        Box::pin(async move {
            let (conn, _) = self.connect(below.stream()?, level, stack, cx).await?;
            Ok(Opened::Stream(conn))
        })
    }

    fn answer<'a>(
        &'a self,
        below: Opened,
        level: &'a Level,
        stack: &'a Stack,
        cx: &'a Cx,
    ) -> BoxFuture<'a, Result<Opened, Failure>> {
        Box::pin(async move {
            let (conn, _) = self.accept(below.stream()?, level, stack, cx).await?;
            Ok(Opened::Stream(conn))
        })
    }
}

/// The connection without its bytes, and the bytes.
fn apart(conn: Conn) -> (Conn, Box<dyn Io>) {
    let mut below: Box<dyn Io> = Box::new(Away);
    let conn = conn.wrap(|io| std::mem::replace(&mut below, io));
    (conn, below)
}

/// Runs a handshake, unless the connection's seat ends it.
async fn within(
    mut conn: Conn,
    handshake: impl Future<Output = Result<(TlsIo, Session), Failure>>,
) -> (Conn, Result<(TlsIo, Session), Failure>) {
    let met = {
        let over = poll_fn(|cx| Pin::new(&mut conn).poll_read(cx, &mut ReadBuf::new(&mut [])));
        tokio::select! {
            biased;
            met = handshake => met,
            over = over => Err(match over {
                Err(error) => Failure::from_io(Stage::Tls, error),
                Ok(()) => Failure::new(Stage::Tls, Side::Us, codes::CLOSED),
            }),
        }
    };
    (conn, met)
}

/// Which end saw a handshake fail.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    Dialled,
    Answered,
}

/// How long the peer may take to read why it was refused.
const LAST_WORDS: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(1)];

/// Ends what is below after a handshake failed. When this end refused, the peer
/// is given time to read the alert: closing over unread bytes would reset the
/// connection, and the alert be lost with it.
async fn ended(mut io: Sniff, failure: Failure, which: Ended, cx: &Cx) -> Failure {
    let refused = failure.side() == Side::Peer
        && failure.code() != codes::PEER_SPEAKS_PLAIN
        && !failure
            .facts()
            .iter()
            .any(|fact| matches!(fact, Fact::Alert(_)));
    if refused || which == Ended::Answered {
        let patience = LAST_WORDS[usize::from(which == Ended::Answered)];
        let reading = async {
            let (mut rest, mut most) = ([0; 1024], 64);
            // An error here would only say again that it failed.
            let _ = io.shutdown().await;
            while most > 0 && matches!(io.read(&mut rest).await, Ok(1..)) {
                most -= 1;
            }
        };
        cx.timeout(patience, reading).await;
    }
    io.below.close(Close::Orderly);
    failure
}

/// What this end offers, for a peer with which it has nothing in common.
fn offers(who: &str, min: Version, max: Version, alpn: Option<&Alpn>) -> Vec<Fact> {
    let versions = match (min, max) {
        (Version::Tls12, Version::Tls12) => "TLS 1.2 only",
        (Version::Tls12, Version::Tls13) => "TLS 1.2 and 1.3",
        (Version::Tls13, _) => "TLS 1.3 only",
    };
    let alpn = alpn.map_or_else(|| "none".to_owned(), |alpn| alpn.0.join(" "));
    let suites: Vec<&str> = provider()
        .cipher_suites
        .iter()
        .filter(|suite| match suite.tls13() {
            Some(_) => max == Version::Tls13,
            None => min == Version::Tls12,
        })
        .filter_map(|suite| netloom_wire::tls::cipher_name(u16::from(suite.suite())))
        .collect();
    let words = format!(
        "{who} speaks {versions}, protocols {alpn}, ciphers {}",
        suites.join(" ")
    );
    vec![Fact::said(words, "settings")]
}

/// The one provider of this program, made when it is first needed.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    PROVIDER.clone()
}

fn versions(min: Version, max: Version) -> &'static [&'static SupportedProtocolVersion] {
    static BOTH: [&SupportedProtocolVersion; 2] =
        [&rustls::version::TLS13, &rustls::version::TLS12];
    match (min, max) {
        (Version::Tls12, Version::Tls12) => &BOTH[1..],
        (Version::Tls12, Version::Tls13) => &BOTH,
        (Version::Tls13, _) => &BOTH[..1],
    }
}

fn unusable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
    Failure::new(Stage::Tls, Side::Us, Stage::Tls.other())
        .message("TLS could not be set up")
        .source(error)
}

/// The time of the world that a handshake happens in, simulated or real.
#[derive(Debug)]
struct At(AtomicI64);

impl At {
    fn new(now: Timestamp) -> Self {
        At(AtomicI64::new(now.seconds()))
    }

    fn set(&self, now: Timestamp) {
        self.0.store(now.seconds(), Ordering::Relaxed);
    }
}

impl TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.load(Ordering::Relaxed)).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

/// Endpoints by what is written in them, the latest first.
struct Remembered<T>(Mutex<VecDeque<(Written, Arc<T>)>>);

/// The place and every option: what a side is made of. A client's has a port
/// too, so that a session goes on only where it began.
struct Written {
    host: Host,
    port: Option<u16>,
    settings: Settings,
}

impl Written {
    fn of(level: &Level, stack: &Stack) -> Self {
        Written {
            host: stack.endpoint.host().clone(),
            port: dialled_port(stack),
            settings: level.settings.clone(),
        }
    }

    /// Compared where it stands: every handshake of a server asks.
    fn is(&self, level: &Level, stack: &Stack) -> bool {
        let same =
            |(own, other): (&Setting, &Setting)| own.key == other.key && own.value == other.value;
        self.host == *stack.endpoint.host()
            && self.port == dialled_port(stack)
            && self.settings.iter().count() == level.settings.iter().count()
            && self.settings.iter().zip(level.settings.iter()).all(same)
    }
}

fn dialled_port(stack: &Stack) -> Option<u16> {
    stack.port().filter(|_| stack.role == Role::Dial)
}

impl<T> Default for Remembered<T> {
    fn default() -> Self {
        Remembered(Mutex::default())
    }
}

impl<T> Remembered<T> {
    fn get(&self, level: &Level, stack: &Stack) -> Option<Arc<T>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = all.iter().find(|(known, _)| known.is(level, stack))?;
        Some(found.1.clone())
    }

    fn put(&self, level: &Level, stack: &Stack, side: T) -> Arc<T> {
        let side = Arc::new(side);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(known, _)| !known.is(level, stack));
        all.push_front((Written::of(level, stack), side.clone()));
        all.truncate(REMEMBERED);
        side
    }
}
