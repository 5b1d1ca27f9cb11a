//! One runtime for each core, and which connection goes where.
//!
//! A small load costs least on one core: its connections share wake-ups and
//! caches. So an adaptive set begins with one core, and wakes the next when a
//! core has been busy for a while and the machine has processor time to spare.
//! Connections that keep a core busy then move over, because they are the ones
//! that come to rest and ask; idle ones stay where they cost nothing. A fixed
//! set runs all its cores from the start and gives each connection to the one
//! with the fewest.

mod pressure;

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio_util::sync::CancellationToken;

use crate::BoxFuture;
use pressure::{Pressure, Relief};

/// How many cores serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// So many, from the start.
    Fixed(usize),
    /// One at first, up to so many when there is work for them.
    Adaptive(usize),
    /// So many threads of one core: whichever is free goes on with whatever is
    /// ready.
    Stealing(usize),
}

/// How threads share what is served.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sharing {
    /// Each has connections of its own.
    #[default]
    Cores,
    /// Whichever is free goes on with whatever is ready.
    Stealing,
}

impl Sharing {
    /// All there are.
    pub const ALL: [Sharing; 2] = [Sharing::Cores, Sharing::Stealing];

    /// As flags and files say it.
    pub fn name(self) -> &'static str {
        match self {
            Sharing::Cores => "cores",
            Sharing::Stealing => "stealing",
        }
    }
}

impl Threads {
    /// As many as somebody chose, or as the machine lets this process use.
    pub fn new(sharing: Sharing, chosen: Option<usize>) -> Self {
        match (sharing, chosen) {
            (Sharing::Cores, Some(n)) => Threads::Fixed(n),
            (Sharing::Cores, None) => Threads::Adaptive(crate::sys::processors()),
            (Sharing::Stealing, n) => Threads::Stealing(n.unwrap_or_else(crate::sys::processors)),
        }
    }

    /// How many cores may run.
    fn most(self) -> usize {
        match self {
            Threads::Fixed(n) | Threads::Adaptive(n) => n.clamp(1, 1024),
            Threads::Stealing(_) => 1,
        }
    }

    fn runtime(self) -> io::Result<Runtime> {
        let mut builder = match self {
            Threads::Stealing(n) => {
                let mut several = Builder::new_multi_thread();
                several.worker_threads(n.clamp(1, 1024)).thread_name("core");
                several
            }
            Threads::Fixed(_) | Threads::Adaptive(_) => Builder::new_current_thread(),
        };
        builder.enable_all().build()
    }
}

/// How many cores this process may keep busy, control groups considered. That
/// takes a dozen files to find out, so nobody does before a second core is wanted.
fn allowance() -> usize {
    static ALLOWANCE: OnceLock<usize> = OnceLock::new();
    *ALLOWANCE.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// Called on each core as it starts, with its number.
pub type OnCore = Arc<dyn Fn(usize) + Send + Sync>;

/// A set of cores. Cheap to clone.
#[derive(Clone)]
pub struct Cores(Arc<Inner>);

struct Inner {
    threads: Threads,
    cores: Vec<Core>,
    /// How many run; those before it in `cores` do.
    running: AtomicUsize,
    /// Held while a core starts, so that every hook sees every core once.
    starting: Mutex<Starting>,
    stop: CancellationToken,
}

#[derive(Default)]
struct Starting {
    hooks: Vec<OnCore>,
    joins: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Core {
    handle: OnceLock<Handle>,
    connections: AtomicUsize,
    /// How busy its thread was in the last interval, in thousandths.
    busy: AtomicUsize,
}

impl Cores {
    /// Starts the first core, or all of a fixed number.
    pub fn start(threads: Threads) -> io::Result<Self> {
        let cores = Cores(Arc::new(Inner {
            threads,
            cores: (0..threads.most()).map(|_| Core::default()).collect(),
            running: AtomicUsize::new(0),
            starting: Mutex::default(),
            stop: CancellationToken::new(),
        }));
        let first = if let Threads::Fixed(_) = threads {
            threads.most()
        } else {
            1
        };
        for _ in 0..first {
            cores.start_one()?;
        }
        Ok(cores)
    }

    /// Calls `hook` on every core that runs and on every one that starts later.
    pub fn on_each(&self, hook: OnCore) {
        let mut starting = self
            .0
            .starting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for core in 0..self.running() {
            self.call(core, &hook);
        }
        starting.hooks.push(hook);
    }

    /// Runs `task` on a core.
    pub fn spawn_on(&self, core: usize, task: BoxFuture<'static, ()>) {
        if let Some(handle) = self.0.cores.get(core).and_then(|core| core.handle.get()) {
            drop(handle.spawn(task));
        }
    }

    /// The core a new connection should go to, seen from `here`: the one with
    /// the fewest connections, and `here` when it is no worse.
    pub fn place(&self, here: usize) -> usize {
        let cores = &self.0.cores[..self.running()];
        let fewest = (0..cores.len())
            .min_by_key(|&i| (cores[i].connections.load(Ordering::Relaxed), i != here));
        fewest.unwrap_or(here)
    }

    /// The core a connection that leaves `here` should go to: the least busy other one.
    pub fn place_away(&self, here: usize) -> usize {
        let cores = &self.0.cores[..self.running()];
        let others = (0..cores.len()).filter(|&i| i != here);
        others
            .min_by_key(|&i| cores[i].busy.load(Ordering::Relaxed))
            .unwrap_or(here)
    }

    /// Counts a connection on `core` until the ticket is dropped.
    pub fn count(&self, core: usize) -> Ticket {
        if let Some(core) = self.0.cores.get(core) {
            core.connections.fetch_add(1, Ordering::Relaxed);
        }
        Ticket {
            cores: self.clone(),
            core,
        }
    }

    /// How many cores may run.
    pub fn most(&self) -> usize {
        self.0.cores.len()
    }

    /// Whether their number is fixed: all run from the start.
    pub fn is_fixed(&self) -> bool {
        !matches!(self.0.threads, Threads::Adaptive(_))
    }

    /// How many cores run.
    pub fn running(&self) -> usize {
        self.0.running.load(Ordering::Acquire)
    }

    /// Open connections on each running core.
    pub fn connections(&self) -> Vec<usize> {
        self.0.cores[..self.running()]
            .iter()
            .map(|core| core.connections.load(Ordering::Relaxed))
            .collect()
    }

    /// Ends every core. Tasks that still run are dropped. Waits for the threads.
    pub fn stop(&self) {
        self.0.stop.cancel();
        // The hooks hold what they start; it must not outlive the cores.
        let Starting { hooks, joins } = std::mem::take(
            &mut *self
                .0
                .starting
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        drop(hooks);
        for join in joins {
            // A core that panicked has told so already.
            let _ = join.join();
        }
    }

    fn call(&self, core: usize, hook: &OnCore) {
        let hook = hook.clone();
        self.spawn_on(core, Box::pin(async move { hook(core) }));
    }

    fn start_one(&self) -> io::Result<()> {
        let mut starting = self
            .0
            .starting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let number = self.running();
        let Some(core) = self.0.cores.get(number) else {
            return Ok(());
        };
        let runtime = self.0.threads.runtime()?;
        core.handle.get_or_init(|| runtime.handle().clone());
        let stop = self.0.stop.clone();
        let watch = (self.0.threads.most() > 1 && matches!(self.0.threads, Threads::Adaptive(_)))
            .then(|| self.clone());
        let join = std::thread::Builder::new()
            .name(format!("core-{number}"))
            .spawn(move || {
                runtime.block_on(async move {
                    let watching = async {
                        match watch {
                            Some(cores) => cores.watch(number).await,
                            None => std::future::pending().await,
                        }
                    };
                    tokio::select! {
                        biased;
                        () = stop.cancelled() => {}
                        () = watching => {}
                    }
                });
                // A blocking call that never returns must not keep the process.
                runtime.shutdown_background();
            })?;
        starting.joins.push(join);
        self.0.running.store(number + 1, Ordering::Release);
        for hook in &starting.hooks {
            self.call(number, hook);
        }
        Ok(())
    }

    /// Watches how busy this core is, and gives work away when it is too busy.
    async fn watch(&self, here: usize) {
        let mut pressure = Pressure::default();
        let mut meter = pressure::Meter::new();
        loop {
            rest(meter.interval()).await;
            let doing = meter.read();
            let own = &self.0.cores[here];
            own.busy
                .store((doing.busy * 1000.0) as usize, Ordering::Relaxed);
            let away = self.place_away(here);
            // A single connection would only be sent to and fro.
            let may_move = away != here && own.connections.load(Ordering::Relaxed) > 1;
            let other =
                may_move.then(|| self.0.cores[away].busy.load(Ordering::Relaxed) as f64 / 1000.0);
            let may_wake = self.running() < self.0.cores.len().min(allowance());
            match pressure.relieve(doing, other, may_wake, &mut meter) {
                Relief::None => crate::seat::let_move(0),
                Relief::Move(count) => crate::seat::let_move(count),
                Relief::Wake => {
                    // Without a new thread the core stays as busy as it was.
                    let _ = self.start_one();
                }
            }
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the cores watch real processors, never simulated ones"
)]
async fn rest(interval: Duration) {
    tokio::time::sleep(interval).await;
}

/// One connection counted on one core.
pub struct Ticket {
    cores: Cores,
    core: usize,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(core) = self.cores.0.cores.get(self.core) {
            core.connections.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_connection_goes_to_the_core_with_the_fewest() {
        let cores = Cores::start(Threads::Fixed(4)).unwrap();
        let tickets: Vec<_> = (0..64).map(|_| cores.count(cores.place(0))).collect();
        assert_eq!(cores.connections(), [16; 4]);
        drop(tickets);
        assert_eq!(cores.connections(), [0; 4]);
        cores.stop();
    }

    #[test]
    fn threads_that_steal_are_one_core_and_run_at_once() {
        let cores = Cores::start(Threads::new(Sharing::Stealing, Some(2))).unwrap();
        assert_eq!((cores.most(), cores.is_fixed()), (1, true));
        // Each waits for the other: on one thread neither would go on.
        let both = Arc::new(std::sync::Barrier::new(2));
        let (tell, told) = std::sync::mpsc::sync_channel(2);
        for _ in 0..2 {
            let (both, tell) = (both.clone(), tell.clone());
            let waits = async move {
                both.wait();
                tell.send(()).unwrap();
            };
            cores.spawn_on(0, Box::pin(waits));
        }
        told.recv().unwrap();
        told.recv().unwrap();
        cores.stop();
    }

    #[test]
    fn hooks_run_once_on_every_core_early_or_late() {
        let cores = Cores::start(Threads::Adaptive(3)).unwrap();
        assert_eq!(cores.running(), 1);
        let (tell, told) = std::sync::mpsc::sync_channel(8);
        cores.on_each(Arc::new(move |core| tell.send(core).unwrap()));
        assert_eq!(told.recv().unwrap(), 0);
        cores.start_one().unwrap();
        cores.start_one().unwrap();
        let mut later = [told.recv().unwrap(), told.recv().unwrap()];
        later.sort_unstable();
        assert_eq!(later, [1, 2]);
        cores.stop();
        assert!(told.try_recv().is_err());
    }
}
