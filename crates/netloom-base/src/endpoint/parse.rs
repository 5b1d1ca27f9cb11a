//! Which form a text has, and the words before its colon.

use std::ops::Range;

use super::error::{EndpointError, Wrong};
use super::host::bracketed;
use super::mask::{self, Mask};
use super::{Endpoint, Spans, Word, escape, options};
use crate::settings::Setting;

/// The schemes whose text is opaque whatever it looks like. Any other word is
/// opaque too, as long as neither `//` nor a port list follows it.
pub(super) const OPAQUE: [&str; 9] = [
    "unix", "unixgram", "exec", "file", "fd", "magnet", "pty", "vsock", "serial",
];

/// More layers than this are no stack, but a slip.
const MAX_LAYERS: usize = 16;

/// Reads an endpoint's words.
pub(super) fn endpoint(text: &str) -> Result<Endpoint, EndpointError> {
    if text.len() > Endpoint::MAX_BYTES {
        return Err(mask::too_long(text));
    }
    let mut reader = Reader {
        text,
        hidden: Vec::new(),
        certain: false,
    };
    match reader.read() {
        Ok(endpoint) => Ok(reader.finish(endpoint)),
        Err(wrong) => Err(settled(mask::complain(
            text,
            wrong,
            reader.certain.then_some(&reader.hidden),
        ))),
    }
}

/// The same complaint with a suggestion that reads: where mending one mistake
/// uncovers another, that is mended too; where it cannot be, nothing is suggested.
pub(super) fn settled(error: EndpointError) -> EndpointError {
    const MISTAKES: usize = 4;
    let mut complaint = error.into_complaint();
    let mut near = complaint.suggestion.take();
    for _ in 0..MISTAKES {
        let Some(text) = near.take() else { break };
        let filled = text.replace(":PORT", ":1");
        match (Reader {
            text: &filled,
            hidden: Vec::new(),
            certain: false,
        })
        .read()
        {
            Ok(_) => {
                complaint.suggestion = Some(text);
                break;
            }
            // Secrets are gone from a suggestion, so none needs to be looked for.
            Err(wrong) if filled == text => {
                near = mask::complain(&text, wrong, Some(&[]))
                    .into_complaint()
                    .suggestion;
            }
            Err(_) => {}
        }
    }
    complaint.into()
}

/// A text being read, and what is known of secrets in it so far.
pub(super) struct Reader<'a> {
    pub(super) text: &'a str,
    /// Where a password stands.
    pub(super) hidden: Vec<Range<usize>>,
    /// Whether it is known that no password stands elsewhere.
    pub(super) certain: bool,
}

impl Reader<'_> {
    fn read(&mut self) -> Result<Endpoint, Wrong> {
        let text = self.text;
        self.visible()?;
        let word_end = text
            .find([':', '/', '?', ',', '@', '[', '*'])
            .unwrap_or(text.len());
        let (front, rest) = text.split_at(word_end);
        if (front == "-" || front.ends_with("+-")) && (rest.is_empty() || rest.starts_with(',')) {
            return self.standard(word_end);
        }
        let Some(after) = rest.strip_prefix(':') else {
            return self.without_word(word_end);
        };
        if after.starts_with("//") {
            return self.after_slashes(word_end);
        }
        // `fe80::1` begins with a word and a colon too.
        let bare = text.find(['/', '?', ',']).map_or(text, |i| &text[..i]);
        if front.is_empty() || bracketed(bare).is_some() {
            return self.authority(short(), 0);
        }
        let known = front
            .rsplit('+')
            .next()
            .is_some_and(|word| OPAQUE.contains(&&*word.to_ascii_lowercase()));
        if !known && is_ports(after) {
            return self.short(front, word_end);
        }
        if known || words(front, 0).is_ok() {
            self.opaque(word_end, known)
        } else {
            self.authority(short(), 0)
        }
    }

    /// `layer+scheme://…`
    fn after_slashes(&mut self, colon: usize) -> Result<Endpoint, Wrong> {
        let front = &self.text[..colon];
        let words = words(front, 0)?;
        let scheme = words.last().map_or("", |word| &*word.text);
        if OPAQUE.contains(&scheme) {
            let text = &self.text[colon + 3..];
            // Of `unix:///run/x` two slashes are the mistake, of `unix:////run/x` three.
            let extra = (text.len() - text.trim_start_matches('/').len()).saturating_sub(1);
            let slashes = colon + 1..colon + 3;
            let wrong = Wrong::new(
                slashes.clone(),
                format!("`{scheme}:` is written without `//`"),
            );
            return Err(wrong.edit(slashes.start..slashes.end + extra, ""));
        }
        self.authority(with_words(words), colon + 3)
    }

    /// `host:80`
    fn short(&mut self, front: &str, colon: usize) -> Result<Endpoint, Wrong> {
        let Some(plus) = front.rfind('+') else {
            return self.authority(short(), 0);
        };
        let wrong = Wrong::new(
            0..colon,
            "layers stand before a scheme, and there is none here",
        );
        Err(wrong.edit(plus + 1..plus + 1, "tcp://"))
    }

    /// `word:text`
    fn opaque(&mut self, colon: usize, known: bool) -> Result<Endpoint, Wrong> {
        let text = self.text;
        let words = words(&text[..colon], 0)?;
        let start = colon + 1;
        let rest = &text[start..];
        if !known {
            self.likely_host(colon, rest)?;
        }
        self.certain = true;

        let mut quotes = escape::Quotes::default();
        let mut opened = start;
        let comma = rest.char_indices().find_map(|(i, c)| {
            let (escaped, open) = (quotes.escaped, quotes.open());
            quotes.step(c);
            if quotes.open() && !open {
                opened = start + i;
            }
            (c == ',' && !quotes.open() && !escaped).then_some(start + i)
        });
        let end = comma.unwrap_or(text.len());
        if quotes.open() && text[opened..].contains(',') {
            let wrong = Wrong::new(
                opened..opened + 1,
                "this quote is never closed, so the comma after it belongs to the text",
            );
            let code = if text[opened..].starts_with('"') {
                "%22"
            } else {
                "%27"
            };
            return Err(wrong.replace(code));
        }
        let mut endpoint = with_words(words);
        endpoint.opaque = Some(escape::decode(&text[start..end], start)?);
        endpoint.options = options::after_opaque(text, end)?;
        endpoint.spans = Spans {
            opaque: start..end,
            host: end..end,
            ports: end..end,
            path: end..end,
            query: end..end,
        };
        Ok(endpoint)
    }

    /// Refuses what has the shape of `word:text` but is more likely something else.
    fn likely_host(&self, colon: usize, rest: &str) -> Result<(), Wrong> {
        let word = 0..colon;
        if let Some(at) = rest.find('@') {
            let wrong = Wrong::new(word, "a user and a password need `scheme://` before them");
            let scheme = rest[..at].contains(':') && !rest.starts_with('/');
            return Err(if scheme {
                wrong.edit(colon + 1..colon + 1, "//")
            } else {
                wrong.edit(0..0, "tcp://")
            });
        }
        if rest.is_empty() || rest.starts_with(',') {
            let wrong = Wrong::new(colon..colon + 1, "a port is missing after this colon");
            return Err(wrong.whole(format!("tcp://{}:PORT", &self.text[..colon])));
        }
        if rest.starts_with('\\') {
            let first = colon + 1..colon + 2;
            let wrong = Wrong::new(
                first.clone(),
                "a backslash separates nothing in an endpoint",
            );
            let slashes = format!("//{}", rest.trim_start_matches('\\').replace('\\', "/"));
            return Err(if colon == 1 {
                wrong.edit(0..0, "file:")
            } else {
                wrong.edit(first.start..self.text.len(), slashes)
            });
        }
        Ok(())
    }

    /// `-`, the two standard streams.
    fn standard(&mut self, end: usize) -> Result<Endpoint, Wrong> {
        self.certain = true;
        let mut words = match self.text[..end].strip_suffix("+-") {
            Some(front) => words(front, 0)?,
            None => Vec::new(),
        };
        words.push(Word {
            text: "-".to_owned(),
            span: end - 1..end,
        });
        let mut endpoint = with_words(words);
        endpoint.options = options::after_opaque(self.text, end)?;
        endpoint.spans = Spans {
            opaque: end..end,
            host: end..end,
            ports: end..end,
            path: end..end,
            query: end..end,
        };
        Ok(endpoint)
    }

    /// A text in which something else comes before the first colon.
    fn without_word(&mut self, stop: usize) -> Result<Endpoint, Wrong> {
        let text = self.text;
        if let Some(colon) = text.find(':')
            && text[colon..].starts_with("://")
            && !text[..colon].contains(['/', '?'])
        {
            return words(&text[..colon], 0).and_then(|_| self.after_slashes(colon));
        }
        if text.starts_with("//") {
            return Err(Wrong::new(0..0, "a scheme is missing before `//`").replace("tcp:"));
        }
        if ["/", "./", "../", "~/"]
            .iter()
            .any(|start| text.starts_with(start))
        {
            let socket = text.starts_with("/run/")
                || [".sock", ".socket"].iter().any(|end| text.ends_with(end));
            let wrong = Wrong::new(
                0..text.len(),
                "a path alone is no endpoint; it stands after `unix:` or `file:`",
            );
            return Err(wrong.edit(0..0, if socket { "unix:" } else { "file:" }));
        }
        if text[stop..].starts_with("//") && words(&text[..stop], 0).is_ok() {
            return Err(Wrong::new(stop..stop, "a colon is missing before `//`").replace(":"));
        }
        let authority = text.find(['/', '?']).map_or(text, |i| &text[..i]);
        if text.starts_with(['[', '*']) || authority.contains(['@', ':']) {
            return self.with_layers_or_short();
        }
        Err(self.bare())
    }

    /// `[::1]:80`, and `tls+[::1]:80`, which lacks its scheme.
    fn with_layers_or_short(&mut self) -> Result<Endpoint, Wrong> {
        let front = &self.text[..self.text.find(['[', '*', '@', ',']).unwrap_or(0)];
        if front.ends_with('+') {
            self.short(front, front.len())
        } else {
            self.authority(short(), 0)
        }
    }

    /// A word or a number alone.
    fn bare(&self) -> Wrong {
        let text = self.text;
        let word = 0..text.find(['/', '?', ',']).unwrap_or(text.len());
        let front = &text[word.clone()];
        let number = !front.is_empty() && front.bytes().all(|b| b.is_ascii_digit());
        if number {
            let wrong = Wrong::new(
                word,
                "a number alone is no endpoint; a port follows a colon",
            );
            return if front.parse::<u16>().is_ok() {
                wrong.edit(0..0, ":")
            } else {
                wrong
            };
        }
        if OPAQUE.contains(&front) {
            return Wrong::new(word, format!("`{front}` is followed by a colon and a text"));
        }
        if let Some((host, port)) = front.split_once(' ') {
            let digits =
                !host.is_empty() && !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
            let wrong = Wrong::new(
                host.len()..host.len() + 1,
                "a colon, not a space, stands between a host and its port",
            );
            return if digits {
                wrong.replace(":")
            } else {
                Wrong::new(wrong.span, "a space cannot stand in a host")
            };
        }
        Wrong::new(word, "a host alone is no endpoint: the port is missing")
            .whole(format!("tcp://{front}:PORT"))
    }

    /// Refuses an empty text, blanks around it, and what cannot be seen.
    fn visible(&self) -> Result<(), Wrong> {
        let text = self.text;
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return Err(Wrong::new(0..text.len(), "an endpoint is missing here"));
        }
        if trimmed.len() < text.len() {
            let start = text.len() - text.trim_start().len();
            let end = trimmed.len() + start;
            let blank = if start > 0 { 0..start } else { end..text.len() };
            let both = start > 0 && end < text.len();
            let wrong = Wrong::new(blank, "blanks stand around this endpoint");
            return Err(if both {
                wrong.edit(0..text.len(), trimmed)
            } else {
                wrong.replace("")
            });
        }
        if let Some((i, c)) = text.char_indices().find(|(_, c)| escape::unseen(*c)) {
            let message = format!(
                "the character U+{:04X} cannot be seen, and cannot stand here as it is",
                u32::from(c)
            );
            let wrong = Wrong::new(i..i + c.len_utf8(), message);
            return Err(if c.is_control() {
                wrong
            } else {
                wrong.replace("")
            });
        }
        Ok(())
    }

    /// Hides the secrets in the text kept, and moves the spans with it.
    fn finish(mut self, mut endpoint: Endpoint) -> Endpoint {
        self.hidden.extend(options::hidden(&endpoint.options));
        let mask = Mask::new(self.text, self.hidden);
        for word in endpoint.layers.iter_mut().chain([&mut endpoint.scheme]) {
            word.span = mask.place(&word.span);
        }
        let spans = &mut endpoint.spans;
        for span in [
            &mut spans.host,
            &mut spans.ports,
            &mut spans.path,
            &mut spans.query,
            &mut spans.opaque,
        ] {
            *span = mask.place(span);
        }
        let placed = |s: &Setting| Setting {
            span: s.span.as_ref().map(|span| mask.place(span)),
            ..s.clone()
        };
        endpoint.options = endpoint.options.iter().map(placed).collect();
        endpoint.written = mask.into_text();
        endpoint
    }
}

fn short() -> Endpoint {
    let mut endpoint = Endpoint::blank();
    "tcp".clone_into(&mut endpoint.scheme.text);
    endpoint
}

fn with_words(mut words: Vec<Word>) -> Endpoint {
    let mut endpoint = Endpoint::blank();
    if let Some(scheme) = words.pop() {
        endpoint.scheme = scheme;
    }
    endpoint.layers = words;
    endpoint
}

/// The words of `layer+layer+scheme`, which stands at `at`.
fn words(text: &str, at: usize) -> Result<Vec<Word>, Wrong> {
    let mut words = Vec::new();
    let mut start = at;
    for word in text.split('+') {
        let span = start..start + word.len();
        start = span.end + 1;
        if word.is_empty() {
            return Err(missing_word(text, at, &span));
        }
        let fits = |(i, c): &(usize, char)| {
            c.is_ascii_alphabetic() || (*i > 0 && (c.is_ascii_digit() || matches!(c, '-' | '.')))
        };
        if let Some((i, c)) = word.char_indices().find(|c| !fits(c)) {
            let here = span.start + i..span.start + i + c.len_utf8();
            return Err(Wrong::new(
                here,
                "a scheme is a letter, then letters, digits, `.` and `-`",
            ));
        }
        words.push(Word {
            text: word.to_ascii_lowercase(),
            span,
        });
    }
    if words.len() > MAX_LAYERS {
        let last = words[MAX_LAYERS].span.start;
        return Err(Wrong::new(
            last..start - 1,
            format!("an endpoint has at most {MAX_LAYERS} layers"),
        ));
    }
    Ok(words)
}

fn missing_word(text: &str, at: usize, span: &Range<usize>) -> Wrong {
    if span.end == at + text.len() {
        return Wrong::new(span.clone(), "a scheme is missing here").replace("tcp");
    }
    Wrong::new(
        span.start..span.end + 1,
        "a layer is missing before this `+`",
    )
    .replace("")
}

/// Whether a text begins as a port list does, up to options, path or query.
pub(super) fn is_ports(text: &str) -> bool {
    let mut bytes = text.bytes().peekable();
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return false;
    }
    while let Some(byte) = bytes.next() {
        match byte {
            b'0'..=b'9' | b'-' => {}
            b',' if bytes.peek().is_some_and(u8::is_ascii_digit) => {}
            b',' | b'/' | b'?' | b'#' => return true,
            _ => return false,
        }
    }
    true
}
