//! Seats: what bounds a connection while it lives.
//!
//! Every accepted connection takes a seat of its service. The connection marks
//! its seat when bytes move; one task per service goes round and asks every
//! seat how long it has been quiet. So ten thousand idle connections cost one
//! timer, not ten thousand, and the byte path costs one store. A limit is
//! noticed between its value and a sixteenth more.

use std::any::Any;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::Waker;
use std::time::Duration;

use crate::conn::Peer;
use crate::gear::Gear;
use crate::guard::Permit;
use crate::listener::Accepted;

/// What the keeper of the seats wants of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// The service is stopping: end when nothing is in flight.
    Drain,
    /// This core is too busy: [`depart`](crate::Conn::depart) when nothing is in flight.
    Move,
    /// Nothing moved for too long.
    Idle,
    /// It lived too long.
    Lifetime,
    /// The client, which must speak first, did not.
    Greet,
    /// End now.
    Abort,
}

const STAY: u8 = 0;
const DRAIN: u8 = 1;
const IDLE: u8 = 2;
const LIFETIME: u8 = 3;
const GREET: u8 = 4;
const ABORT: u8 = 5;

/// The part of a deadline that one round waits.
const ROUNDS: u32 = 16;

/// One connection's seat.
pub struct Seat {
    /// Given back when the seat is dropped.
    permit: Option<Permit>,
    /// Who came, as accepting told.
    came: OnceLock<Peer>,
    place: AtomicUsize,
    state: AtomicU8,
    stirred: AtomicBool,
    spoke: AtomicBool,
    /// Its first bytes were a greeting of TLS.
    hello: AtomicBool,
    quiet: AtomicU32,
    age: AtomicU32,
    received: AtomicU64,
    sent: AtomicU64,
    /// Two gears of two bits: what it receives is carried on in, and what it sends.
    gears: AtomicU8,
    waker: Mutex<Option<Waker>>,
    departure: Mutex<Option<Box<Departure>>>,
}

/// What leaves a core, and arrives on another.
#[derive(Default)]
struct Departure {
    accepted: Option<Accepted>,
    luggage: Option<Box<dyn Any + Send>>,
}

impl Seat {
    /// Bytes received so far.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Bytes sent so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// The gears in which a carrier moves what this connection receives, and
    /// what it is sent.
    pub fn gears(&self) -> (Gear, Gear) {
        let gears = self.gears.load(Ordering::Relaxed);
        (Gear::from_bits(gears & 3), Gear::from_bits(gears >> 2))
    }

    pub(crate) fn shifted(&self, received: Gear, sent: Gear) {
        self.gears
            .store(received.bits() | sent.bits() << 2, Ordering::Relaxed);
    }

    /// Remembers who came, so that nobody need ask the kernel.
    pub fn came_from(&self, peer: Peer) {
        // The first to say so knows.
        let _ = self.came.set(peer);
    }

    /// Who came, if that was remembered.
    pub fn peer(&self) -> Option<&Peer> {
        self.came.get()
    }

    /// What is wanted of the connection, if anything. Whoever is told to move
    /// has been counted as moving.
    pub fn notice(&self) -> Option<Notice> {
        self.told().or_else(|| take_move().then_some(Notice::Move))
    }

    /// What the seat was told.
    pub(crate) fn told(&self) -> Option<Notice> {
        match self.state.load(Ordering::Acquire) {
            STAY => None,
            DRAIN => Some(Notice::Drain),
            IDLE => Some(Notice::Idle),
            LIFETIME => Some(Notice::Lifetime),
            GREET => Some(Notice::Greet),
            _ => Some(Notice::Abort),
        }
    }

    /// Whether the client's first bytes were a greeting of TLS.
    pub fn began_with_tls(&self) -> bool {
        self.hello.load(Ordering::Relaxed)
    }

    /// Counts what came; the first of it is looked at.
    pub(crate) fn came(&self, bytes: &[u8]) {
        // A handshake record with a ClientHello (RFC 8446 §4, §5.1).
        if !self.spoke.load(Ordering::Relaxed) && matches!(bytes, [22, 3, _, _, _, 1, ..]) {
            self.hello.store(true, Ordering::Relaxed);
        }
        self.moved_in(bytes.len());
    }

    pub(crate) fn moved_in(&self, bytes: usize) {
        // One task owns the connection, so a load and a store do for an addition.
        self.received
            .store(self.received() + bytes as u64, Ordering::Relaxed);
        self.stirred.store(true, Ordering::Relaxed);
        if !self.spoke.load(Ordering::Relaxed) {
            self.spoke.store(true, Ordering::Relaxed);
        }
    }

    /// So many bytes that came will come again.
    pub(crate) fn unread(&self, bytes: usize) {
        let left = self.received().saturating_sub(bytes as u64);
        self.received.store(left, Ordering::Relaxed);
    }

    pub(crate) fn moved_out(&self, bytes: usize) {
        self.sent
            .store(self.sent() + bytes as u64, Ordering::Relaxed);
        self.stirred.store(true, Ordering::Relaxed);
    }

    /// Wakes this task when the seat is told something.
    pub(crate) fn wake_later(&self, waker: &Waker) {
        *lock(&self.waker) = Some(waker.clone());
    }

    /// Counts its client with those that the service did not let in.
    pub(crate) fn turned_away(&self, by: &'static str) {
        if let Some(permit) = &self.permit {
            permit.turned_away(by);
        }
    }

    pub(crate) fn put_departure(&self, accepted: Accepted) {
        lock(&self.departure).get_or_insert_default().accepted = Some(accepted);
    }

    /// The connection that left this core, after its service returned.
    pub fn take_departure(&self) -> Option<Accepted> {
        let mut departure = lock(&self.departure);
        let accepted = departure.as_mut()?.accepted.take();
        departure.take_if(|left| left.luggage.is_none());
        accepted
    }

    /// Keeps what its service needs to go on with on another core.
    pub fn pack(&self, luggage: impl Any + Send) {
        lock(&self.departure).get_or_insert_default().luggage = Some(Box::new(luggage));
    }

    /// What its service packed on the core that it came from.
    pub fn unpack<T: Any>(&self) -> Option<Box<T>> {
        let luggage = lock(&self.departure).take()?.luggage?;
        luggage.downcast().ok()
    }

    fn tell(&self, state: u8) {
        if self.state.fetch_max(state, Ordering::AcqRel) < state
            && let Some(waker) = lock(&self.waker).clone()
        {
            waker.wake();
        }
    }
}

/// When a seat's time is up.
#[derive(Debug, Clone, Copy, Default)]
pub struct Deadlines {
    /// Nothing moved for so long.
    pub idle: Option<Duration>,
    /// It lived for so long.
    pub lifetime: Option<Duration>,
    /// The client said nothing for so long after it came.
    pub greet: Option<Duration>,
}

/// The seats of one service on all cores.
pub struct Seats {
    deadlines: Deadlines,
    round: Option<Duration>,
    state: AtomicU8,
    taken: Mutex<Taken>,
}

/// Who sits, and what those did who left.
#[derive(Default)]
struct Taken {
    seats: Vec<Arc<Seat>>,
    left: Figures,
}

/// What the connections of a service did, those that are open and those that were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Connections.
    pub conns: u64,
    /// Bytes received from them.
    pub received: u64,
    /// Bytes sent to them.
    pub sent: u64,
}

impl Figures {
    fn add(&mut self, seat: &Seat) {
        self.conns += 1;
        self.received += seat.received();
        self.sent += seat.sent();
    }
}

thread_local! {
    /// How many connections may leave this thread's core.
    static MOVES: Cell<usize> = const { Cell::new(0) };
}

/// Lets `count` connections of this thread's core move to another. They do
/// when they next come to rest after moving bytes; idle ones stay where they
/// cost nothing.
pub(crate) fn let_move(count: usize) {
    MOVES.set(count);
}

fn take_move() -> bool {
    MOVES.with(|moves| moves.replace(moves.get().saturating_sub(1)) > 0)
}

impl Seats {
    /// Seats with these deadlines. [`Seats::go_round`] must be called every
    /// [`Seats::round`] for them to be kept.
    pub fn new(deadlines: Deadlines) -> Arc<Self> {
        let shortest = [deadlines.idle, deadlines.lifetime, deadlines.greet]
            .into_iter()
            .flatten()
            .filter(|d| !d.is_zero())
            .min();
        let round =
            shortest.map(|d| (d / ROUNDS).clamp(Duration::from_millis(5), Duration::from_mins(1)));
        Arc::new(Seats {
            deadlines,
            round,
            state: AtomicU8::new(STAY),
            taken: Mutex::default(),
        })
    }

    /// How often to go round; `None` when nothing is timed.
    pub fn round(&self) -> Option<Duration> {
        self.round
    }

    /// Seats a connection. Its permit is given back when the seat is left.
    pub fn take(&self, permit: Option<Permit>) -> Arc<Seat> {
        let taken = &mut lock(&self.taken).seats;
        let seat = Arc::new(Seat {
            permit,
            came: OnceLock::new(),
            place: AtomicUsize::new(taken.len()),
            state: AtomicU8::new(self.state.load(Ordering::Acquire)),
            stirred: AtomicBool::new(true),
            spoke: AtomicBool::new(false),
            hello: AtomicBool::new(false),
            quiet: AtomicU32::new(0),
            age: AtomicU32::new(0),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            gears: AtomicU8::new(0),
            waker: Mutex::new(None),
            departure: Mutex::new(None),
        });
        taken.push(seat.clone());
        seat
    }

    /// Takes a seat out of the rounds. The connection's task calls it last.
    pub fn leave(&self, seat: &Seat) {
        let Taken { seats: taken, left } = &mut *lock(&self.taken);
        let place = seat.place.load(Ordering::Relaxed);
        if taken
            .get(place)
            .is_some_and(|there| std::ptr::eq(&raw const **there, seat))
        {
            taken.swap_remove(place);
            left.add(seat);
            if let Some(moved) = taken.get(place) {
                moved.place.store(place, Ordering::Relaxed);
            }
        }
    }

    /// How many seats are taken.
    pub fn taken(&self) -> usize {
        lock(&self.taken).seats.len()
    }

    /// What all connections did so far. No figure ever shrinks.
    pub fn figures(&self) -> Figures {
        let taken = lock(&self.taken);
        let mut all = taken.left;
        taken.seats.iter().for_each(|seat| all.add(seat));
        all
    }

    /// One round: whoever has been quiet, silent or alive too long is told.
    pub fn go_round(&self) {
        let Some(round) = self.round else { return };
        let rounds = |limit: Option<Duration>| {
            limit.filter(|d| !d.is_zero()).map_or(u32::MAX, |d| {
                d.div_duration_f64(round).ceil().min(4e9) as u32
            })
        };
        let idle = rounds(self.deadlines.idle);
        let lifetime = rounds(self.deadlines.lifetime);
        let greet = rounds(self.deadlines.greet);
        for seat in &lock(&self.taken).seats {
            // The first round comes at any time of a seat's first interval, and
            // a part of one does not count: nobody is told too early.
            let age = seat.age.fetch_add(1, Ordering::Relaxed);
            let quiet = if seat.stirred.swap(false, Ordering::Relaxed) {
                seat.quiet.store(0, Ordering::Relaxed);
                0
            } else {
                seat.quiet.fetch_add(1, Ordering::Relaxed) + 1
            };
            if age >= lifetime {
                seat.tell(LIFETIME);
            } else if quiet > 0 && quiet >= idle {
                seat.tell(IDLE);
            } else if age >= greet && !seat.spoke.load(Ordering::Relaxed) {
                seat.tell(GREET);
            }
        }
    }

    /// Tells every connection, and every later one, to end when it can.
    pub fn drain(&self) {
        self.tell_all(DRAIN);
    }

    /// Tells every connection, and every later one, to end now.
    pub fn abort(&self) {
        self.tell_all(ABORT);
    }

    fn tell_all(&self, state: u8) {
        // A seat taken from now on reads this; one taken before is in the list.
        self.state.fetch_max(state, Ordering::AcqRel);
        for seat in &lock(&self.taken).seats {
            seat.tell(state);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A panic elsewhere leaves these values whole: each is written in one step.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(rounds: u32, seats: &Seats) {
        for _ in 0..rounds {
            seats.go_round();
        }
    }

    #[test]
    fn a_quiet_seat_is_told_once_its_time_is_up() {
        let seats = Seats::new(Deadlines {
            idle: Some(Duration::from_secs(16)),
            ..Deadlines::default()
        });
        assert_eq!(seats.round(), Some(Duration::from_secs(1)));
        let seat = seats.take(None);
        after(16, &seats);
        assert_eq!(
            seat.notice(),
            None,
            "the first round only clears the arrival"
        );
        seat.moved_in(1);
        after(16, &seats);
        assert_eq!(seat.notice(), None);
        after(1, &seats);
        assert_eq!(seat.notice(), Some(Notice::Idle));
    }

    #[test]
    fn a_client_that_must_speak_and_does_not_is_told() {
        let seats = Seats::new(Deadlines {
            greet: Some(Duration::from_secs(16)),
            ..Deadlines::default()
        });
        let (silent, spoken) = (seats.take(None), seats.take(None));
        spoken.moved_in(1);
        after(17, &seats);
        assert_eq!(silent.notice(), Some(Notice::Greet));
        assert_eq!(spoken.notice(), None);
    }

    #[test]
    fn draining_reaches_those_who_come_later_and_abort_overrides_it() {
        let seats = Seats::new(Deadlines::default());
        let early = seats.take(None);
        seats.drain();
        let late = seats.take(None);
        assert_eq!(
            (early.notice(), late.notice()),
            (Some(Notice::Drain), Some(Notice::Drain))
        );
        seats.abort();
        seats.drain();
        assert_eq!(early.notice(), Some(Notice::Abort));
    }

    #[test]
    fn leaving_keeps_the_places_of_the_others_right() {
        let seats = Seats::new(Deadlines::default());
        let all: Vec<_> = (0..5).map(|_| seats.take(None)).collect();
        for i in [1, 3, 1, 0, 4, 2] {
            seats.leave(&all[i]);
        }
        assert_eq!(seats.taken(), 0);
    }

    #[test]
    fn figures_go_on_when_a_connection_has_left() {
        let seats = Seats::new(Deadlines::default());
        let (stays, leaves) = (seats.take(None), seats.take(None));
        stays.moved_in(1);
        leaves.moved_in(10);
        leaves.moved_out(100);
        let all = Figures {
            conns: 2,
            received: 11,
            sent: 100,
        };
        assert_eq!(seats.figures(), all);
        seats.leave(&leaves);
        seats.leave(&leaves);
        assert_eq!(seats.figures(), all);
    }

    #[test]
    fn only_as_many_move_as_may() {
        let seats = Seats::new(Deadlines::default());
        let all: Vec<_> = (0..5).map(|_| seats.take(None)).collect();
        let_move(2);
        assert_eq!(
            all.iter()
                .filter(|s| s.notice() == Some(Notice::Move))
                .count(),
            2
        );
    }
}
