//! A simulated network on a clock that jumps: no sockets, no waiting, and
//! everything repeatable from one number.
//!
//! A [`Sim`] owns an executor of one thread and a [`SimNet`] of hosts and
//! links. Each host has a [`Cx`] of its own; what is written against `Cx` and
//! [`Net`](crate::Net) runs there unchanged, speaks the same address language
//! and fails with the same codes.
//!
//! ```
//! use std::time::Duration;
//! use netloom_base::Role;
//! use netloom_transport::sim::{Link, Sim};
//!
//! let sim = Sim::new(7);
//! sim.link("here", "far", Link::default().delayed(Duration::from_millis(50), Duration::ZERO));
//! let cx = sim.host("here");
//! sim.host("far");
//! let refused = sim.block_on(async {
//!     let stack = cx.net().stack(&"tcp://far:80".parse().unwrap(), Role::Dial)?;
//!     cx.net().dial(&stack, &cx).await.map(drop)
//! })?;
//! assert_eq!(refused.unwrap_err().code().name(), "connect.refused.no-listener");
//! assert_eq!(sim.now().since_start(), Duration::from_millis(100));
//! # Ok::<(), netloom_base::Failure>(())
//! ```
//!
//! What is simulated: addresses and ports, the handshake and its answers,
//! delay, jitter, bandwidth, loss, windows, half-close, resets, backlogs.
//! What is not: congestion control, keepalive probes, and a kernel that gives
//! up. A stream over a cut link waits for as long as the cut lasts, as TCP does
//! for the first quarter of an hour; limits are there to end it.
//!
//! For repeatable runs the code under test must take chance from `Cx` too:
//! `tokio::select!` without `biased;` and the order of a `HashMap` are drawn
//! anew by every process.

mod executor;
mod io;
mod link;
mod listen;
mod net;
mod stream;
mod tcp;
#[cfg(test)]
mod tests;
mod udp;
mod world;

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use netloom_base::{Failure, Moment};

use crate::cx::Cx;
use crate::net::{Assembly, Layer};
use crate::way::Way;
use executor::{Executor, Place};

pub use link::Link;
pub use net::SimNet;

/// A simulation: the executor, the network and the hosts.
///
/// It derefs to its [`SimNet`], which can be cloned into tasks. Dropping the
/// simulation drops every task in it.
pub struct Sim {
    executor: Arc<Executor>,
    net: SimNet,
    layers: Vec<Arc<dyn Layer>>,
    seed: u64,
    hosts: Mutex<BTreeMap<String, Cx>>,
}

impl Sim {
    /// An empty world. The same seed and the same program give the same events.
    pub fn new(seed: u64) -> Self {
        Sim::with_layers(seed, Vec::new())
    }

    /// The same, where stacks may have these layers.
    pub fn with_layers(seed: u64, layers: Vec<Arc<dyn Layer>>) -> Self {
        let executor = Executor::new();
        let net = SimNet::new(executor.clone(), seed);
        Sim {
            executor,
            net,
            layers,
            seed,
            hosts: Mutex::default(),
        }
    }

    /// Runs tasks in an order drawn from the seed, instead of first come, first
    /// served: finds what works only in one order.
    pub fn shuffled(self) -> Self {
        self.executor.shuffle(self.seed ^ 0x5eed);
        self
    }

    /// The world as the host `name` sees it. A new host gets the next address
    /// of 10.0.0.0/8; every host has both loopbacks to itself.
    pub fn host(&self, name: &str) -> Cx {
        self.make(name, |net| net)
    }

    /// The same for a new host that reaches others by this way.
    pub fn host_by_way(&self, name: &str, way: Arc<dyn Way>) -> Cx {
        self.make(name, |net| net.by_way(way))
    }

    fn make(&self, name: &str, finish: impl FnOnce(Assembly) -> Assembly) -> Cx {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let seed = self.seed.wrapping_add(hosts.len() as u64 + 1);
        let make = || {
            let place = Arc::new(Place {
                executor: self.executor.clone(),
                name: name.into(),
            });
            let net = self.net.seen_from(name, self.layers.clone());
            Cx::new(Arc::new(finish(net)), place.clone(), place, Some(seed))
        };
        hosts.entry(name.to_owned()).or_insert_with(make).clone()
    }

    /// The world as a host named `localhost` sees it, where one is enough.
    pub fn cx(&self) -> Cx {
        self.host("localhost")
    }

    /// Runs every task until `work` is done. Fails, instead of waiting for ever,
    /// when nothing can run and no alarm is set, and when tasks wake each other
    /// without end while the clock stands.
    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> Result<T, Failure> {
        self.executor.block_on(work)
    }

    /// Runs every task until the clock is at `end`. Fails when tasks wake each
    /// other without end.
    pub fn run_until(&self, end: Moment) -> Result<(), Failure> {
        self.executor.run_until(end)
    }

    /// Runs every task for so long.
    pub fn run_for(&self, time: Duration) -> Result<(), Failure> {
        self.run_until(self.now() + time)
    }

    /// What the clock shows.
    pub fn now(&self) -> Moment {
        self.executor.now()
    }

    /// How many tasks have not ended, on all hosts.
    pub fn tasks(&self) -> usize {
        self.executor.tasks()
    }

    /// The network, to be cloned into tasks.
    pub fn net(&self) -> &SimNet {
        &self.net
    }
}

impl Deref for Sim {
    type Target = SimNet;

    fn deref(&self) -> &SimNet {
        &self.net
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        // A task holds a `Cx`, which holds the executor, which holds the task.
        self.executor.clear();
    }
}
