//! Keeping secrets out of what is shown.
//!
//! An endpoint that was read tells where its password stands. One that could
//! not be read may still hold one, so there the doubt counts as a yes: what
//! lies between the first colon and the last `@` is hidden, unless it can only
//! be a port and what follows it.

use std::ops::Range;

use super::Endpoint;
use super::error::{EndpointError, Nearest, Wrong};
use crate::complaint::Complaint;

const STARS: &str = "***";

/// A text with `***` in the place of its secrets.
pub(super) struct Mask {
    text: String,
    hidden: Vec<Range<usize>>,
}

impl Mask {
    /// Hides these parts of `text`.
    pub(super) fn new(text: &str, mut hidden: Vec<Range<usize>>) -> Self {
        hidden.retain(|part| !part.is_empty());
        hidden.sort_by_key(|part| part.start);
        let mut merged: Vec<Range<usize>> = Vec::new();
        for part in hidden {
            match merged.last_mut() {
                Some(last) if part.start < last.end => last.end = last.end.max(part.end),
                _ => merged.push(part),
            }
        }
        let mut shown = String::with_capacity(text.len());
        let mut from = 0;
        for part in &merged {
            shown.push_str(&text[from..part.start]);
            shown.push_str(STARS);
            from = part.end;
        }
        shown.push_str(&text[from..]);
        Mask {
            text: shown,
            hidden: merged,
        }
    }

    /// The text that may be shown.
    pub(super) fn into_text(self) -> String {
        self.text
    }

    /// Where a part of the original stands in the text that may be shown.
    pub(super) fn place(&self, part: &Range<usize>) -> Range<usize> {
        let start = self.point(part.start, false);
        start..self.point(part.end, true).max(start)
    }

    fn point(&self, at: usize, after: bool) -> usize {
        let (mut cut, mut stars) = (0, 0);
        for part in self.hidden.iter().take_while(|part| part.start < at) {
            if at < part.end {
                let within = part.start - cut + stars;
                return if after { within + STARS.len() } else { within };
            }
            cut += part.len();
            stars += STARS.len();
        }
        at - cut + stars
    }

    fn touches(&self, part: &Range<usize>) -> bool {
        let end = part.end.max(part.start + 1);
        self.hidden
            .iter()
            .any(|hidden| part.start < hidden.end && hidden.start < end)
    }
}

/// The complaint about `text`. `password` says where its password stands, if
/// that is known; `None` means that one may stand anywhere.
pub(super) fn complain(
    text: &str,
    wrong: Wrong,
    password: Option<&[Range<usize>]>,
) -> EndpointError {
    const UNREADABLE: &str = "this cannot be read; in a password `@` `/` `?` `,` `#` `%` and a blank are written %40 %2F %3F %2C %23 %25 %20";
    let mut hidden = password.map_or_else(|| suspected(text), <[_]>::to_vec);
    hidden.extend(secret_options(text));
    let mask = Mask::new(text, hidden);
    let span = mask.place(&wrong.span);
    let (message, nearest) = if mask.touches(&wrong.span) {
        (UNREADABLE.to_owned(), None)
    } else {
        let nearest = match wrong.nearest {
            Nearest::Whole(text) => Some(text),
            Nearest::Edit(part, with) if part.is_empty() || !mask.touches(&part) => {
                let place = mask.place(&part);
                Some(format!(
                    "{}{with}{}",
                    &mask.text[..place.start],
                    &mask.text[place.end..]
                ))
            }
            Nearest::Edit(..) | Nearest::Unknown => None,
        };
        (wrong.message, nearest)
    };
    Complaint::new(&mask.text, span, message)
        .suggest(nearest)
        .into()
}

/// The complaint about a text longer than [`Endpoint::MAX_BYTES`], of which only the beginning is shown.
pub(super) fn too_long(text: &str) -> EndpointError {
    let mut hidden = suspected(text);
    // Options further on would not be shown anyway.
    let beginning = text
        .char_indices()
        .nth(Endpoint::MAX_BYTES)
        .map_or(text, |(end, _)| &text[..end]);
    hidden.extend(secret_options(beginning));
    let shown: String = Mask::new(text, hidden)
        .into_text()
        .chars()
        .take(60)
        .chain(['…'])
        .collect();
    let message = format!(
        "an endpoint is at most {} bytes long, this has {}",
        Endpoint::MAX_BYTES,
        text.len()
    );
    Complaint::new(&shown, shown.len() - '…'.len_utf8()..shown.len(), message).into()
}

/// What may be a password before `@`.
fn suspected(text: &str) -> Vec<Range<usize>> {
    let start = match text.find(':') {
        Some(colon)
            if text[colon..].starts_with("://") && !text[..colon].contains(['/', '?', '@']) =>
        {
            colon + 3
        }
        _ if text.starts_with("//") => 2,
        _ => 0,
    };
    let Some(at) = text[start..].rfind('@').map(|i| start + i) else {
        return Vec::new();
    };
    let Some(from) = text[start..at].find(':').map(|i| start + i + 1) else {
        return Vec::new();
    };
    let rest =
        text[from..at].trim_start_matches(|c: char| c.is_ascii_digit() || c == '-' || c == ',');
    let ports = &text[from..at - rest.len()];
    let path = rest.starts_with(['/', '?']);
    let option = ports.ends_with(',') && {
        let key = rest.trim_start_matches(key_character);
        key.len() < rest.len() && key.starts_with('=')
    };
    let only_port = ports.starts_with(|c: char| c.is_ascii_digit()) && (path || option);
    if only_port {
        Vec::new()
    } else {
        std::iter::once(from..at).collect()
    }
}

/// The values of options that are secret by name.
fn secret_options(text: &str) -> Vec<Range<usize>> {
    let value = |equals: usize| {
        let key = text[..equals].trim_end_matches(key_character).len();
        let option = text[..key].ends_with([',', '?', '&']);
        let end = || {
            text[equals + 1..]
                .find([',', '&'])
                .map_or(text.len(), |i| equals + 1 + i)
        };
        let hidden = |value: &Range<usize>| hides(&text[key..equals], &text[value.clone()]);
        option.then(|| equals + 1..end()).filter(hidden)
    };
    text.match_indices('=')
        .filter_map(|(equals, _)| value(equals))
        .collect()
}

/// Whether the value of an option must never be shown: the option is secret by
/// name, or its value is an address that may hold a password.
pub(super) fn hides(key: &str, value: &str) -> bool {
    let may_hold_one = value.contains('@') || value.contains("%40");
    is_secret(key) || (key.eq_ignore_ascii_case("via") && may_hold_one)
}

fn is_secret(key: &str) -> bool {
    let last = key.rsplit(['-', '_']).next().unwrap_or_default();
    ["password", "passphrase", "secret", "token"]
        .iter()
        .any(|word| last.eq_ignore_ascii_case(word))
}

fn key_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}
