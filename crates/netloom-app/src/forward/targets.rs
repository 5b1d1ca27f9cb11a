//! The targets as they were written, and what they mean together.

use std::ops::Range;
use std::sync::Arc;

use netloom_base::failure::Fact;
use netloom_base::{EndpointError, EndpointSet, Failure, Kind, Role, SettingError, Stack};
use netloom_transport::Net;
use netloom_transport::net::complaint;

use crate::balance::{Entry, Pool, Rules};

/// So many targets are named where it is told where a service leads.
const NAMED: usize = 3;

/// Targets that fit together.
pub(super) struct Targets {
    /// One pool for each port of a set, or one for all addresses.
    pub(super) pools: Vec<Led>,
    /// What they all give: a stream or datagrams.
    pub(super) gives: Kind,
}

impl Targets {
    /// Reads them; `span` is where a key's value stands.
    pub(super) fn read(
        to: &[String],
        rules: &Rules,
        span: impl Fn(&str) -> Option<Range<usize>>,
        net: &dyn Net,
    ) -> Result<Self, Vec<SettingError>> {
        let error = |message: String| SettingError::new("to", span("to"), message);
        if to.is_empty() && rules.to_file.is_none() {
            return Err(vec![error("a target is missing".to_owned())]);
        }
        let mut errors = Vec::new();
        let mut sets: Vec<(&String, Vec<(Entry, Stack)>)> = Vec::new();
        for text in to {
            match read(text, net) {
                Ok(entries) => sets.push((text, entries)),
                Err(wrong) => errors.push(wrong.tell(text, error)),
            }
        }
        let several = sets.iter().find(|(_, entries)| entries.len() > 1);
        let places = several.map_or(1, |(_, entries)| entries.len());
        for (text, entries) in &sets {
            let count = entries.len();
            if count != 1 && count != places {
                let (first, _) = several.unwrap_or(&sets[0]);
                let message = format!(
                    "these are {count} ports, and `{first}` has {places}: they are paired by place"
                );
                errors.push(error(message).of(text.as_str()));
            }
        }
        let gives = sets.first().map(|(_, entries)| entries[0].1.kind());
        for (text, entries) in &sets {
            let (other, gives) = (entries[0].1.kind(), gives.unwrap_or(Kind::Stream));
            if other != gives {
                let message = format!("this gives {other}, and `{}` gives {gives}", sets[0].0);
                errors.push(error(message).of(text.as_str()));
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let pointed = |errors: Vec<SettingError>| {
            let at_its_key = |mut error: SettingError| {
                error.span = error.span.or_else(|| span(&error.key));
                error
            };
            errors.into_iter().map(at_its_key).collect::<Vec<_>>()
        };
        let at = |place: usize| {
            let one = |entries: &Vec<(Entry, Stack)>| {
                let (entry, _) = entries.get(place).unwrap_or(&entries[0]);
                entry.clone()
            };
            let entries: Vec<Entry> = sets.iter().map(|(_, entries)| one(entries)).collect();
            Ok::<_, Vec<SettingError>>(Led {
                in_words: in_words(&entries, rules),
                pool: Pool::of(entries, rules.clone(), net).map_err(pointed)?,
            })
        };
        let pools: Vec<Led> = (0..places).map(at).collect::<Result<_, _>>()?;
        Ok(Targets {
            gives: pools[0].pool.gives(),
            pools,
        })
    }
}

/// A pool, and where it leads.
pub(super) struct Led {
    pub(super) pool: Arc<Pool>,
    pub(super) in_words: String,
}

/// What is wrong with one target.
struct Wrong {
    message: String,
    part: Option<Range<usize>>,
    suggestion: Option<String>,
}

impl Wrong {
    fn tell(self, text: &str, error: impl Fn(String) -> SettingError) -> SettingError {
        let told = error(self.message).of(text).suggest(self.suggestion);
        match self.part {
            Some(part) => told.within(part),
            None => told,
        }
    }
}

impl From<Vec<SettingError>> for Wrong {
    /// The first of them: each stands in the text.
    fn from(errors: Vec<SettingError>) -> Self {
        let first = errors.into_iter().next();
        first.map_or_else(
            || Wrong {
                message: String::new(),
                part: None,
                suggestion: None,
            },
            |error| Wrong {
                message: error.message,
                part: error.span,
                suggestion: error.suggestion,
            },
        )
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

/// Every port of one target.
fn read(text: &str, net: &dyn Net) -> Result<Vec<(Entry, Stack)>, Wrong> {
    let set: EndpointSet = text
        .parse()
        .map_err(|error: EndpointError| complaint(&error))?;
    let one = |endpoint| {
        let entry = Entry::read(&endpoint)?;
        let stack = entry.stack(net)?;
        Ok::<_, Wrong>((entry, stack))
    };
    let entries: Vec<(Entry, Stack)> = set.iter().map(one).collect::<Result<_, _>>()?;
    match entries[0].1.kind() {
        Kind::Stream | Kind::Datagram => Ok(entries),
        _ => Err(Wrong {
            message: NOT_YET.to_owned(),
            part: None,
            suggestion: as_bytes(text, Role::Dial, net),
        }),
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
    if matches!(stack.kind(), Kind::Stream | Kind::Datagram) {
        return None;
    }
    let stream = stack.giving(Kind::Stream)?;
    Some(stream.in_short().to_string())
}

/// The targets in a few words.
fn in_words(entries: &[Entry], rules: &Rules) -> String {
    let file = rules.to_file.iter();
    let file = file.map(|path| format!("those in {}", path.display()));
    let endpoint = |entry: &Entry| entry.endpoint().to_string();
    let named: Vec<String> = entries.iter().take(NAMED).map(endpoint).collect();
    let more = entries.len() - named.len();
    let more = (more > 0).then(|| format!("{more} more"));
    let mut parts: Vec<String> = named.into_iter().chain(more).chain(file).collect();
    match (
        parts.pop(),
        entries.len() <= NAMED && rules.to_file.is_none(),
    ) {
        (Some(last), _) if parts.is_empty() => last,
        (Some(last), true) => format!("{}, {last}", parts.join(", ")),
        (Some(last), false) => format!("{} and {last}", parts.join(", ")),
        (None, _) => String::new(),
    }
}
