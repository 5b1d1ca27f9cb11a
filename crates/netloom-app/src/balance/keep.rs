//! Keeping a pool: one task that asks for names again, looks at the file, checks
//! targets, and looks at those that were left out before clients are let to them.

use std::future::{pending, poll_fn};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};
use std::task::Poll;

use netloom_base::{Failure, Moment};
use netloom_transport::{BoxFuture, Cx};

use super::list::{Held, List};
use super::sources::{Found, Look, Source, Watched, find};
use super::{Entry, Pool};

/// How many checks and questions are under way at a time.
const MOST_AT_ONCE: usize = 64;

impl Pool {
    /// Keeps it in a task of `cx`, until that drains, and tells there what
    /// happens. A pool with nothing to keep has no task.
    pub fn keep(self: &Arc<Self>, cx: &Cx) {
        self.told(cx);
        let leaves_out = self.rules.eject_after > 0 && self.len() > 1;
        let needed = self.rules.check.is_some() || leaves_out || self.changes();
        if needed && !self.kept.swap(true, Relaxed) {
            let keeper = Keeper::new(self.clone(), cx);
            cx.spawn(keeper.run(cx.clone()));
        }
    }

    fn is_stale(&self, why: Option<String>) {
        *self.stale.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    /// Puts these targets in the place of those it has, and lets those in who
    /// waited for one of them. Connections to targets that have left go on.
    fn put(self: &Arc<Self>, targets: Vec<super::Target>, ready: bool, cx: &Cx) {
        let mut new = {
            let old = self.list();
            List::new(targets, &old.held, &self.rules)
        };
        new.ready = ready;
        let mut list = self.list.write().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *list, new);
        let now_held: Vec<Arc<Held>> = list.held.clone();
        drop(list);
        for held in &old.held {
            held.standing.listed.store(false, Relaxed);
        }
        let told = self.told(cx);
        for held in &now_held {
            held.standing.listed.store(true, Relaxed);
            let is_new = !old
                .held
                .iter()
                .any(|h| Arc::ptr_eq(&h.standing, &held.standing));
            if is_new && old.ready {
                held.standing.begins_slowly(cx.now());
                told.added(&held.standing.name);
            }
        }
        for held in old.held.iter().filter(|h| !h.standing.listed.load(Relaxed)) {
            told.removed(&held.standing.name, held.standing.open());
        }
        self.hand_out();
    }
}

/// What came of something that was under way.
enum Done {
    Looked(Arc<Held>, Result<(), Failure>),
    Found(Box<Entry>, Result<Found, Failure>),
}

/// A target and when it is looked at.
struct Watch {
    held: Arc<Held>,
    /// The next check, where there are checks.
    due: Moment,
    busy: bool,
}

struct Keeper {
    pool: Arc<Pool>,
    sources: Vec<Source>,
    /// How many of them are not the file's.
    fixed: usize,
    file: Option<Watched>,
    watches: Vec<Watch>,
    under_way: Vec<BoxFuture<'static, Done>>,
}

impl Keeper {
    fn new(pool: Arc<Pool>, cx: &Cx) -> Self {
        let now = cx.now();
        let written = pool.entries.iter().chain(&pool.filed);
        let sources = written
            .map(|entry| Source::new(entry.clone(), now, cx.net()))
            .collect();
        let path = pool.rules.to_file.clone();
        let mut keeper = Keeper {
            sources,
            fixed: pool.entries.len(),
            file: path.map(|path| Watched::new(path, now)),
            watches: Vec::new(),
            under_way: Vec::new(),
            pool,
        };
        keeper.watch(now);
        keeper
    }

    async fn run(mut self, cx: Cx) {
        let shutdown = cx.shutdown().clone();
        loop {
            self.begin_due(&cx);
            let next = self.next_due();
            let pool = self.pool.clone();
            tokio::select! {
                biased;
                () = shutdown.draining() => return,
                done = ended(&mut self.under_way) => self.take(done, &cx),
                () = pool.wake.notified() => {}
                () = until(next, &cx) => {}
            }
        }
    }

    /// Begins what is due, as far as there is room.
    fn begin_due(&mut self, cx: &Cx) {
        let now = cx.now();
        if self.file.as_ref().is_some_and(|file| file.due <= now) {
            self.look_at_file(cx);
        }
        for source in &mut self.sources {
            let due = source.due.is_some_and(|due| due <= now) && !source.busy;
            if due && self.under_way.len() < MOST_AT_ONCE {
                source.busy = true;
                let (entry, cx) = (Box::new(source.entry.clone()), cx.clone());
                self.under_way.push(Box::pin(async move {
                    let found = find(&entry, &cx).await;
                    Done::Found(entry, found)
                }));
            }
        }
        let checks = self.pool.rules.check.is_some();
        for watch in &mut self.watches {
            let due = watch.due(checks).is_some_and(|due| due <= now) && !watch.busy;
            if due && self.under_way.len() < MOST_AT_ONCE {
                watch.busy = true;
                let (held, pool, cx) = (watch.held.clone(), self.pool.clone(), cx.clone());
                self.under_way.push(Box::pin(async move {
                    let limit = pool.rules.check_timeout;
                    let looked = pool.probe.look(&held.target.stack, limit, &cx).await;
                    Done::Looked(held, looked)
                }));
            }
        }
    }

    /// When the next thing is due that can be begun.
    fn next_due(&self) -> Option<Moment> {
        let file = self.file.iter().map(|file| file.due);
        if self.under_way.len() >= MOST_AT_ONCE {
            return file.min();
        }
        let checks = self.pool.rules.check.is_some();
        let sources = self.sources.iter().filter(|source| !source.busy);
        let watches = self.watches.iter().filter(|watch| !watch.busy);
        file.chain(sources.filter_map(|source| source.due))
            .chain(watches.filter_map(|watch| watch.due(checks)))
            .min()
    }

    fn take(&mut self, done: Done, cx: &Cx) {
        match done {
            Done::Looked(held, looked) => self.looked(&held, looked, cx),
            Done::Found(entry, found) => self.found(&entry, found, cx),
        }
    }

    fn looked(&mut self, held: &Held, looked: Result<(), Failure>, cx: &Cx) {
        let (rules, now) = (&self.pool.rules, cx.now());
        let standing = &held.standing;
        let turn = match looked {
            Ok(()) => standing.passed(rules, now),
            Err(failure) if rules.check.is_some() => standing.missed(failure.code(), rules),
            Err(failure) => standing.eject(failure.code(), rules, now, lot(cx)),
        };
        // One that was left out stays so while checks say that it is down.
        if standing.is_ejected() && now >= standing.until() {
            let _ = standing.eject(netloom_base::Code::CONNECT_NO_TARGET, rules, now, lot(cx));
        }
        if let Some(turn) = turn {
            self.pool.turned(standing, turn);
        }
        let every = rules.check_every.mul_f64(0.9 + 0.2 * lot(cx));
        let own = |watch: &&mut Watch| Arc::ptr_eq(&watch.held.standing, standing);
        if let Some(watch) = self.watches.iter_mut().find(own) {
            (watch.busy, watch.due) = (false, now + every);
        }
    }

    fn found(&mut self, entry: &Entry, found: Result<Found, Failure>, cx: &Cx) {
        let own = |source: &&mut Source| source.busy && source.entry == *entry;
        let Some(source) = self.sources.iter_mut().find(own) else {
            return; // it has left the file meanwhile
        };
        let told = self.pool.told(cx);
        let name = entry.endpoint().to_string();
        match source.take(found, cx.now()) {
            Some(failure) if !std::mem::replace(&mut source.stale, true) => {
                self.pool.is_stale(Some(format!("{name}: {failure}")));
                told.stale(&name, &failure);
            }
            None if std::mem::take(&mut source.stale) => {
                self.pool.is_stale(None);
                told.fresh(&name);
            }
            Some(_) | None => {}
        }
        self.publish(cx);
    }

    fn look_at_file(&mut self, cx: &Cx) {
        let Some(file) = &mut self.file else { return };
        let now = cx.now();
        let path = file.path().display().to_string();
        match file.look(self.pool.kind(), now, cx.net()) {
            Look::Same => return,
            Look::Wrong(failure) => {
                self.pool.told(cx).stale(&path, &failure);
                return;
            }
            Look::Read(entries) => {
                let mut known = self.sources.split_off(self.fixed);
                for entry in entries {
                    let same = known.iter().position(|source| source.entry == entry);
                    let source = match same {
                        Some(at) => known.swap_remove(at),
                        None => Source::new(entry, now, cx.net()),
                    };
                    self.sources.push(source);
                }
            }
        }
        self.publish(cx);
    }

    /// Makes the list anew, where it has changed.
    fn publish(&mut self, cx: &Cx) {
        let targets = self.sources.iter().flat_map(|source| &source.targets);
        let mut targets: Vec<super::Target> = targets.cloned().collect();
        targets.truncate(super::MOST_TARGETS);
        let ready = self.sources.iter().all(|source| source.asked);
        let list = self.pool.list();
        let same = list.held.len() == targets.len()
            && list.ready == ready
            && list.held.iter().zip(&targets).all(|(held, new)| {
                let old = &held.target;
                old.stack.endpoint == new.stack.endpoint
                    && (old.weight, old.tier, old.max_conns)
                        == (new.weight, new.tier, new.max_conns)
            });
        drop(list);
        if !same {
            self.pool.put(targets, ready, cx);
            self.watch(cx.now());
        }
    }

    /// Watches what stands in the list. What is new is checked at once.
    fn watch(&mut self, now: Moment) {
        let mut old = std::mem::take(&mut self.watches);
        let list = self.pool.list();
        for held in &list.held {
            let same = |watch: &Watch| Arc::ptr_eq(&watch.held.standing, &held.standing);
            if self.watches.iter().any(same) {
                continue;
            }
            let known = old.iter().position(same).map(|at| old.swap_remove(at));
            self.watches.push(Watch {
                held: held.clone(),
                due: known.as_ref().map_or(now, |watch| watch.due),
                busy: known.is_some_and(|watch| watch.busy),
            });
        }
    }
}

impl Watch {
    /// When it is looked at next: at its next check, and when it has been left
    /// out long enough.
    fn due(&self, checks: bool) -> Option<Moment> {
        let standing = &self.held.standing;
        let back = standing.is_ejected().then(|| standing.until());
        let check = checks.then_some(self.due);
        match (back, check) {
            (Some(back), Some(check)) => Some(back.min(check)),
            (one, other) => one.or(other),
        }
    }
}

/// The first that has ended; none of them, when there are none.
async fn ended(under_way: &mut Vec<BoxFuture<'static, Done>>) -> Done {
    poll_fn(|task| {
        for (at, work) in under_way.iter_mut().enumerate() {
            if let Poll::Ready(done) = work.as_mut().poll(task) {
                drop(under_way.swap_remove(at));
                return Poll::Ready(done);
            }
        }
        Poll::Pending
    })
    .await
}

async fn until(moment: Option<Moment>, cx: &Cx) {
    match moment {
        Some(moment) => cx.sleep(moment - cx.now()).await,
        None => pending().await,
    }
}

fn lot(cx: &Cx) -> f64 {
    cx.random_below(1001) as f64 / 1000.0
}
