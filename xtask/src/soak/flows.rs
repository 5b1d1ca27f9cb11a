//! The conversations of a soak. Each knows every byte it must hear.

use super::origin::PATIENCE;
use crate::Outcome;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

/// What a conversation is like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// Much both ways at once, then the client ends and the server after it.
    Bulk,
    /// One small word and its answer.
    Short,
    /// Many words, each answered before the next.
    Kept,
    /// Byte by byte.
    Trickle,
    /// Much, to a client that reads in little pieces and rests between them.
    Slow,
    /// The client ends before the server says anything.
    ClientEndsFirst,
    /// The server ends while the client still talks.
    ServerEndsFirst,
    /// The client goes away with a reset in the middle.
    Reset,
}

impl Kind {
    pub(super) const ALL: &'static [Kind] = &[
        Kind::Bulk,
        Kind::Short,
        Kind::Kept,
        Kind::Trickle,
        Kind::Slow,
        Kind::ClientEndsFirst,
        Kind::ServerEndsFirst,
        Kind::Reset,
    ];

    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        Kind::ALL.get(usize::from(byte)).copied()
    }

    fn byte(self) -> u8 {
        let place = Kind::ALL.iter().position(|kind| *kind == self);
        place.map_or(u8::MAX, |place| place as u8)
    }
}

/// One conversation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    pub(super) kind: Kind,
    pub(super) seed: u64,
    size: u64,
}

impl Flow {
    /// One of this kind; its size follows from `seed`.
    pub(super) fn of(kind: Kind, seed: u64) -> Self {
        let (least, most) = match kind {
            Kind::Bulk | Kind::ClientEndsFirst | Kind::ServerEndsFirst => (1, 8 << 20),
            Kind::Slow => (1 << 20, 2 << 20),
            Kind::Reset => (1, 1 << 20),
            Kind::Short => (1, 1400),
            Kind::Kept => (1, 4096),
            Kind::Trickle => (1, 300),
        };
        Flow {
            kind,
            seed,
            size: least + seed % (most - least),
        }
    }

    /// The next one of a row.
    pub(super) fn next(seed: &mut u64) -> Self {
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        let kind = Kind::ALL[(*seed >> 32) as usize % Kind::ALL.len()];
        Flow::of(kind, *seed)
    }

    /// Holds it with the origin behind `address`; gives the bytes that went
    /// both ways.
    pub(super) fn run(&self, address: &str) -> Outcome<u64> {
        self.hold(address).map_err(|error| error.to_string())
    }

    fn hold(&self, address: &str) -> io::Result<u64> {
        let address: SocketAddr = address.parse().map_err(io::Error::other)?;
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let mut head = vec![self.kind.byte()];
        head.extend(self.size.to_le_bytes());
        stream.write_all(&head)?;
        let size = self.size;
        match self.kind {
            Kind::Bulk => {
                let mut writer = stream.try_clone()?;
                let writing = thread::spawn(move || {
                    send(&mut writer, 0, size)?;
                    writer.shutdown(Shutdown::Write)
                });
                hear(&mut stream, size, 64 * 1024, Duration::ZERO)?;
                joined(writing)?;
                ended(&mut stream)?;
                Ok(2 * size)
            }
            Kind::Short => {
                send(&mut stream, 0, size)?;
                hear(&mut stream, size, 2048, Duration::ZERO)?;
                Ok(2 * size)
            }
            Kind::Kept => {
                let words = 50 + self.seed % 200;
                for word in 0..words {
                    let long = 1 + (self.seed >> (word % 40)) % size;
                    send(&mut stream, word, long)?;
                    hear_from(&mut stream, word, long, 4096, Duration::ZERO)?;
                }
                stream.shutdown(Shutdown::Write)?;
                ended(&mut stream)?;
                Ok(2 * words * size / 2)
            }
            Kind::Trickle => {
                for at in 0..size {
                    send(&mut stream, at, 1)?;
                }
                hear(&mut stream, size, 7, Duration::ZERO)?;
                stream.shutdown(Shutdown::Write)?;
                ended(&mut stream)?;
                Ok(2 * size)
            }
            Kind::Slow => {
                let mut writer = stream.try_clone()?;
                let writing = thread::spawn(move || {
                    send(&mut writer, 0, size)?;
                    writer.shutdown(Shutdown::Write)
                });
                hear(&mut stream, size, 16 * 1024, Duration::from_millis(1))?;
                joined(writing)?;
                ended(&mut stream)?;
                Ok(2 * size)
            }
            Kind::ClientEndsFirst => {
                send(&mut stream, 0, size / 2)?;
                stream.shutdown(Shutdown::Write)?;
                let mut told = [0; 8];
                stream.read_exact(&mut told)?;
                let came = u64::from_le_bytes(told);
                if came != size / 2 {
                    let problem = format!("{} bytes were said, and {came} came", size / 2);
                    return Err(io::Error::other(problem));
                }
                hear(&mut stream, size, 64 * 1024, Duration::ZERO)?;
                ended(&mut stream)?;
                Ok(size + size / 2)
            }
            Kind::ServerEndsFirst => {
                hear(&mut stream, size, 64 * 1024, Duration::ZERO)?;
                ended(&mut stream)?;
                send(&mut stream, 0, size / 2)?;
                stream.shutdown(Shutdown::Write)?;
                Ok(size + size / 2)
            }
            Kind::Reset => {
                send(&mut stream, 0, size)?;
                // Unread or unsent bytes make the close a reset as well.
                socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
                Ok(size)
            }
        }
    }
}

/// A client that is connected and says nothing.
pub(super) struct Silent(TcpStream);

impl Silent {
    pub(super) fn open(address: &str) -> Outcome<Self> {
        let address: SocketAddr = address.parse().map_err(|_| "no address".to_owned())?;
        let stream = TcpStream::connect_timeout(&address, PATIENCE);
        stream.map(Silent).map_err(|error| error.to_string())
    }

    /// Says a word at last, and hears its answer and then the end.
    pub(super) fn speaks(self) -> Outcome {
        self.talk().map_err(|error| error.to_string())
    }

    fn talk(mut self) -> io::Result<()> {
        const SIZE: u64 = 1000;

        let stream = &mut self.0;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut head = vec![Kind::Short.byte()];
        head.extend(SIZE.to_le_bytes());
        stream.write_all(&head)?;
        send(stream, 0, SIZE)?;
        hear(stream, SIZE, 4096, Duration::ZERO)?;
        stream.shutdown(Shutdown::Write)?;
        ended(stream)
    }
}

/// Bytes that tell their own place: a lost, doubled or moved piece is seen.
pub(super) fn pattern(from: u64, count: usize) -> Vec<u8> {
    let byte = |at: u64| {
        let mixed = at.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed >> 56) as u8 ^ (mixed >> 24) as u8
    };
    (from..from + count as u64).map(byte).collect()
}

/// Says `size` bytes of what all of them say, from the byte `from` on.
pub(super) fn send(stream: &mut TcpStream, from: u64, size: u64) -> io::Result<()> {
    let mut sent = 0;
    while sent < size {
        let bytes = pattern(from + sent, (size - sent).min(64 * 1024) as usize);
        stream.write_all(&bytes)?;
        sent += bytes.len() as u64;
    }
    Ok(())
}

fn hear(stream: &mut TcpStream, size: u64, piece: usize, rest: Duration) -> io::Result<()> {
    hear_from(stream, 0, size, piece, rest)
}

fn hear_from(
    stream: &mut TcpStream,
    from: u64,
    size: u64,
    piece: usize,
    rest: Duration,
) -> io::Result<()> {
    let mut buffer = vec![0; piece];
    let mut heard = 0;
    while heard < size {
        let most = piece.min((size - heard) as usize);
        let got = stream.read(&mut buffer[..most])?;
        if got == 0 {
            let problem = format!("ended after {heard} of {size} bytes");
            return Err(io::Error::other(problem));
        }
        if buffer[..got] != pattern(from + heard, got) {
            let problem = format!("what came differs after byte {heard}");
            return Err(io::Error::other(problem));
        }
        heard += got as u64;
        if !rest.is_zero() {
            thread::sleep(rest);
        }
    }
    Ok(())
}

/// The server says nothing more, and ends in order.
fn ended(stream: &mut TcpStream) -> io::Result<()> {
    match stream.read(&mut [0])? {
        0 => Ok(()),
        _ => Err(io::Error::other("something came after the last byte")),
    }
}

fn joined(writing: thread::JoinHandle<io::Result<()>>) -> io::Result<()> {
    let panicked = |_| io::Error::other("the writer panicked");
    writing.join().map_err(panicked)?
}

#[cfg(test)]
mod tests {
    use super::super::origin::Origin;
    use super::{Flow, Kind, Silent};
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::thread;

    #[test]
    fn every_kind_goes_well_without_anything_between() {
        let origin = Origin::start().unwrap();
        for kind in Kind::ALL {
            Flow::of(*kind, 12_345).run(origin.address()).unwrap();
        }
        Silent::open(origin.address()).unwrap().speaks().unwrap();
    }

    /// A carrier that changes, loses or cuts what it carries.
    fn wrong(change: fn(&mut Vec<u8>)) -> String {
        let origin = Origin::start().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        thread::spawn(move || {
            let mut client = listener.accept().unwrap().0;
            let mut server = TcpStream::connect(origin.address()).unwrap();
            let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || std::io::copy(&mut from, &mut to));
            let mut came = vec![0; 64 * 1024];
            let n = server.read(&mut came).unwrap();
            came.truncate(n);
            change(&mut came);
            // The client may have left for what it saw.
            let _ = client.write_all(&came);
        });
        let flow = Flow::of(Kind::Bulk, 700);
        flow.run(&address).expect_err("it was carried wrongly")
    }

    #[test]
    fn what_is_carried_wrongly_is_seen() {
        assert!(wrong(|came| came[3] ^= 1).contains("differs"));
        assert!(wrong(|came| came.rotate_left(1)).contains("differs"));
        assert!(wrong(|came| came.truncate(10)).contains("ended after 10"));
    }
}
