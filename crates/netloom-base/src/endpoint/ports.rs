//! The ports of an endpoint: none, one, a range, a list.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use super::error::{EndpointError, Wrong};
use super::mask;

/// Ports as written: `80`, `0` (any free one), `8000-8010`, `80,443`.
///
/// Each port but 0 stands in it once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ports {
    ranges: Vec<(u16, u16)>,
}

impl Ports {
    /// Whether none is written.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ranges
            .iter()
            .map(|(first, last)| usize::from(last - first) + 1)
            .sum()
    }

    /// The port, where there is exactly one.
    pub fn single(&self) -> Option<u16> {
        match self.ranges[..] {
            [(first, last)] if first == last => Some(first),
            _ => None,
        }
    }

    /// Every port, in the order written.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        self.ranges.iter().flat_map(|(first, last)| *first..=*last)
    }

    /// Reads the text after the colon, which stands at `at` in the whole.
    pub(super) fn read(text: &str, at: usize) -> Result<Self, Wrong> {
        let mut items: Vec<(u16, u16, Range<usize>)> = Vec::new();
        let mut start = at;
        for item in text.split(',') {
            let span = start..start + item.len();
            start = span.end + 1;
            if item.is_empty() && !items.is_empty() {
                let wrong = Wrong::new(
                    span.start - 1..span.start,
                    "a port or an option is missing after this comma",
                );
                return Err(wrong.replace(""));
            }
            let (first, last) = range(item, span.clone())?;
            items.push((first, last, span));
        }
        repeated(&items)?;
        Ok(Ports {
            ranges: items
                .into_iter()
                .map(|(first, last, _)| (first, last))
                .collect(),
        })
    }
}

const A_PORT: &str = "a port is a number from 0 to 65535";

fn range(item: &str, span: Range<usize>) -> Result<(u16, u16), Wrong> {
    let Some((first, last)) = item.split_once('-') else {
        let port = one(item, span)?;
        return Ok((port, port));
    };
    let middle = span.start + first.len();
    for (side, part) in [(first, "before"), (last, "after")] {
        if side.is_empty() {
            let wrong = Wrong::new(
                middle..middle + 1,
                format!("a port is missing {part} the `-` of this range"),
            );
            return Err(if item.len() > 1 {
                wrong.replace("")
            } else {
                wrong
            });
        }
    }
    let (low, high) = (
        one(first, span.start..middle)?,
        one(last, middle + 1..span.end)?,
    );
    if low > high {
        return Err(Wrong::new(span, "this range runs backwards").replace(format!("{high}-{low}")));
    }
    if low == 0 && high > 0 {
        let wrong = Wrong::new(
            span.start..middle,
            "port 0 means any free port, it cannot begin a range",
        );
        return Err(wrong.replace("1"));
    }
    Ok((low, high))
}

fn one(text: &str, span: Range<usize>) -> Result<u16, Wrong> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        let digits = text.trim_start_matches('0');
        if let Ok(port) = format!("0{digits}").parse() {
            return Ok(port);
        }
        // The digits that fit: a key was struck twice.
        let fits = (1..=5)
            .rev()
            .find_map(|n| digits.get(..n)?.parse::<u16>().ok());
        return Err(Wrong::new(span, A_PORT).replace(fits.unwrap_or_default().to_string()));
    }
    let wrong = Wrong::new(span, A_PORT);
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    Err(match digits.parse::<u16>() {
        Ok(port) => wrong.replace(port.to_string()),
        Err(_) => wrong,
    })
}

fn repeated(items: &[(u16, u16, Range<usize>)]) -> Result<(), Wrong> {
    let mut sorted: Vec<_> = items.iter().filter(|item| item.0 > 0).collect();
    sorted.sort_by_key(|item| (item.0, item.2.start));
    for pair in sorted.windows(2) {
        let (a, b) = (pair[0], pair[1]);
        if b.0 > a.1 {
            continue;
        }
        let (earlier, later) = if a.2.start < b.2.start {
            (a, b)
        } else {
            (b, a)
        };
        let wrong = Wrong::new(later.2.clone(), format!("port {} is written twice", b.0));
        let inside = earlier.0 <= later.0 && later.1 <= earlier.1;
        return Err(if inside {
            wrong.edit(later.2.start - 1..later.2.end, "")
        } else {
            wrong
        });
    }
    Ok(())
}

impl From<u16> for Ports {
    fn from(port: u16) -> Self {
        Ports {
            ranges: vec![(port, port)],
        }
    }
}

impl FromStr for Ports {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        Ports::read(text, 0).map_err(|wrong| mask::complain(text, wrong, Some(&[])))
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (first, last)) in self.ranges.iter().enumerate() {
            write!(f, "{}{first}", if i == 0 { "" } else { "," })?;
            if first != last {
                write!(f, "-{last}")?;
            }
        }
        Ok(())
    }
}
