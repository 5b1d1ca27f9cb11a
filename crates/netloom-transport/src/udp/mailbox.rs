//! A datagram socket on the reactor of its core, with room for whole batches.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll, ready};

use netloom_base::failure::Fact;
use netloom_base::{Failure, Side, Stage};
use socket2::Socket;
use tokio::io::unix::AsyncFd;

use super::blame::Known;
use super::manner::Manner;
use super::name::{self, Said};
use super::sys::{self, BATCH, Inbox, Outbox};
use crate::conn::{ConnFacts, Peer};
use crate::datagrams::{Batch, Datagrams, Lost, Outgoing, Received};
use crate::errqueue;

/// A datagram socket.
pub(crate) struct Mailbox {
    socket: AsyncFd<Socket>,
    inbox: Inbox,
    outbox: Outbox,
    manner: Manner,
    lost: Lost,
    /// The kernel's own count, which begins again after 2³².
    drops: u32,
    /// By how many of its interfaces the next datagram has left already.
    left_by: usize,
}

impl Mailbox {
    /// Takes the current runtime's reactor.
    pub(crate) fn new(socket: Socket, manner: Manner) -> Result<Self, Failure> {
        if manner.armed {
            // Without it, what the network says would wake nobody who waits for datagrams.
            let _ = sys::set(
                socket.as_fd(),
                libc::SOL_SOCKET,
                libc::SO_SELECT_ERR_QUEUE,
                1,
            );
        }
        let socket = sys::watch(socket).map_err(|error| Failure::from_io(Stage::Create, error))?;
        Ok(Mailbox {
            socket,
            inbox: Inbox::new(),
            outbox: Outbox::new(),
            manner,
            lost: Lost::default(),
            drops: 0,
            left_by: 0,
        })
    }

    fn take(&mut self, count: usize, batch: &mut Batch) {
        let room = batch.room();
        for slot in 0..count {
            let came = self.inbox.came(slot);
            let said = name::said(came.control);
            let truncated = came.len > room;
            let of = Received {
                from: name::read(came.name).unwrap_or_else(|| Peer::Named("".into())),
                to: said.to,
                interface: said.interface,
                truncated_from: truncated.then_some(came.len),
            };
            self.lost.truncated += u64::from(truncated);
            batch.came_whole(slot, came.len, of);
            if let Said {
                dropped: Some(now), ..
            } = said
            {
                self.lost.dropped += u64::from(now.wrapping_sub(self.drops));
                self.drops = now;
            }
        }
    }

    fn failed(&self, error: io::Error, to: Option<&Peer>, bytes: Option<usize>) -> Failure {
        let fd = self.socket.as_fd();
        let ip = |peer: &Peer| match peer {
            Peer::Ip(addr) => Some(*addr),
            Peer::Named(_) => None,
        };
        let to = to
            .or(self.manner.connected.as_ref())
            .or(self.manner.default_to.as_ref());
        if let Some(Peer::Named(name)) = to {
            return unix_failure(error, name);
        }
        let known = Known {
            to: to.and_then(ip),
            bytes,
            icmp: self.manner.armed.then(|| errqueue::read(fd)).flatten(),
            mtu: mtu(fd, self.manner.v6),
            df: self.manner.df,
            no_broadcast: !self.manner.broadcast,
        };
        known.failure(error)
    }
}

/// Sends a run as far as the kernel has room, `left_by` interfaces of its first
/// datagram left out, and says how many went whole.
fn send(
    socket: BorrowedFd<'_>,
    outbox: &mut Outbox,
    manner: &Manner,
    left_by: &mut usize,
    run: &[Outgoing<'_>],
) -> io::Result<usize> {
    let Manner {
        interfaces,
        default_to,
        v6,
        ..
    } = manner;
    if interfaces.is_empty() {
        return send_each(socket, outbox, manner, run);
    }
    // A group's datagram leaves once by each interface.
    let copies = |out: &Outgoing<'_>| match out.to {
        None => interfaces.len(),
        Some(_) => 1,
    };
    let letters = || {
        run.iter()
            .enumerate()
            .flat_map(|(at, out)| (0..copies(out)).map(move |copy| (at, copy)))
            .skip(*left_by)
            .take(BATCH)
    };
    let mut plan = [(0, 0); BATCH];
    let mut count = 0;
    for (place, letter) in plan.iter_mut().zip(letters()) {
        *place = letter;
        count += 1;
    }
    let plan = &plan[..count];
    let bytes = plan.iter().map(|(at, _)| run[*at].bytes);
    let sent = outbox.send(socket, bytes, |i, name, control| {
        let (at, copy) = plan[i];
        let out = &run[at];
        let interface = match out.to {
            None => interfaces.get(copy).copied().unwrap_or(0),
            Some(_) => 0,
        };
        let to = out.to.or(default_to.as_ref());
        let name = to.map_or(Some(0), |to| name::write(to, *v6, name));
        name.zip(name::leave_by(interface, out.from, *v6, control))
    });
    sent.map(|sent| {
        let whole = plan[..sent]
            .iter()
            .filter(|(at, copy)| copy + 1 == copies(&run[*at]))
            .count();
        *left_by = match plan.get(sent.wrapping_sub(1)) {
            Some((at, copy)) if copy + 1 < copies(&run[*at]) => copy + 1,
            _ => 0,
        };
        whole
    })
}

/// The same where each datagram leaves once: the hot path.
fn send_each(
    socket: BorrowedFd<'_>,
    outbox: &mut Outbox,
    manner: &Manner,
    run: &[Outgoing<'_>],
) -> io::Result<usize> {
    let bytes = run.iter().map(|out| out.bytes);
    outbox.send(socket, bytes, |i, name, control| {
        let to = run[i].to.or(manner.default_to.as_ref());
        let name = to.map_or(Some(0), |to| name::write(to, manner.v6, name));
        name.zip(name::leave_by(0, run[i].from, manner.v6, control))
    })
}

impl Datagrams for Mailbox {
    fn poll_recv(
        &mut self,
        task: &mut Context<'_>,
        batch: &mut Batch,
    ) -> Poll<Result<(), Failure>> {
        batch.clear();
        loop {
            let mut ready = ready!(self.socket.poll_read_ready(task))
                .map_err(|error| Failure::from_io(Stage::Recv, error))?;
            let fd = self.socket.as_fd();
            match self.inbox.receive(fd, batch.slots_mut()) {
                Ok(count) => {
                    // Fewer than there was room for: no more wait, and the next
                    // wakes this again. Where the network's answers are kept, one
                    // may have cut the batch short, and wakes nobody later.
                    if count < batch.slots().min(BATCH) && !self.manner.armed {
                        ready.clear_ready();
                    }
                    self.take(count, batch);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready.clear_ready();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(self.failed(error, None, None))),
            }
        }
    }

    fn poll_send(
        &mut self,
        task: &mut Context<'_>,
        run: &[Outgoing<'_>],
    ) -> Poll<Result<usize, Failure>> {
        let Some(first) = run.first() else {
            return Poll::Ready(Ok(0));
        };
        loop {
            let mut ready = ready!(self.socket.poll_write_ready(task))
                .map_err(|error| Failure::from_io(Stage::Send, error))?;
            let fd = self.socket.as_fd();
            let sent = send(fd, &mut self.outbox, &self.manner, &mut self.left_by, run);
            match sent {
                Ok(0) => {} // a part of the first one
                Ok(sent) => return Poll::Ready(Ok(sent)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if sys::is_unspeakable(&error) => {
                    return Poll::Ready(Err(elsewhere(first.to)));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // Only a connected socket is woken when its peer has room.
                    if let Some(Peer::Named(name)) = first.to {
                        return Poll::Ready(Err(queue_full(name)));
                    }
                    ready.clear_ready();
                }
                Err(error) => {
                    self.left_by = 0;
                    return Poll::Ready(Err(self.failed(error, first.to, Some(first.bytes.len()))));
                }
            }
        }
    }

    fn facts(&self) -> ConnFacts {
        let peer = self.manner.connected.clone();
        ConnFacts {
            local: self.manner.local.clone(),
            peer: peer.or_else(|| self.manner.default_to.clone()),
        }
    }

    fn lost(&self) -> Lost {
        self.lost
    }

    fn room(&self) -> usize {
        self.manner.room
    }

    fn learned(&self) -> &[Fact] {
        &self.manner.learned
    }
}

/// The path MTU of a connected socket.
fn mtu(fd: BorrowedFd<'_>, v6: bool) -> Option<u64> {
    let (level, name) = if v6 {
        (libc::IPPROTO_IPV6, libc::IPV6_MTU)
    } else {
        (libc::IPPROTO_IP, libc::IP_MTU)
    };
    sys::get(fd, level, name).ok()?.try_into().ok()
}

fn elsewhere(to: Option<&Peer>) -> Failure {
    let to = to.map_or_else(String::new, ToString::to_string);
    Failure::new(Stage::Send, Side::Us, Stage::Send.other())
        .message(format!("this socket cannot send to `{to}`"))
}

fn queue_full(name: &str) -> Failure {
    Failure::new(Stage::Send, Side::Peer, Stage::Send.other())
        .message(format!("`{name}` does not read, and its queue is full"))
        .retry()
}

/// What an error means for the receiver's name.
fn unix_failure(error: io::Error, name: &str) -> Failure {
    use netloom_base::Code;
    use netloom_base::failure::Errno;

    let failed =
        |side, code, errno| Failure::new(Stage::Send, side, code).fact(Fact::Errno(Errno(errno)));
    match error.raw_os_error() {
        Some(errno @ (libc::ECONNREFUSED | libc::ENOTCONN | libc::EPIPE)) => {
            failed(Side::Peer, Code::SEND_PEER_CLOSED, errno)
                .message(format!("nobody has `{name}` open any more"))
        }
        Some(errno @ libc::ENOENT) => failed(Side::Peer, Code::CONNECT_NO_SUCH_PATH, errno),
        Some(errno @ (libc::EACCES | libc::EPERM)) => {
            failed(Side::Us, Code::CONNECT_DENIED_PATH, errno)
        }
        Some(errno @ libc::EMSGSIZE) => failed(Side::Us, Code::SEND_TOO_LARGE, errno).message(
            format!("the datagram to `{name}` is larger than the send buffer: sndbuf= raises it"),
        ),
        _ => Failure::from_io(Stage::Send, error),
    }
}
