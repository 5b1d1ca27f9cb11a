//! A datagram socket on the reactor of its core, with room for whole batches.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::slice;
use std::task::{Context, Poll, ready};

use netloom_base::failure::Fact;
use netloom_base::{Failure, Side, Stage};
use socket2::Socket;
use tokio::io::unix::AsyncFd;

use super::blame::Known;
use super::manner::Manner;
use super::name::{self, Said};
use super::segments::Joining;
use super::sys::{self, BATCH, Inbox, Outbox, with_inbox, with_outbox};
use crate::conn::{ConnFacts, Peer};
use crate::datagrams::{Batch, Datagrams, LARGEST, Lost, Outgoing, Received};
use crate::errqueue;

/// A datagram socket.
pub(crate) struct Mailbox {
    socket: AsyncFd<Socket>,
    manner: Manner,
    lost: Lost,
    /// The kernel's own count, which begins again after 2³².
    drops: u32,
    /// By how many of its interfaces the next datagram has left already.
    left_by: usize,
    /// Which datagrams may go to the kernel as one message.
    joining: Joining,
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
        let is_ip = matches!(manner.local, Some(Peer::Ip(_)));
        if is_ip && manner.room >= LARGEST {
            // What came together stays together, where there is room for it.
            let _ = sys::set(socket.as_fd(), libc::SOL_UDP, sys::UDP_GRO, 1);
        }
        let socket = sys::watch(socket).map_err(|error| Failure::from_io(Stage::Create, error))?;
        Ok(Mailbox {
            socket,
            manner,
            lost: Lost::default(),
            drops: 0,
            left_by: 0,
            joining: if is_ip { Joining::ON } else { Joining::OFF },
        })
    }

    #[cfg(test)]
    pub(super) fn joins_up_to(&self) -> Joining {
        self.joining
    }

    #[cfg(test)]
    pub(super) fn socket(&self) -> &Socket {
        self.socket.get_ref()
    }

    fn failed(&self, error: io::Error, to: Option<&Peer>, bytes: Option<usize>) -> Failure {
        let fd = self.socket.as_fd();
        let to = to
            .or(self.manner.connected.as_ref())
            .or(self.manner.default_to.as_ref());
        if let Some(Peer::Named(name)) = to {
            return unix_failure(error, name);
        }
        let known = Known {
            to: to.and_then(Peer::addr),
            bytes,
            icmp: self.manner.armed.then(|| errqueue::read(fd)).flatten(),
            mtu: mtu(fd, self.manner.v6),
            df: self.manner.df,
            no_broadcast: !self.manner.broadcast,
        };
        known.failure(error)
    }
}

/// Puts what one call received into the batch, and counts what was lost.
fn take(inbox: &Inbox, count: usize, batch: &mut Batch, lost: &mut Lost, drops: &mut u32) {
    let room = batch.room();
    for slot in 0..count {
        let came = inbox.came(slot);
        let said = name::said(came.control);
        let truncated = came.len > room;
        let of = Received {
            from: name::read(came.name).unwrap_or_else(|| Peer::Named("".into())),
            to: said.to,
            interface: said.interface,
            truncated_from: truncated.then_some(came.len),
        };
        lost.truncated += u64::from(truncated);
        match said.segment {
            Some(segment) if segment < came.len => batch.came(slot, came.len, segment, &of),
            _ => batch.came_whole(slot, came.len, of),
        }
        if let Said {
            dropped: Some(now), ..
        } = said
        {
            lost.dropped += u64::from(now.wrapping_sub(*drops));
            *drops = now;
        }
    }
}

/// Sends a run, one datagram in each message, as far as the kernel has room,
/// and says how many went: the hot path.
fn send_each(
    socket: BorrowedFd<'_>,
    outbox: &mut Outbox,
    manner: &Manner,
    run: &[Outgoing<'_>],
) -> io::Result<usize> {
    outbox.send(socket, run.chunks(1), |i, name, control| {
        address(&run[i], manner, name, control)
    })
}

/// Sends a run, those together that can go together.
fn send_joined(
    socket: BorrowedFd<'_>,
    outbox: &mut Outbox,
    manner: &Manner,
    joining: &mut Joining,
    run: &[Outgoing<'_>],
) -> io::Result<usize> {
    loop {
        let mut plan: [&[Outgoing<'_>]; BATCH] = [&[]; BATCH];
        let mut count = 0;
        for (place, message) in plan.iter_mut().zip(joining.messages(run)) {
            *place = message;
            count += 1;
        }
        let plan = &plan[..count];
        let sent = outbox.send(socket, plan.iter().copied(), |i, name, control| {
            let first = plan[i].first()?;
            let (name, used) = address(first, manner, name, control)?;
            let more = match plan[i].len() {
                0 | 1 => 0,
                _ => name::segments(first.bytes.len(), control.get_mut(used..)?)?,
            };
            Some((name, used + more))
        });
        let first = plan.first().copied().unwrap_or_default();
        match sent {
            Ok(sent) => return Ok(plan[..sent].iter().map(|message| message.len()).sum()),
            // What is wrong may be that they go together.
            Err(error) if first.len() > 1 => match joining.after(&error, first[0].bytes.len()) {
                Some(less) => *joining = less,
                None => return Err(error),
            },
            Err(error) => return Err(error),
        }
    }
}

/// Writes to whom and from where a datagram goes.
fn address(
    out: &Outgoing<'_>,
    manner: &Manner,
    name: &mut [u8],
    control: &mut [u8],
) -> Option<(usize, usize)> {
    let to = out.to.or(manner.default_to.as_ref());
    let name = to.map_or(Some(0), |to| name::write(to, manner.v6, name));
    name.zip(name::leave_by(0, out.from, manner.v6, control))
}

/// Sends a run to a group, each datagram once by each interface, as far as the
/// kernel has room, `left_by` interfaces of its first datagram left out; says
/// how many went whole.
fn send_by_each(
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
    let messages = plan.iter().map(|(at, _)| slice::from_ref(&run[*at]));
    let sent = outbox.send(socket, messages, |i, name, control| {
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
            let came: io::Result<usize> = with_inbox(|inbox| {
                let count = inbox.receive(fd, batch.slots_mut())?;
                take(inbox, count, batch, &mut self.lost, &mut self.drops);
                Ok(count)
            });
            match came {
                Ok(count) => {
                    // Fewer than there was room for: no more wait, and the next
                    // wakes this again. So does what the network says meanwhile:
                    // where it cuts a batch short, the kernel keeps it and wakes.
                    if count < batch.slots().min(BATCH) {
                        ready.clear_ready();
                    }
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
            let manner = &self.manner;
            let sent = with_outbox(|outbox| {
                if !manner.interfaces.is_empty() {
                    send_by_each(fd, outbox, manner, &mut self.left_by, run)
                } else if self.joining.is_worth(run) {
                    send_joined(fd, outbox, manner, &mut self.joining, run)
                } else {
                    send_each(fd, outbox, manner, run)
                }
            });
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
        self.manner.facts()
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
