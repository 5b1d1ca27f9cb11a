//! The targets as they were written, and what they mean together.

use std::ops::Range;

use netloom_base::failure::Fact;
use netloom_base::{EndpointError, EndpointSet, Failure, Kind, Role, SettingError, Stack};
use netloom_protocol::{ground, spoken_on};
use netloom_transport::Net;
use netloom_transport::net::complaint;

use crate::balance::Entry;

/// So many targets are named where it is told where a service leads.
const NAMED: usize = 3;

/// Targets that fit together.
pub(super) struct Targets {
    /// One list for each port of a set, or one for all addresses.
    pub(super) lists: Vec<Vec<Entry>>,
    /// What they all give, a stream or datagrams; `None` where there are none.
    pub(super) gives: Option<Kind>,
}

/// One target for each port that was written.
struct Set<'t> {
    text: &'t str,
    entries: Vec<Entry>,
    gives: Kind,
}

impl Targets {
    /// Reads them.
    pub(super) fn read(to: &[String], net: &dyn Net) -> Result<Self, Vec<SettingError>> {
        let wrong = |text: &str, message| SettingError::new("to", None, message).of(text);
        let mut errors = Vec::new();
        let mut sets: Vec<Set<'_>> = Vec::new();
        for text in to {
            match read(text, net) {
                Ok(set) => sets.push(set),
                Err(wrong) => errors.push(wrong.tell("to", text)),
            }
        }
        let several = sets.iter().find(|set| set.entries.len() > 1);
        let places = several.map_or(1, |set| set.entries.len());
        for set in &sets {
            let count = set.entries.len();
            if let Some(several) = several
                && count != 1
                && count != places
            {
                let message = format!(
                    "these are {count} ports, and `{}` has {places}: they are paired by place",
                    several.text
                );
                errors.push(wrong(set.text, message));
            }
            if set.gives != sets[0].gives {
                let (first, gives) = (sets[0].text, sets[0].gives);
                let message = format!("this gives {}, and `{first}` gives {gives}", set.gives);
                errors.push(wrong(set.text, message));
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let of = |set: &Set<'_>, place: usize| {
            let entry = set.entries.get(place).or(set.entries.first());
            entry.cloned()
        };
        let at = |place| sets.iter().filter_map(|set| of(set, place)).collect();
        Ok(Targets {
            gives: sets.first().map(|set| set.gives),
            lists: (0..places).map(at).collect(),
        })
    }
}

/// One target that takes streams, of a route.
pub(super) fn stream(text: &str, net: &dyn Net) -> Result<Entry, Wrong> {
    let set = read(text, net)?;
    let message = match &set.entries[..] {
        [entry] if set.gives == Kind::Stream => return Ok(entry.clone()),
        [_] => format!(
            "a route leads to a stream, and `{text}` gives {}",
            set.gives
        ),
        several => format!("a route leads to one port, and these are {}", several.len()),
    };
    Err(Wrong::of(message))
}

/// What is wrong with one target.
pub(super) struct Wrong {
    message: String,
    part: Option<Range<usize>>,
    suggestion: Option<String>,
}

impl Wrong {
    pub(super) fn of(message: String) -> Self {
        Wrong {
            message,
            part: None,
            suggestion: None,
        }
    }

    /// The same of a text in which the wrong one stands behind `before`.
    pub(super) fn behind(mut self, before: &str, text: &str) -> Self {
        let at = before.len();
        self.part = Some(match self.part {
            Some(part) => at + part.start..at + part.end,
            None => at..text.len(),
        });
        self.suggestion = self.suggestion.map(|better| format!("{before}{better}"));
        self
    }

    pub(super) fn tell(self, key: &str, text: &str) -> SettingError {
        let told = SettingError::new(key, None, self.message).of(text);
        let told = told.suggest(self.suggestion);
        match self.part {
            Some(part) => told.within(part),
            None => told,
        }
    }
}

impl From<Failure> for Wrong {
    fn from(failure: Failure) -> Self {
        let drawn = failure.facts().iter().find_map(|fact| match fact {
            Fact::Complaint(complaint) => Some(complaint),
            _ => None,
        });
        match drawn {
            Some(complaint) => Wrong {
                message: complaint.message.clone(),
                part: Some(complaint.span.clone()),
                suggestion: complaint.suggestion.clone(),
            },
            None => Wrong {
                message: failure.summary(),
                part: None,
                suggestion: None,
            },
        }
    }
}

/// What one text means: a target, or one for each of its ports.
fn read<'t>(text: &'t str, net: &dyn Net) -> Result<Set<'t>, Wrong> {
    let set: EndpointSet = text
        .parse()
        .map_err(|error: EndpointError| complaint(&error))?;
    let mut entries = Vec::with_capacity(set.len());
    let mut gives = Kind::Stream;
    for endpoint in set.iter() {
        let entry = Entry::read(&endpoint).map_err(|errors| options(text, &errors))?;
        gives = entry.stack(net)?.kind();
        entries.push(entry);
    }
    match gives {
        Kind::Stream | Kind::Datagram => Ok(Set {
            text,
            entries,
            gives,
        }),
        _ => Err(Wrong {
            message: NOT_YET.to_owned(),
            part: None,
            suggestion: as_bytes(text, Role::Dial, net),
        }),
    }
}

/// The first of what is wrong with what an endpoint says of itself as a target.
fn options(text: &str, errors: &[SettingError]) -> Wrong {
    let first = errors.first();
    let within = |part: &Range<usize>| part.end <= text.len();
    Wrong {
        message: first.map_or_else(String::new, |error| error.message.clone()),
        part: first.and_then(|error| error.span.clone()).filter(within),
        suggestion: first.and_then(|error| error.suggestion.clone()),
    }
}

/// What is said to whoever wants more than bytes carried.
pub(super) const NOT_YET: &str =
    "the reverse proxy is not here yet: what goes through is carried as bytes";

/// The endpoint that carries the bytes beneath requests or messages; `None`
/// where `text` is carried as it is, or cannot be read.
pub fn as_bytes(text: &str, role: Role, net: &dyn Net) -> Option<String> {
    let set: EndpointSet = text.parse().ok()?;
    let stack = net.meaning(&set.iter().next()?, role).ok()?;
    if carried_as_it_is(&stack) {
        return None;
    }
    let stream = ground(&stack).giving(Kind::Stream)?;
    Some(stream.in_short().to_string())
}

fn carried_as_it_is(stack: &Stack) -> bool {
    matches!(stack.kind(), Kind::Stream | Kind::Datagram) && spoken_on(stack).is_none()
}

/// The targets in a few words.
pub(super) fn in_words(targets: &[Entry]) -> String {
    let named: Vec<String> = targets
        .iter()
        .take(NAMED)
        .map(|entry| entry.endpoint().to_string())
        .collect();
    match targets.len() {
        ..=NAMED => named.join(", "),
        count => format!("{} and {} more", named.join(", "), count - NAMED),
    }
}
