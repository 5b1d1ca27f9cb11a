//! What a program says on standard error, told line by line.

use tokio::io::AsyncReadExt;
use tokio::process::ChildStderr;

use crate::cx::Cx;

/// So much of a line is told.
const LONGEST: usize = 1024;

/// Tells every line until the program has closed its standard error. A reader
/// of the events that falls behind holds up neither this nor the program.
pub(super) fn tell(mut stderr: ChildStderr, name: &str, cx: &Cx) {
    let (name, told) = (name.to_owned(), cx.clone());
    cx.spawn_loose(async move {
        let mut lines = Lines::default();
        let mut chunk = [0; 1024];
        loop {
            let read = stderr.read(&mut chunk).await.unwrap_or(0);
            let mut say = |line: &[u8]| {
                let shown = String::from_utf8_lossy(line);
                told.remark(
                    told.service(),
                    format!("{name} says: {}", shown.escape_debug()),
                );
            };
            if read == 0 {
                return lines.end(&mut say);
            }
            lines.feed(&chunk[..read], &mut say);
        }
    });
}

/// Lines of bounded length: what is beyond is left out.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    fn feed(&mut self, bytes: &[u8], say: &mut impl FnMut(&[u8])) {
        for &byte in bytes {
            if byte == b'\n' {
                self.end(say);
            } else if self.0.len() < LONGEST {
                self.0.push(byte);
            }
        }
    }

    fn end(&mut self, say: &mut impl FnMut(&[u8])) {
        let line = self.0.trim_ascii_end();
        if !line.is_empty() {
            say(line);
        }
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_once_and_never_grow() {
        let mut told = Vec::new();
        let mut lines = Lines::default();
        let mut say = |line: &[u8]| told.push(line.to_vec());
        lines.feed(b"one\r\ntw", &mut say);
        lines.feed(b"o\n\n", &mut say);
        lines.feed(&[b'x'; 5000], &mut say);
        assert!(lines.0.len() <= LONGEST);
        lines.feed(b"\nlast", &mut say);
        lines.end(&mut say);
        lines.end(&mut say);
        let long = vec![b'x'; LONGEST];
        assert_eq!(told, [&b"one"[..], b"two", &long, b"last"]);
    }
}
