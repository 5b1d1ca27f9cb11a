//! The network as the floors above see it, and how one is put together.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use netloom_base::endpoint::{Host, Level};
use netloom_base::failure::{Fact, Step};
use netloom_base::{
    Card, Code, Endpoint, Failure, Kind, Role, Schemes, SettingError, Side, Stack, Stage,
};

use crate::BoxFuture;
use crate::conn::Conn;
use crate::cx::Cx;
use crate::datagrams::{Datagrams, HeldDatagrams};
use crate::listener::Bound;
use crate::messages::Messages;
use crate::mux::Mux;
use crate::way::{DIRECT, VIA, Way};

/// How long a name may take to resolve. A [`Resolver`] keeps to it, so that
/// its failure can say who was silent.
pub const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// How much later a lookup is given up that did not end itself.
const RESOLVE_GRACE: Duration = Duration::from_millis(500);

/// What opening an endpoint gives.
pub enum Opened {
    /// A stream of bytes.
    Stream(Conn),
    /// Whole messages.
    Messages(Box<dyn Messages>),
    /// Datagrams.
    Datagrams(Box<dyn Datagrams>),
    /// Many streams.
    Mux(Box<dyn Mux>),
}

impl Opened {
    /// The word for what it is.
    pub fn kind(&self) -> Kind {
        match self {
            Opened::Stream(_) => Kind::Stream,
            Opened::Messages(_) => Kind::Messages,
            Opened::Datagrams(_) => Kind::Datagram,
            Opened::Mux(_) => Kind::Mux,
        }
    }

    /// The stream, for whoever can use nothing else.
    pub fn stream(self) -> Result<Conn, Failure> {
        match self {
            Opened::Stream(conn) => Ok(conn),
            other => {
                let message = format!("a stream is needed, and this gives {}", other.kind());
                Err(Failure::new(Stage::Parse, Side::Us, Code::PARSE_ENDPOINT).message(message))
            }
        }
    }
}

/// What a lookup found.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The addresses, in the order to try them.
    pub addresses: Vec<IpAddr>,
    /// Who was asked, how it ended and how long it took.
    pub steps: Vec<Step>,
    /// What was noticed on the way.
    pub facts: Vec<Fact>,
    /// How long it may be kept, where whoever answered said so.
    pub ttl: Option<Duration>,
}

/// Where a service is, as SRV records say (RFC 2782).
#[derive(Debug, Clone, Default)]
pub struct Services {
    /// Its servers; none where the name says that there is no such service.
    pub list: Vec<Served>,
    /// How long it may be kept, where whoever answered said so.
    pub ttl: Option<Duration>,
    /// Who was asked, how it ended and how long it took.
    pub steps: Vec<Step>,
}

/// One server of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// Its name, without the dot at its end.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Only servers of the lowest priority that can be reached are used.
    pub priority: u16,
    /// Its share among those of the same priority; 0 is nearly none.
    pub weight: u16,
}

impl From<Vec<IpAddr>> for Found {
    fn from(addresses: Vec<IpAddr>) -> Self {
        Found {
            addresses,
            ..Found::default()
        }
    }
}

/// One name server of this system, and whether it does its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameServer {
    /// Where it is.
    pub server: SocketAddr,
    /// Nothing when it answered as it should; else what it answered instead.
    pub wrong: Option<String>,
    /// How long it took, or how long was waited for it.
    pub took: Duration,
}

/// A network: the real one, or a simulated one.
pub trait Net: Send + Sync {
    /// Gives an endpoint its meaning, or says what is wrong with it.
    fn stack(&self, endpoint: &Endpoint, role: Role) -> Result<Stack, Failure>;

    /// The same, without looking whether the values of its options can be used.
    fn meaning(&self, endpoint: &Endpoint, role: Role) -> Result<Stack, Failure> {
        self.stack(endpoint, role)
    }

    /// The addresses of a host, in the order to try them.
    fn resolve<'a>(&'a self, host: &'a Host, cx: &'a Cx) -> BoxFuture<'a, Result<Found, Failure>>;

    /// Where the service of this name is: `_http._tcp.example.org` (RFC 2782).
    fn services<'a>(
        &'a self,
        name: &'a str,
        cx: &'a Cx,
    ) -> BoxFuture<'a, Result<Services, Failure>> {
        let _ = cx;
        Box::pin(async move { Err(no_services(name)) })
    }

    /// Asks every configured name server for the root zone, which tells nobody
    /// what is looked for; or says why there is none to ask.
    fn name_servers<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Vec<NameServer>, String>> {
        let _ = cx;
        Box::pin(async { Err("this network has no name servers".to_owned()) })
    }

    /// Whether what a stack names on this host is there, without touching it:
    /// what a service will dial for its clients is better missed before they come.
    fn look(&self, stack: &Stack) -> Result<(), Failure> {
        let _ = stack;
        Ok(())
    }

    /// Opens a stack from the transport up.
    fn dial<'a>(&'a self, stack: &'a Stack, cx: &'a Cx) -> BoxFuture<'a, Result<Opened, Failure>>;

    /// Takes the stack's addresses: one [`Bound`] for each socket.
    fn bind<'a>(
        &'a self,
        stack: &'a Stack,
        cx: &'a Cx,
    ) -> BoxFuture<'a, Result<Vec<Arc<dyn Bound>>, Failure>>;

    /// Puts the stack's layers on an accepted connection, in its own task.
    fn answer<'a>(
        &'a self,
        stack: &'a Stack,
        conn: Conn,
        cx: &'a Cx,
    ) -> BoxFuture<'a, Result<Opened, Failure>>;

    /// Takes the stack's addresses for datagrams.
    fn datagrams<'a>(
        &'a self,
        stack: &'a Stack,
        cx: &'a Cx,
    ) -> BoxFuture<'a, Result<HeldDatagrams, Failure>>;
}

/// The bottom of a stack.
pub trait Transport: Send + Sync {
    /// What it is.
    fn card(&self) -> &'static Card;

    /// Whether the values of its options can be read, before anything is opened.
    fn check(&self, stack: &Stack) -> Result<(), Failure> {
        let _ = stack;
        Ok(())
    }

    /// Whether what a stack names is there, without touching it: a program.
    fn look(&self, stack: &Stack) -> Result<(), Failure> {
        let _ = stack;
        Ok(())
    }

    /// Opens a connection.
    fn dial<'a>(&'a self, stack: &'a Stack, cx: &'a Cx) -> BoxFuture<'a, Result<Opened, Failure>>;

    /// Takes the addresses.
    fn bind<'a>(
        &'a self,
        stack: &'a Stack,
        cx: &'a Cx,
    ) -> BoxFuture<'a, Result<Vec<Arc<dyn Bound>>, Failure>> {
        let _ = cx;
        Box::pin(async move { Err(unable(self.card(), stack, "cannot be listened on")) })
    }

    /// Takes the addresses for datagrams.
    fn datagrams<'a>(
        &'a self,
        stack: &'a Stack,
        cx: &'a Cx,
    ) -> BoxFuture<'a, Result<HeldDatagrams, Failure>> {
        let _ = cx;
        Box::pin(async move { Err(unable(self.card(), stack, "carries no datagrams")) })
    }
}

/// What stands on a transport or on another layer.
pub trait Layer: Send + Sync {
    /// What it is.
    fn card(&self) -> &'static Card;

    /// Whether the values of its options can be read, before anything is
    /// opened: the files they name too.
    fn check(&self, level: &Level, stack: &Stack) -> Result<(), Failure> {
        let _ = (level, stack);
        Ok(())
    }

    /// Makes ready what every connection of a bound stack will share, and tells
    /// what a person should know before the first one comes.
    fn prepare(&self, level: &Level, stack: &Stack, cx: &Cx) -> Result<(), Failure> {
        let _ = (level, stack, cx);
        Ok(())
    }

    /// Opens it from the client's side, over what is open below.
    fn dial<'a>(
        &'a self,
        below: Opened,
        level: &'a Level,
        stack: &'a Stack,
        cx: &'a Cx,
    ) -> BoxFuture<'a, Result<Opened, Failure>>;

    /// Answers it from the server's side.
    fn answer<'a>(
        &'a self,
        below: Opened,
        level: &'a Level,
        stack: &'a Stack,
        cx: &'a Cx,
    ) -> BoxFuture<'a, Result<Opened, Failure>>;
}

/// Turns names into addresses.
pub trait Resolver: Send + Sync {
    /// The addresses of `name`, in the order to try them.
    fn lookup<'a>(&'a self, name: &'a str, cx: &'a Cx) -> BoxFuture<'a, Result<Found, Failure>>;

    /// See [`Net::services`].
    fn services<'a>(
        &'a self,
        name: &'a str,
        cx: &'a Cx,
    ) -> BoxFuture<'a, Result<Services, Failure>> {
        let _ = cx;
        Box::pin(async move { Err(no_services(name)) })
    }

    /// See [`Net::name_servers`].
    fn name_servers<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Vec<NameServer>, String>> {
        let _ = cx;
        Box::pin(async { Err("this resolver does not say whom it asks".to_owned()) })
    }
}

fn no_services(name: &str) -> Failure {
    Failure::new(Stage::Resolve, Side::Us, Code::RESOLVE_SERVER_FAILED)
        .message(format!("this resolver knows no services, `{name}` neither"))
}

fn unresolved(limit: Duration) -> Failure {
    Failure::new(Stage::Resolve, Side::Path, Code::RESOLVE_TIMEOUT)
        .fact(Fact::Waited(limit))
        .retry()
}

fn unable(card: &Card, stack: &Stack, why: &str) -> Failure {
    Failure::new(Stage::Parse, Side::Us, Code::PARSE_ENDPOINT)
        .message(format!("`{}:` {why}", card.name))
        .at(&stack.endpoint)
}

/// A network put together from transports, layers and a resolver.
pub struct Assembly {
    schemes: Schemes,
    transports: BTreeMap<&'static str, Arc<dyn Transport>>,
    layers: BTreeMap<&'static str, Arc<dyn Layer>>,
    resolver: Arc<dyn Resolver>,
    way: Option<Arc<dyn Way>>,
}

impl Assembly {
    /// The cards of `transports` and `layers` make the address language.
    pub fn new(
        transports: Vec<Arc<dyn Transport>>,
        layers: Vec<Arc<dyn Layer>>,
        resolver: Arc<dyn Resolver>,
    ) -> Self {
        let cards = transports
            .iter()
            .map(|t| t.card())
            .chain(layers.iter().map(|l| l.card()));
        Assembly {
            schemes: Schemes::new(cards),
            transports: transports.into_iter().map(|t| (t.card().name, t)).collect(),
            layers: layers.into_iter().map(|l| (l.card().name, l)).collect(),
            resolver,
            way: None,
        }
    }

    /// Lets transports be reached through other hosts. Without this, an
    /// endpoint that asks for it is refused.
    pub fn by_way(mut self, way: Arc<dyn Way>) -> Self {
        self.way = Some(way);
        self
    }

    /// Adds the words of protocols that are no layers: their endpoints have a
    /// meaning, and whoever dials one dials [`Stack::beneath`] it.
    pub fn speaking(mut self, protocols: impl IntoIterator<Item = &'static Card>) -> Self {
        let known = self.schemes.cards().to_vec();
        let new = protocols
            .into_iter()
            .filter(|card| known.iter().all(|k| k.name != card.name));
        self.schemes = Schemes::new(known.iter().copied().chain(new));
        self
    }

    fn transport(&self, stack: &Stack) -> Result<&dyn Transport, Failure> {
        let card = stack.transport().card;
        self.transports
            .get(card.name)
            .map(|t| &**t)
            .ok_or_else(|| unable(card, stack, "is not part of this network"))
    }

    fn layer(&self, level: &Level, stack: &Stack) -> Result<&dyn Layer, Failure> {
        let card = level.card;
        self.layers
            .get(card.name)
            .map(|l| &**l)
            .ok_or_else(|| unable(card, stack, "is not part of this network"))
    }
}

impl Assembly {
    fn check_way(&self, stack: &Stack) -> Result<(), Failure> {
        let asked = || stack.transport().settings.last(VIA);
        match &self.way {
            Some(way) if stack.role == Role::Dial => way.check(stack),
            None if asked().is_some_and(|s| s.value.to_string() != DIRECT) => {
                let why = "is reached directly in this network, through no proxy";
                Err(unable(stack.transport().card, stack, why))
            }
            _ => Ok(()),
        }
    }

    /// The bottom of a stack, through others where that is the way.
    async fn bottom(&self, stack: &Stack, cx: &Cx) -> Result<Opened, Failure> {
        let transport = self.transport(stack)?;
        let _connecting = cx.progress().enter(Stage::Connect);
        if let Some(way) = &self.way
            && let Some(opening) = way.dial(stack, cx)
        {
            return opening.await;
        }
        transport.dial(stack, cx).await
    }
}

impl Net for Assembly {
    fn stack(&self, endpoint: &Endpoint, role: Role) -> Result<Stack, Failure> {
        let stack = self.meaning(endpoint, role)?;
        self.transport(&stack)?.check(&stack)?;
        self.check_way(&stack)?;
        for level in stack.layers_bottom_up() {
            // A protocol that is no layer has nothing to check here.
            if let Some(layer) = self.layers.get(level.card.name) {
                layer.check(level, &stack)?;
            }
        }
        Ok(stack)
    }

    fn look(&self, stack: &Stack) -> Result<(), Failure> {
        let looked = self.transport(stack)?.look(stack);
        looked.map_err(|failure| failure.at(&stack.endpoint))
    }

    fn meaning(&self, endpoint: &Endpoint, role: Role) -> Result<Stack, Failure> {
        self.schemes
            .stack(endpoint, role)
            .map_err(|error| complaint(&error))
    }

    fn resolve<'a>(&'a self, host: &'a Host, cx: &'a Cx) -> BoxFuture<'a, Result<Found, Failure>> {
        Box::pin(async move {
            let addresses = match host {
                Host::Loopback => vec![
                    IpAddr::from([127, 0, 0, 1]),
                    std::net::Ipv6Addr::LOCALHOST.into(),
                ],
                Host::Any => vec![
                    std::net::Ipv6Addr::UNSPECIFIED.into(),
                    IpAddr::from([0, 0, 0, 0]),
                ],
                Host::V4(addr) => vec![(*addr).into()],
                Host::V6 { addr, .. } => vec![(*addr).into()],
                Host::Name(name) => {
                    let _resolving = cx.progress().enter(Stage::Resolve);
                    let limit = RESOLVE_TIMEOUT + RESOLVE_GRACE;
                    let found = cx.timeout(limit, self.resolver.lookup(name, cx)).await;
                    return found.unwrap_or_else(|| Err(unresolved(limit)));
                }
            };
            Ok(addresses.into())
        })
    }

    fn services<'a>(
        &'a self,
        name: &'a str,
        cx: &'a Cx,
    ) -> BoxFuture<'a, Result<Services, Failure>> {
        Box::pin(async move {
            let limit = RESOLVE_TIMEOUT + RESOLVE_GRACE;
            let found = cx.timeout(limit, self.resolver.services(name, cx)).await;
            found.unwrap_or_else(|| Err(unresolved(limit)))
        })
    }

    fn name_servers<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Vec<NameServer>, String>> {
        self.resolver.name_servers(cx)
    }

    fn dial<'a>(&'a self, stack: &'a Stack, cx: &'a Cx) -> BoxFuture<'a, Result<Opened, Failure>> {
        Box::pin(async move {
            let bottom = self.bottom(stack, cx).await;
            let mut opened = bottom.map_err(|f| f.at(&stack.endpoint))?;
            for level in stack.layers_bottom_up() {
                let layer = self.layer(level, stack)?;
                opened = layer
                    .dial(opened, level, stack, cx)
                    .await
                    .map_err(|f| f.at(&stack.endpoint))?;
            }
            Ok(opened)
        })
    }

    fn bind<'a>(
        &'a self,
        stack: &'a Stack,
        cx: &'a Cx,
    ) -> BoxFuture<'a, Result<Vec<Arc<dyn Bound>>, Failure>> {
        Box::pin(async move {
            for level in stack.layers_bottom_up() {
                self.layer(level, stack)?
                    .prepare(level, stack, cx)
                    .map_err(|f| f.at(&stack.endpoint))?;
            }
            self.transport(stack)?
                .bind(stack, cx)
                .await
                .map_err(|f| f.at(&stack.endpoint))
        })
    }

    fn answer<'a>(
        &'a self,
        stack: &'a Stack,
        conn: Conn,
        cx: &'a Cx,
    ) -> BoxFuture<'a, Result<Opened, Failure>> {
        Box::pin(async move {
            let mut opened = Opened::Stream(conn);
            for level in stack.layers_bottom_up() {
                let layer = self.layer(level, stack)?;
                opened = layer
                    .answer(opened, level, stack, cx)
                    .await
                    .map_err(|f| f.at(&stack.endpoint))?;
            }
            Ok(opened)
        })
    }

    fn datagrams<'a>(
        &'a self,
        stack: &'a Stack,
        cx: &'a Cx,
    ) -> BoxFuture<'a, Result<HeldDatagrams, Failure>> {
        Box::pin(async move {
            self.transport(stack)?
                .datagrams(stack, cx)
                .await
                .map_err(|f| f.at(&stack.endpoint))
        })
    }
}

/// What a person typed wrong, as a failure with its drawing.
pub fn complaint(error: &netloom_base::EndpointError) -> Failure {
    let complaint = error.complaint();
    Failure::new(Stage::Parse, Side::Us, Code::PARSE_ENDPOINT)
        .message(complaint.message.clone())
        .fact(Fact::Complaint(Box::new(complaint.clone())))
}

/// Options that cannot be read, as one failure that draws the first of them.
pub fn mistakes(stack: &Stack, errors: &[SettingError]) -> Failure {
    let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let failure =
        Failure::new(Stage::Parse, Side::Us, Code::PARSE_ENDPOINT).message(told.join("; "));
    match errors.first() {
        Some(first) => failure.fact(Fact::Complaint(Box::new(
            first.in_text(stack.endpoint.written()),
        ))),
        None => failure,
    }
}

/// The system's own resolver: what `getaddrinfo(3)` says, without who said it.
#[derive(Debug, Clone, Copy)]
pub struct SystemResolver;

impl Resolver for SystemResolver {
    fn lookup<'a>(&'a self, name: &'a str, _: &'a Cx) -> BoxFuture<'a, Result<Found, Failure>> {
        use crate::sys::LookupError;

        Box::pin(async move {
            let asked = name.to_owned();
            let answer = tokio::task::spawn_blocking(move || crate::sys::getaddrinfo(&asked)).await;
            let error = match answer {
                Ok(Ok(found)) => return Ok(found.into()),
                Ok(Err(error)) => error,
                Err(_) => LookupError::Other("the lookup was cut short".to_owned()),
            };
            let failed = |side, code: Code| Failure::new(Stage::Resolve, side, code);
            Err(match error {
                LookupError::NoName => failed(Side::Us, Code::RESOLVE_NO_SUCH_NAME),
                LookupError::NoAddress => failed(Side::Peer, Code::RESOLVE_NO_ADDRESS),
                LookupError::Again => failed(Side::Path, Code::RESOLVE_SERVER_FAILED).retry(),
                LookupError::Other(words) => {
                    failed(Side::Os, Stage::Resolve.other()).fact(Fact::said(words, "getaddrinfo"))
                }
            }
            .message(format!("no address for `{name}`")))
        })
    }
}
