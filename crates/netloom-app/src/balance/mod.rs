//! Which of several targets gets the next connection.
//!
//! Whoever carries asks the [`Pool`] for a [`Pick`], dials its target, says how
//! that went, and keeps the pick as long as it keeps the connection.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use netloom_base::{Code, Failure, Side, Stack, Stage};
use netloom_transport::Cx;

/// One place that connections are carried to.
#[derive(Debug, Clone)]
pub struct Target {
    /// How it is reached.
    pub stack: Stack,
}

/// The targets of one forwarder.
pub struct Pool {
    targets: Vec<Arc<Held>>,
    next: AtomicUsize,
}

/// A target and what is known of it.
struct Held {
    target: Target,
    /// Connections that are open to it, or being opened.
    open: AtomicUsize,
}

impl Pool {
    /// A pool of these targets.
    pub fn new(targets: Vec<Target>) -> Arc<Self> {
        let held = |target| {
            Arc::new(Held {
                target,
                open: AtomicUsize::new(0),
            })
        };
        Arc::new(Pool {
            targets: targets.into_iter().map(held).collect(),
            next: AtomicUsize::new(0),
        })
    }

    /// The target for a connection of `client`, leaving out those of `tried`.
    ///
    /// # Errors
    /// When there is none to give.
    #[expect(clippy::unused_async, reason = "one that is full will be waited for")]
    pub async fn pick(
        &self,
        client: Option<IpAddr>,
        tried: &[Pick],
        cx: &Cx,
    ) -> Result<Pick, Failure> {
        let _ = (client, cx);
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let count = self.targets.len();
        let left = (0..count)
            .map(|i| &self.targets[(first.wrapping_add(i)) % count])
            .find(|held| tried.iter().all(|pick| !Arc::ptr_eq(&pick.held, held)));
        match left {
            Some(held) => {
                held.open.fetch_add(1, Ordering::Relaxed);
                Ok(Pick { held: held.clone() })
            }
            None => Err(
                Failure::new(Stage::Connect, Side::Peer, Code::LIMIT_REACHED)
                    .message("every target was tried"),
            ),
        }
    }
}

/// A target that was picked for one connection. Dropping it says that the
/// connection is closed.
pub struct Pick {
    held: Arc<Held>,
}

impl Pick {
    /// The target.
    pub fn target(&self) -> &Target {
        &self.held.target
    }

    /// It was dialled, which took so long.
    pub fn answered(&self, took: Duration) {
        let _ = took;
    }

    /// It could not be dialled, or broke before it had said anything.
    pub fn failed(&self, failure: &Failure) {
        let _ = failure;
    }
}

impl Drop for Pick {
    fn drop(&mut self) {
        self.held.open.fetch_sub(1, Ordering::Relaxed);
    }
}
