//! Just enough reading of Rust: code without comments and literals, split in
//! what ships and what tests, and its tokens.

/// The code of one file. All three texts have the length of the file, so that
/// a position in one is the same place in the others.
pub(super) struct Source {
    /// Without comments and the insides of literals.
    pub(super) code: String,
    /// The same without test items.
    pub(super) shipped: String,
    /// The same with test items only.
    pub(super) tests: String,
}

impl Source {
    pub(super) fn read(text: &str) -> Self {
        let code = blank_literals(text);
        let blocks = test_items(&code);
        let inside = |at: usize| blocks.iter().any(|(from, to)| (*from..*to).contains(&at));
        let only = |wanted: bool| {
            let bytes = code.bytes().enumerate();
            let kept = bytes.map(|(at, byte)| {
                if byte == b'\n' || inside(at) == wanted {
                    char::from(byte)
                } else {
                    ' '
                }
            });
            kept.collect()
        };
        Self {
            shipped: only(false),
            tests: only(true),
            code,
        }
    }
}

/// The line of a position, from 1.
pub(super) fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()[..at].split(|b| *b == b'\n').count()
}

/// One word or sign, and where it stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Token<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
}

/// Words, `::`, and every other sign by itself. `code` is ASCII.
pub(super) fn tokens(code: &str) -> Vec<Token<'_>> {
    let bytes = code.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let from = at;
        if is_word(bytes[at]) {
            while at < bytes.len() && is_word(bytes[at]) {
                at += 1;
            }
        } else if bytes[at..].starts_with(b"::") {
            at += 2;
        } else {
            at += 1;
            if bytes[from].is_ascii_whitespace() {
                continue;
            }
        }
        tokens.push(Token {
            text: &code[from..at],
            at: from,
        });
    }
    tokens
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Spaces in place of comments, of what literals hold, and of what is not
/// ASCII; quotes and line ends stay.
fn blank_literals(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let after_word = at > 0 && is_word(bytes[at - 1]);
        let raw = raw_string(rest).filter(|_| !after_word || matches!(bytes[at - 1], b'b' | b'c'));
        let len = if rest.starts_with(b"//") {
            rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len())
        } else if rest.starts_with(b"/*") {
            block_comment(rest)
        } else if let Some(len) = raw {
            len
        } else if rest[0] == b'"' {
            quoted(rest, b'"')
        } else if rest[0] == b'\'' && is_char(rest) {
            quoted(rest, b'\'')
        } else {
            out.push(if rest[0].is_ascii() { rest[0] } else { b' ' });
            at += 1;
            continue;
        };
        // A quote at both ends keeps an empty literal a token.
        let quote = matches!(rest[0], b'"' | b'\'');
        for (index, byte) in rest[..len].iter().enumerate() {
            let edge = index == 0 || index + 1 == len;
            out.push(match byte {
                b'\n' => b'\n',
                quote_byte if quote && edge => *quote_byte,
                _ => b' ',
            });
        }
        at += len;
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn block_comment(rest: &[u8]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

/// The length of `r"…"` or `r#"…"#` when one starts here.
fn raw_string(rest: &[u8]) -> Option<usize> {
    let hashes = rest
        .strip_prefix(b"r")?
        .iter()
        .take_while(|b| **b == b'#')
        .count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return None;
    }
    let end: Vec<u8> = std::iter::once(b'"')
        .chain(std::iter::repeat_n(b'#', hashes))
        .collect();
    let body = 2 + hashes;
    let len = rest[body..]
        .windows(end.len())
        .position(|window| window == end)
        .map_or(rest.len(), |found| body + found + end.len());
    Some(len)
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// Whether a quote begins a character, not a lifetime.
fn is_char(rest: &[u8]) -> bool {
    match rest.get(1) {
        Some(b'\\') => true,
        Some(byte) if byte.is_ascii() => rest.get(2) == Some(&b'\''),
        // A lifetime may not be ASCII either; nobody writes one.
        Some(_) => true,
        None => false,
    }
}

/// From `#[cfg(test)]`, or `#[test]`, to the end of what it stands before.
fn test_items(code: &str) -> Vec<(usize, usize)> {
    let tokens = tokens(code);
    let mut items = Vec::new();
    let mut next = 0;
    while next < tokens.len() {
        let Some(after) = attribute(&tokens, next) else {
            next += 1;
            continue;
        };
        let words: Vec<&str> = tokens[next..after].iter().map(|token| token.text).collect();
        let test = words == ["#", "[", "test", "]"]
            || words.starts_with(&["#", "[", "cfg"])
                && words.contains(&"test")
                && !words.windows(3).any(|w| w == ["not", "(", "test"]);
        if !test {
            next = after;
            continue;
        }
        let last = item_end(&tokens, after);
        let end = tokens.get(last).map_or(code.len(), |token| token.at + 1);
        items.push((tokens[next].at, end));
        next = last + 1;
    }
    items
}

/// The index after the attribute that starts at `from`.
fn attribute(tokens: &[Token], from: usize) -> Option<usize> {
    let opens = tokens.get(from)?.text == "#" && tokens.get(from + 1)?.text == "[";
    opens.then(|| closing(tokens, from + 1) + 1)
}

/// The index of the bracket that closes the one at `open`.
pub(super) fn closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return index;
                }
            }
            _ => {}
        }
    }
    tokens.len()
}

/// The index of the `;` or `}` that ends the item at `from`.
fn item_end(tokens: &[Token], from: usize) -> usize {
    let mut at = from;
    while at < tokens.len() {
        match tokens[at].text {
            ";" => return at,
            "{" => return closing(tokens, at),
            "(" | "[" => at = closing(tokens, at),
            _ => {}
        }
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::{Source, line_of, tokens};

    fn words(code: &str) -> Vec<&str> {
        tokens(code).into_iter().map(|token| token.text).collect()
    }

    #[test]
    fn comments_and_literals_hide_nothing_but_themselves() {
        let text = r##"let a = "unsafe \" x"; /* unsafe /* */ y */ let b = r#"unsafe"#; // unsafe
let c = 'u'; let d: &'unsafe_life str = b"unsafe"; let e = '\''; f()"##;
        let source = Source::read(text);
        assert_eq!(source.code.len(), text.len());
        assert!(!words(&source.code).contains(&"unsafe"), "{}", source.code);
        for kept in ["a", "b", "c", "d", "unsafe_life", "e", "f"] {
            assert!(words(&source.code).contains(&kept), "{kept}");
        }
        assert_eq!(
            line_of(&source.code, source.code.find("f()").expect("kept")),
            2
        );
    }

    #[test]
    fn what_is_not_ascii_keeps_its_place() {
        let text = "let s = \"→\"; // é\nfoo";
        let source = Source::read(text);
        assert_eq!(source.code.len(), text.len());
        assert_eq!(source.code.find("foo"), text.find("foo"));
    }

    #[test]
    fn test_items_are_split_off() {
        let source = Source::read(
            "use a::b;\n#[cfg(test)]\nmod tests { fn x() { c::d() } }\n\
             #[cfg(not(test))]\nfn y() {}\n#[test]\n#[should_panic]\nfn z([u8; 2]: T) { e() }\nfn w() {}",
        );
        let (shipped, tests) = (words(&source.shipped), words(&source.tests));
        for word in ["a", "y", "w"] {
            assert!(shipped.contains(&word) && !tests.contains(&word), "{word}");
        }
        for word in ["x", "c", "z", "e"] {
            assert!(tests.contains(&word) && !shipped.contains(&word), "{word}");
        }
    }

    #[test]
    fn tokens_keep_paths_together() {
        assert_eq!(
            words("crate::a::{b, c}!"),
            ["crate", "::", "a", "::", "{", "b", ",", "c", "}", "!"]
        );
    }
}
