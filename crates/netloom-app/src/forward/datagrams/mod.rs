//! Datagrams to datagrams: a session for each client, with an upstream socket
//! of its own, so that the target's answers find their way back.
//!
//! One task serves one socket and all its sessions. Each session has a waker
//! that puts its number on a list, so what wakes costs nothing for those that
//! sleep; what several targets' sockets have to say goes back in one system call.

mod back;
mod ready;
mod serve;
mod session;
mod table;
mod tell;
mod upstream;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use netloom_base::limits::MAX_CONNS;
use netloom_base::{Failure, settings};
use netloom_protocol::{DatagramService, Measures};
use netloom_transport::guard::raise_descriptor_limit;
use netloom_transport::{BoxFuture, Cx, Datagrams, Guard};

use crate::balance::Pool;
use serve::Serving;
use tell::Told;

settings! {
    /// What bounds the sessions of a forwarder of datagrams.
    pub(super) struct SessionRules {
        /// end a session of datagrams on which nothing moved for so long; 0s is never
        session_idle: Duration = Duration::from_mins(1),
        /// sessions of datagrams open at once [default: the smaller of 10000 and 80 % of the descriptors]
        max_sessions: Option<usize>,
        /// sessions of datagrams open at once from one address; loopback is not counted
        max_sessions_per_source: usize = 1024,
    }
}

impl SessionRules {
    /// Who lets clients in.
    pub(super) fn guard(&self) -> Arc<Guard> {
        let most = self.max_sessions.unwrap_or(MAX_CONNS);
        let share = usize::try_from(raise_descriptor_limit() / 5 * 4).unwrap_or(usize::MAX);
        Guard::new(most.clamp(1, share.max(1)), self.max_sessions_per_source)
    }
}

/// How hard it is tried to reach a target.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// How long one may take.
    pub(super) connect_timeout: Duration,
    /// How many are tried.
    pub(super) tries: usize,
}

/// The service that carries datagrams to the targets of `pool` and their
/// answers back. The caps hold for all sockets and addresses that it serves.
pub(super) fn sessions(
    pool: Arc<Pool>,
    rules: &SessionRules,
    patience: Patience,
) -> Arc<dyn DatagramService> {
    Arc::new(Sessions(Arc::new(Shared {
        pool,
        patience,
        idle: rules.session_idle,
        guard: rules.guard(),
        waiting: Arc::default(),
        told: Told::default(),
    })))
}

/// What all sockets of one forwarder share.
struct Shared {
    pool: Arc<Pool>,
    patience: Patience,
    idle: Duration,
    /// How many sessions there may be.
    guard: Arc<Guard>,
    /// How many bytes wait for targets.
    waiting: Arc<AtomicUsize>,
    told: Told,
}

struct Sessions(Arc<Shared>);

impl DatagramService for Sessions {
    fn serve<'a>(
        &'a self,
        socket: Box<dyn Datagrams>,
        cx: &'a Cx,
    ) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(Serving::new(socket, self.0.clone(), cx))
    }

    /// The kernel gives all datagrams of one client to one of several sockets,
    /// so each socket knows all there is to know of its clients.
    fn is_per_peer(&self) -> bool {
        true
    }

    fn measure(&self, to: &mut dyn Measures) {
        let open = self.0.guard.open() as f64;
        let help = "sessions of datagrams that are open";
        to.gauge("netloom_forward_sessions", help, &[], open);
        self.0.told.measure(to);
    }
}
