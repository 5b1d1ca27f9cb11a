//! Targets as they are written: an endpoint, and what it is among the others.

use netloom_base::endpoint::Host;
use netloom_base::{Endpoint, EndpointError, Failure, Kind, Role, SettingError, Stack, settings};
use netloom_transport::Net;
use netloom_transport::net::complaint;

/// One place that connections are carried to.
#[derive(Debug, Clone)]
pub struct Target {
    /// How it is reached.
    pub stack: Stack,
    /// Its share beside the others; 0 gets no new connections.
    pub weight: u32,
    /// 0, or more for those that are used only when none of a lower tier is up.
    pub tier: u32,
    /// At most so many connections at a time.
    pub max_conns: Option<u32>,
}

impl Target {
    /// One like any other.
    pub fn new(stack: Stack) -> Self {
        Target {
            stack,
            weight: 1,
            tier: 0,
            max_conns: None,
        }
    }
}

settings! {
    /// What an endpoint says of itself as a target.
    struct Place {
        /// its share beside the others; 0 gets no new connections
        weight: u32 = 1,
        /// used only when no other target is up
        backup: bool,
        /// at most so many connections at a time
        max_conns: Option<u32>,
        /// every address of the name is a target of its own
        each: bool,
        /// the name is a service's: its servers are targets (RFC 2782)
        srv: bool,
    }
}

/// The largest weight.
const MOST_WEIGHT: u32 = 65_535;

/// A target as a person writes it: `tcp://10.0.0.2:80,weight=3,backup`. It can
/// stand for several, by `each` and `srv`.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    endpoint: Endpoint,
    place: Place,
}

/// What an entry stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Means {
    /// Itself.
    One,
    /// Every address of its name.
    Each,
    /// The servers of the service that it names.
    Servers,
}

impl Entry {
    /// Takes what the endpoint says of itself as a target off it.
    ///
    /// # Errors
    /// Everything that is wrong with those options.
    pub fn read(endpoint: &Endpoint) -> Result<Self, Vec<SettingError>> {
        let mut endpoint = endpoint.clone();
        let taken = endpoint.take_options(Place::KEYS);
        let place = Place::read(&taken)?;
        let mut errors = Vec::new();
        let mut wrong = |key: &str, message: String| {
            let span = taken.last(key).and_then(|setting| setting.span.clone());
            errors.push(SettingError::new(key, span, message));
        };
        if place.weight > MOST_WEIGHT {
            wrong("weight", format!("a weight is {MOST_WEIGHT} at most"));
        }
        if place.max_conns == Some(0) {
            wrong("max-conns", "`max-conns` is 1 at least".to_owned());
        }
        if place.each && place.srv {
            wrong(
                "each",
                "`srv` has servers, `each` has addresses: one of them".to_owned(),
            );
        }
        for (key, given) in [("each", place.each), ("srv", place.srv)] {
            if given && endpoint.host().name().is_none() {
                wrong(key, format!("`{key}` needs a name, and this has none"));
            }
        }
        if place.srv && !endpoint.ports().is_empty() {
            wrong(
                "srv",
                "the servers of a service say their ports themselves".to_owned(),
            );
        }
        if errors.is_empty() {
            Ok(Entry { endpoint, place })
        } else {
            Err(errors)
        }
    }

    /// The endpoint without what it said of itself as a target.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The same at another endpoint: one of a range of ports.
    pub fn at(&self, endpoint: Endpoint) -> Self {
        Entry {
            endpoint,
            place: self.place.clone(),
        }
    }

    /// Gives it its meaning: the stack of it, or one like those it stands for.
    ///
    /// # Errors
    /// What is wrong with the endpoint.
    pub fn stack(&self, net: &dyn Net) -> Result<Stack, Failure> {
        match self.means() {
            Means::Servers => net.stack(&self.endpoint.with_port(1), Role::Dial),
            Means::One | Means::Each => net.stack(&self.endpoint, Role::Dial),
        }
    }

    pub(super) fn means(&self) -> Means {
        match (self.place.srv, self.place.each) {
            (true, _) => Means::Servers,
            (_, true) => Means::Each,
            _ => Means::One,
        }
    }

    /// A target of this entry: itself, or one of those it stands for.
    pub(super) fn target(&self, stack: Stack) -> Target {
        Target {
            stack,
            weight: self.place.weight,
            tier: u32::from(self.place.backup),
            max_conns: self.place.max_conns,
        }
    }

    /// The entry's name at this address. What is above keeps the name: a server
    /// is still asked for by it.
    pub(super) fn at_address(&self, host: Host, net: &dyn Net) -> Result<Target, Failure> {
        let mut endpoint = self.endpoint.with_host(host);
        if let Some(name) = self.endpoint.host().name() {
            let named = net.stack(&self.endpoint, Role::Dial)?;
            let asks = |level: &netloom_base::endpoint::Level| {
                let keys = level.card.dial_keys.iter();
                keys.into_iter().any(|key| key.name == SNI) && level.settings.last(SNI).is_none()
            };
            if named.levels.iter().any(asks) {
                endpoint = endpoint.with_option(SNI, Some(name.trim_end_matches('.')));
            }
        }
        Ok(self.target(net.stack(&endpoint, Role::Dial)?))
    }

    /// One server of the service that the entry names. `priority` counts from 0.
    pub(super) fn at_server(
        &self,
        served: &netloom_transport::Served,
        priority: u32,
        net: &dyn Net,
    ) -> Result<Target, Failure> {
        let host: Host = served.host.parse().map_err(|error| complaint(&error))?;
        let endpoint = self.endpoint.with_host(host).with_port(served.port);
        let target = self.target(net.stack(&endpoint, Role::Dial)?);
        Ok(Target {
            // Nearly none is one of all that the others have.
            weight: target
                .weight
                .saturating_mul(u32::from(served.weight).max(1)),
            tier: target.tier.saturating_add(priority),
            ..target
        })
    }
}

/// The option that names the server to ask for where the host does not.
const SNI: &str = "sni";

/// The most targets a list has.
pub const MOST_TARGETS: usize = 4096;

/// Reads a list of targets, one a line; what follows `#` at the beginning of a
/// line or after a blank is a remark. All give the same: this, where it is said,
/// or what the first gives.
///
/// # Errors
/// The first line that cannot be read, counted from 1, and what is wrong with it.
pub fn read_list(
    text: &str,
    gives: Option<Kind>,
    net: &dyn Net,
) -> Result<Vec<Entry>, (usize, String)> {
    let mut entries = Vec::new();
    let mut gives = gives;
    for (i, line) in text.lines().enumerate() {
        let written = without_remark(line).trim();
        if written.is_empty() {
            continue;
        }
        let wrong = |message: String| (i + 1, message);
        if entries.len() == MOST_TARGETS {
            return Err(wrong(format!("a list has at most {MOST_TARGETS} targets")));
        }
        let endpoint: Endpoint = written
            .parse()
            .map_err(|error: EndpointError| wrong(error.to_string()))?;
        let entry = Entry::read(&endpoint).map_err(|errors| {
            let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
            wrong(told.join("; "))
        })?;
        let stack = entry.stack(net);
        let other = stack.map_err(|failure| wrong(failure.summary()))?.kind();
        let gives = *gives.get_or_insert(other);
        if other != gives {
            let message = format!("this gives {other}, and the others give {gives}");
            return Err(wrong(message));
        }
        entries.push(entry);
    }
    Ok(entries)
}

fn without_remark(line: &str) -> &str {
    let mut blank = true;
    for (at, c) in line.char_indices() {
        if c == '#' && blank {
            return &line[..at];
        }
        blank = c.is_whitespace();
    }
    line
}

/// The options that an endpoint may have as a target, for whoever lists them.
pub fn place_keys() -> &'static [netloom_base::Key] {
    Place::KEYS
}
