//! From what is to be told to the members who are told it.
//!
//! Each core has a desk with the mailboxes of its members. What is said goes,
//! in one order for everybody, to every desk; a desk hands it to its own
//! members, so that no core waits for another's.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::sync::Notify;

use super::room::MemberId;
use super::wire::{Bytes, Line};

/// What waits for one member.
#[derive(Debug)]
pub(super) struct Mailbox {
    inner: Mutex<Waiting>,
    most: usize,
}

/// How a member is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Form {
    #[default]
    Text,
    Json,
    /// As JSON that names whom a group knows a member by.
    Datagram,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<Bytes>,
    bytes: usize,
    /// How much of the first line has been written.
    written: usize,
    form: Form,
    /// The member has nothing to write and wants to be woken.
    asleep: bool,
    /// The peer does not take what is written.
    stuck: bool,
    end: Option<End>,
    waker: Option<Waker>,
}

/// Why a member is to be let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It asked for that.
    Quit,
    /// It talks too much.
    Flood,
    /// It does not read what it is told.
    SlowReader,
}

/// A member whose core has no time for it gets so many times the room of one
/// who does not read.
const PATIENCE: usize = 4;

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Mailbox {
    /// A mailbox for at most `most` bytes.
    pub(super) fn new(most: usize, form: Form) -> Arc<Self> {
        let inner = Waiting {
            form,
            ..Waiting::default()
        };
        Arc::new(Mailbox {
            inner: Mutex::new(inner),
            most,
        })
    }

    /// Puts a line in, and says whether the member is behind though its peer
    /// reads: whoever speaks should pause.
    pub(super) fn put(&self, line: &Line) -> bool {
        let mut this = lock(&self.inner);
        if this.end.is_some() {
            return false;
        }
        let bytes = match this.form {
            Form::Text => line.form(false),
            Form::Json => line.form(true),
            Form::Datagram => line.datagram(),
        };
        let after = this.bytes + bytes.len();
        let most = if this.stuck {
            self.most
        } else {
            self.most * PATIENCE
        };
        // A line that is alone has room, whatever its length.
        if after > most && !this.lines.is_empty() {
            this.finish(End::SlowReader);
            return false;
        }
        this.bytes = after;
        this.lines.push_back(bytes.clone());
        this.wake();
        !this.stuck && after > self.most / 2
    }

    pub(super) fn speak(&self, json: bool) {
        lock(&self.inner).form = if json { Form::Json } else { Form::Text };
    }

    /// Lets the member go.
    pub(super) fn end(&self, end: End) {
        lock(&self.inner).finish(end);
    }

    pub(super) fn speaks_json(&self) -> bool {
        lock(&self.inner).form != Form::Text
    }

    pub(super) fn ended(&self) -> Option<End> {
        lock(&self.inner).end
    }

    /// Copies what waits into `room`, as much as fits, without taking it out.
    /// With nothing there, the task is woken when something is.
    pub(super) fn peek(&self, room: &mut [u8], task: &Context<'_>) -> Poll<usize> {
        let mut this = lock(&self.inner);
        let mut filled = 0;
        let mut from = this.written;
        for line in &this.lines {
            let rest = &line[from..];
            let part = rest.len().min(room.len() - filled);
            room[filled..filled + part].copy_from_slice(&rest[..part]);
            filled += part;
            from = 0;
            if filled == room.len() {
                break;
            }
        }
        this.watch(task);
        this.asleep = filled == 0;
        if filled == 0 {
            Poll::Pending
        } else {
            Poll::Ready(filled)
        }
    }

    /// Takes out what was written. `stuck` says that the peer took no more.
    pub(super) fn wrote(&self, mut count: usize, stuck: bool) {
        let mut this = lock(&self.inner);
        this.stuck = stuck;
        this.bytes = this.bytes.saturating_sub(count);
        while let Some(first) = this.lines.front() {
            let left = first.len() - this.written;
            if count < left {
                this.written += count;
                return;
            }
            count -= left;
            this.written = 0;
            this.lines.pop_front();
        }
        if this.lines.capacity() > 64 {
            this.lines = VecDeque::new(); // one at rest owns no buffer
        }
    }

    /// Takes the next line out. `stuck` stays until it is [wrote](Mailbox::wrote).
    pub(super) fn poll_next(&self, task: &Context<'_>) -> Poll<Bytes> {
        let mut this = lock(&self.inner);
        if let Some(line) = this.lines.pop_front() {
            this.bytes -= line.len();
            this.stuck = true;
            return Poll::Ready(line);
        }
        this.watch(task);
        this.asleep = true;
        this.stuck = false;
        Poll::Pending
    }

    /// The next line, if there is one.
    pub(super) fn take(&self) -> Option<Bytes> {
        let mut this = lock(&self.inner);
        let line = this.lines.pop_front()?;
        this.bytes -= line.len();
        Some(line)
    }

    /// Ready when something waits, or the member is to be let go.
    pub(super) fn poll_some(&self, task: &Context<'_>) -> Poll<()> {
        let mut this = lock(&self.inner);
        if !this.lines.is_empty() || this.end.is_some() {
            return Poll::Ready(());
        }
        this.watch(task);
        this.asleep = true;
        Poll::Pending
    }

    /// Goes on after more had come than it has room for; what waited is lost.
    pub(super) fn revive(&self) {
        let mut this = lock(&self.inner);
        (this.end, this.bytes) = (None, 0);
        this.lines.clear();
    }

    /// Ready when the member is to be let go.
    pub(super) fn poll_end(&self, task: &Context<'_>) -> Poll<End> {
        let mut this = lock(&self.inner);
        this.watch(task);
        this.end.map_or(Poll::Pending, Poll::Ready)
    }
}

impl Waiting {
    fn watch(&mut self, task: &Context<'_>) {
        if !self
            .waker
            .as_ref()
            .is_some_and(|waker| waker.will_wake(task.waker()))
        {
            self.waker = Some(task.waker().clone());
        }
    }

    /// Wakes once; who is awake, or waits for the peer to read, needs no more.
    fn wake(&mut self) {
        if std::mem::take(&mut self.asleep)
            && let Some(waker) = &self.waker
        {
            waker.wake_by_ref();
        }
    }

    fn finish(&mut self, end: End) {
        if self.end.is_some() {
            return;
        }
        self.end = Some(end);
        self.asleep = false;
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }
}

/// Something for the members of a room.
#[derive(Debug, Clone)]
pub(super) struct Parcel {
    pub(super) line: Arc<Line>,
    pub(super) except: MemberId,
}

/// So many parcels wait for a core; whoever brings one more hands them out.
const INBOX: usize = 256;

/// The mailboxes of those who are in one room.
type Boxes = Vec<(MemberId, Arc<Mailbox>)>;

/// The members of one core.
#[derive(Debug, Default)]
pub(super) struct Desk {
    rooms: Mutex<HashMap<Arc<str>, Boxes>>,
    inbox: Mutex<VecDeque<Parcel>>,
    /// As the inbox says, to be read without its lock.
    waiting: AtomicUsize,
    /// How many are placed here.
    members: AtomicUsize,
    /// Somebody hands out what other cores bring.
    kept: AtomicBool,
    /// Told when another core has brought something, or the last has left.
    pub(super) brought: Notify,
}

impl Desk {
    /// Brings a parcel, under the lock that gives everything its order. Says
    /// whether the desk has as many as it takes.
    pub(super) fn bring(&self, parcel: Parcel) -> bool {
        let mut inbox = lock(&self.inbox);
        inbox.push_back(parcel);
        self.waiting.store(inbox.len(), Ordering::Release);
        inbox.len() >= INBOX
    }

    /// Hands out what was brought, and says whether somebody is behind.
    pub(super) fn hand_out(&self) -> bool {
        if self.waiting.load(Ordering::Acquire) == 0 {
            return false;
        }
        let rooms = lock(&self.rooms);
        let parcels = {
            let mut inbox = lock(&self.inbox);
            self.waiting.store(0, Ordering::Release);
            std::mem::take(&mut *inbox)
        };
        let mut behind = false;
        for Parcel { line, except } in parcels {
            let there = rooms.get(&line.room).into_iter().flatten();
            for (id, mailbox) in there {
                if *id != except {
                    behind |= mailbox.put(&line);
                }
            }
        }
        behind
    }

    /// Puts a mailbox into a room, out of another. What was brought before is
    /// handed out before.
    pub(super) fn place(
        &self,
        id: MemberId,
        mailbox: &Arc<Mailbox>,
        from: Option<&Arc<str>>,
        to: Option<Arc<str>>,
    ) {
        self.hand_out();
        match (from.is_some(), to.is_some()) {
            (false, true) => _ = self.members.fetch_add(1, Ordering::AcqRel),
            (true, false) => _ = self.members.fetch_sub(1, Ordering::AcqRel),
            _ => {}
        }
        let mut rooms = lock(&self.rooms);
        if let Some(from) = from
            && let Some(there) = rooms.get_mut(from)
        {
            if let Some(at) = there.iter().position(|(member, _)| *member == id) {
                there.swap_remove(at);
            }
            if there.is_empty() {
                rooms.remove(from);
            }
        }
        if let Some(to) = to {
            rooms.entry(to).or_default().push((id, mailbox.clone()));
        }
    }

    /// Whether no member is here.
    pub(super) fn is_empty(&self) -> bool {
        self.members.load(Ordering::Acquire) == 0
    }

    /// Whether somebody is needed to hand out what other cores bring.
    pub(super) fn hire(&self) -> bool {
        !self.kept.swap(true, Ordering::AcqRel)
    }

    /// Whether whoever does that may go: nobody is here.
    pub(super) fn let_off(&self) -> bool {
        if !self.is_empty() {
            return false;
        }
        self.kept.store(false, Ordering::Release);
        // Somebody may have come meanwhile, and hired nobody.
        self.is_empty() || !self.hire()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Arc<Line> {
        Line::told(text)
    }

    #[test]
    fn what_was_written_in_part_goes_on_where_it_stopped() {
        let mailbox = Mailbox::new(1000, Form::Text);
        for text in ["one", "two", "three"] {
            mailbox.put(&line(text));
        }
        let whole = b"* one\n* two\n* three\n";
        let mut got = Vec::new();
        let task = Context::from_waker(Waker::noop());
        let mut room = [0; 7];
        while let Poll::Ready(filled) = mailbox.peek(&mut room, &task) {
            let wrote = filled.min(4);
            got.extend_from_slice(&room[..wrote]);
            mailbox.wrote(wrote, false);
        }
        assert_eq!(got, whole);
        assert_eq!(mailbox.take(), None);
    }

    #[test]
    fn who_does_not_read_is_let_go_and_who_has_no_time_yet_is_not() {
        let (reads, sleeps) = (Mailbox::new(20, Form::Text), Mailbox::new(20, Form::Text));
        sleeps.wrote(0, true);
        let behind: Vec<bool> = (0..3).map(|_| reads.put(&line("12345"))).collect();
        assert_eq!(behind, [false, true, true]);
        for _ in 0..3 {
            assert!(!sleeps.put(&line("12345")));
        }
        assert_eq!(
            (reads.ended(), sleeps.ended()),
            (None, Some(End::SlowReader))
        );
        for _ in 0..10 {
            reads.put(&line("12345"));
        }
        assert_eq!(
            reads.ended(),
            Some(End::SlowReader),
            "patience has an end too"
        );
    }
}
