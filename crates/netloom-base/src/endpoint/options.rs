//! Options after the authority, after an opaque text, and in a query.

use std::fmt;
use std::ops::Range;

use super::error::Wrong;
use super::{escape, mask};
use crate::settings::{Secret, Setting, Settings, Value};

/// What surrounds the options.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A path may follow: a value ends at `,` `/` `?`.
    Authority,
    /// Nothing follows: a value ends at `,`.
    Opaque,
    /// `?key=value&…`: a value ends at `&`.
    Query,
}

/// Reads the options of `text` from the comma at `from` to where the authority ends.
pub(super) fn in_authority(text: &str, from: usize, end: usize) -> Result<Settings, Wrong> {
    read(text, from, end, Place::Authority)
}

/// Reads the options of `text` from the comma at `from` to the end.
pub(super) fn after_opaque(text: &str, from: usize) -> Result<Settings, Wrong> {
    read(text, from, text.len(), Place::Opaque)
}

/// Reads the query that stands at `span` of `text` as options.
pub(super) fn in_query(text: &str, span: Range<usize>) -> Result<Settings, Wrong> {
    if span.is_empty() {
        Ok(Settings::new())
    } else {
        read(text, span.start - 1, span.end, Place::Query)
    }
}

/// A value as its key asks for: hidden where the name says so.
pub(super) fn value(key: &str, text: Option<&str>) -> Value {
    match text {
        None => Value::Present,
        Some(text) if mask::hides(key, text) => Value::Hidden(Secret::new(text)),
        Some(text) => Value::from(text),
    }
}

/// Where the values stand that must not be shown.
pub(super) fn hidden(options: &Settings) -> Vec<Range<usize>> {
    let secret = options
        .iter()
        .filter(|s| matches!(s.value, Value::Hidden(_)));
    secret
        .filter_map(|s| {
            s.span
                .clone()
                .map(|span| span.start + s.key.len() + 1..span.end)
        })
        .collect()
}

/// Writes the options, the hidden ones left out.
pub(super) fn show(f: &mut fmt::Formatter<'_>, options: &Settings, opaque: bool) -> fmt::Result {
    for Setting { key, value, .. } in options.iter() {
        let text = match value {
            Value::Hidden(_) => continue,
            Value::Present => {
                write!(f, ",{key}")?;
                continue;
            }
            shown => shown.to_string(),
        };
        write!(f, ",{key}=")?;
        // A lone dot before a path would read as the path's beginning, and a
        // last colon before one as an address.
        let dots = !opaque && RELATIVE.contains(&text.as_str());
        let colon = !opaque && text.ends_with(':');
        escape::write(f, &text, |c| match c {
            ',' | ' ' => true,
            ':' => colon,
            '/' | '?' | '#' => !opaque,
            // After an unknown word it would look like a user's.
            '@' => opaque,
            _ => dots,
        })?;
    }
    Ok(())
}

/// The beginnings of a relative path.
const RELATIVE: [&str; 3] = [".", "..", "~"];

fn read(text: &str, from: usize, end: usize, place: Place) -> Result<Settings, Wrong> {
    let mut options = Settings::new();
    let mut separator = from;
    while separator < end {
        let start = separator + 1;
        let stop = if place == Place::Query { '&' } else { ',' };
        let next = text[start..end].find(stop).map_or(end, |i| start + i);
        let (key, value) = item(text, start..next, place, from)?;
        options.push(key, value, Some(start..next));
        separator = next;
    }
    Ok(options)
}

fn item(text: &str, span: Range<usize>, place: Place, from: usize) -> Result<(&str, Value), Wrong> {
    let item = &text[span.clone()];
    let (key, written) = match item.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (item, None),
    };
    name(key, &span, place, from)?;
    let Some(written) = written else {
        return Ok((key, Value::Present));
    };
    let at = span.start + key.len() + 1;
    let cut = place == Place::Authority && text[span.end..].starts_with('/');
    if cut && written.ends_with(':') && text[span.end..].starts_with("//") {
        let wrong = Wrong::new(
            span.end..span.end + 2,
            "a value ends at `/`: write %2F for it",
        );
        return Err(wrong.replace("%2F%2F"));
    }
    if cut && (written.is_empty() || RELATIVE.contains(&written)) {
        return Err(path_as_value(text, key, at));
    }
    if written.is_empty() {
        let wrong = Wrong::new(span, format!("`{key}` has no value after `=`"));
        return Err(wrong.edit(at - 1..at, ""));
    }
    Ok((key, value(key, Some(&escape::decode(written, at)?))))
}

fn name(key: &str, span: &Range<usize>, place: Place, from: usize) -> Result<(), Wrong> {
    let before = span.start - 1..span.start;
    if span.is_empty() {
        let wrong = Wrong::new(before, "an option is missing after this");
        // The question mark itself stays, so there the `&` after it goes.
        let first = place == Place::Query && span.start == from + 1;
        return Err(if first {
            wrong.edit(span.start..span.start + 1, "")
        } else {
            wrong.replace("")
        });
    }
    let bad = key.char_indices().find(|(i, c)| {
        let fits = if *i == 0 {
            c.is_ascii_alphabetic()
        } else {
            c.is_ascii_alphanumeric() || matches!(c, '-' | '_')
        };
        !fits
    });
    let Some((i, c)) = bad.or(key.is_empty().then_some((0, '='))) else {
        return Ok(());
    };
    let at = span.start + i..span.start + i + c.len_utf8();
    let rule = "an option is a letter, then letters, digits and `-`";
    match place {
        Place::Opaque => Err(Wrong::new(
            at,
            format!("{rule}; a comma of the text itself is written %2C"),
        )
        .edit(before, "%2C")),
        Place::Authority
            if span.start == from + 1
                && !key.is_empty()
                && key.bytes().all(|b| b.is_ascii_digit()) =>
        {
            Err(Wrong::new(
                at.start..span.end,
                format!("{rule}; a port follows a colon"),
            )
            .edit(before, ":"))
        }
        _ => Err(Wrong::new(at, rule)),
    }
}

/// `cert=/etc/x.pem`: the value would end before it began.
fn path_as_value(text: &str, key: &str, at: usize) -> Wrong {
    let end = text[at..].find(['?', '#']).map_or(text.len(), |i| at + i);
    let tail = &text[at..end];
    let path = tail.split(',').next().unwrap_or(tail);
    let message = format!("a value ends at `/`: write %2F for it, or ?{key}={path} at the end");
    Wrong::new(at..at + path.len(), message).edit(at..end, tail.replace('/', "%2F"))
}
