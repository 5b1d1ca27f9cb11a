//! From reads to messages.

use std::fmt;
use std::ops::Range;

use super::Framing;
use super::length::Length;
use super::lines::{Lines, is_blank, is_json};
use super::msgpack::Values;
use super::netstring::Netstring;

/// How many bytes of a frame that went wrong are kept to tell what it was.
const KEPT: usize = 16;

/// What is held between frames may stay allocated up to here while nothing is
/// in flight.
const AT_REST: usize = 4096;

/// The end of a frame in the piece that was scanned, and how many bytes at its
/// beginning and end are not the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Border {
    pub(super) end: usize,
    pub(super) head: usize,
    pub(super) tail: usize,
}

/// What was found in a piece: `None` when all of it belongs to a frame that
/// goes on.
pub(super) type Scanned = Result<Option<Border>, Wrong>;

/// Where a message is: in a piece of what was read, or in what is held.
type Place<'a> = (Option<&'a [u8]>, Range<usize>);

/// How far a frame that has begun has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) have: u64,
    pub(super) want: Option<u64>,
    pub(super) in_header: bool,
}

/// What is wrong with a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    /// It is longer than the limit: by so many bytes as its header announces,
    /// or, where no header tells, by what has come.
    TooLarge(Option<u64>),
    /// It is not in this framing, and why: lower case, no full stop.
    Malformed(&'static str),
}

/// A frame that cannot be taken. Where the next one begins is not known: the
/// stream has lost its meaning and must be closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameError {
    /// What is wrong with it.
    pub wrong: Wrong,
    /// The limit in bytes, of a message without what frames it.
    pub limit: u64,
    /// How many whole messages came before it.
    pub before: u64,
    /// Its first bytes, at most 16.
    pub first: Vec<u8>,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = self.limit;
        match &self.wrong {
            Wrong::TooLarge(Some(size)) => {
                write!(
                    f,
                    "a message of {size} bytes is larger than the {limit} allowed"
                )
            }
            Wrong::TooLarge(None) => {
                write!(f, "a message is larger than the {limit} bytes allowed")
            }
            Wrong::Malformed(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for FrameError {}

/// The stream ended inside a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partial {
    /// How many bytes had come: of the message, or of its header.
    pub have: u64,
    /// How many there should be, where that is known.
    pub want: Option<u64>,
    /// Whether not even the header was whole.
    pub in_header: bool,
    /// How many whole messages came before it.
    pub before: u64,
    /// Its first bytes, at most 16.
    pub first: Vec<u8>,
}

impl fmt::Display for Partial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let have = self.have;
        let of = if self.in_header { "header" } else { "message" };
        match self.want {
            Some(want) => write!(f, "{have} of the {want} bytes of a {of} had come"),
            None => write!(f, "{have} bytes of a {of} had come, and not its end"),
        }
    }
}

impl std::error::Error for Partial {}

#[derive(Debug)]
enum Codec {
    None,
    Lines(Lines),
    Length(Length),
    Netstring(Netstring),
    Values(Values),
}

/// Takes whole messages out of what reads bring.
///
/// A message that lies whole in a read is given out where it lies; only one
/// that was cut by reads is put together in a buffer of the decoder's own,
/// which never grows beyond the limit and a header. A message above the limit
/// is refused as soon as its header says so.
#[derive(Debug)]
pub struct Decoder {
    framing: Framing,
    codec: Codec,
    limit: u64,
    /// What came of a frame that was cut by reads.
    held: Vec<u8>,
    /// What is held was a whole frame, and has been given out.
    given: bool,
    before: u64,
    failed: Option<FrameError>,
}

impl Decoder {
    /// Refuses messages of more than `limit` bytes.
    pub fn new(framing: Framing, limit: usize) -> Self {
        let codec = match framing {
            Framing::None => Codec::None,
            Framing::Lines | Framing::Json => Codec::Lines(Lines::new(false)),
            Framing::Crlf => Codec::Lines(Lines::new(true)),
            Framing::Len8 => Codec::Length(Length::fixed(1, false)),
            Framing::Len16 => Codec::Length(Length::fixed(2, false)),
            Framing::Len16Le => Codec::Length(Length::fixed(2, true)),
            Framing::Len32 => Codec::Length(Length::fixed(4, false)),
            Framing::Len32Le => Codec::Length(Length::fixed(4, true)),
            Framing::Varint => Codec::Length(Length::varint()),
            Framing::Netstring => Codec::Netstring(Netstring::default()),
            Framing::MsgPack => Codec::Values(Values::default()),
        };
        Decoder {
            framing,
            codec,
            limit: limit.max(1) as u64,
            held: Vec::new(),
            given: false,
            before: 0,
            failed: None,
        }
    }

    /// What it decodes.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// How many messages it has given out.
    pub fn messages(&self) -> u64 {
        self.before
    }

    /// The next message of `input`, which is moved on past it. `None` when all
    /// of `input` is taken and the message that has begun goes on.
    ///
    /// # Errors
    /// A frame that cannot be taken; the same error again afterwards.
    pub fn frame<'f, 'a: 'f>(
        &'f mut self,
        input: &mut &'a [u8],
    ) -> Result<Option<&'f [u8]>, FrameError> {
        Ok(match self.advance(input)? {
            None => None,
            Some((Some(piece), message)) => Some(&piece[message]),
            Some((None, message)) => Some(&self.held[message]),
        })
    }

    /// Where the next message is.
    fn advance<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Place<'a>>, FrameError> {
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        loop {
            self.forget();
            let found = if input.is_empty() {
                None
            } else {
                self.scan(input).map_err(|wrong| self.fail(wrong, input))?
            };
            let Some(Border { end, head, tail }) = found else {
                self.hold(input);
                *input = &[];
                return Ok(None);
            };
            let (piece, rest) = input.split_at(end);
            let uncut = self.held.is_empty().then_some(piece);
            if uncut.is_none() {
                self.hold(piece);
                self.given = true;
            }
            let whole = uncut.unwrap_or(&self.held);
            let message = head..whole.len() - tail;
            let wrong = self.framing == Framing::Json && !is_json(&whole[message.clone()]);
            if wrong && is_blank(&whole[message.clone()]) {
                *input = rest;
                continue;
            }
            if wrong {
                let first = uncut.unwrap_or_default();
                return Err(self.fail(Wrong::Malformed("a line is no JSON value"), first));
            }
            *input = rest;
            self.before += 1;
            return Ok(Some((uncut, message)));
        }
    }

    /// Gives back the memory of a message that was put together and given out.
    /// For whoever may not come back for long: the next message does it too.
    pub fn rest(&mut self) {
        self.forget();
        self.hold(&[]);
    }

    /// What was given out is no part of what comes.
    fn forget(&mut self) {
        if self.given {
            self.held.clear();
            self.given = false;
        }
    }

    /// Gives every message that `read` completes to `take`.
    ///
    /// # Errors
    /// As [`Decoder::frame`]; the messages before were given.
    pub fn feed(&mut self, mut read: &[u8], mut take: impl FnMut(&[u8])) -> Result<(), FrameError> {
        while let Some(message) = self.frame(&mut read)? {
            take(message);
        }
        Ok(())
    }

    /// Whether a frame has begun and not ended.
    pub fn is_inside(&self) -> bool {
        self.held() > 0
    }

    /// How many bytes are held of a frame that has begun.
    pub fn held(&self) -> usize {
        if self.given { 0 } else { self.held.len() }
    }

    /// Whether the stream may end here.
    ///
    /// # Errors
    /// How much of the frame that has begun had come.
    pub fn end(&self) -> Result<(), Partial> {
        let json = self.framing == Framing::Json;
        if !self.is_inside() || (json && is_blank(&self.held)) {
            return Ok(());
        }
        let progress = match &self.codec {
            Codec::None => return Ok(()),
            Codec::Lines(lines) => lines.progress(),
            Codec::Length(length) => length.progress(),
            Codec::Netstring(netstring) => netstring.progress(),
            Codec::Values(values) => values.progress(),
        };
        Err(Partial {
            have: progress.have,
            want: progress.want,
            in_header: progress.in_header,
            before: self.before,
            first: self.first(&[]),
        })
    }

    fn scan(&mut self, input: &[u8]) -> Scanned {
        match &mut self.codec {
            Codec::None => Ok(Some(Border {
                end: input
                    .len()
                    .min(usize::try_from(self.limit).unwrap_or(usize::MAX)),
                head: 0,
                tail: 0,
            })),
            Codec::Lines(lines) => lines.scan(input, self.limit),
            Codec::Length(length) => length.scan(input, self.limit),
            Codec::Netstring(netstring) => netstring.scan(input, self.limit),
            Codec::Values(values) => values.scan(input, self.limit),
        }
    }

    /// Keeps a piece of a frame. The buffer grows by doubling as bytes come, not
    /// by what a header promises, and never beyond what a frame may have.
    fn hold(&mut self, piece: &[u8]) {
        if piece.is_empty() {
            if self.held.is_empty() && self.held.capacity() > AT_REST {
                self.held = Vec::new();
            }
            return;
        }
        let needed = self.held.len() + piece.len();
        if needed > self.held.capacity() {
            const FRAME: u64 = 32; // no header and end together are longer
            let most = usize::try_from(self.limit.saturating_add(FRAME)).unwrap_or(usize::MAX);
            let roomy = needed
                .max(self.held.capacity().saturating_mul(2))
                .min(most.max(needed));
            self.held.reserve_exact(roomy - self.held.len());
        }
        self.held.extend_from_slice(piece);
    }

    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.held.capacity()
    }

    fn fail(&mut self, wrong: Wrong, input: &[u8]) -> FrameError {
        let error = FrameError {
            wrong,
            limit: self.limit,
            before: self.before,
            first: self.first(input),
        };
        (self.held, self.given) = (Vec::new(), false);
        self.failed = Some(error.clone());
        error
    }

    fn first(&self, input: &[u8]) -> Vec<u8> {
        let bytes = self.held.iter().chain(input);
        bytes.take(KEPT).copied().collect()
    }
}
