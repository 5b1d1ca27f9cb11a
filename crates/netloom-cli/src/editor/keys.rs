//! From the bytes of a terminal to keys. Any bytes give some keys, in bounded
//! memory; what is no key is left out.

/// The longest escape sequence that is looked at.
const LONGEST_SEQUENCE: usize = 32;

/// How a bracketed paste ends.
const PASTE_END: &[u8] = b"\x1b[201~";

/// What was pressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    Char(char),
    /// Pasted as one, line ends as `\n`; `true` when it was longer than is kept.
    Paste(String, bool),
    Enter,
    /// Alt-Enter, or what terminals send for Shift-Enter.
    NewLine,
    Backspace,
    Delete,
    Left,
    Right,
    Up,
    Down,
    Home,
    End,
    WordLeft,
    WordRight,
    KillWordLeft,
    KillWordRight,
    KillToStart,
    KillToEnd,
    Yank,
    ClearScreen,
    Search,
    Escape,
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-D.
    Eof,
    /// Ctrl-].
    Command,
    /// Ctrl-Z.
    Suspend,
}

/// Puts keys together from bytes, however they are cut.
#[derive(Debug)]
pub(crate) struct Keys {
    pending: Vec<u8>,
    paste: Option<Paste>,
    longest_paste: usize,
}

#[derive(Debug, Default)]
struct Paste {
    text: Vec<u8>,
    cut: bool,
}

/// What stands at the beginning of the pending bytes.
enum Found {
    Key(Key, usize),
    /// Nothing that means anything, so many bytes long.
    Nothing(usize),
    Unfinished,
}

impl Keys {
    /// Keeps at most so many bytes of a paste.
    pub(crate) fn new(longest_paste: usize) -> Self {
        Keys {
            pending: Vec::new(),
            paste: None,
            longest_paste,
        }
    }

    /// Takes bytes in and adds the keys they complete.
    pub(crate) fn feed(&mut self, bytes: &[u8], keys: &mut Vec<Key>) {
        self.pending.extend_from_slice(bytes);
        let mut at = 0;
        while at < self.pending.len() {
            if self.paste.is_some() {
                match self.pasted(at) {
                    Some((key, next)) => {
                        keys.push(key);
                        at = next;
                        continue;
                    }
                    None => return,
                }
            }
            match find(&self.pending[at..]) {
                Found::Key(key, len) => {
                    keys.push(key);
                    at += len;
                }
                Found::Nothing(len) => {
                    let begins = &self.pending[at..at + len] == b"\x1b[200~";
                    self.paste = begins.then(Paste::default);
                    at += len;
                }
                Found::Unfinished => break,
            }
        }
        self.pending.drain(..at);
    }

    /// Whether a lone Escape waits for what may follow it.
    pub(crate) fn is_waiting(&self) -> bool {
        self.paste.is_none() && self.pending.first() == Some(&0x1b)
    }

    /// Nothing followed: it was the key itself.
    pub(crate) fn give_up(&mut self) -> Option<Key> {
        let alone = self.pending == b"\x1b";
        self.pending.clear();
        alone.then_some(Key::Escape)
    }

    /// Goes on with a paste. Where it ends, the paste and what follows it.
    fn pasted(&mut self, at: usize) -> Option<(Key, usize)> {
        let paste = self.paste.as_mut()?;
        let rest = &self.pending[at..];
        let end = rest
            .windows(PASTE_END.len())
            .position(|window| window == PASTE_END);
        // The end may be cut in the midst, so its beginning waits.
        let sure = end.unwrap_or_else(|| rest.len().saturating_sub(PASTE_END.len() - 1));
        let room = self.longest_paste.saturating_sub(paste.text.len());
        paste.text.extend_from_slice(&rest[..sure.min(room)]);
        paste.cut |= sure > room;
        if end.is_none() {
            self.pending.drain(..at + sure);
            return None;
        }
        let Paste { text, cut } = self.paste.take()?;
        let text = String::from_utf8_lossy(&text)
            .replace("\r\n", "\n")
            .replace('\r', "\n");
        Some((Key::Paste(text, cut), at + sure + PASTE_END.len()))
    }
}

fn find(bytes: &[u8]) -> Found {
    let key = match bytes[0] {
        0x1b => return escaped(bytes),
        0x01 => Key::Home,
        0x02 => Key::Left,
        0x03 => Key::Interrupt,
        0x04 => Key::Eof,
        0x05 => Key::End,
        0x06 => Key::Right,
        0x07 => Key::Escape,
        0x08 | 0x7f => Key::Backspace,
        b'\t' => Key::Char('\t'),
        b'\r' | b'\n' => Key::Enter,
        0x0b => Key::KillToEnd,
        0x0c => Key::ClearScreen,
        0x0e => Key::Down,
        0x10 => Key::Up,
        0x12 => Key::Search,
        0x15 => Key::KillToStart,
        0x17 => Key::KillWordLeft,
        0x19 => Key::Yank,
        0x1a => Key::Suspend,
        0x1d => Key::Command,
        0..0x20 => return Found::Nothing(1),
        first => return character(bytes, first),
    };
    Found::Key(key, 1)
}

fn character(bytes: &[u8], first: u8) -> Found {
    let len = match first {
        0..0x80 => 1,
        0xc2..0xe0 => 2,
        0xe0..0xf0 => 3,
        0xf0..0xf5 => 4,
        _ => return Found::Nothing(1),
    };
    let Some(whole) = bytes.get(..len) else {
        let good = bytes[1..].iter().all(|byte| byte & 0xc0 == 0x80);
        return if good {
            Found::Unfinished
        } else {
            Found::Nothing(1)
        };
    };
    match std::str::from_utf8(whole).map(|text| text.chars().next()) {
        Ok(Some(c)) if !c.is_control() => Found::Key(Key::Char(c), len),
        Ok(_) => Found::Nothing(len),
        Err(_) => Found::Nothing(1),
    }
}

fn escaped(bytes: &[u8]) -> Found {
    let key = match bytes.get(1) {
        None => return Found::Unfinished,
        Some(b'[') => return sequence(bytes),
        Some(b'O') => {
            return match bytes.get(2) {
                None => Found::Unfinished,
                Some(last) => plain(*last).map_or(Found::Nothing(3), |key| Found::Key(key, 3)),
            };
        }
        Some(0x1b) => return Found::Key(Key::Escape, 1),
        Some(b'\r' | b'\n') => Key::NewLine,
        Some(b'b') => Key::WordLeft,
        Some(b'f') => Key::WordRight,
        Some(b'd') => Key::KillWordRight,
        Some(0x08 | 0x7f) => Key::KillWordLeft,
        Some(0x80..) => return Found::Nothing(1), // Alt with a letter: the letter counts
        Some(_) => return Found::Nothing(2),
    };
    Found::Key(key, 2)
}

/// The key of a sequence that ends in `last` and says nothing more.
fn plain(last: u8) -> Option<Key> {
    Some(match last {
        b'A' => Key::Up,
        b'B' => Key::Down,
        b'C' => Key::Right,
        b'D' => Key::Left,
        b'H' => Key::Home,
        b'F' => Key::End,
        b'M' => Key::Enter,
        _ => return None,
    })
}

/// A control sequence (ECMA-48 §5.4): parameters, then one final byte.
fn sequence(bytes: &[u8]) -> Found {
    if bytes.get(2) == Some(&b'[') {
        // Function keys of the Linux console.
        return if bytes.len() < 4 {
            Found::Unfinished
        } else {
            Found::Nothing(4)
        };
    }
    let ends = bytes[2..]
        .iter()
        .position(|byte| !(0x20..0x40).contains(byte));
    let Some(ends) = ends else {
        return if bytes.len() > LONGEST_SEQUENCE {
            Found::Nothing(bytes.len())
        } else {
            Found::Unfinished
        };
    };
    let (last, len) = (bytes[2 + ends], ends + 3);
    if !(0x40..0x7f).contains(&last) {
        return Found::Nothing(len - 1); // it was broken off; what broke it counts
    }
    let given = std::str::from_utf8(&bytes[2..2 + ends]).unwrap_or_default();
    let numbers: Vec<&str> = given.split(';').collect();
    let whole_word = matches!(numbers.get(1), Some(&("3" | "5" | "9")));
    let key = match (last, numbers.as_slice()) {
        (b'C', _) if whole_word => Some(Key::WordRight),
        (b'D', _) if whole_word => Some(Key::WordLeft),
        (b'~', ["1" | "7", ..]) => Some(Key::Home),
        (b'~', ["4" | "8", ..]) => Some(Key::End),
        (b'~', ["3", ..]) if whole_word => Some(Key::KillWordRight),
        (b'~', ["3", ..]) => Some(Key::Delete),
        (b'~', ["27", _, "13"]) | (b'u', ["13", "2" | "3", ..]) => Some(Key::NewLine),
        (b'u', ["13", ..]) => Some(Key::Enter),
        (b'M', _) => None, // a mouse
        (last, _) => plain(last),
    };
    key.map_or(Found::Nothing(len), |key| Found::Key(key, len))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(parts: &[&[u8]]) -> Vec<Key> {
        let (mut reader, mut keys) = (Keys::new(100), Vec::new());
        for part in parts {
            reader.feed(part, &mut keys);
        }
        keys
    }

    #[test]
    fn letters_of_any_width_and_sequences_however_they_are_cut() {
        let said = "aé漢🙂\x1b[1;5C\x1b[3~\x1bOA\x1b\r\x7f".as_bytes();
        let whole = keys(&[said]);
        let wanted = [
            Key::Char('a'),
            Key::Char('é'),
            Key::Char('漢'),
            Key::Char('🙂'),
            Key::WordRight,
            Key::Delete,
            Key::Up,
            Key::NewLine,
            Key::Backspace,
        ];
        assert_eq!(whole, wanted);
        let bytes: Vec<&[u8]> = said.chunks(1).collect();
        assert_eq!(keys(&bytes), wanted);
    }

    #[test]
    fn a_paste_is_one_key_and_nothing_in_it_is_a_key() {
        let parts: [&[u8]; 3] = [b"\x1b[200~one\r\x03\x1b[20", b"1x\r\ntwo\x1b[201", b"~!"];
        assert_eq!(
            keys(&parts),
            [
                Key::Paste("one\n\x03\x1b[201x\ntwo".into(), false),
                Key::Char('!')
            ]
        );
        let long = [b"\x1b[200~".as_slice(), &[b'x'; 150], b"\x1b[201~"].concat();
        assert_eq!(keys(&[&long]), [Key::Paste("x".repeat(100), true)]);
    }

    #[test]
    fn a_lone_escape_is_a_key_when_nothing_follows() {
        let (mut reader, mut found) = (Keys::new(100), Vec::new());
        reader.feed(b"\x1b", &mut found);
        assert!(found.is_empty() && reader.is_waiting());
        assert_eq!(reader.give_up(), Some(Key::Escape));
        reader.feed(b"[A", &mut found);
        assert_eq!(found, [Key::Char('['), Key::Char('A')]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_bounded_and_cutting_them_changes_nothing(
            bytes in proptest::collection::vec(
                prop_oneof![any::<u8>(), Just(0x1b), Just(b'['), Just(b'0'), Just(b'~')], 0..400,
            ),
            cut in 0usize..400,
        ) {
            let cut = cut.min(bytes.len());
            let (mut whole, mut found) = (Keys::new(64), Vec::new());
            whole.feed(&bytes, &mut found);
            prop_assert!(whole.pending.len() <= LONGEST_SEQUENCE + 8);
            let (mut parts, mut same) = (Keys::new(64), Vec::new());
            parts.feed(&bytes[..cut], &mut same);
            parts.feed(&bytes[cut..], &mut same);
            // A sequence that never ends is dropped where it is noticed, which may differ.
            let endless = bytes.windows(LONGEST_SEQUENCE).any(|window| {
                window[2..].iter().all(|byte| (0x20..0x40).contains(byte))
            });
            prop_assert!(endless || found == same);
        }
    }
}
