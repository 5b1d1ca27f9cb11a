//! The hosts and links of a simulation, and what can happen to them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use netloom_base::{Code, Failure, Side, Stage};

use super::executor::Executor;
use super::link::Link;
use super::tcp::SimTcp;
use super::udp::SimUdp;
use super::world::World;
use crate::BoxFuture;
use crate::conn::{ConnFacts, Peer};
use crate::cx::Cx;
use crate::net::{Assembly, Found, Layer, Resolver, Services};

/// The simulated network. Cheap to clone; every clone is the same network.
#[derive(Clone)]
pub struct SimNet(Arc<World>);

impl SimNet {
    pub(super) fn new(executor: Arc<Executor>, seed: u64) -> Self {
        SimNet(World::new(executor, seed))
    }

    /// The network as the host `name` sees it, with these layers.
    pub fn seen_from(&self, name: &str, layers: Vec<Arc<dyn Layer>>) -> Assembly {
        let world = self.0.clone();
        let host = world.lock().host(name);
        let tcp = Arc::new(SimTcp {
            world: world.clone(),
            host,
        });
        let udp = Arc::new(SimUdp {
            world: world.clone(),
            host,
        });
        Assembly::new(vec![tcp, udp], layers, Arc::new(Names(world)))
    }

    /// The addresses of a host, in the order in which its name resolves to them.
    pub fn addresses(&self, host: &str) -> Vec<IpAddr> {
        let mut state = self.0.lock();
        let host = state.host(host);
        state.hosts[host].addresses.clone()
    }

    /// Gives a host these addresses instead of the one it got.
    pub fn set_addresses(&self, host: &str, addresses: Vec<IpAddr>) {
        let mut state = self.0.lock();
        let host = state.host(host);
        state.hosts[host].addresses = addresses;
    }

    /// What is answered to whoever asks for `name`, instead of a host's
    /// addresses: these, or a failure with this code.
    pub fn name(&self, name: &str, answer: Result<Found, Code>) {
        self.0.lock().names.insert(name.to_owned(), answer);
    }

    /// What is answered to whoever asks where the service `name` is.
    pub fn service(&self, name: &str, answer: Result<Services, Code>) {
        self.0.lock().services.insert(name.to_owned(), answer);
    }

    /// Makes every link that is not yet used or set carry like this.
    pub fn links(&self, link: Link) {
        self.0.lock().set_default(link);
    }

    /// Makes the link between `a` and `b` carry like this, from now on; the same
    /// host twice is its loopback. Windows hold for connections made later.
    pub fn link(&self, a: &str, b: &str, link: Link) {
        let mut state = self.0.lock();
        let (a, b) = (state.host(a), state.host(b));
        state.set_link(a, b, link);
    }

    /// Cuts the link between `a` and `b`: silence, and nobody is told.
    pub fn cut(&self, a: &str, b: &str) {
        let mut state = self.0.lock();
        let (a, b) = (state.host(a), state.host(b));
        for (from, to) in [(a, b), (b, a)] {
            if !std::mem::replace(&mut state.line(from, to).cut, true) {
                state.stall(from, to);
            }
        }
        state.tell(|| "cut".to_owned());
    }

    /// Mends the link between `a` and `b`. Streams send again what was lost.
    pub fn heal(&self, a: &str, b: &str) {
        let mut state = self.0.lock();
        let (a, b) = (state.host(a), state.host(b));
        for (from, to) in [(a, b), (b, a)] {
            if std::mem::take(&mut state.line(from, to).cut) {
                state.resume(from, to);
            }
        }
        state.tell(|| "healed".to_owned());
    }

    /// Resets both ends of the connection with these facts; `false` when there
    /// is none.
    pub fn reset(&self, conn: &ConnFacts) -> bool {
        match (&conn.local, &conn.peer) {
            (Some(Peer::Ip(local)), Some(Peer::Ip(peer))) => {
                self.0.lock().reset_between(*local, *peer)
            }
            _ => false,
        }
    }

    /// Resets the next connection made between the two hosts at both ends, after
    /// exactly `bytes` from `from` have reached `to`.
    pub fn cut_after(&self, from: &str, to: &str, bytes: u64) {
        let mut state = self.0.lock();
        let way = (state.host(from), state.host(to));
        state.fuses.insert(way, bytes);
    }

    /// The open connections, as who dialled and whom. One is open until the
    /// programs at both ends have closed it.
    pub fn streams(&self) -> Vec<(SocketAddr, SocketAddr)> {
        self.0
            .lock()
            .streams
            .values()
            .map(super::stream::Stream::addresses)
            .collect()
    }

    /// Keeps a trace of what arrives from now on, at most a million lines.
    pub fn record(&self) {
        self.0.lock().record();
    }

    /// The trace so far: seconds, addresses, what happened.
    pub fn trace(&self) -> Vec<String> {
        self.0.lock().trace()
    }
}

/// The names of the hosts.
struct Names(Arc<World>);

impl Resolver for Names {
    fn lookup<'a>(&'a self, name: &'a str, _: &'a Cx) -> BoxFuture<'a, Result<Found, Failure>> {
        Box::pin(async move {
            if name == "localhost" {
                return Ok(vec![IpAddr::from([127, 0, 0, 1])].into());
            }
            let state = self.0.lock();
            if let Some(answer) = state.names.get(name) {
                return answer.clone().map_err(|code| unknown(name, code));
            }
            match state.hosts.iter().find(|host| &*host.name == name) {
                Some(host) => Ok(host.addresses.clone().into()),
                None => Err(unknown(name, Code::RESOLVE_NO_SUCH_NAME)),
            }
        })
    }

    fn services<'a>(
        &'a self,
        name: &'a str,
        _: &'a Cx,
    ) -> BoxFuture<'a, Result<Services, Failure>> {
        Box::pin(async move {
            match self.0.lock().services.get(name) {
                Some(answer) => answer.clone().map_err(|code| unknown(name, code)),
                None => Err(unknown(name, Code::RESOLVE_NO_SUCH_NAME)),
            }
        })
    }
}

fn unknown(name: &str, code: Code) -> Failure {
    Failure::new(Stage::Resolve, Side::Us, code).message(format!("no address for `{name}`"))
}
