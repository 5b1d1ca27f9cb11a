//! A simulated TCP connection: two flows of bytes, and what ends them.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::task::Waker;

use netloom_base::Moment;
use tokio::io::ReadBuf;

use super::world::{State, answered};
use crate::conn::Close;

/// Both ends of a connection and what is between them.
pub(super) struct Stream {
    ends: [End; 2],
    /// `flows[side]` carries what `ends[side]` wrote.
    flows: [Flow; 2],
    window: usize,
    segment: usize,
}

struct End {
    host: usize,
    addr: SocketAddr,
    /// The program has closed it: nobody reads what still comes.
    gone: bool,
    reset: bool,
    /// Its reset was lost on a cut line.
    owes_reset: bool,
    /// A write was told of the reset; the next ones are told that it is over.
    told: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Default)]
struct Flow {
    wire: VecDeque<Segment>,
    /// Arrived and unread.
    inbox: VecDeque<u8>,
    /// The writer has said everything.
    closing: bool,
    /// That has arrived.
    ended: bool,
    /// Written and, as far as the writer knows, unread.
    outstanding: usize,
    /// Read, and the writer does not know.
    freed: usize,
    /// News of what was read is under way.
    crediting: bool,
    /// When the last segment arrives: none comes before it.
    last: Moment,
    /// Grows when what is under way is lost, so that its arrival comes to nothing.
    epoch: u64,
    /// The line was cut: nothing is under way until it heals.
    stalled: bool,
    /// So many bytes more, then both ends are reset.
    fuse: Option<u64>,
}

enum Segment {
    Bytes(Vec<u8>),
    End,
    /// Something on the way resets both ends.
    Broken,
}

impl Stream {
    pub(super) fn new(
        from: (usize, SocketAddr),
        to: (usize, SocketAddr),
        window: usize,
        segment: usize,
    ) -> Self {
        let end = |(host, addr)| End {
            host,
            addr,
            gone: false,
            reset: false,
            owes_reset: false,
            told: false,
            reader: None,
            writer: None,
        };
        Stream {
            ends: [end(from), end(to)],
            flows: [Flow::default(), Flow::default()],
            window: window.max(1),
            segment: segment.max(1),
        }
    }

    pub(super) fn addresses(&self) -> (SocketAddr, SocketAddr) {
        (self.address(0), self.address(1))
    }

    pub(super) fn address(&self, side: usize) -> SocketAddr {
        self.ends[side].addr
    }

    fn hosts(&self, from: usize) -> (usize, usize) {
        (self.ends[from].host, self.ends[1 - from].host)
    }

    fn way(&self, from: usize) -> Way {
        Way(self.ends[from].addr, self.ends[1 - from].addr)
    }
}

/// A direction, for the trace.
#[derive(Clone, Copy)]
struct Way(SocketAddr, SocketAddr);

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} > {}", self.0, self.1)
    }
}

impl End {
    fn wake(&mut self) {
        self.reader
            .take()
            .into_iter()
            .chain(self.writer.take())
            .for_each(Waker::wake);
    }
}

impl State {
    /// Adds a stream whose side 0 is the one that dialled.
    pub(super) fn add_stream(&mut self, stream: Stream) -> u64 {
        let id = self.number();
        for end in &stream.ends {
            *self.used.entry((end.host, end.addr.port())).or_default() += 1;
        }
        let ways = [stream.hosts(0), stream.hosts(1)];
        self.streams.insert(id, stream);
        for (side, way) in ways.into_iter().enumerate() {
            let Some(fuse) = self.fuses.remove(&way) else {
                continue;
            };
            if let Some(stream) = self.streams.get_mut(&id) {
                stream.flows[side].fuse = Some(fuse);
            }
            if fuse == 0 {
                self.push(id, side, Segment::Broken);
            }
        }
        id
    }

    /// Takes as many of `bytes` as the window has room for; `None` when it has none.
    pub(super) fn write(
        &mut self,
        id: u64,
        side: usize,
        bytes: &[u8],
        waker: &Waker,
    ) -> io::Result<Option<usize>> {
        let Some(stream) = self.streams.get_mut(&id) else {
            return Err(answered(ErrorKind::NotConnected));
        };
        let ended = stream.flows[1 - side].ended;
        let (end, flow) = (&mut stream.ends[side], &mut stream.flows[side]);
        if end.reset {
            let first = !std::mem::replace(&mut end.told, true);
            return Err(answered(if first && !ended {
                ErrorKind::ConnectionReset
            } else {
                ErrorKind::BrokenPipe
            }));
        }
        if flow.closing {
            return Err(answered(ErrorKind::BrokenPipe));
        }
        let n = bytes.len().min(stream.window - flow.outstanding);
        if n == 0 && !bytes.is_empty() {
            end.writer = Some(waker.clone());
            return Ok(None);
        }
        flow.outstanding += n;
        let travels = flow
            .fuse
            .map_or(n, |left| n.min(usize::try_from(left).unwrap_or(n)));
        let segment = stream.segment;
        for part in bytes[..travels].chunks(segment) {
            self.push(id, side, Segment::Bytes(part.to_vec()));
        }
        self.burn(id, side, travels);
        Ok(Some(n))
    }

    /// Takes `bytes` off the fuse of a direction; at its end the stream breaks there.
    fn burn(&mut self, id: u64, side: usize, bytes: usize) {
        let Some(flow) = self
            .streams
            .get_mut(&id)
            .map(|stream| &mut stream.flows[side])
        else {
            return;
        };
        let Some(left) = flow.fuse.as_mut().filter(|left| **left > 0) else {
            return;
        };
        *left -= bytes as u64;
        if *left == 0 {
            // What is written from now on goes nowhere.
            self.push(id, side, Segment::Broken);
        }
    }

    /// Puts a segment on its way, behind those before it.
    fn push(&mut self, id: u64, side: usize, segment: Segment) {
        let Some((from, to)) = self.streams.get(&id).map(|stream| stream.hosts(side)) else {
            return;
        };
        let bytes = if let Segment::Bytes(bytes) = &segment {
            bytes.len()
        } else {
            0
        };
        let arrives = self.arrival(from, to, bytes);
        let cut = self.line(from, to).cut;
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        let flow = &mut stream.flows[side];
        flow.wire.push_back(segment);
        flow.stalled |= cut;
        if !flow.stalled {
            flow.last = flow.last.max(arrives);
            let (at, epoch) = (flow.last, flow.epoch);
            self.later(at, move |state| state.arrive(id, side, epoch));
        }
    }

    /// The next segment of a direction arrives.
    fn arrive(&mut self, id: u64, side: usize, epoch: u64) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        let way = stream.way(side);
        let (flow, to) = (&mut stream.flows[side], &mut stream.ends[1 - side]);
        if flow.epoch != epoch {
            return;
        }
        match flow.wire.pop_front() {
            Some(Segment::Bytes(bytes)) => {
                let n = bytes.len();
                if to.gone {
                    self.send_reset(id, 1 - side);
                } else if !to.reset {
                    flow.inbox.extend(bytes);
                    to.reader.take().into_iter().for_each(Waker::wake);
                }
                self.tell(|| format!("{way}: {n} bytes"));
            }
            Some(Segment::End) => {
                flow.ended = true;
                to.reader.take().into_iter().for_each(Waker::wake);
                self.tell(|| format!("{way}: end"));
            }
            Some(Segment::Broken) => {
                self.tell(|| format!("{way}: broken"));
                self.reset_end(id, 0);
                self.reset_end(id, 1);
            }
            None => {}
        }
    }

    /// Takes what has arrived; `None` when nothing has and more may come.
    pub(super) fn read(
        &mut self,
        id: u64,
        side: usize,
        buf: &mut ReadBuf<'_>,
        waker: &Waker,
    ) -> io::Result<Option<()>> {
        let Some(stream) = self.streams.get_mut(&id) else {
            return Err(answered(ErrorKind::NotConnected));
        };
        let (end, flow) = (&mut stream.ends[side], &mut stream.flows[1 - side]);
        if buf.remaining() == 0 {
            return Ok(Some(()));
        }
        if flow.inbox.is_empty() {
            if flow.ended {
                return Ok(Some(()));
            }
            if end.reset {
                end.told = true;
                return Err(answered(ErrorKind::ConnectionReset));
            }
            end.reader = Some(waker.clone());
            return Ok(None);
        }
        let n = flow.inbox.len().min(buf.remaining());
        let (front, back) = flow.inbox.as_slices();
        let in_front = n.min(front.len());
        buf.put_slice(&front[..in_front]);
        buf.put_slice(&back[..n - in_front]);
        flow.inbox.drain(..n);
        flow.freed += n;
        self.credit(id, 1 - side);
        Ok(Some(()))
    }

    /// Tells the writer of a direction what was read, unless such news is under way.
    fn credit(&mut self, id: u64, side: usize) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        let (from, to) = stream.hosts(1 - side);
        let flow = &mut stream.flows[side];
        if flow.crediting || flow.freed == 0 {
            return;
        }
        flow.crediting = true;
        let told = std::mem::take(&mut flow.freed);
        let arrives = self.arrival(from, to, 0);
        self.later(arrives, move |state| state.credited(id, side, told));
    }

    fn credited(&mut self, id: u64, side: usize, told: usize) {
        let Some((from, to)) = self.streams.get(&id).map(|stream| stream.hosts(1 - side)) else {
            return;
        };
        let cut = self.line(from, to).cut;
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        let flow = &mut stream.flows[side];
        flow.crediting = false;
        if cut {
            flow.freed += told; // told again when the line heals
            return;
        }
        flow.outstanding -= told;
        stream.ends[side]
            .writer
            .take()
            .into_iter()
            .for_each(Waker::wake);
        self.credit(id, side);
    }

    /// Whether this end was reset; wakes `waker` when it is.
    pub(super) fn is_reset(&mut self, id: u64, side: usize, waker: &Waker) -> bool {
        let Some(stream) = self.streams.get_mut(&id) else {
            return true;
        };
        let end = &mut stream.ends[side];
        if !end.reset {
            end.writer = Some(waker.clone());
        }
        end.reset
    }

    pub(super) fn shut(&mut self, id: u64, side: usize) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        let flow = &mut stream.flows[side];
        if !stream.ends[side].reset && !std::mem::replace(&mut flow.closing, true) {
            self.push(id, side, Segment::End);
        }
    }

    /// The program closes its end. Bytes it has not read make that a reset, as
    /// in TCP (RFC 1122 §4.2.2.13), and so do those that come later.
    pub(super) fn close(&mut self, id: u64, side: usize, how: Close) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        let unread = !stream.flows[1 - side].inbox.is_empty();
        let end = &mut stream.ends[side];
        if end.gone {
            return;
        }
        end.gone = true;
        if !end.reset {
            if how == Close::Abort || unread {
                stream.flows[side].closing = true;
                self.send_reset(id, side);
            } else {
                self.shut(id, side);
            }
        }
        self.collect(id);
    }

    /// A reset may overtake the bytes before it.
    fn send_reset(&mut self, id: u64, side: usize) {
        let Some((from, to)) = self.streams.get(&id).map(|stream| stream.hosts(side)) else {
            return;
        };
        let arrives = self.arrival(from, to, 0);
        let sent_in_vain = self.line(from, to).cut;
        self.later(arrives, move |state| {
            let lost = sent_in_vain || state.line(from, to).cut;
            let Some(stream) = state.streams.get_mut(&id) else {
                return;
            };
            if lost {
                stream.ends[side].owes_reset = true;
                return;
            }
            let way = stream.way(side);
            state.tell(|| format!("{way}: reset"));
            state.reset_end(id, 1 - side);
        });
    }

    /// An end learns that the connection is no more. What it has not been given
    /// yet is lost; what arrived may still be read, as on Linux.
    fn reset_end(&mut self, id: u64, side: usize) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        let end = &mut stream.ends[side];
        end.reset = true;
        end.wake();
        for flow in &mut stream.flows {
            flow.wire.clear();
            flow.epoch += 1;
        }
        self.collect(id);
    }

    fn collect(&mut self, id: u64) {
        if !self
            .streams
            .get(&id)
            .is_some_and(|stream| stream.ends.iter().all(|end| end.gone))
        {
            return;
        }
        let Some(stream) = self.streams.remove(&id) else {
            return;
        };
        for end in &stream.ends {
            let key = (end.host, end.addr.port());
            match self.used.get_mut(&key) {
                Some(count) if *count > 1 => *count -= 1,
                _ => drop(self.used.remove(&key)),
            }
        }
    }

    /// Resets both ends of the stream between these addresses.
    pub(super) fn reset_between(&mut self, one: SocketAddr, other: SocketAddr) -> bool {
        let found = self.streams.iter().find(|(_, stream)| {
            let addresses = stream.addresses();
            addresses == (one, other) || addresses == (other, one)
        });
        let Some(id) = found.map(|(id, _)| *id) else {
            return false;
        };
        self.tell(|| format!("{one} > {other}: reset by hand"));
        self.reset_end(id, 0);
        self.reset_end(id, 1);
        true
    }

    /// The line between two hosts is cut: what is on its way is lost.
    pub(super) fn stall(&mut self, from: usize, to: usize) {
        for stream in self.streams.values_mut() {
            for side in 0..2 {
                if stream.hosts(side) == (from, to) {
                    stream.flows[side].stalled = true;
                    stream.flows[side].epoch += 1;
                }
            }
        }
    }

    /// The line carries again: what was lost is sent again, in order.
    pub(super) fn resume(&mut self, from: usize, to: usize) {
        let ids: Vec<u64> = self.streams.keys().copied().collect();
        let again = self.now() + self.line(from, to).link.again();
        for (id, side) in ids.into_iter().flat_map(|id| [(id, 0), (id, 1)]) {
            let Some(stream) = self
                .streams
                .get_mut(&id)
                .filter(|stream| stream.hosts(side) == (from, to))
            else {
                continue;
            };
            // A peer that waits for an answer asks again, and is told now; one
            // that waits for nothing never learns that this end is gone.
            let asked = stream.flows[1 - side].outstanding > 0;
            let tell = asked && std::mem::take(&mut stream.ends[side].owes_reset);
            let flow = &mut stream.flows[side];
            let segments = if std::mem::take(&mut flow.stalled) {
                flow.wire.len()
            } else {
                0
            };
            flow.last = flow.last.max(again);
            let (at, epoch) = (flow.last, flow.epoch);
            for _ in 0..segments {
                self.later(at, move |state| state.arrive(id, side, epoch));
            }
            self.credit(id, 1 - side);
            if tell {
                self.send_reset(id, side);
            }
        }
    }
}
