//! Asking the kernel over netlink(7): one question, its answers, an end.

use std::io::{self, Read};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

/// How long the kernel may take for one part of an answer. It answers while it
/// is asked, so that this is only ever reached when something is wrong.
const PATIENCE: Duration = Duration::from_secs(1);

/// The most bytes of one answer: some hundred thousand sockets.
const MOST_BYTES: usize = 64 << 20;

const HEADER: usize = 16;
const ERROR: u16 = 2;
const DONE: u16 = 3;
const MULTI: u16 = 2;
const REQUEST: u16 = 1;
/// Every entry, not one.
pub(super) const DUMP: u16 = 0x300;

/// Asks `protocol` a question and gives every answer to `each`: its kind and its bytes.
pub(super) fn ask(
    protocol: i32,
    kind: u16,
    flags: u16,
    question: &[u8],
    mut each: impl FnMut(u16, &[u8]),
) -> io::Result<()> {
    let mut socket = Socket::new(
        Domain::from(libc::AF_NETLINK),
        Type::RAW,
        Some(Protocol::from(protocol)),
    )?;
    socket.set_read_timeout(Some(PATIENCE))?;

    let mut message = Vec::with_capacity(HEADER + question.len());
    message.extend(((HEADER + question.len()) as u32).to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend((REQUEST | flags).to_ne_bytes());
    message.extend([0; 8]); // sequence and sender: one question on a socket of its own
    message.extend(question);
    socket.send(&message)?;

    let mut buffer = vec![0u8; 64 << 10];
    let mut taken = 0;
    loop {
        let n = socket.read(&mut buffer)?;
        taken += n;
        if n == 0 || taken > MOST_BYTES {
            return Err(io::Error::other("the kernel's answer has no end"));
        }
        let mut rest = &buffer[..n];
        while let Some((kind, flags, body, after)) = split(rest) {
            match kind {
                DONE => return Ok(()),
                ERROR => match u32_at(body, 0).map(u32::cast_signed) {
                    Some(0) | None => return Ok(()),
                    Some(code) => return Err(io::Error::from_raw_os_error(-code)),
                },
                _ => each(kind, body),
            }
            if flags & MULTI == 0 {
                return Ok(());
            }
            rest = after;
        }
    }
}

/// The first message: its kind, its flags, its body, and what comes after it.
fn split(bytes: &[u8]) -> Option<(u16, u16, &[u8], &[u8])> {
    let len = u32_at(bytes, 0)? as usize;
    if len < HEADER {
        return None;
    }
    let body = bytes.get(HEADER..len)?;
    let after = bytes.get(padded(len)..).unwrap_or_default();
    Some((u16_at(bytes, 4)?, u16_at(bytes, 6)?, body, after))
}

/// The attributes after the fixed part of a message: their kinds and bytes.
pub(super) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let len = usize::from(u16_at(bytes, 0)?);
        let kind = u16_at(bytes, 2)? & 0x3fff; // without "nested" and "network order"
        let body = bytes.get(4..len)?;
        bytes = bytes.get(padded(len)..).unwrap_or_default();
        Some((kind, body))
    })
}

/// Appends an attribute.
pub(super) fn put(message: &mut Vec<u8>, kind: u16, body: &[u8]) {
    message.extend(((4 + body.len()) as u16).to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(body);
    message.resize(padded(message.len()), 0);
}

const fn padded(len: usize) -> usize {
    (len + 3) & !3
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes
        .get(at..at + 2)?
        .try_into()
        .ok()
        .map(u16::from_ne_bytes)
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..at + 4)?
        .try_into()
        .ok()
        .map(u32::from_ne_bytes)
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes
        .get(at..at + 8)?
        .try_into()
        .ok()
        .map(u64::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read_as_they_are_written_and_a_cut_one_ends_the_list() {
        let mut bytes = Vec::new();
        put(&mut bytes, 3, b"eth0\0");
        put(&mut bytes, 4, &1500u32.to_ne_bytes());
        let read: Vec<_> = attributes(&bytes).collect();
        assert_eq!(read, [(3, &b"eth0\0"[..]), (4, &1500u32.to_ne_bytes()[..])]);
        assert_eq!(attributes(&bytes[..bytes.len() - 1]).count(), 1);
        assert_eq!(attributes(&[0, 0, 1, 0]).count(), 0);
    }
}
