//! What a peer says, so that a terminal shows it and does nothing else.
//!
//! A terminal obeys escape sequences: they move the cursor over what was
//! written, change the title, fill the clipboard, or make the terminal type.
//! So every control character is shown as `^[`, every byte that is no UTF-8 as
//! `\xNN`, and what turns the direction of writing as `\u{…}`.

use std::fmt::Write as _;

/// Makes bytes harmless, however they are cut.
#[derive(Debug, Default)]
pub(crate) struct Harmless {
    /// The beginning of a character, or a carriage return whose line feed may follow.
    pending: Vec<u8>,
}

impl Harmless {
    /// Adds the shown form of `bytes` to `to`. Line ends are `\n`.
    pub(crate) fn feed(&mut self, bytes: &[u8], to: &mut String) {
        let joined;
        let mut rest = if self.pending.is_empty() {
            bytes
        } else {
            joined = [&std::mem::take(&mut self.pending), bytes].concat();
            &joined
        };
        loop {
            let (good, bad) = match std::str::from_utf8(rest) {
                Ok(good) => (good, None),
                Err(error) => {
                    let (good, after) = rest.split_at(error.valid_up_to());
                    let good = std::str::from_utf8(good).unwrap_or_default();
                    (good, Some((after, error.error_len())))
                }
            };
            let held = bad.is_none() && good.ends_with('\r');
            show(if held { &good[..good.len() - 1] } else { good }, to);
            match bad {
                None => {
                    if held {
                        self.pending.push(b'\r');
                    }
                    return;
                }
                Some((after, None)) => {
                    self.pending.extend_from_slice(after);
                    return;
                }
                Some((after, Some(len))) => {
                    for byte in &after[..len] {
                        _ = write!(to, "\\x{byte:02x}");
                    }
                    rest = &after[len..];
                }
            }
        }
    }

    /// The shown form of what was still to be completed.
    pub(crate) fn end(&mut self, to: &mut String) {
        for byte in std::mem::take(&mut self.pending) {
            match byte {
                b'\r' => to.push_str("^M"),
                byte => _ = write!(to, "\\x{byte:02x}"),
            }
        }
    }
}

/// The shown form of a whole text.
pub(crate) fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    show(text, &mut shown);
    shown
}

fn show(text: &str, to: &mut String) {
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\n' | '\t' => to.push(c),
            '\r' if chars.peek() == Some(&'\n') => {}
            '\0'..' ' | '\x7f' => {
                to.push('^');
                to.push(char::from(c as u8 ^ 0x40));
            }
            '\u{80}'..='\u{9f}'
            | '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' => _ = write!(to, "\\u{{{:x}}}", c as u32),
            c => to.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(parts: &[&[u8]]) -> String {
        let (mut harmless, mut to) = (Harmless::default(), String::new());
        for part in parts {
            harmless.feed(part, &mut to);
        }
        harmless.end(&mut to);
        to
    }

    #[test]
    fn attacks_are_shown() {
        assert_eq!(shown(&[b"\x1b]52;c;ZXZpbA==\x07"]), "^[]52;c;ZXZpbA==^G");
        assert_eq!(shown(&[b"\x1b[2J\x1b[H\r10%\r\n"]), "^[[2J^[[H^M10%\n");
        assert_eq!(
            shown(&["\u{9b}31m\u{202e}".as_bytes()]),
            r"\u{9b}31m\u{202e}"
        );
        assert_eq!(shown(&[b"a\xff\xfeb\xc3"]), r"a\xff\xfeb\xc3");
        assert_eq!(shown(&["é漢\t".as_bytes()]), "é漢\t");
    }

    proptest! {
        #[test]
        fn nothing_that_a_terminal_obeys_comes_through(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            cut in 0usize..200,
        ) {
            let cut = cut.min(bytes.len());
            let whole = shown(&[&bytes]);
            prop_assert_eq!(&whole, &shown(&[&bytes[..cut], &bytes[cut..]]));
            prop_assert!(whole.chars().all(|c| !c.is_control() || c == '\n' || c == '\t'));
        }
    }
}
