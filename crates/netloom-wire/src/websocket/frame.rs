//! Single frames (RFC 6455 §5).

use std::error::Error;
use std::fmt;

/// The bit that says a mask follows, and the lengths that say a longer one does.
const MASKED: u8 = 0x80;
const WIDE: u8 = 0x7e;
const WIDEST: u8 = 0x7f;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// It goes on with the message before.
    Continuation,
    /// Text in UTF-8.
    Text,
    /// Bytes.
    Binary,
    /// The end, with a code and a reason.
    Close,
    /// Asks for a pong.
    Ping,
    /// Answers a ping.
    Pong,
}

/// One frame, unmasked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Whether its message ends with it.
    pub last: bool,
    /// What it is.
    pub opcode: Opcode,
    /// What it carries.
    pub payload: Vec<u8>,
}

/// Why a server's frame cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameError {
    /// A bit or an opcode that nobody agreed on, or a server that masks.
    Malformed,
    /// A control frame that is long or comes in parts, or a length that is not
    /// written in its shortest form.
    Length,
    /// It carries more than what is read.
    TooLong(u64),
}

impl Opcode {
    fn of(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Opcode::Continuation,
            1 => Opcode::Text,
            2 => Opcode::Binary,
            8 => Opcode::Close,
            9 => Opcode::Ping,
            10 => Opcode::Pong,
            _ => return None,
        })
    }

    fn bits(self) -> u8 {
        match self {
            Opcode::Continuation => 0,
            Opcode::Text => 1,
            Opcode::Binary => 2,
            Opcode::Close => 8,
            Opcode::Ping => 9,
            Opcode::Pong => 10,
        }
    }
}

/// A whole message of a client, masked with `mask` (RFC 6455 §5.3).
pub fn from_client(opcode: Opcode, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut bytes = vec![0x80 | opcode.bits()];
    match payload.len() {
        length @ 0..=125 => bytes.push(MASKED | length as u8),
        length @ 126..=0xffff => {
            bytes.push(MASKED | WIDE);
            bytes.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            bytes.push(MASKED | WIDEST);
            bytes.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&mask);
    bytes.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    bytes
}

impl Frame {
    /// Reads a server's frame of at most `most` bytes, and says how many bytes
    /// it takes. `None` while it has not come whole.
    ///
    /// # Errors
    /// What no server may send, and what is too long.
    pub fn from_server(bytes: &[u8], most: usize) -> Result<Option<(Frame, usize)>, FrameError> {
        let &[first, second, ref rest @ ..] = bytes else {
            return Ok(None);
        };
        if first & 0x70 != 0 || second & MASKED != 0 {
            return Err(FrameError::Malformed);
        }
        let last = first & 0x80 != 0;
        let opcode = Opcode::of(first & 0x0f).ok_or(FrameError::Malformed)?;
        let control = first & 0x08 != 0;
        if control && (!last || second > 125) {
            return Err(FrameError::Length);
        }
        let (length, wide) = match second {
            WIDE => match rest.first_chunk() {
                Some(length) => (u64::from(u16::from_be_bytes(*length)), 2),
                None => return Ok(None),
            },
            WIDEST => match rest.first_chunk() {
                Some(length) => (u64::from_be_bytes(*length), 8),
                None => return Ok(None),
            },
            short => (u64::from(short), 0),
        };
        let shortest = match wide {
            2 => length > 125,
            8 => length > 0xffff && length >> 63 == 0,
            _ => true,
        };
        if !shortest {
            return Err(FrameError::Length);
        }
        let size = usize::try_from(length)
            .ok()
            .filter(|size| *size <= most)
            .ok_or(FrameError::TooLong(length))?;
        let Some(payload) = rest[wide..].get(..size) else {
            return Ok(None);
        };
        let frame = Frame {
            last,
            opcode,
            payload: payload.to_vec(),
        };
        Ok(Some((frame, 2 + wide + size)))
    }

    /// The code and the reason of a close frame; `None` where it has none, or
    /// is none (RFC 6455 §5.5.1).
    pub fn closing(&self) -> Option<(u16, String)> {
        let (code, reason) = self.payload.split_first_chunk()?;
        let reason = String::from_utf8_lossy(reason).into_owned();
        (self.opcode == Opcode::Close).then(|| (u16::from_be_bytes(*code), reason))
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameError::Malformed => f.write_str("a frame has bits that nobody agreed on"),
            FrameError::Length => f.write_str("a frame's length is written as it may not be"),
            FrameError::TooLong(length) => write!(f, "a frame carries {length} bytes"),
        }
    }
}

impl Error for FrameError {}
