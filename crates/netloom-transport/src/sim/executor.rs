//! One thread, one queue, a clock that jumps: what runs the simulated tasks.
//!
//! Tasks run in the order in which they became runnable. When none is, the
//! clock goes to the next alarm. Nothing here looks at real time, so an hour
//! takes as long as its events take to compute.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use netloom_base::{Failure, Moment, Side, Stage, Timestamp};

use crate::BoxFuture;
use crate::cx::{Clock, Spawn};

/// So many turns without time passing are taken for an endless loop.
const MOST_TURNS: u64 = 10_000_000;

/// Calendar time when the simulated clock starts: 2026-01-01T00:00:00Z, as days since 1970.
const WALL_START: Duration = Duration::from_hours(20_454 * 24);

/// The tasks, the alarms and the clock.
pub(super) struct Executor(Mutex<State>);

#[derive(Default)]
struct State {
    now: Moment,
    /// Numbers tasks and alarms, so that equals keep their order.
    next: u64,
    ready: VecDeque<Arc<Task>>,
    alarms: BTreeMap<(Moment, u64), Alarm>,
    tasks: BTreeMap<u64, Arc<Task>>,
    /// Turns since the clock last moved.
    turns: u64,
    shuffle: Option<fastrand::Rng>,
}

enum Alarm {
    Wake(Waker),
    Act(Box<dyn FnOnce() + Send>),
}

enum Turn {
    Task(Arc<Task>),
    Alarm(Alarm),
    /// Nothing can be done before the end that was given.
    Rest,
    /// The clock stands, and yet there is always something to do.
    Spinning,
}

impl Executor {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Executor(Mutex::default()))
    }

    /// From now on the next of several runnable tasks is drawn by lot.
    pub(super) fn shuffle(&self, seed: u64) {
        self.lock().shuffle = Some(fastrand::Rng::with_seed(seed));
    }

    /// Runs everything until `work` is done.
    pub(super) fn block_on<T>(
        self: &Arc<Self>,
        work: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        let mut work = pin!(work);
        let main = Task::new(self, 0, "".into(), None);
        let waker = Waker::from(main.clone());
        waker.wake_by_ref();
        loop {
            match self.turn(None) {
                Turn::Task(task) if Arc::ptr_eq(&task, &main) => {
                    task.queued.store(false, Ordering::Release);
                    if let Poll::Ready(done) = work.as_mut().poll(&mut Context::from_waker(&waker))
                    {
                        return Ok(done);
                    }
                }
                Turn::Task(task) => self.run(&task),
                Turn::Alarm(alarm) => alarm.ring(),
                Turn::Rest => return Err(self.stuck()),
                Turn::Spinning => return Err(self.spinning()),
            }
        }
    }

    /// Runs everything until the clock is at `end`.
    pub(super) fn run_until(self: &Arc<Self>, end: Moment) -> Result<(), Failure> {
        loop {
            match self.turn(Some(end)) {
                Turn::Task(task) => self.run(&task),
                Turn::Alarm(alarm) => alarm.ring(),
                Turn::Rest => {
                    let mut state = self.lock();
                    state.now = state.now.max(end);
                    return Ok(());
                }
                Turn::Spinning => return Err(self.spinning()),
            }
        }
    }

    pub(super) fn now(&self) -> Moment {
        self.lock().now
    }

    /// Calls `act` when the clock is at `when`.
    pub(super) fn at(&self, when: Moment, act: impl FnOnce() + Send + 'static) {
        let mut state = self.lock();
        let key = (when.max(state.now), state.number());
        state.alarms.insert(key, Alarm::Act(Box::new(act)));
    }

    pub(super) fn spawn(self: &Arc<Self>, place: Arc<str>, future: BoxFuture<'static, ()>) {
        let task = {
            let mut state = self.lock();
            let number = state.number();
            let task = Task::new(self, number, place, Some(future));
            state.tasks.insert(number, task.clone());
            task
        };
        task.wake();
    }

    /// How many tasks have not ended.
    pub(super) fn tasks(&self) -> usize {
        self.lock().tasks.len()
    }

    /// Drops every task and alarm, and what dropping them makes.
    pub(super) fn clear(&self) {
        loop {
            let (tasks, alarms) = {
                let mut state = self.lock();
                state.ready.clear();
                (
                    std::mem::take(&mut state.tasks),
                    std::mem::take(&mut state.alarms),
                )
            };
            if tasks.is_empty() && alarms.is_empty() {
                return;
            }
            for task in tasks.into_values() {
                drop(task.future().take());
            }
        }
    }

    fn turn(&self, end: Option<Moment>) -> Turn {
        let mut state = self.lock();
        state.turns += 1;
        if state.turns > MOST_TURNS {
            state.turns = 0;
            return Turn::Spinning;
        }
        if let Some(task) = state.next_task() {
            return Turn::Task(task);
        }
        match state.alarms.first_entry() {
            Some(first) if end.is_none_or(|end| first.key().0 <= end) => {
                let ((at, _), alarm) = first.remove_entry();
                if at > state.now {
                    state.now = at;
                    state.turns = 0;
                }
                Turn::Alarm(alarm)
            }
            _ => Turn::Rest,
        }
    }

    fn run(&self, task: &Arc<Task>) {
        task.queued.store(false, Ordering::Release);
        let mut future = task.future();
        let waker = Waker::from(task.clone());
        let done = future
            .as_mut()
            .is_some_and(|f| f.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
        if done {
            // Dropped before the task leaves the list: what a drop does may need the executor.
            *future = None;
            drop(future);
            self.lock().tasks.remove(&task.number);
        }
    }

    fn stuck(&self) -> Failure {
        let mut state = self.lock();
        let mut places = BTreeMap::<Arc<str>, usize>::new();
        for task in state.tasks.values() {
            *places.entry(task.place.clone()).or_default() += 1;
        }
        let mut message = format!(
            "nothing can run and no alarm is set {:?} after the start: the future that was waited for is stuck",
            state.now.since_start()
        );
        for (place, count) in places {
            // Writing to a string cannot fail.
            let _ = write!(
                message,
                ", as {} of {count} on `{place}`",
                if count == 1 {
                    "is the task"
                } else {
                    "are tasks"
                }
            );
        }
        state.turns = 0;
        Failure::new(Stage::Stuck, Side::Us, Stage::Stuck.other()).message(message)
    }

    fn spinning(&self) -> Failure {
        let message = format!(
            "{MOST_TURNS} turns without time passing, {:?} after the start: some task wakes itself for ever",
            self.now().since_start()
        );
        Failure::new(Stage::Stuck, Side::Us, Stage::Stuck.other()).message(message)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn next_task(&mut self) -> Option<Arc<Task>> {
        match &mut self.shuffle {
            Some(random) if self.ready.len() > 1 => {
                let drawn = random.usize(0..self.ready.len());
                self.ready.remove(drawn)
            }
            _ => self.ready.pop_front(),
        }
    }
}

impl Alarm {
    fn ring(self) {
        match self {
            Alarm::Wake(waker) => waker.wake(),
            Alarm::Act(act) => act(),
        }
    }
}

/// A future and whether it stands in the queue.
struct Task {
    executor: Weak<Executor>,
    number: u64,
    place: Arc<str>,
    queued: AtomicBool,
    future: Mutex<Option<BoxFuture<'static, ()>>>,
}

impl Task {
    fn new(
        executor: &Arc<Executor>,
        number: u64,
        place: Arc<str>,
        future: Option<BoxFuture<'static, ()>>,
    ) -> Arc<Self> {
        Arc::new(Task {
            executor: Arc::downgrade(executor),
            number,
            place,
            queued: AtomicBool::new(false),
            future: Mutex::new(future),
        })
    }

    fn future(&self) -> MutexGuard<'_, Option<BoxFuture<'static, ()>>> {
        self.future.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        if let Some(executor) = self.executor.upgrade()
            && !self.queued.swap(true, Ordering::AcqRel)
        {
            executor.lock().ready.push_back(self);
        }
    }
}

/// The simulated clock and queue as one host sees them.
pub(super) struct Place {
    pub(super) executor: Arc<Executor>,
    pub(super) name: Arc<str>,
}

impl Clock for Place {
    fn now(&self) -> Moment {
        self.executor.now()
    }

    fn wall(&self) -> Timestamp {
        Timestamp::since_epoch(WALL_START + self.now().since_start())
    }

    fn sleep_until(&self, moment: Moment) -> BoxFuture<'static, ()> {
        Box::pin(Sleep {
            executor: self.executor.clone(),
            until: moment,
            alarm: None,
        })
    }
}

impl Spawn for Place {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.executor.spawn(self.name.clone(), task);
    }
}

struct Sleep {
    executor: Arc<Executor>,
    until: Moment,
    alarm: Option<(Moment, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut state = this.executor.lock();
        if state.now >= this.until {
            return Poll::Ready(());
        }
        let until = this.until;
        let key = *this.alarm.get_or_insert_with(|| (until, state.number()));
        let before = state.alarms.insert(key, Alarm::Wake(cx.waker().clone()));
        drop(state);
        drop(before);
        Poll::Pending
    }
}

impl Drop for Sleep {
    /// A wait that was given up must not move the clock.
    fn drop(&mut self) {
        let removed = self
            .alarm
            .and_then(|key| self.executor.lock().alarms.remove(&key));
        drop(removed);
    }
}
