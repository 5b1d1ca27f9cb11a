//! Percent escapes (RFC 3986 §2.1) and the characters that need them.

use std::fmt::{self, Write};

use super::error::Wrong;
use super::parse::{OPAQUE, is_ports};

/// Whether a character would not be seen, or would change how others are seen:
/// such a character never stands in an endpoint as it is.
pub(super) fn unseen(c: char) -> bool {
    let blank = c.is_control() || (c.is_whitespace() && c != ' ');
    blank
        || matches!(
            c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{3164}'
        )
        || matches!(c, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// `text` with its escapes read. `at` is where it stands in the whole.
pub(super) fn decode(text: &str, at: usize) -> Result<String, Wrong> {
    check(text, at)?;
    let span = at..at + text.len();
    match String::from_utf8(bytes(text)) {
        Ok(decoded) if decoded.contains('\0') => {
            let place = text.find("%00").map_or(span, |i| at + i..at + i + 3);
            Err(Wrong::new(place, "no text can hold a NUL (`%00`)"))
        }
        Ok(decoded) => Ok(decoded),
        Err(_) => Err(Wrong::new(
            span,
            "the escapes in this do not spell UTF-8 text",
        )),
    }
}

/// Whether every `%` begins an escape.
pub(super) fn check(text: &str, at: usize) -> Result<(), Wrong> {
    for (i, _) in text.match_indices('%') {
        let digits = text.as_bytes().get(i + 1..i + 3);
        if !digits.is_some_and(|d| d.iter().all(u8::is_ascii_hexdigit)) {
            let wrong = Wrong::new(
                at + i..at + i + 1,
                "`%` begins two hexadecimal digits; a plain one is written %25",
            );
            return Err(wrong.replace("%25"));
        }
    }
    Ok(())
}

/// The bytes that `text` stands for; a `%` that begins no escape stands for itself.
pub(super) fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let digit = |i: usize| tail.get(i).and_then(|b| char::from(*b).to_digit(16));
        if let (b'%', Some(high), Some(low)) = (first, digit(0), digit(1)) {
            out.push((high * 16 + low) as u8);
            rest = &tail[2..];
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    out
}

/// Writes `text` with an escape for `%`, for what cannot be seen, and for what `must` names.
pub(super) fn write(to: &mut impl Write, text: &str, must: impl Fn(char) -> bool) -> fmt::Result {
    for c in text.chars() {
        if c == '%' || unseen(c) || must(c) {
            hex(to, c)?;
        } else {
            to.write_char(c)?;
        }
    }
    Ok(())
}

/// Writes a user's name.
pub(super) fn user(to: &mut impl Write, text: &str) -> fmt::Result {
    write(to, text, |c| {
        matches!(c, ' ' | ':' | '@' | '/' | '?' | '#' | ',' | '[' | ']')
    })
}

/// Writes the text of an opaque scheme so that it reads the same: a comma
/// outside quotes is escaped, and so is whatever would make it another form.
pub(super) fn opaque(to: &mut impl Write, scheme: &str, text: &str) -> fmt::Result {
    let known = OPAQUE.contains(&scheme);
    let mut quotes = Quotes::default();
    text.chars().for_each(|c| quotes.step(c));
    let backslash = !known && text.starts_with('\\');
    // Quotes that do not end as they should would take the options in: they
    // are all escaped then, and so is every comma.
    let closed = !quotes.open() && !quotes.escaped && !backslash;

    let mut quotes = Quotes::default();
    let blanks = (
        text.len() - text.trim_start_matches(' ').len(),
        text.trim_end_matches(' ').len(),
    );
    let like_v6 = text.contains(':') && scheme.bytes().all(|b| b.is_ascii_hexdigit());
    let like_host = backslash || (!known && is_ports(text));
    let other = text.starts_with("//") || like_v6 || like_host;
    for (i, c) in text.char_indices() {
        let escaped = quotes.escaped;
        quotes.step(c);
        let must = match c {
            ',' => !closed || !(quotes.open() || escaped),
            '\'' | '"' | '\\' => !closed,
            ' ' => i < blanks.0 || i >= blanks.1,
            '@' => !known,
            _ => i == 0 && other,
        };
        if must || c == '%' || unseen(c) {
            hex(to, c)?;
        } else {
            to.write_char(c)?;
        }
    }
    Ok(())
}

fn hex(to: &mut impl Write, c: char) -> fmt::Result {
    c.encode_utf8(&mut [0; 4])
        .bytes()
        .try_for_each(|b| write!(to, "%{b:02X}"))
}

/// Where quotes stand open, as a shell's words have them: nothing is special
/// between '…', a backslash takes the next character elsewhere.
#[derive(Default)]
pub(super) struct Quotes {
    quote: Option<char>,
    pub(super) escaped: bool,
}

impl Quotes {
    pub(super) fn step(&mut self, c: char) {
        match (self.quote, c) {
            _ if self.escaped => self.escaped = false,
            (None | Some('"'), '\\') => self.escaped = true,
            (None, '\'' | '"') => self.quote = Some(c),
            (Some(quote), c) if c == quote => self.quote = None,
            _ => {}
        }
    }

    pub(super) fn open(&self) -> bool {
        self.quote.is_some()
    }
}
