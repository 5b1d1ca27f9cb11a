//! The targets as they were written, and what they mean together.

use std::ops::Range;

use netloom_base::failure::Fact;
use netloom_base::{EndpointError, EndpointSet, Failure, Kind, Role, SettingError, Stack};
use netloom_transport::Net;
use netloom_transport::net::complaint;

use crate::balance::Target;

/// So many targets are named where it is told where a service leads.
const NAMED: usize = 3;

/// Targets that fit together.
pub(super) struct Targets {
    /// One list for each port of a set, or one for all addresses.
    pub(super) lists: Vec<Vec<Target>>,
    /// What they all give: a stream or datagrams.
    pub(super) gives: Kind,
}

impl Targets {
    /// Reads them; `span` is where the list stands.
    pub(super) fn read(
        to: &[String],
        span: Option<&Range<usize>>,
        net: &dyn Net,
    ) -> Result<Self, Vec<SettingError>> {
        let error = |message: String| SettingError::new("to", span.cloned(), message);
        if to.is_empty() {
            return Err(vec![error("a target is missing".to_owned())]);
        }
        let mut errors = Vec::new();
        let mut sets: Vec<(&String, Vec<Stack>)> = Vec::new();
        for text in to {
            match read(text, net) {
                Ok(stacks) => sets.push((text, stacks)),
                Err(wrong) => errors.push(wrong.tell(text, error)),
            }
        }
        let several = sets.iter().find(|(_, stacks)| stacks.len() > 1);
        let places = several.map_or(1, |(_, stacks)| stacks.len());
        for (text, stacks) in &sets {
            let count = stacks.len();
            if count != 1 && count != places {
                let (first, _) = several.unwrap_or(&sets[0]);
                let message = format!(
                    "these are {count} ports, and `{first}` has {places}: they are paired by place"
                );
                errors.push(error(message).of(text.as_str()));
            }
        }
        let gives = sets
            .first()
            .map_or(Kind::Stream, |(_, stacks)| stacks[0].kind());
        for (text, stacks) in &sets {
            let other = stacks[0].kind();
            if other != gives {
                let message = format!("this gives {other}, and `{}` gives {gives}", sets[0].0);
                errors.push(error(message).of(text.as_str()));
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let at = |place: usize| {
            let one = |stacks: &Vec<Stack>| stacks.get(place).unwrap_or(&stacks[0]).clone();
            let target = |stack| Target { stack };
            sets.iter().map(|(_, stacks)| target(one(stacks))).collect()
        };
        Ok(Targets {
            lists: (0..places).map(at).collect(),
            gives,
        })
    }
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

/// The stack of every port of one target.
fn read(text: &str, net: &dyn Net) -> Result<Vec<Stack>, Wrong> {
    let set: EndpointSet = text
        .parse()
        .map_err(|error: EndpointError| complaint(&error))?;
    let stack = |endpoint| net.stack(&endpoint, Role::Dial).map_err(Wrong::from);
    let stacks: Vec<Stack> = set.iter().map(stack).collect::<Result<_, _>>()?;
    match stacks[0].kind() {
        Kind::Stream | Kind::Datagram => Ok(stacks),
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
pub(super) fn in_words(targets: &[Target]) -> String {
    let endpoint = |target: &Target| target.stack.endpoint.to_string();
    let named: Vec<String> = targets.iter().take(NAMED).map(endpoint).collect();
    match targets.len() {
        ..=NAMED => named.join(", "),
        count => format!("{} and {} more", named.join(", "), count - NAMED),
    }
}
