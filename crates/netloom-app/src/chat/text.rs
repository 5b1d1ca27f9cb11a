//! What may be in a name and in a line, and lines out of what a terminal sends.
//!
//! Whatever one member types is shown on the terminals of all the others. So
//! nothing passes that a terminal would obey, and no name that a person could
//! take for another.

use unicode_security::GeneralSecurityProfile;
use unicode_security::confusable_detection::skeleton;

/// Names that nobody may have: they would be taken for the server.
const RESERVED: [&str; 6] = ["netloom", "server", "admin", "root", "system", "everyone"];

/// A line as it may be shown: control characters are gone, a tab is a space,
/// and so is what turns the direction of writing round. `None` when the bytes
/// are not UTF-8.
pub(super) fn clean(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    if bytes.iter().all(|b| matches!(b, b' '..=b'~')) {
        return Some(text.to_owned()); // nearly every line
    }
    Some(cleaned(text))
}

/// The same of a text that is UTF-8.
pub(super) fn cleaned(text: &str) -> String {
    text.chars()
        .filter_map(|c| match c {
            '\t' => Some(' '),
            c if c.is_control() || is_invisible(c) => None,
            c => Some(c),
        })
        .collect()
}

/// Ends of lines that are no control characters, and what hides or turns round
/// what stands beside it (UAX #9, UTS #55).
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
    )
}

/// Why a name was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadName {
    Empty,
    TooLong,
    Character(char),
    Reserved,
}

impl BadName {
    pub(super) fn words(self, longest: usize) -> String {
        match self {
            BadName::Empty => "a name is needed".to_owned(),
            BadName::TooLong => format!("a name has at most {longest} characters"),
            BadName::Character(c) => format!(
                "a name has letters, digits, `-`, `_` and `.`, and begins with a letter or digit: `{}` is none",
                c.escape_default()
            ),
            BadName::Reserved => "that name could be taken for the server's".to_owned(),
        }
    }
}

/// Whether a text may be the name of a member or a room.
pub(super) fn check_name(name: &str, longest: usize) -> Result<(), BadName> {
    let Some(first) = name.chars().next() else {
        return Err(BadName::Empty);
    };
    if name.chars().count() > longest {
        return Err(BadName::TooLong);
    }
    let fits = |c: char| {
        c.is_ascii_alphanumeric()
            || matches!(c, '-' | '_' | '.')
            || (!c.is_ascii() && c.is_alphanumeric() && c.identifier_allowed())
    };
    if let Some(bad) = name.chars().find(|c| !fits(*c)) {
        return Err(BadName::Character(bad));
    }
    if matches!(first, '-' | '_' | '.') {
        return Err(BadName::Character(first));
    }
    let key = look(name);
    if RESERVED.iter().any(|reserved| look(reserved) == key) {
        return Err(BadName::Reserved);
    }
    Ok(())
}

/// What a name looks like: two names with the same look are taken for each
/// other (UTS #39 §4), whatever their case.
pub(super) fn look(name: &str) -> Box<str> {
    let once: String = skeleton(name).collect();
    skeleton(&once.to_lowercase()).collect::<String>().into()
}

/// What became of a part of the input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Typed<'a> {
    /// A whole line, without its end.
    Line(&'a [u8]),
    /// A line was longer than may be; all of it is gone.
    TooLong,
}

/// Lines out of a stream, however it is cut, without the commands that telnet
/// puts between (RFC 854).
#[derive(Debug)]
pub(super) struct Typing {
    begun: Vec<u8>,
    longest: usize,
    skipping: bool,
    telnet: Telnet,
}

/// Where in a command of telnet the stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Telnet {
    Text,
    Command,
    Option,
    Sub,
    SubCommand,
}

const IAC: u8 = 255;

impl Telnet {
    /// Whether a byte is text, and where the stream is after it.
    fn next(self, byte: u8) -> (bool, Telnet) {
        match (self, byte) {
            (Telnet::Text, IAC) => (false, Telnet::Command),
            (Telnet::Text, _) => (true, Telnet::Text),
            (Telnet::Command, 251..=254) => (false, Telnet::Option),
            (Telnet::Sub, IAC) => (false, Telnet::SubCommand),
            (Telnet::SubCommand, 240) | (Telnet::Option, _) => (false, Telnet::Text),
            (Telnet::Command, 250) | (Telnet::Sub | Telnet::SubCommand, _) => (false, Telnet::Sub),
            (Telnet::Command, _) => (false, Telnet::Text),
        }
    }
}

impl Typing {
    pub(super) fn new(longest: usize) -> Self {
        Typing {
            begun: Vec::new(),
            longest,
            skipping: false,
            telnet: Telnet::Text,
        }
    }

    /// Whether a line has begun that has not ended.
    pub(super) fn is_inside(&self) -> bool {
        !self.begun.is_empty() || self.skipping
    }

    /// Takes what was read and gives what it completes.
    pub(super) fn feed(&mut self, read: &[u8], mut typed: impl FnMut(Typed<'_>)) {
        if self.telnet == Telnet::Text && !read.contains(&IAC) {
            return self.lines(read, &mut typed);
        }
        let mut text = Vec::with_capacity(read.len());
        for &byte in read {
            let (is_text, next) = self.telnet.next(byte);
            if is_text {
                text.push(byte);
            }
            self.telnet = next;
        }
        self.lines(&text, &mut typed);
    }

    fn lines(&mut self, mut read: &[u8], typed: &mut impl FnMut(Typed<'_>)) {
        while let Some(end) = read.iter().position(|&b| b == b'\n') {
            let head = &read[..end];
            read = &read[end + 1..];
            if std::mem::take(&mut self.skipping) {
                typed(Typed::TooLong);
            } else if self.begun.is_empty() {
                typed(self.within(head));
            } else {
                let mut whole = std::mem::take(&mut self.begun);
                whole.extend_from_slice(head);
                typed(self.within(&whole));
            }
        }
        if self.skipping || read.is_empty() {
            return;
        }
        // One byte more may be the `\r` of a line that fits.
        if self.begun.len() + read.len() > self.longest + 1 {
            self.begun = Vec::new();
            self.skipping = true;
        } else {
            self.begun.extend_from_slice(read);
        }
    }

    fn within<'a>(&self, line: &'a [u8]) -> Typed<'a> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > self.longest {
            Typed::TooLong
        } else {
            Typed::Line(line)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(longest: usize, reads: &[&[u8]]) -> Vec<Option<Vec<u8>>> {
        let mut typing = Typing::new(longest);
        let mut seen = Vec::new();
        for read in reads {
            typing.feed(read, |typed| {
                seen.push(match typed {
                    Typed::Line(line) => Some(line.to_vec()),
                    Typed::TooLong => None,
                });
            });
        }
        seen
    }

    #[test]
    fn telnets_commands_are_no_text() {
        let talk: &[u8] =
            b"\xff\xfd\x03he\xff\xfa\x18\x00x\xff\xffterm\xff\xf0llo\xff\xf9\r\nmore\n";
        let whole = vec![Some(b"hello".to_vec()), Some(b"more".to_vec())];
        assert_eq!(all(20, &[talk]), whole);
        let bytes: Vec<&[u8]> = talk.chunks(1).collect();
        assert_eq!(all(20, &bytes), whole);
    }

    #[test]
    fn a_line_that_is_too_long_is_gone_and_the_next_is_read() {
        let seen = all(5, &[b"12345\r\n123456\n1234567890", b"1234567890\nok\n"]);
        let line = |text: &[u8]| Some(text.to_vec());
        assert_eq!(seen, [line(b"12345"), None, None, line(b"ok")]);
    }

    #[test]
    fn what_a_terminal_would_obey_is_gone() {
        let hostile = "a\x1b]0;title\x07b\x1b[2Jc\u{9b}31md\re\u{202e}f\u{2028}g\th\0i\u{7f}";
        assert_eq!(
            clean(hostile.as_bytes()).unwrap(),
            "a]0;titleb[2Jc31mdefg hi"
        );
        assert_eq!(clean(b"\xc3\x28"), None);
        assert_eq!(clean("grüße 👋".as_bytes()).unwrap(), "grüße 👋");
    }

    #[test]
    fn names_that_look_alike_are_one() {
        for (a, b) in [
            ("anna", "ANNA"),
            ("anna", "аnna"),
            ("paypal", "paypaI"),
            ("corner", "comer"),
        ] {
            assert_eq!(look(a), look(b), "{a} {b}");
        }
        assert_ne!(look("anna"), look("anne"));
    }

    #[test]
    fn a_name_cannot_be_taken_for_a_mark_or_the_server() {
        for bad in [
            "",
            "*",
            "a b",
            "<anna>",
            "-a",
            "a\u{200b}b",
            "a\u{202e}b",
            "Netloom",
            "sеrver",
            "a\nb",
            "a\x1b[m",
            "sérver\u{301}!",
        ] {
            assert!(check_name(bad, 20).is_err(), "{bad:?}");
        }
        for good in ["anna", "Jürgen", "小明", "a-b_c.9", "ольга", "7of9"] {
            assert_eq!(check_name(good, 20), Ok(()), "{good}");
        }
        assert_eq!(check_name("abcdef", 5), Err(BadName::TooLong));
    }

    proptest! {
        #[test]
        fn how_the_stream_is_cut_changes_nothing(
            bytes in proptest::collection::vec(prop_oneof![
                Just(b'\n'), Just(b'\r'), Just(IAC), Just(250), Just(240), Just(251), any::<u8>(),
            ], 0..200),
            cut in 1_usize..20,
        ) {
            let parts: Vec<&[u8]> = bytes.chunks(cut).collect();
            prop_assert_eq!(all(8, &[&bytes]), all(8, &parts));
        }

        #[test]
        fn nothing_that_is_shown_controls_anything(bytes in any::<Vec<u8>>(), text in any::<String>()) {
            for shown in [clean(&bytes), clean(text.as_bytes())].into_iter().flatten() {
                prop_assert!(!shown.chars().any(|c| c.is_control() || is_invisible(c)));
            }
        }
    }
}
