//! What a peer said, fit to be shown: one line, without what moves a cursor.

use netloom_wire::escape::escape;

/// The widest that a peer's words are shown, in characters.
pub const COLUMNS: usize = 120;

/// Bytes as one line of at most `columns` characters; `…` stands for the rest.
/// What is no text is escaped, also the characters that turn a line around.
pub fn shown(bytes: &[u8], columns: usize) -> String {
    let beginning = &bytes[..bytes.len().min(4 * columns + 4)];
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut all = String::new();
    for c in escape(beginning).chars() {
        if hidden(c) {
            all.extend(c.escape_unicode());
        } else {
            all.push(c);
        }
    }
    if all.chars().count() > columns {
        all = all.chars().take(columns.saturating_sub(1)).collect();
        all.push('…');
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_cannot_write_on_the_terminal() {
        let text = "a\x1b[2J\u{9b}2J\u{202e}b\r\n";
        assert_eq!(
            shown(text.as_bytes(), 120),
            r"a\x1b[2J\xc2\x9b2J\u{202e}b\r\n"
        );
        assert_eq!(shown(b"\xff\0", 120), r"\xff\0");
    }

    #[test]
    fn a_line_has_a_limit() {
        assert_eq!(shown(b"abcdef", 6), "abcdef");
        assert_eq!(shown(b"abcdefg", 6), "abcde…");
        assert_eq!(shown(&[0xff; 9000], 9).chars().count(), 9);
    }
}
