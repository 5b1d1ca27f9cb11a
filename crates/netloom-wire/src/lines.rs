//! Lines out of a stream of bytes, however it is cut into reads.

use std::fmt;

/// Splits a stream at `\n`; a `\r` before it belongs to the end of the line.
///
/// ```
/// use netloom_wire::lines::Lines;
///
/// let mut lines = Lines::new(100);
/// let mut seen = Vec::new();
/// for read in [&b"on"[..], b"e\r\ntwo\nthr", b"ee"] {
///     lines.feed(read, |line| seen.push(line.to_vec()))?;
/// }
/// assert_eq!(seen, [&b"one"[..], b"two"]);
/// assert_eq!(lines.rest(), b"three");
/// # Ok::<(), netloom_wire::lines::LineTooLong>(())
/// ```
#[derive(Debug)]
pub struct Lines {
    begun: Vec<u8>,
    longest: usize,
}

/// A line was longer than the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineTooLong {
    /// The limit in bytes, without the line's end.
    pub limit: usize,
}

impl fmt::Display for LineTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a line was longer than {} bytes", self.limit)
    }
}

impl std::error::Error for LineTooLong {}

impl Lines {
    /// A splitter that refuses lines of more than `longest` bytes.
    pub fn new(longest: usize) -> Self {
        Lines {
            begun: Vec::new(),
            longest,
        }
    }

    /// Takes what was read and gives every line it completes, without its end.
    /// After an error the stream has lost its meaning and must be closed.
    pub fn feed(
        &mut self,
        mut read: &[u8],
        mut line: impl FnMut(&[u8]),
    ) -> Result<(), LineTooLong> {
        while let Some(end) = read.iter().position(|&b| b == b'\n') {
            let (head, tail) = read.split_at(end);
            read = &tail[1..];
            if self.begun.is_empty() {
                line(self.within(trim(head))?);
            } else {
                self.begun.extend_from_slice(head);
                let whole = std::mem::take(&mut self.begun);
                line(self.within(trim(&whole))?);
            }
        }
        // One byte more than the limit may be the `\r` of a line that fits.
        if self.begun.len() + read.len() > self.longest + 1 {
            return Err(LineTooLong {
                limit: self.longest,
            });
        }
        self.begun.extend_from_slice(read);
        Ok(())
    }

    /// The bytes of a line that has not ended.
    pub fn rest(&self) -> &[u8] {
        &self.begun
    }

    fn within<'a>(&self, line: &'a [u8]) -> Result<&'a [u8], LineTooLong> {
        if line.len() > self.longest {
            Err(LineTooLong {
                limit: self.longest,
            })
        } else {
            Ok(line)
        }
    }
}

fn trim(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_without_end_is_refused_before_it_fills_memory() {
        let mut lines = Lines::new(8);
        assert!(lines.feed(b"12345678\r", |_| ()).is_ok());
        assert_eq!(lines.feed(b"9", |_| ()), Err(LineTooLong { limit: 8 }));
        assert_eq!(
            Lines::new(8).feed(b"123456789\n", |_| ()),
            Err(LineTooLong { limit: 8 })
        );
    }

    proptest::proptest! {
        #[test]
        fn cuts_do_not_matter(text in "[a\r\n]{0,60}", cuts in proptest::collection::vec(1usize..9, 0..60)) {
            let whole: Vec<Vec<u8>> = {
                let mut seen = Vec::new();
                Lines::new(100).feed(text.as_bytes(), |l| seen.push(l.to_vec())).unwrap();
                seen
            };
            let mut lines = Lines::new(100);
            let mut seen = Vec::new();
            let mut left = text.as_bytes();
            for cut in cuts {
                let (head, tail) = left.split_at(cut.min(left.len()));
                lines.feed(head, |l| seen.push(l.to_vec())).unwrap();
                left = tail;
            }
            lines.feed(left, |l| seen.push(l.to_vec())).unwrap();
            proptest::prop_assert_eq!(seen, whole);
        }
    }
}
