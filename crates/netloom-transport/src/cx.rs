//! Everything a conversation needs from the world besides its bytes: the
//! network, time, chance, tasks, a way to tell, and when to stop.
//!
//! Rooms take these from [`Cx`] and from nowhere else, so that a simulation
//! can replace every one of them.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use netloom_base::event::Remark;
use netloom_base::{Event, Limits, Moment, Timestamp};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::BoxFuture;
use crate::net::Net;
use crate::origin::Origin;
use crate::progress::Progress;

/// A clock that can be read and waited on.
pub trait Clock: Send + Sync {
    /// Monotonic time.
    fn now(&self) -> Moment;
    /// Calendar time.
    fn wall(&self) -> Timestamp;
    /// Waits until `moment`.
    fn sleep_until(&self, moment: Moment) -> BoxFuture<'static, ()>;
}

/// Something that runs tasks.
pub trait Spawn: Send + Sync {
    /// Runs `task` beside the caller: on the caller's core, or in the simulation.
    fn spawn(&self, task: BoxFuture<'static, ()>);
}

/// What a conversation gets from the world. Cheap to clone.
#[derive(Clone)]
pub struct Cx(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    net: Arc<dyn Net>,
    clock: Arc<dyn Clock>,
    spawn: Arc<dyn Spawn>,
    random: Arc<Mutex<fastrand::Rng>>,
    events: Events,
    limits: Limits,
    shutdown: Shutdown,
    tasks: TaskTracker,
    for_a_person: bool,
    progress: Progress,
    origin: Option<Arc<Origin>>,
    service: Arc<str>,
}

impl Cx {
    /// Puts a world together. `seed` makes chance repeatable; `None` takes one
    /// from the system.
    pub fn new(
        net: Arc<dyn Net>,
        clock: Arc<dyn Clock>,
        spawn: Arc<dyn Spawn>,
        seed: Option<u64>,
    ) -> Self {
        let random = seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
        Cx(Arc::new(Inner {
            net,
            clock,
            spawn,
            random: Arc::new(Mutex::new(random)),
            events: Events::nowhere(),
            limits: Limits::default(),
            shutdown: Shutdown::new(),
            tasks: TaskTracker::new(),
            for_a_person: false,
            progress: Progress::default(),
            origin: None,
            service: Arc::from(""),
        }))
    }

    /// The same world, dialling for somebody who will want to know why it
    /// failed: sockets are opened with their error queue armed, which costs a
    /// dial two system calls, but for one to loopback, where there is no router
    /// to speak. Servers, and what dials for them, do without.
    pub fn for_a_person(self) -> Self {
        Cx(Arc::new(Inner {
            for_a_person: true,
            ..Inner::clone(&self.0)
        }))
    }

    /// The same world, dialling on behalf of `origin`, for layers that tell the
    /// server of the client.
    pub fn on_behalf_of(&self, origin: Origin) -> Self {
        Cx(Arc::new(Inner {
            origin: Some(Arc::new(origin)),
            ..Inner::clone(&self.0)
        }))
    }

    /// The client on whose behalf is dialled here, if it is for one.
    pub fn origin(&self) -> Option<&Origin> {
        self.0.origin.as_deref()
    }

    /// The same world as the service of this name has it, so that it can tell
    /// of itself.
    pub fn serving(self, service: Arc<str>) -> Self {
        Cx(Arc::new(Inner {
            service,
            ..Inner::clone(&self.0)
        }))
    }

    /// The name of the service that runs here; empty where there is none.
    pub fn service(&self) -> &Arc<str> {
        &self.0.service
    }

    /// The real world: the system's clock and the current tokio runtime.
    pub fn os(net: Arc<dyn Net>) -> Self {
        Cx::new(net, Arc::new(OsClock::new()), Arc::new(OsSpawn), None)
    }

    /// The same world for a part of the program: its events, its limits, a
    /// shutdown below this one's, and tasks and progress apart. Whom it dials for stays.
    pub fn child(&self, events: Events, limits: Limits) -> Self {
        Cx(Arc::new(Inner {
            events,
            limits,
            shutdown: self.0.shutdown.child(),
            tasks: TaskTracker::new(),
            progress: Progress::default(),
            ..Inner::clone(&self.0)
        }))
    }

    /// The same world without anybody who listens to its events.
    pub fn bare(&self) -> Self {
        self.child(Events::nowhere(), Limits::default())
    }

    /// The network.
    pub fn net(&self) -> &dyn Net {
        &*self.0.net
    }

    /// Whether what is dialled here is dialled for a person.
    pub fn is_for_a_person(&self) -> bool {
        self.0.for_a_person
    }

    /// The limits of this part of the program.
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// How far the conversation has come that is held here.
    pub fn progress(&self) -> &Progress {
        &self.0.progress
    }

    /// Where to tell what happens.
    pub fn events(&self) -> &Events {
        &self.0.events
    }

    /// When to stop.
    pub fn shutdown(&self) -> &Shutdown {
        &self.0.shutdown
    }

    /// Runs a task that shutdown waits for.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn.spawn(Box::pin(self.track(task)));
    }

    /// Runs a task that shutdown does not wait for: it ends itself when told to.
    pub fn spawn_loose(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn.spawn(Box::pin(task));
    }

    /// Counts a task that something else runs, so that shutdown waits for it.
    pub fn track<F: Future<Output = ()>>(&self, task: F) -> impl Future<Output = ()> + use<F> {
        self.0.tasks.track_future(task)
    }

    /// Waits until every task of this part has ended. New ones may still come;
    /// they are waited for too.
    pub async fn tasks_done(&self) {
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// How many tasks of this part run.
    pub fn tasks(&self) -> usize {
        self.0.tasks.len()
    }

    /// Monotonic time.
    pub fn now(&self) -> Moment {
        self.0.clock.now()
    }

    /// Calendar time.
    pub fn wall(&self) -> Timestamp {
        self.0.clock.wall()
    }

    /// Waits for so long.
    pub async fn sleep(&self, d: Duration) {
        self.0.clock.sleep_until(self.now() + d).await;
    }

    /// Waits for `work`, but no longer than `d`; `None` when that passed first.
    pub async fn timeout<T>(&self, d: Duration, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        // What is done at once needs no timer.
        let mut over: Option<BoxFuture<'static, ()>> = None;
        poll_fn(|task| {
            if let Poll::Ready(done) = work.as_mut().poll(task) {
                return Poll::Ready(Some(done));
            }
            over.get_or_insert_with(|| self.0.clock.sleep_until(self.now() + d))
                .as_mut()
                .poll(task)
                .map(|()| None)
        })
        .await
    }

    /// A random number below `bound` (0 when `bound` is 0).
    pub fn random_below(&self, bound: u64) -> u64 {
        if bound == 0 {
            0
        } else {
            self.0
                .random
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .u64(0..bound)
        }
    }

    /// Tells something in words about `service` (empty: about no service).
    pub fn remark(&self, service: &Arc<str>, text: impl Into<String>) {
        self.events().tell(|| {
            Event::Note(Box::new(Remark {
                service: service.clone(),
                text: text.into(),
            }))
        });
    }
}

/// Where events go: a bounded queue to one reader, or nowhere.
///
/// Telling never waits. What does not fit is counted, and the count is told
/// as [`Event::Lost`] when there is room again.
#[derive(Clone, Default)]
pub struct Events(Option<Arc<Queue>>);

struct Queue {
    sender: mpsc::Sender<Stamped>,
    clock: Arc<dyn Clock>,
    lost: AtomicU64,
    /// Whether single connections are told of, or only services.
    connections: bool,
}

/// An event and when it happened.
#[derive(Debug)]
pub struct Stamped {
    /// When.
    pub at: Timestamp,
    /// What.
    pub event: Event,
}

impl Events {
    /// Nobody listens.
    pub fn nowhere() -> Self {
        Events(None)
    }

    /// A queue of `room` events and its reader. `connections` says whether
    /// single connections are worth an event to this reader.
    pub fn queue(
        room: usize,
        connections: bool,
        clock: Arc<dyn Clock>,
    ) -> (Self, mpsc::Receiver<Stamped>) {
        let (sender, receiver) = mpsc::channel(room.max(1));
        (
            Events(Some(Arc::new(Queue {
                sender,
                clock,
                lost: AtomicU64::new(0),
                connections,
            }))),
            receiver,
        )
    }

    /// Tells what `event` makes, if anybody listens.
    pub fn tell(&self, event: impl FnOnce() -> Event) {
        let Some(queue) = &self.0 else { return };
        let lost = queue.lost.swap(0, Ordering::Relaxed);
        if lost > 0 && !queue.put(Event::Lost(lost)) {
            queue.lost.fetch_add(lost + 1, Ordering::Relaxed);
            return;
        }
        if !queue.put(event()) {
            queue.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether anybody wants to know of single connections.
    pub fn wants_connections(&self) -> bool {
        self.0.as_ref().is_some_and(|queue| queue.connections)
    }

    /// Tells about a single connection, if anybody wants to know of those.
    pub fn tell_connection(&self, event: impl FnOnce() -> Event) {
        if self.wants_connections() {
            self.tell(event);
        }
    }
}

impl Queue {
    fn put(&self, event: Event) -> bool {
        self.sender
            .try_send(Stamped {
                at: self.clock.wall(),
                event,
            })
            .is_ok()
    }
}

/// When to stop: first drain, then abort. A tree: telling a parent tells its children.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    drain: CancellationToken,
    abort: CancellationToken,
}

impl Shutdown {
    /// A root.
    pub fn new() -> Self {
        Shutdown::default()
    }

    /// A part that stops when this stops, and can be stopped alone.
    pub fn child(&self) -> Self {
        Shutdown {
            drain: self.drain.child_token(),
            abort: self.abort.child_token(),
        }
    }

    /// Asks for an orderly end: accept nothing new, finish what is open.
    pub fn drain(&self) {
        self.drain.cancel();
    }

    /// Asks for an end now.
    pub fn abort(&self) {
        self.drain.cancel();
        self.abort.cancel();
    }

    /// Whether the end has been asked for.
    pub fn is_draining(&self) -> bool {
        self.drain.is_cancelled()
    }

    /// Waits until an orderly end is asked for.
    pub async fn draining(&self) {
        self.drain.cancelled().await;
    }

    /// The same for whoever looks again and again while it does something else.
    pub fn watch_drain(&self) -> Draining {
        let drain = self.drain.clone();
        Draining {
            asked: Box::pin(async move { drain.cancelled().await }),
            told: Arc::default(),
            task: None,
        }
    }

    /// Waits until an end now is asked for.
    pub async fn aborted(&self) {
        self.abort.cancelled().await;
    }
}

/// Waits for an orderly end at hardly any cost for whoever looks often: only the
/// first look, and one from another task, takes a lock.
pub struct Draining {
    asked: BoxFuture<'static, ()>,
    told: Arc<Told>,
    /// Who is woken.
    task: Option<Waker>,
}

/// The end has been asked for, or somebody else should ask again.
#[derive(Default)]
struct Told {
    told: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl Wake for Told {
    fn wake(self: Arc<Self>) {
        self.told.store(true, Ordering::Release);
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = &*task {
            task.wake_by_ref();
        }
    }
}

impl Draining {
    /// Whether the end has been asked for; wakes `task` when it is.
    pub fn poll(&mut self, task: &mut Context<'_>) -> Poll<()> {
        let known = self.task.as_ref();
        if !known.is_some_and(|known| known.will_wake(task.waker())) {
            let waker = task.waker().clone();
            let mut told = self
                .told
                .task
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            (self.task, *told) = (Some(waker.clone()), Some(waker));
            self.told.told.store(true, Ordering::Release);
        }
        if !self.told.told.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        let waker = Waker::from(self.told.clone());
        let asked = self.asked.as_mut().poll(&mut Context::from_waker(&waker));
        if asked.is_ready() {
            // Ready for ever, also when it is asked again.
            self.asked = Box::pin(std::future::ready(()));
            self.told.told.store(true, Ordering::Release);
        }
        asked
    }
}

/// The system's clocks, waited on through the current tokio runtime.
#[derive(Debug)]
pub struct OsClock {
    start: tokio::time::Instant,
}

impl OsClock {
    /// A clock that begins now.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock the others read"
    )]
    pub fn new() -> Self {
        OsClock {
            start: tokio::time::Instant::now(),
        }
    }
}

impl Default for OsClock {
    fn default() -> Self {
        OsClock::new()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the clock the others read"
)]
impl Clock for OsClock {
    fn now(&self) -> Moment {
        Moment::after_start(tokio::time::Instant::now().duration_since(self.start))
    }

    fn wall(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Timestamp::since_epoch(since.unwrap_or_default())
    }

    fn sleep_until(&self, moment: Moment) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep_until(self.start + moment.since_start()))
    }
}

/// Tasks on the current tokio runtime.
#[derive(Debug, Clone, Copy)]
pub struct OsSpawn;

impl Spawn for OsSpawn {
    #[expect(clippy::disallowed_methods, reason = "this is what Cx::spawn calls")]
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        drop(tokio::spawn(task));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_looks_often_hears_of_the_end_in_whichever_task() {
        let shutdown = Shutdown::new();
        let mut draining = shutdown.watch_drain();
        for waker in [
            Waker::noop().clone(),
            Waker::from(Arc::new(Told::default())),
        ] {
            let mut task = Context::from_waker(&waker);
            assert!(draining.poll(&mut task).is_pending());
            assert!(draining.poll(&mut task).is_pending());
        }
        poll_fn(|task| {
            let heard = draining.poll(task);
            shutdown.drain(); // after it was looked at: it must wake
            heard
        })
        .await;
        let mut task = Context::from_waker(Waker::noop());
        assert!(draining.poll(&mut task).is_ready(), "for ever");
        assert!(draining.poll(&mut task).is_ready());
    }
}
