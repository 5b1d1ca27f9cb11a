//! Serving one socket and all its sessions, in one task.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use netloom_base::{Event, Failure};
use netloom_protocol::Losses;
use netloom_transport::datagrams::Received;
use netloom_transport::{Batch, BoxFuture, Conn, Cx, Datagrams, Outgoing};

use super::Shared;
use super::back::Back;
use super::ready::{Bell, Ready};
use super::session::{Broken, Client, Passed, Session};
use super::table::Table;
use super::tell::Refused;
use super::upstream::dial;

/// How many receives one look at the clients' socket has room for.
const SLOTS: usize = 32;

/// How many datagrams are sorted by their sessions at once.
const CHUNK: usize = 64;

/// So many rounds make up the time after which a quiet session ends.
const ROUNDS: u32 = 16;

/// How long a round is at least, and where sessions never end.
const SHORTEST: Duration = Duration::from_millis(5);
const WITHOUT_END: Duration = Duration::from_secs(1);

/// How long a client whose target was not reached waits for the next try.
const REST: Duration = Duration::from_secs(1);

/// Numbers on the list that are no session's: the end, and the next round.
const DRAIN: u32 = u32::MAX;
const ROUND: u32 = u32::MAX - 1;

/// No session: the datagram is dropped.
const NOBODY: u32 = u32::MAX - 2;

/// One socket that is served.
pub(super) struct Serving<'a> {
    socket: Box<dyn Datagrams>,
    shared: Arc<Shared>,
    cx: &'a Cx,
    ready: Arc<Ready>,
    table: Table,
    /// Sessions that are to be looked at.
    turn: VecDeque<u32>,
    /// What clients sent.
    came: Option<Batch>,
    /// What targets sent, on its way to the clients.
    back: Back,
    /// Sessions that end when what their targets sent has gone.
    broken: Vec<(u32, Broken)>,
    /// What went to targets and has not been counted.
    passed: Passed,
    losses: Losses,
    round: u64,
    timer: Option<BoxFuture<'static, ()>>,
    draining: BoxFuture<'static, ()>,
    bells: Bells,
}

struct Bells {
    round: (Arc<Bell>, Waker),
    drain: Waker,
    began: bool,
}

/// Whether to go on.
enum Next {
    GoOn { moved: bool },
    End,
}

impl<'a> Serving<'a> {
    pub(super) fn new(socket: Box<dyn Datagrams>, shared: Arc<Shared>, cx: &'a Cx) -> Self {
        let ready = Arc::new(Ready::default());
        let round = Bell::new(ROUND, ready.clone());
        let shutdown = cx.shutdown().clone();
        Serving {
            came: Some(Batch::new(SLOTS, socket.room())),
            socket,
            shared,
            cx,
            table: Table::new(ready.clone()),
            turn: VecDeque::new(),
            back: Back::default(),
            broken: Vec::new(),
            passed: Passed::default(),
            losses: Losses::default(),
            round: 0,
            timer: None,
            draining: Box::pin(async move { shutdown.draining().await }),
            bells: Bells {
                round: (round.clone(), round.into()),
                drain: Bell::new(DRAIN, ready.clone()).into(),
                began: false,
            },
            ready,
        }
    }
}

impl Future for Serving<'_> {
    type Output = Result<(), Failure>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        this.ready.watch(task.waker());
        if this.begin().is_ready() {
            return Poll::Ready(Ok(()));
        }
        // Only what was woken before, or after something moved: whoever wakes
        // itself because this task has had its share waits for its next turn.
        let mut look = true;
        loop {
            if this.settle(task).is_pending() {
                this.ready.take(&mut this.turn);
                if this.turn.contains(&DRAIN) {
                    return this.ended();
                }
                return Poll::Pending;
            }
            if look {
                this.ready.take(&mut this.turn);
            }
            let Next::GoOn { mut moved } = this.look_at_sessions() else {
                return this.ended();
            };
            if this.settle(task).is_pending() {
                continue; // to where that is waited for
            }
            match this.poll_clients(task) {
                Poll::Ready(Ok(())) => {
                    this.losses.tell(&*this.socket, this.cx);
                    this.carry_forth();
                    moved = true;
                }
                // What the network says of an earlier answer is for whoever asked.
                Poll::Ready(Err(_)) => moved = true,
                Poll::Pending => {}
            }
            if !moved && this.turn.is_empty() {
                return Poll::Pending;
            }
            look = moved;
        }
    }
}

impl Serving<'_> {
    /// Has the end wake this, once.
    fn begin(&mut self) -> Poll<()> {
        if std::mem::replace(&mut self.bells.began, true) {
            return Poll::Pending;
        }
        let mut task = Context::from_waker(&self.bells.drain);
        self.draining.as_mut().poll(&mut task)
    }

    /// Looks at as many sessions as have room for what their targets sent.
    fn look_at_sessions(&mut self) -> Next {
        let mut moved = false;
        let count = self.back.make_room_for(self.turn.len());
        for _ in 0..count {
            match self.turn.pop_front() {
                None => break,
                Some(DRAIN) => return Next::End,
                Some(ROUND) => self.go_round(),
                Some(number) => moved |= self.look_at(number),
            }
        }
        if self.passed != Passed::default() {
            self.account(); // what waited for its target
        }
        Next::GoOn { moved }
    }

    /// Whether anything came from its target.
    fn look_at(&mut self, number: u32) -> bool {
        self.table.answered(number);
        let Some((session, waker)) = self.table.get(number) else {
            return false;
        };
        let mut task = Context::from_waker(waker);
        match session.advance(&mut task) {
            Ok(passed) => self.passed += passed,
            Err(broken) => {
                self.broken.push((number, broken));
                return false;
            }
        }
        let Some(batch) = self.back.room() else {
            self.turn.push_back(number); // in the next turn
            return false;
        };
        match session.receive(&mut task, batch) {
            Poll::Pending => false,
            Poll::Ready(Ok(())) => {
                session.stirred = self.round;
                session.answered(self.cx);
                let bytes = batch.iter().map(|(_, bytes)| bytes.len() as u64);
                session.sent += bytes.sum::<u64>();
                self.back.filled(number);
                // Until it says that there is no more, nothing wakes it.
                self.turn.push_back(number);
                true
            }
            Poll::Ready(Err(broken)) => {
                self.broken.push((number, broken));
                true
            }
        }
    }

    /// Sends what targets sent to the clients, and then ends the sessions whose
    /// targets have nothing more to say.
    fn settle(&mut self, task: &mut Context<'_>) -> Poll<()> {
        if !self.back.is_empty() {
            let passed = ready!(self.back.send(&mut *self.socket, &self.table, task));
            self.shared.told.carried(0, passed.sent);
            self.shared.told.dropped(passed.dropped);
        }
        while let Some((number, broken)) = self.broken.pop() {
            self.break_off(number, broken);
        }
        Poll::Ready(())
    }

    fn poll_clients(&mut self, task: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let Some(came) = &mut self.came else {
            return Poll::Pending; // it is only ever taken for a moment
        };
        self.socket.poll_recv(task, came)
    }

    /// Sends what clients sent to their targets: for each session all of its
    /// datagrams at once, in order.
    fn carry_forth(&mut self) {
        let Some(came) = self.came.take() else {
            return;
        };
        self.carry_all(&came);
        self.came = Some(came);
        self.account();
    }

    /// Counts what went to targets, and tells what was lost where it is time.
    fn account(&mut self) {
        let passed = std::mem::take(&mut self.passed);
        self.shared.told.carried(passed.sent, 0);
        self.shared.told.dropped(passed.dropped);
        self.shared.told.tell(self.cx);
    }

    fn carry_all(&mut self, came: &Batch) {
        let mut datagrams = came.iter();
        let mut before: Option<(&Received, u32)> = None;
        while datagrams.len() > 0 {
            let mut numbers = [NOBODY; CHUNK];
            let mut all = [Outgoing::connected(&[]); CHUNK];
            let places = numbers.iter_mut().zip(&mut all);
            for ((number, out), (of, bytes)) in places.zip(&mut datagrams) {
                if of.truncated_from.is_some() {
                    continue; // told by the socket
                }
                *number = match before {
                    Some((same, number)) if same.from == of.from && same.to == of.to => number,
                    _ => self.session_of(of),
                };
                before = Some((of, *number));
                out.bytes = bytes;
            }
            self.send_all(&mut numbers, &all);
        }
    }

    fn send_all(&mut self, numbers: &mut [u32; CHUNK], all: &[Outgoing<'_>; CHUNK]) {
        for first in 0..CHUNK {
            let number = numbers[first];
            if number == NOBODY {
                continue;
            }
            let others = numbers[first..].iter().position(|other| *other != number);
            let end = others.map_or(CHUNK, |others| first + others);
            numbers[first..end].fill(NOBODY);
            if !numbers[end..].contains(&number) {
                self.send(number, &all[first..end]);
                continue;
            }
            // Others came between them.
            let mut run = [Outgoing::connected(&[]); CHUNK];
            let mut count = end - first;
            run[..count].copy_from_slice(&all[first..end]);
            for (own, out) in numbers[end..].iter_mut().zip(&all[end..]) {
                if *own == number {
                    *own = NOBODY;
                    run[count] = *out;
                    count += 1;
                }
            }
            self.send(number, &run[..count]);
        }
    }

    fn send(&mut self, number: u32, run: &[Outgoing<'_>]) {
        let Some((session, waker)) = self.table.get(number) else {
            return;
        };
        session.stirred = self.round;
        match session.send(&mut Context::from_waker(waker), run) {
            Ok(passed) => self.passed += passed,
            Err(broken) => self.break_off(number, broken),
        }
    }

    /// The session of whoever sent this; a new one where there is none and one
    /// may be.
    fn session_of(&mut self, of: &Received) -> u32 {
        if let Some(number) = self.table.find(of) {
            self.wake_up(number);
            return number;
        }
        match self.open(of) {
            Ok(number) => number,
            Err(why) => {
                self.shared.told.refused(why);
                NOBODY
            }
        }
    }

    /// Tries again to reach a target, when it is time.
    fn wake_up(&mut self, number: u32) {
        let Some((session, _)) = self.table.get(number) else {
            return;
        };
        if session
            .rests_until()
            .is_some_and(|until| until <= self.cx.now())
        {
            session.redial(dial(
                self.shared.clone(),
                session.client.ip(),
                self.cx.clone(),
            ));
            self.start(number);
        }
    }

    fn open(&mut self, of: &Received) -> Result<u32, Refused> {
        let mut permit = self.shared.guard.try_permit().ok_or(Refused::Full)?;
        let source = of.from.ip();
        if !permit.admit(source) {
            return Err(Refused::Source);
        }
        let client = Client {
            peer: of.from.clone(),
            asked: of.to,
            conn: Conn::number(),
            began: self.cx.now(),
            permit,
        };
        self.cx.events().tell_connection(|| Event::Opened {
            service: self.cx.service().clone(),
            conn: client.conn,
            peer: client.peer.to_string(),
        });
        self.shared.told.began();
        let dialling = dial(self.shared.clone(), source, self.cx.clone());
        let waiting = self.shared.waiting.clone();
        let session = Session::new(client, dialling, waiting);
        let number = self.table.insert(session);
        self.start(number);
        self.keep_round();
        Ok(number)
    }

    /// Begins to dial; mostly there is nothing to wait for.
    fn start(&mut self, number: u32) {
        let Some((session, waker)) = self.table.get(number) else {
            return;
        };
        session.stirred = self.round;
        match session.advance(&mut Context::from_waker(waker)) {
            Ok(passed) => {
                self.passed += passed;
                self.turn.push_back(number); // so that what its target sends wakes it
            }
            Err(broken) => self.break_off(number, broken),
        }
    }

    /// Ends a session whose target failed, or lets it rest where none was reached.
    fn break_off(&mut self, number: u32, broken: Broken) {
        let Some((session, _)) = self.table.get(number) else {
            return; // it was said twice
        };
        if broken.unreached {
            let dropped = session.rest(self.cx.now() + REST);
            self.shared.told.dropped(dropped);
            self.shared.told.failed(broken.failure, self.cx);
            return;
        }
        let failure = match session.pick() {
            Some(pick) => {
                pick.failed(&broken.failure);
                broken.failure.at(&pick.target().stack.endpoint)
            }
            None => broken.failure,
        };
        self.shared.told.failed(failure, self.cx);
        self.end(number);
    }

    fn end(&mut self, number: u32) {
        let Some(mut session) = self.table.remove(number) else {
            return;
        };
        self.shared.told.overrun(session.newly_lost());
        self.cx.events().tell_connection(|| Event::Closed {
            service: self.cx.service().clone(),
            conn: session.conn,
            received: session.received,
            sent: session.sent,
            lasted: self.cx.now() - session.began,
        });
    }

    fn ended(&mut self) -> Poll<Result<(), Failure>> {
        for number in self.table.numbers() {
            self.end(number);
        }
        Poll::Ready(Ok(()))
    }

    /// Starts a round where there are sessions and none is under way.
    fn keep_round(&mut self) {
        if self.timer.is_some() || self.table.len() == 0 {
            return;
        }
        let (cx, time) = (self.cx.clone(), round(self.shared.idle));
        self.timer = Some(Box::pin(async move { cx.sleep(time).await }));
        self.turn.push_back(ROUND); // so that it is waited for
    }

    /// Ends the sessions that were quiet for all their rounds, when this one is over.
    fn go_round(&mut self) {
        let (bell, waker) = &self.bells.round;
        bell.answered();
        let over = self.timer.as_mut().is_some_and(|timer| {
            timer
                .as_mut()
                .poll(&mut Context::from_waker(waker))
                .is_ready()
        });
        if !over {
            return;
        }
        self.timer = None;
        self.round += 1;
        let ends = !self.shared.idle.is_zero();
        for number in self.table.numbers() {
            let Some((session, _)) = self.table.get(number) else {
                continue;
            };
            let lost = session.newly_lost();
            let quiet = self.round - session.stirred;
            self.shared.told.overrun(lost);
            if ends && quiet > u64::from(ROUNDS) {
                self.end(number);
            }
        }
        self.losses.tell(&*self.socket, self.cx);
        self.account();
        self.keep_round();
    }
}

fn round(idle: Duration) -> Duration {
    match idle {
        Duration::ZERO => WITHOUT_END,
        idle => (idle / ROUNDS).max(SHORTEST),
    }
}
