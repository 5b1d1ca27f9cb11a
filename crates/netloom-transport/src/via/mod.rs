//! Dialling through proxies: SOCKS5, SOCKS4a and HTTP CONNECT, one or several
//! after the other.
//!
//! A proxy is written in the language of endpoints: `socks5://bob@proxy:1080`.
//! Its stack says how it is reached, so that addresses race, TLS goes on and
//! the trail is kept as for any other endpoint; on top of it stands the card
//! of its protocol. Which proxies a stack is dialled through is said by its
//! option `via`, else by [`Proxies::given`], else by the [`Environment`].

mod cards;
mod environment;
mod hop;
mod pass;
mod refused;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use netloom_base::endpoint::Level;
use netloom_base::failure::Fact;
use netloom_base::settings::FromValue;
use netloom_base::{Card, Code, Endpoint, Failure, Schemes, SettingError, Side, Stack, Stage};

use crate::BoxFuture;
use crate::cx::Cx;
use crate::net::{Layer, Opened, mistakes};
use crate::way::{DIRECT, Through, VIA, Way, has_ways};

pub use cards::CARDS;
pub use environment::Environment;
pub use hop::{HopOptions, Resolve};

use hop::Hop;

/// The most proxies one after the other.
const MOST_HOPS: usize = 8;

/// Proxies that have names.
pub trait Names: Send + Sync {
    /// The proxies behind a name, the first dialled first; a complaint where
    /// it is not known or cannot be read.
    fn find(&self, name: &str) -> Result<Vec<Endpoint>, Failure>;
}

/// Where nobody has a name.
#[derive(Debug, Clone, Copy)]
pub struct NoNames;

impl Names for NoNames {
    fn find(&self, name: &str) -> Result<Vec<Endpoint>, Failure> {
        Err(wrong(format!(
            "no proxy is called `{name}`, and an address such as socks5://{name}:1080 it is not"
        )))
    }
}

/// The ways through proxies.
pub struct Proxies {
    schemes: Schemes,
    layers: HashMap<&'static str, Arc<dyn Layer>>,
    names: Arc<dyn Names>,
    given: Vec<String>,
    environment: Environment,
}

/// Who said through what to dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Option,
    Given,
    /// A variable of this name.
    Environment(&'static str),
}

impl Source {
    fn name(self) -> &'static str {
        match self {
            Source::Option => VIA,
            Source::Given => "--via",
            Source::Environment(variable) => variable,
        }
    }
}

/// Through what a stack is dialled.
struct Route {
    hops: Vec<Hop>,
    source: Source,
}

impl Proxies {
    /// Proxies that are reached over these transports and layers, and may be
    /// called by name. Nothing goes through one unless its endpoint says so.
    pub fn new(
        transports: impl IntoIterator<Item = &'static Card>,
        layers: Vec<Arc<dyn Layer>>,
        names: Arc<dyn Names>,
    ) -> Self {
        let below = layers.iter().map(|layer| layer.card());
        let cards: Vec<&'static Card> = CARDS
            .iter()
            .copied()
            .chain(below)
            .chain(transports)
            .collect();
        Proxies {
            schemes: Schemes::new(cards),
            layers: layers.into_iter().map(|l| (l.card().name, l)).collect(),
            names,
            given: Vec::new(),
            environment: Environment::default(),
        }
    }

    /// What every endpoint is dialled through that says nothing else: addresses
    /// or names, the first dialled first; `direct` for none at all.
    pub fn given(mut self, proxies: Vec<String>) -> Self {
        self.given = proxies;
        self
    }

    /// What is dialled through the environment's proxy where nobody says
    /// anything else.
    pub fn from_environment(mut self, environment: Environment) -> Self {
        self.environment = environment;
        self
    }

    /// The way to a stack's transport; `None` is directly.
    fn route(&self, stack: &Stack) -> Result<Option<Route>, Failure> {
        if !has_ways(stack) {
            return Ok(None);
        }
        let own = asked(stack)?;
        let own: Vec<&str> = own.iter().map(|through| through.0.reveal()).collect();
        if !own.is_empty() {
            return self.through(&own, Source::Option);
        }
        if !self.given.is_empty() {
            let given: Vec<&str> = self.given.iter().map(String::as_str).collect();
            return self.through(&given, Source::Given);
        }
        let port = stack.port().unwrap_or(0);
        match self.environment.proxy_for(stack.endpoint.host(), port) {
            Some((variable, proxy)) => self.through(&[proxy], Source::Environment(variable)),
            None => Ok(None),
        }
    }

    fn through(&self, written: &[&str], source: Source) -> Result<Option<Route>, Failure> {
        if written == [DIRECT] {
            return Ok(None);
        }
        let mut hops = Vec::new();
        for text in written {
            if *text == DIRECT {
                return Err(wrong(format!(
                    "`{DIRECT}` is the way through no proxy, and others are named beside it"
                )));
            }
            hops.extend(
                self.hops(text)
                    .map_err(|failure| said_by(failure, source))?,
            );
        }
        if hops.len() > MOST_HOPS {
            return Err(wrong(format!(
                "these are {} proxies one after the other, and {MOST_HOPS} may be",
                hops.len()
            )));
        }
        Ok(Some(Route { hops, source }))
    }

    /// An address is one proxy, a name may be several.
    fn hops(&self, text: &str) -> Result<Vec<Hop>, Failure> {
        let endpoints = match hop::address(text, &self.schemes) {
            Some(endpoint) => vec![endpoint?],
            None => self.names.find(text)?,
        };
        let read = |endpoint: &Endpoint| {
            let hop = Hop::read(endpoint, &self.schemes)?;
            let stack = &hop.stack;
            for level in stack.layers_bottom_up() {
                if let Some(layer) = self.layers.get(level.card.name) {
                    layer.check(level, stack)?;
                }
            }
            Ok(hop)
        };
        endpoints.iter().map(read).collect()
    }

    async fn open(&self, route: &Route, stack: &Stack, cx: &Cx) -> Result<Opened, Failure> {
        let (mut opened, mut at) = (None, 0);
        while let Some(hop) = route.hops.get(at) {
            at += 1;
            let on_the_way = |failure: Failure| {
                let what = format!("it is a proxy on the way to {}", stack.endpoint);
                failure
                    .at(hop.beneath(stack).endpoint)
                    .fact(Fact::said(what, route.source.name()))
            };
            let reached = match opened.take() {
                None => cx.net().dial(&hop.beneath(stack), cx).await,
                Some(conn) => self.put_on(Opened::Stream(conn), hop, stack, cx).await,
            };
            let conn = reached.map_err(on_the_way)?.stream()?;
            let asked_for = route.hops.get(at).map_or(stack, |next| &next.stack);
            let asked = hop.target(asked_for, cx).await;
            let (target, looked_up) = match asked {
                Ok(asked) => asked,
                Err(failure) => return Err(failure.after(conn.trail().iter().cloned())),
            };
            let mut passed = pass::pass(conn, hop, &target, cx).await?;
            passed.remember(looked_up);
            opened = Some(passed);
        }
        let Some(mut conn) = opened else {
            return Err(wrong("there is no proxy to go through".to_owned()));
        };
        if let Source::Environment(variable) = route.source {
            let through = route.hops.iter().map(ToString::to_string);
            let through: Vec<String> = through.collect();
            conn.learn([Fact::said(
                format!("through {} ({variable})", through.join(", then ")),
                variable,
            )]);
        }
        Ok(Opened::Stream(conn))
    }

    /// The layers below a proxy's own protocol, over a connection to it.
    async fn put_on(
        &self,
        mut opened: Opened,
        hop: &Hop,
        stack: &Stack,
        cx: &Cx,
    ) -> Result<Opened, Failure> {
        let beneath = hop.beneath(stack);
        let levels: Vec<&Level> = beneath.layers_bottom_up().collect();
        for level in levels {
            let layer = self.layers.get(level.card.name).ok_or_else(|| {
                wrong(format!("`{}` is not part of this network", level.card.name))
            })?;
            opened = layer.dial(opened, level, &beneath, cx).await?;
        }
        Ok(opened)
    }
}

impl Way for Proxies {
    fn check(&self, stack: &Stack) -> Result<(), Failure> {
        self.route(stack).map(drop)
    }

    fn dial<'a>(
        &'a self,
        stack: &'a Stack,
        cx: &'a Cx,
    ) -> Option<BoxFuture<'a, Result<Opened, Failure>>> {
        let route = self.route(stack).transpose()?;
        Some(Box::pin(async move { self.open(&route?, stack, cx).await }))
    }
}

/// What the endpoint itself says, whichever transport it is of.
fn asked(stack: &Stack) -> Result<Vec<Through>, Failure> {
    let all = stack.transport().settings.all(VIA);
    let read = all.map(|setting| {
        Vec::<Through>::from_value(&setting.value).map_err(|message| {
            let error = SettingError::new(VIA, setting.span.clone(), message);
            mistakes(stack, &[error])
        })
    });
    let read: Result<Vec<Vec<Through>>, Failure> = read.collect();
    read.map(|each| each.into_iter().flatten().collect())
}

/// Names who said it, where that is not on the command line to be seen.
fn said_by(failure: Failure, source: Source) -> Failure {
    match source {
        Source::Environment(variable) => {
            let told = failure.summary();
            failure.message(format!(
                "{variable} names a proxy that cannot be read: {told}"
            ))
        }
        Source::Option | Source::Given => failure,
    }
}

fn wrong(message: String) -> Failure {
    Failure::new(Stage::Parse, Side::Us, Code::PARSE_ENDPOINT).message(message)
}
