//! Reaching a target: one after the other, until one answers.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use netloom_base::failure::{Fact, Step};
use netloom_base::{Code, Event, Failure, Moment, Side, Stack, Stage};
use netloom_transport::{Cx, Opened, Origin};

use crate::balance::{Pick, Pool};

/// So many other targets are tried when nobody chose.
const MOST_RETRIES: usize = 3;

/// How targets are reached.
pub(super) struct Reach {
    pub(super) connect_timeout: Duration,
    /// How many other targets are tried for one client, where that was chosen.
    pub(super) retries: Option<u32>,
    pub(super) troubles: Arc<Troubles>,
}

/// A target that answered.
pub(super) struct Reached {
    /// Kept as long as what it opened is.
    pub(super) pick: Pick,
    pub(super) opened: Opened,
    /// Those that were tried before.
    pub(super) tried: Vec<Pick>,
    pub(super) took: Duration,
}

/// A target that answered, and broke before a word was said.
pub(super) struct Broke {
    /// It, after those that were tried before.
    pub(super) tried: Vec<Pick>,
    pub(super) failure: Failure,
}

/// None did.
pub(super) struct Unreached {
    pub(super) code: Code,
    pub(super) stage: Stage,
    pub(super) side: Side,
    /// The last that was tried.
    pub(super) target: Option<String>,
    pub(super) tries: usize,
}

impl Unreached {
    /// What is left to say once the failure itself was told.
    pub(super) fn failure(&self) -> Failure {
        let failure = Failure::new(self.stage, self.side, self.code);
        match &self.target {
            Some(target) => failure.at(target),
            None => failure,
        }
    }
}

impl Reach {
    /// Dials targets until one answers, and tells why when none does. Nothing has
    /// been said to any of them, so the next may be tried.
    pub(super) async fn reach(
        &self,
        pool: &Arc<Pool>,
        client: Option<IpAddr>,
        origin: Option<Origin>,
        cx: &Cx,
    ) -> Result<Reached, Unreached> {
        self.reach_after(None, pool, client, origin, cx).await
    }

    /// The same for a client whose first target broke.
    pub(super) async fn reach_after(
        &self,
        broke: Option<Broke>,
        pool: &Arc<Pool>,
        client: Option<IpAddr>,
        origin: Option<Origin>,
        cx: &Cx,
    ) -> Result<Reached, Unreached> {
        let (mut tried, mut last) = match broke {
            Some(broke) => (broke.tried, Some(broke.failure)),
            None => (Vec::new(), None),
        };
        loop {
            let mut pick = match pool.pick(client, &tried, cx).await {
                Ok(pick) => pick,
                Err(nothing) => {
                    // That no other is left says less than why those failed.
                    return Err(self.unreached(last.unwrap_or(nothing), &tried, cx));
                }
            };
            let stack = &pick.target().stack;
            let began = cx.now();
            let failure = match self.dial(stack, origin.as_ref(), cx).await {
                Ok(opened) => {
                    let took = cx.now() - began;
                    pick.answered(took);
                    return Ok(Reached {
                        pick,
                        opened,
                        tried,
                        took,
                    });
                }
                Err(failure) => failure.at(&stack.endpoint),
            };
            pick.failed(&failure);
            pick.closed();
            // What this process may not open, it may not open for the next.
            let ours = failure.stage() == Stage::Create;
            tried.push(pick);
            let before = last.take().map(|failure: Failure| failure.trail().to_vec());
            let failure = failure.after(before.into_iter().flatten());
            if ours || tried.len() >= self.tries(pool) {
                return Err(self.unreached(failure, &tried, cx));
            }
            last = Some(failure);
        }
    }

    /// How many targets of a pool are tried for one client.
    pub(super) fn tries(&self, pool: &Pool) -> usize {
        match self.retries {
            Some(retries) => retries as usize + 1,
            None if pool.changes() => MOST_RETRIES + 1,
            None => pool.len().clamp(1, MOST_RETRIES + 1),
        }
    }

    async fn dial(
        &self,
        stack: &Stack,
        origin: Option<&Origin>,
        cx: &Cx,
    ) -> Result<Opened, Failure> {
        let on_behalf;
        let cx = match origin {
            // Only a layer could pass the client on.
            Some(origin) if stack.levels.len() > 1 => {
                on_behalf = cx.on_behalf_of(origin.clone());
                &on_behalf
            }
            _ => cx,
        };
        let within = self.connect_timeout;
        let dialled = cx.timeout(within, cx.net().dial(stack, cx)).await;
        dialled.unwrap_or_else(|| {
            let to = stack.endpoint.to_string();
            let step = Step {
                stage: Stage::Connect,
                to,
                failed: Some(Code::CONNECT_TIMEOUT),
                took: within,
            };
            Err(
                Failure::new(Stage::Connect, Side::Path, Code::CONNECT_TIMEOUT)
                    .fact(Fact::Waited(within))
                    .after([step])
                    .retry(),
            )
        })
    }

    /// Tells why no target was reached, and keeps what is left to say. That one
    /// failed and another took its place is for the pool to tell.
    fn unreached(&self, failure: Failure, tried: &[Pick], cx: &Cx) -> Unreached {
        let last = tried.last();
        let unreached = Unreached {
            code: failure.code(),
            stage: failure.stage(),
            side: failure.side(),
            target: last.map(|pick| pick.target().stack.endpoint.to_string()),
            tries: tried.len(),
        };
        self.troubles.tell(failure, cx);
        unreached
    }
}

/// How often one trouble with one target is told.
pub(super) const TELL_AGAIN: Duration = Duration::from_secs(1);

/// So many troubles are remembered; of more, each is told.
const REMEMBERED: usize = 64;

/// What was told of late of targets that failed: a target that is down under
/// load is told of once a second, not for each client.
#[derive(Default)]
pub(super) struct Troubles(Mutex<Vec<(String, Code, Moment)>>);

impl Troubles {
    /// Tells why a target failed, unless that was told just now.
    pub(super) fn tell(&self, failure: Failure, cx: &Cx) {
        let now = cx.now();
        let target = failure.endpoint().unwrap_or_default();
        {
            let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            told.retain(|(_, _, at)| now - *at < TELL_AGAIN);
            let known =
                |(of, code, _): &(String, Code, Moment)| of == target && *code == failure.code();
            if told.iter().any(known) {
                return;
            }
            if told.len() < REMEMBERED {
                told.push((target.to_owned(), failure.code(), now));
            }
        }
        cx.events().tell(|| Event::Failed {
            service: cx.service().clone(),
            conn: None,
            failure,
        });
    }
}
