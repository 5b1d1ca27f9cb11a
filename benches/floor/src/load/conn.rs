//! One connection and the question it has under way.

use crate::poller::{Interest, Poller, discard};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Instant;

/// Connections from one source address: fewer than there are ports.
const PER_SOURCE: usize = 20_000;

pub(crate) struct Conn {
    stream: TcpStream,
    index: usize,
    sent: usize,
    back: usize,
    asked: Instant,
    /// Whether the poller tells of room to write too.
    stuck: bool,
}

impl Conn {
    /// Opens connection number `index`. Beyond 20,000 on loopback each next
    /// 20,000 come from the next address of 127.0.0.0/8.
    pub(crate) fn open(to: SocketAddr, index: usize, poller: &Poller) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
        let source = index / PER_SOURCE;
        if source > 0
            && let IpAddr::V4(ip) = to.ip()
            && ip.is_loopback()
        {
            let from = Ipv4Addr::new(127, 0, 0, 1 + source as u8);
            socket.bind(&SocketAddr::from((from, 0)).into())?;
        }
        socket.set_tcp_nodelay(true)?;
        socket.connect(&to.into())?;
        socket.set_nonblocking(true)?;
        let stream = TcpStream::from(socket);
        poller.add(stream.as_raw_fd(), index)?;
        Ok(Self {
            stream,
            index,
            sent: 0,
            back: 0,
            asked: Instant::now(),
            stuck: false,
        })
    }

    /// Asks: sends `question`, or as much of it as the socket takes.
    pub(crate) fn ask(&mut self, question: &[u8], poller: &Poller) -> io::Result<()> {
        self.ask_as_of(Instant::now(), question, poller)
    }

    /// Asks what was to be asked at `when`: the answer's time counts from then.
    pub(crate) fn ask_as_of(
        &mut self,
        when: Instant,
        question: &[u8],
        poller: &Poller,
    ) -> io::Result<()> {
        self.sent = 0;
        self.back = 0;
        self.asked = when;
        self.send(question, poller)
    }

    /// Nanoseconds since the question.
    pub(crate) fn since_asked(&self) -> u64 {
        self.asked.elapsed().as_nanos() as u64
    }

    /// Hears of no more events.
    pub(crate) fn leave(&self, poller: &Poller) -> io::Result<()> {
        poller.remove(self.stream.as_raw_fd())
    }

    /// Throws away up to `most` bytes of an answer; 0 is its end.
    pub(crate) fn discard(&mut self, most: usize) -> io::Result<usize> {
        discard(self.stream.as_raw_fd(), most)
    }

    fn send(&mut self, question: &[u8], poller: &Poller) -> io::Result<()> {
        while self.sent < question.len() {
            match self.stream.write(&question[self.sent..]) {
                Ok(n) => self.sent += n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) => return Err(e),
            }
        }
        let stuck = self.sent < question.len();
        if stuck != self.stuck {
            self.stuck = stuck;
            let interest = if stuck {
                Interest::ReadWrite
            } else {
                Interest::Read
            };
            poller.change(self.stream.as_raw_fd(), self.index, interest)?;
        }
        Ok(())
    }

    /// Goes on after an event; the nanoseconds since the question when the
    /// whole answer is in.
    pub(crate) fn go_on(
        &mut self,
        question: &[u8],
        scratch: &mut [u8],
        poller: &Poller,
    ) -> io::Result<Option<u64>> {
        if self.stuck {
            self.send(question, poller)?;
        }
        match self.stream.read(scratch) {
            Ok(0) => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the server closed a connection",
            )),
            Ok(n) => {
                if question.get(self.back..self.back + n) != Some(&scratch[..n]) {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "the answer differs from the question",
                    ));
                }
                self.back += n;
                let whole = self.back == question.len();
                Ok(whole.then(|| self.asked.elapsed().as_nanos() as u64))
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(e) => Err(e),
        }
    }
}
