//! Which of several targets gets the next connection.
//!
//! Whoever carries asks the [`Pool`] for a [`Pick`], dials its target, says how
//! that went, and keeps the pick as long as it keeps the connection.
//!
//! ```text
//! Entry, one or more ─▶ keep: names, services, files ─▶ the list ─┐
//!                       keep: checks, targets left out ─▶ Standing ┤
//!          pick ─▶ who may be taken ─▶ Balance::choose ◀───────────┘
//!                  all are full ─▶ the line ─▶ first come, first served
//! ```
//!
//! To pick costs no allocation but for a thread's first, no lock is held while
//! something is waited for, and the clock is read only where the choice needs it.

mod choice;
mod keep;
mod line;
mod list;
mod measure;
mod probe;
mod rules;
mod sources;
mod standing;
mod target;
#[cfg(test)]
mod tests;
mod told;

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use netloom_base::failure::Fact;
use netloom_base::{Code, Failure, Kind, Moment, SettingError, Side, Stage};
use netloom_transport::{Cx, Net};
use tokio::sync::Notify;

use choice::number_of;
use line::Line;
use list::{Held, List};
use probe::Probe;
use standing::Standing;
use told::Told;

pub use choice::Balance;
pub use rules::{Check, Rules, Statuses};
pub use target::{Entry, MOST_TARGETS, Target, place_keys, read_list};

/// The targets of one forwarder.
pub struct Pool {
    rules: Rules,
    /// What was written, in order; a file's come after them.
    entries: Vec<Entry>,
    /// What was in the file when it was made.
    filed: Vec<Entry>,
    probe: Probe,
    /// What its targets give.
    kind: Option<Kind>,
    /// What was written of one of them has a layer.
    layered: bool,
    list: RwLock<List>,
    /// Whose turn it is where all targets count the same.
    next: AtomicUsize,
    line: Line,
    told: OnceLock<Told>,
    kept: AtomicBool,
    /// It was told that no target is up.
    all_down: AtomicBool,
    /// Why the list is not what it should be.
    stale: Mutex<Option<String>>,
    /// Wakes whoever keeps it.
    wake: Notify,
}

/// What came of looking for a target.
enum Taken {
    Pick(Pick),
    /// There are some, and they have as many connections as they may; or they
    /// are not known yet.
    Full,
    Nothing,
}

impl Taken {
    fn told(self, nothing: impl FnOnce() -> Failure) -> Result<Pick, Failure> {
        match self {
            Taken::Pick(pick) => Ok(pick),
            Taken::Full | Taken::Nothing => Err(nothing()),
        }
    }
}

impl Pool {
    /// A pool of these targets, by the rules that nobody changed.
    pub fn new(targets: Vec<Target>) -> Arc<Self> {
        Arc::new(Pool::made(targets, Rules::default()))
    }

    /// A pool of what these stand for, by these rules.
    ///
    /// # Errors
    /// Everything that is wrong with the rules, with the file of targets, and
    /// with checks that these targets cannot have.
    pub fn of(
        entries: Vec<Entry>,
        rules: Rules,
        net: &dyn Net,
    ) -> Result<Arc<Self>, Vec<SettingError>> {
        let probe = Probe::new(&rules)?;
        // What the first gives, all give.
        let first = entries.first().and_then(|entry| entry.stack(net).ok());
        let mut kind = first.map(|stack| stack.kind());
        let filed = match &rules.to_file {
            Some(path) => sources::first_read(path, kind, net)
                .map_err(|message| vec![SettingError::new("to-file", None, message)])?,
            None => Vec::new(),
        };
        let (mut targets, mut ready) = (Vec::new(), true);
        let mut layered = false;
        for entry in entries.iter().chain(&filed) {
            let stack = entry
                .stack(net)
                .map_err(|failure| vec![SettingError::new("to", None, failure.summary())])?;
            kind = kind.or(Some(stack.kind()));
            layered |= stack.levels.len() > 1;
            probe
                .fits(&stack, net)
                .map_err(|message| vec![SettingError::new("check", None, message)])?;
            match entry.means() {
                target::Means::One => targets.push(entry.target(stack)),
                target::Means::Each | target::Means::Servers => ready = false,
            }
        }
        let mut pool = Pool::made(targets, rules);
        (pool.entries, pool.filed, pool.probe) = (entries, filed, probe);
        (pool.kind, pool.layered) = (kind, layered);
        pool.set_ready(ready);
        Ok(Arc::new(pool))
    }

    fn made(targets: Vec<Target>, rules: Rules) -> Self {
        Pool {
            layered: false,
            kind: targets.first().map(|target| target.stack.kind()),
            list: RwLock::new(List::new(targets, &[], &rules)),
            rules,
            entries: Vec::new(),
            filed: Vec::new(),
            probe: Probe::Connect,
            next: AtomicUsize::new(0),
            line: Line::default(),
            told: OnceLock::new(),
            kept: AtomicBool::new(false),
            all_down: AtomicBool::new(false),
            stale: Mutex::default(),
            wake: Notify::new(),
        }
    }

    /// How many targets there are now.
    pub fn len(&self) -> usize {
        self.list().held.len()
    }

    /// Whether there is no target now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there may be more or fewer targets later: names are asked for
    /// again, or a file is looked at.
    pub fn changes(&self) -> bool {
        let fixed = |entry: &Entry| entry.means() == target::Means::One;
        self.rules.to_file.is_some() || !self.entries.iter().all(fixed)
    }

    /// What its targets give; `None` where there was none yet.
    pub fn kind(&self) -> Option<Kind> {
        self.kind
    }

    /// Whether a target has a layer, which could tell it of the client.
    pub fn has_layers(&self) -> bool {
        self.layered || self.list().has_layers
    }

    /// Whether the choice looks at the client's address.
    pub fn needs_client(&self) -> bool {
        self.rules.balance == Balance::Source
    }

    /// The target for a connection of `client`, leaving out those of `tried`.
    /// Where every one that is up has as many connections as it may, this waits
    /// in line.
    ///
    /// # Errors
    /// `connect.no-target` when none is left, `limit.reached` when too many wait
    /// already, `limit.queue-timeout` when it waited too long.
    pub async fn pick(
        self: &Arc<Self>,
        client: Option<IpAddr>,
        tried: &[Pick],
        cx: &Cx,
    ) -> Result<Pick, Failure> {
        let client = client.filter(|_| self.needs_client()).map(number_of_client);
        self.told(cx);
        // Whoever comes now is behind those who wait already.
        if self.line.is_empty() {
            let taken = self.take(client, tried, cx);
            if !matches!(taken, Taken::Full) {
                return taken.told(|| self.nothing_left(tried));
            }
        }
        self.wait(client, tried, cx).await
    }

    /// Takes a target now, if one can be had.
    fn take(
        self: &Arc<Self>,
        client: Option<u64>,
        without: &[impl AsRef<Standing>],
        cx: &Cx,
    ) -> Taken {
        let list = self.list();
        let asked = list::Asked {
            client,
            without: &|standing| without.iter().any(|w| std::ptr::eq(w.as_ref(), standing)),
            cx,
        };
        // Somebody else may have what was chosen a moment before.
        for _ in 0..=list.held.len() {
            match self.choose(&list, &asked) {
                list::Choice::At(place, at) => {
                    let held = &list.held[place];
                    if held.standing.opens(held.most(&self.rules)) {
                        held.standing.picked.fetch_add(1, Relaxed);
                        return Taken::Pick(Pick {
                            pool: self.clone(),
                            held: held.clone(),
                            at,
                            open: true,
                        });
                    }
                }
                list::Choice::Full => return Taken::Full,
                list::Choice::Nothing if !list.ready => return Taken::Full,
                list::Choice::Nothing => return Taken::Nothing,
            }
        }
        Taken::Full
    }

    fn nothing_left(&self, tried: &[Pick]) -> Failure {
        let failure = Failure::new(Stage::Connect, Side::Us, Code::CONNECT_NO_TARGET);
        let list = self.list();
        if list.held.is_empty() {
            let why = self.stale.lock().unwrap_or_else(PoisonError::into_inner);
            let why = why
                .iter()
                .map(|why| Fact::said(why.clone(), "list of targets"));
            let failure = failure.message("there is no target to carry to").retry();
            return why.fold(failure, Failure::fact);
        }
        let failed = tried.iter().map(|pick| {
            let what = format!("{} was tried", pick.held.standing.name);
            Fact::said(what, "dial")
        });
        let message = match (tried.len(), list.held.len()) {
            (0, _) => "no target takes new connections: each has weight 0".to_owned(),
            (1, 1) => "the only target was tried".to_owned(),
            (tried, all) => format!("{tried} of {all} targets were tried, and no other is left"),
        };
        failed.fold(failure.message(message), Failure::fact)
    }

    /// Where to tell what happens: there is somewhere from the first time on.
    fn told(&self, cx: &Cx) -> &Told {
        self.told.get_or_init(|| Told(cx.clone()))
    }

    fn list(&self) -> std::sync::RwLockReadGuard<'_, List> {
        self.list.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_ready(&self) -> bool {
        self.list().ready
    }

    fn set_ready(&mut self, ready: bool) {
        let list = self.list.get_mut().unwrap_or_else(PoisonError::into_inner);
        list.ready = ready;
    }

    /// Tells what became of a target, and lets those in who wait for it.
    fn turned(self: &Arc<Self>, standing: &Standing, turn: standing::Turn) {
        if let Some(told) = self.told.get() {
            told.turned(standing, turn);
        }
        match turn {
            standing::Turn::Up(_) | standing::Turn::Back => {
                self.all_down.store(false, Relaxed);
                self.hand_out();
            }
            standing::Turn::Ejected(..) => self.wake.notify_one(),
            standing::Turn::Down(..) => {}
        }
    }
}

fn number_of_client(client: IpAddr) -> u64 {
    match client.to_canonical() {
        IpAddr::V4(address) => number_of(&address.octets()),
        IpAddr::V6(address) => number_of(&address.octets()),
    }
}

/// A target that was picked for one connection. Dropping it says that the
/// connection is closed.
pub struct Pick {
    pool: Arc<Pool>,
    held: Arc<Held>,
    /// When it was picked, where somebody looked at the clock.
    at: Option<Moment>,
    /// It counts as a connection.
    open: bool,
}

impl Pick {
    /// The target.
    pub fn target(&self) -> &Target {
        &self.held.target
    }

    /// It was dialled, which took so long.
    pub fn answered(&self, took: Duration) {
        let at = self.at.map(|at| at + took);
        if let Some(turn) = self.held.standing.answered(took, at) {
            self.pool.turned(&self.held.standing, turn);
        }
    }

    /// Its connection is closed, though it is still known that it was picked.
    pub fn closed(&mut self) {
        if std::mem::take(&mut self.open) {
            self.held.standing.closes();
            self.pool.hand_out();
        }
    }

    /// It could not be dialled, or broke before it had said anything.
    pub fn failed(&self, failure: &Failure) {
        if !is_its_own(failure) {
            return;
        }
        let (pool, standing) = (&self.pool, &self.held.standing);
        let enough = standing.failed(&pool.rules);
        // One that is alone is dialled whatever became of it.
        let (Some(_), Some(told)) = (enough, pool.told.get()) else {
            return;
        };
        if pool.len() > 1 {
            let lot = told.0.random_below(1001) as f64 / 1000.0;
            let turn = standing.eject(failure.code(), &pool.rules, told.0.now(), lot);
            if let Some(turn) = turn {
                pool.turned(standing, turn);
            }
        }
    }
}

/// Whether a failed dial speaks of the target: what this process or this host
/// lacks is no fault of it.
fn is_its_own(failure: &Failure) -> bool {
    match failure.side() {
        Side::Peer | Side::Path => true,
        Side::Us | Side::Os => {
            failure.stage() != Stage::Create
                && failure.code() != Code::CONNECT_NO_LOCAL_PORT
                && failure.code() != Code::STOPPED
        }
    }
}

impl AsRef<Standing> for Pick {
    fn as_ref(&self) -> &Standing {
        &self.held.standing
    }
}

impl Drop for Pick {
    fn drop(&mut self) {
        self.closed();
    }
}
