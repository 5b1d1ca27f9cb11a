//! One connection, from whoever came to a target, and to its end.

use std::future::{poll_fn, ready};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use netloom_base::{Event, Failure};
use netloom_transport::carry::{Carry, CarryFailure, Pause, Paused, Until, carry};
use netloom_transport::{BoxFuture, Close, Conn, Cx, Origin};

use super::account::Account;
use super::reach::{Broke, Reached, Unreached};
use super::service::Forwarder;
use crate::balance::{Pick, Pool};

/// A client that is to be led to one of a pool.
struct Led {
    conn: Conn,
    pool: Arc<Pool>,
    /// The name it asked for, where somebody leads by names.
    name: Option<Box<str>>,
    account: Option<Box<Account>>,
}

/// What is known of a pair while it is carried.
struct Way {
    pick: Pick,
    /// Those that were tried before.
    tried: Vec<Pick>,
    pool: Arc<Pool>,
    name: Option<Box<str>>,
    account: Option<Box<Account>>,
}

/// A client and the target that was reached for it, and how.
type Pair = (Carry, Way);

/// A pair on its way to another core, but for its client.
struct Leaving {
    paused: Paused,
    way: Way,
}

impl Forwarder {
    /// Carries one connection, and tells how it ended.
    ///
    /// What stands in this future, each pair pays for as long as it lives; what
    /// only the way to a target needs is boxed apart.
    pub(super) fn convey<'a>(
        &'a self,
        conn: Conn,
        cx: &'a Cx,
    ) -> BoxFuture<'a, Result<(), Failure>> {
        let left = conn.seat().and_then(|seat| seat.unpack::<Leaving>());
        let mut paired: BoxFuture<'a, Result<Pair, Failure>> = match left {
            None => Box::pin(self.first_pair(conn, cx)),
            Some(left) => match left.paused.resume(conn) {
                Ok(carrying) => Box::pin(ready(Ok((carrying, left.way)))),
                Err(lost) => Box::pin(self.next_pair(left.way, lost, cx)),
            },
        };
        Box::pin(async move {
            loop {
                let (mut carrying, way) = paired.await?;
                let ended = loop {
                    if let Some(ended) = poll_fn(|task| carrying.poll_here(task)).await {
                        break ended;
                    }
                    match carrying.pause() {
                        Ok(Pause::Here(stays)) => carrying = stays,
                        Ok(Pause::Away(paused, seat)) => {
                            seat.pack(Leaving { paused, way });
                            return Ok(());
                        }
                        Err(lost) => break Err(lost),
                    }
                };
                match ended {
                    Ok(carried) => {
                        if let Some(account) = way.account {
                            account.carried(carried, cx);
                        }
                        return Ok(());
                    }
                    Err(ended) => paired = Box::pin(self.next_pair(way, ended, cx)),
                }
            }
        })
    }

    /// Leads a client that just came to a target.
    async fn first_pair(&self, conn: Conn, cx: &Cx) -> Result<Pair, Failure> {
        let id = conn.id();
        let account = Account::open(self.access.journal(), cx, id, || conn.peer());
        let (conn, name, pool) = match &self.names {
            None => (conn, None, self.pool.clone()),
            // Most do without, and it is large.
            Some(names) => match Box::pin(names.settle(conn, cx)).await {
                Ok(settled) => settled,
                Err(failure) => {
                    if let Some(account) = account {
                        account.turned_away(&failure, cx);
                    }
                    let again = Failure::new(failure.stage(), failure.side(), failure.code());
                    cx.events().tell_connection(|| Event::Failed {
                        service: cx.service().clone(),
                        conn: Some(id),
                        failure,
                    });
                    return Err(again);
                }
            },
        };
        let led = Led {
            conn,
            pool,
            name,
            account,
        };
        self.pair(led, None, cx).await
    }

    /// Leads a client on whose target broke before a word was said; whoever has
    /// heard or said something ends with its target.
    async fn next_pair(&self, way: Way, mut ended: CarryFailure, cx: &Cx) -> Result<Pair, Failure> {
        let Way {
            mut pick,
            mut tried,
            pool,
            name,
            account,
        } = way;
        if let Some(client) = ended.spared.take() {
            pick.failed(&ended.failure);
            if tried.len() + 1 < self.reach.tries(&pool) {
                let failure = ended.failure.at(&pick.target().stack.endpoint);
                pick.closed();
                tried.push(pick);
                let led = Led {
                    conn: *client,
                    pool,
                    name,
                    account,
                };
                return self.pair(led, Some(Broke { tried, failure }), cx).await;
            }
            client.close(Close::Abort);
        }
        if let Some(account) = account {
            account.broke(&ended, cx);
        }
        Err(ended.failure)
    }

    /// Reaches a target for a client.
    async fn pair(&self, led: Led, broke: Option<Broke>, cx: &Cx) -> Result<Pair, Failure> {
        let Led {
            mut conn,
            pool,
            name,
            mut account,
        } = led;
        let reaching = self.reached_for(&mut conn, name.clone(), &pool, broke, cx);
        let reached = match reaching.await {
            Reaching::Reached(reached) => reached,
            Reaching::Unreached(unreached) => {
                // Not an end in order: what it asked for was never there.
                conn.close(Close::Abort);
                if let Some(account) = account {
                    account.unreached(&unreached, cx);
                }
                return Err(unreached.failure());
            }
            Reaching::Left(failure) => {
                conn.close(Close::Abort);
                if let Some(account) = account {
                    account.left(&failure, cx);
                }
                return Err(failure);
            }
        };
        if let Some(account) = &mut account {
            account.reached(&reached);
        }
        let target = reached.opened.stream()?;
        let way = Way {
            pick: reached.pick,
            tried: reached.tried,
            pool,
            name,
            account,
        };
        Ok((carry(conn, target, Until::BothEnd), way))
    }

    /// Reaches a target for a client, as long as the client stays. Nothing is
    /// read from it meanwhile.
    async fn reached_for(
        &self,
        conn: &mut Conn,
        name: Option<Box<str>>,
        pool: &Arc<Pool>,
        broke: Option<Broke>,
        cx: &Cx,
    ) -> Reaching {
        let client = pool.needs_client().then(|| conn.peer()?.ip()).flatten();
        // To know who comes costs two system calls; only a layer would tell it.
        let origin = pool.has_layers().then(|| Origin {
            server_name: name.or_else(|| conn.server_name().map(Box::from)),
            ..conn.origin()
        });
        let reaching = self.reach.reach_after(broke, pool, client, origin, cx);
        let mut reaching = pin!(reaching);
        // Most targets answer at once, and nobody need be watched.
        let mut unwatched = Some(conn);
        let mut leaving: Option<BoxFuture<'_, Failure>> = None;
        poll_fn(|task| {
            if let Poll::Ready(reached) = reaching.as_mut().poll(task) {
                return Poll::Ready(match reached {
                    Ok(reached) => Reaching::Reached(reached),
                    Err(unreached) => Reaching::Unreached(unreached),
                });
            }
            if let Some(conn) = unwatched.take() {
                leaving = Some(Box::pin(conn.gone()));
            }
            match &mut leaving {
                Some(leaving) => leaving.as_mut().poll(task).map(Reaching::Left),
                None => Poll::Pending,
            }
        })
        .await
    }
}

/// How reaching a target for a client ended.
enum Reaching {
    Reached(Reached),
    Unreached(Unreached),
    /// The client left first, or a limit ended it.
    Left(Failure),
}
