//! What an endpoint means: its layers, top first, each with its options.

use std::fmt;

use super::error::{EndpointError, Wrong};
use super::ports::Ports;
use super::{Endpoint, Word, mask};
use crate::card::{Card, Kind};
use crate::settings::{Key, Settings};

/// Which end of a conversation an endpoint is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// It is dialled.
    Dial,
    /// It is listened on.
    Bind,
}

impl Role {
    /// The options a layer reads in this role.
    pub fn keys(self, card: &Card) -> &'static [Key] {
        match self {
            Role::Dial => card.dial_keys,
            Role::Bind => card.bind_keys,
        }
    }

    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Role::Dial => Role::Bind,
            Role::Bind => Role::Dial,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Dial => "dialling",
            Role::Bind => "listening",
        })
    }
}

/// An endpoint with its meaning; made by [`Schemes::stack`](super::Schemes::stack).
///
/// `Display` shows it with every layer and the port in use, as `-v` prints it:
/// `http+tls+tcp://example.org:443/` for `https://example.org/`.
#[derive(Clone)]
pub struct Stack {
    /// What was written. A query that was read as options has become options.
    pub endpoint: Endpoint,
    /// What it is for.
    pub role: Role,
    /// The layers, top first; the last is the transport, and there is always one.
    pub levels: Vec<Level>,
    pub(super) port: Option<u16>,
}

/// One layer of a stack.
#[derive(Clone)]
pub struct Level {
    /// What it is.
    pub card: &'static Card,
    /// The options given to it, each with its span in the endpoint's
    /// [`written`](Endpoint::written) text.
    pub settings: Settings,
}

impl Stack {
    /// What it gives to the program: what its top layer gives.
    pub fn kind(&self) -> Kind {
        self.levels[0].card.gives
    }

    /// The bottom of the stack.
    pub fn transport(&self) -> &Level {
        &self.levels[self.levels.len() - 1]
    }

    /// The layers over the transport, in the order in which they go on.
    pub fn layers_bottom_up(&self) -> impl DoubleEndedIterator<Item = &Level> {
        self.levels[..self.levels.len() - 1].iter().rev()
    }

    /// The port, as written or as the scheme has it by default; `None` where the
    /// transport has none.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Whether a layer protects the bytes.
    pub fn encrypts(&self) -> bool {
        self.levels.iter().any(|level| level.card.encrypts)
    }

    /// The same without its top layer: what a protocol stands on. `None` for a
    /// bare transport.
    pub fn beneath(&self) -> Option<Stack> {
        let mut lower = self.clone();
        lower.levels.remove(0);
        (!lower.levels.is_empty()).then_some(lower)
    }

    /// What of it gives `wanted`: itself, or the highest of what stands beneath.
    pub fn giving(&self, wanted: Kind) -> Option<Stack> {
        let mut stack = self.clone();
        while stack.kind() != wanted {
            stack = stack.beneath()?;
        }
        Some(stack)
    }

    /// The endpoint that means these layers in the fewest words, without a path:
    /// `tls://example.org:443` for what stands beneath `https://example.org/a`.
    pub fn in_short(&self) -> Endpoint {
        let words: Vec<&str> = self.levels.iter().map(|level| level.card.name).collect();
        let mut shown = self.endpoint.clone();
        shown.layers.clear();
        let word = |text: &str| Word {
            text: text.to_owned(),
            span: 0..0,
        };
        // A word that stands for all that follows it takes their place; a
        // transport stands for nothing.
        for (place, level) in self.levels.iter().enumerate() {
            let beneath = &words[place + 1..];
            if let Some(scheme) = level.card.schemes.iter().find(|s| s.over == beneath) {
                shown.scheme = word(scheme.name);
                break;
            }
            shown.layers.push(word(level.card.name));
        }
        if let Some(port) = self.port {
            shown.ports = Ports::from(port);
        }
        let owned = self.levels.iter().any(|level| level.card.owns_path);
        if !owned {
            shown.path.clear();
            shown.query = None;
        }
        shown
    }

    /// Complains, with a caret under the scheme, unless the stack gives `wanted`.
    pub fn require(&self, wanted: Kind) -> Result<(), EndpointError> {
        let gives = self.kind();
        if gives == wanted {
            return Ok(());
        }
        let top = self.levels[0].card.name;
        let message = format!(
            "{wanted} {} needed here, and `{top}` gives {gives}",
            is(wanted)
        );
        let scheme = self.endpoint.scheme_span();
        let start = self
            .endpoint
            .layers()
            .first()
            .map_or(scheme.start, |word| word.span.start);
        let wrong = Wrong::new(start..scheme.end, message);
        Err(mask::complain(self.endpoint.written(), wrong, Some(&[])))
    }
}

fn is(kind: Kind) -> &'static str {
    if kind == Kind::Stream { "is" } else { "are" }
}

impl fmt::Display for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.endpoint.clone();
        let mut words: Vec<Word> = self
            .levels
            .iter()
            .map(|level| Word {
                text: level.card.name.to_owned(),
                span: 0..0,
            })
            .collect();
        if let Some(scheme) = words.pop() {
            (shown.layers, shown.scheme) = (words, scheme);
        }
        if let Some(port) = self.port {
            shown.ports = Ports::from(port);
        }
        fmt::Display::fmt(&shown, f)
    }
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stack({self}, {})", self.role)
    }
}

impl fmt::Debug for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Level({}, {:?})", self.card.name, self.settings)
    }
}
