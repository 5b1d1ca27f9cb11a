//! Those who wait until a target has room: first come, first served, not more
//! than may wait, and not longer.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use netloom_base::failure::Fact;
use netloom_base::{Code, Failure, Side, Stage};
use netloom_transport::Cx;
use tokio::sync::oneshot;

use super::standing::Standing;
use super::{Pick, Pool, Taken};

/// The line of one pool.
#[derive(Default)]
pub(super) struct Line {
    waiters: Mutex<VecDeque<Waiter>>,
    /// How many wait. Whoever gives room back looks here before at the lock.
    waiting: AtomicUsize,
    next: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) late: AtomicU64,
}

struct Waiter {
    ticket: u64,
    client: Option<u64>,
    without: Vec<Arc<Standing>>,
    cx: Cx,
    give: oneshot::Sender<Result<Pick, Failure>>,
}

/// A place in the line, left when it is dropped.
struct InLine<'a>(&'a Line, u64);

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        let mut waiters = self.0.waiters();
        if let Some(at) = waiters.iter().position(|w| w.ticket == self.1) {
            self.0.leaves(&mut waiters, at);
        }
    }
}

impl Line {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.load(SeqCst) == 0
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.load(SeqCst)
    }

    fn waiters(&self) -> MutexGuard<'_, VecDeque<Waiter>> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leaves(&self, waiters: &mut VecDeque<Waiter>, at: usize) -> Option<Waiter> {
        self.waiting.fetch_sub(1, SeqCst);
        waiters.remove(at)
    }
}

impl Pool {
    /// Waits in the line for a target with room.
    pub(super) async fn wait(
        self: &Arc<Self>,
        client: Option<u64>,
        tried: &[Pick],
        cx: &Cx,
    ) -> Result<Pick, Failure> {
        let (give, mut given) = oneshot::channel();
        let ticket = self.line.next.fetch_add(1, SeqCst);
        let without: Vec<Arc<Standing>> = tried
            .iter()
            .map(|pick| pick.held.standing.clone())
            .collect();
        {
            let mut waiters = self.line.waiters();
            if waiters.len() >= self.rules.queue as usize {
                drop(waiters);
                return Err(self.refused());
            }
            // Counted before it looks once more: either it sees what has become
            // free, or whoever frees something sees that it waits.
            self.line.waiting.fetch_add(1, SeqCst);
            if waiters.is_empty() {
                let taken = self.take(client, &without, cx);
                if !matches!(taken, Taken::Full) {
                    self.line.waiting.fetch_sub(1, SeqCst);
                    drop(waiters);
                    return taken.told(|| self.nothing_left(tried));
                }
            }
            waiters.push_back(Waiter {
                ticket,
                client,
                without,
                cx: cx.clone(),
                give,
            });
        }
        let place = InLine(&self.line, ticket);
        let limit = self.rules.queue_timeout;
        if let Some(Ok(taken)) = cx.timeout(limit, &mut given).await {
            return taken;
        }
        drop(place);
        // It may have been given in the very moment.
        given.try_recv().unwrap_or_else(|_| Err(self.late()))
    }

    /// Gives what has become free to those who wait.
    pub(super) fn hand_out(self: &Arc<Self>) {
        if self.line.is_empty() {
            return;
        }
        let mut lost = Vec::new();
        let mut waiters = self.line.waiters();
        let mut at = 0;
        while let Some(first) = waiters.get(at) {
            if first.give.is_closed() {
                self.line.leaves(&mut waiters, at);
                continue;
            }
            let result = match self.take(first.client, &first.without, &first.cx) {
                // What the least choosy cannot have, nobody can.
                Taken::Full if first.without.is_empty() => break,
                Taken::Full => {
                    at += 1;
                    continue;
                }
                taken => taken.told(|| self.nothing_left(&[])),
            };
            let waiter = self.line.leaves(&mut waiters, at);
            lost.extend(waiter.and_then(|waiter| waiter.give.send(result).err()));
        }
        drop(waiters);
        // A pick that nobody took any more is free again, and handed out again.
        drop(lost);
    }

    fn refused(&self) -> Failure {
        self.line.refused.fetch_add(1, SeqCst);
        let allows = u64::from(self.rules.queue);
        let message =
            format!("every target has as many connections as it may, and {allows} wait already");
        Failure::new(Stage::Connect, Side::Us, Code::LIMIT_REACHED)
            .message(message)
            .fact(Fact::Limit {
                name: "queue",
                allows,
            })
    }

    fn late(&self) -> Failure {
        self.line.late.fetch_add(1, SeqCst);
        let limit = self.rules.queue_timeout;
        let failure = if self.is_ready() {
            Failure::new(Stage::Connect, Side::Us, Code::LIMIT_QUEUE_TIMEOUT)
                .message("every target had as many connections as it may, for all that time")
        } else {
            Failure::new(Stage::Connect, Side::Us, Code::CONNECT_NO_TARGET)
                .message("where the targets are is not known yet")
        };
        failure.fact(Fact::Waited(limit)).retry()
    }
}
