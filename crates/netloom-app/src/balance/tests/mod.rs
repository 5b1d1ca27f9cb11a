//! Pools in a simulated network.

mod checks;
mod choice;
mod line;
mod names;
mod written;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use netloom_base::{Endpoint, Failure, Role, Settings};
use netloom_transport::cx::Stamped;
use netloom_transport::sim::Sim;
use netloom_transport::{Cx, Events};
use tokio::sync::mpsc::Receiver;

use super::{Entry, Pick, Pool, Rules};

/// Rules from keys and values.
fn rules(written: &[(&str, &str)]) -> Rules {
    let mut settings = Settings::new();
    for (key, value) in written {
        settings.push(key, (*value).into(), None);
    }
    Rules::read(&settings).unwrap()
}

fn entries(written: &[&str]) -> Vec<Entry> {
    let one = |text: &&str| Entry::read(&text.parse::<Endpoint>().unwrap()).unwrap();
    written.iter().map(one).collect()
}

/// A pool on the host `here`, with what it tells.
struct Place {
    sim: Sim,
    cx: Cx,
    pool: Arc<Pool>,
    told: Receiver<Stamped>,
}

impl Place {
    fn new(targets: &[&str], written: &[(&str, &str)]) -> Self {
        Place::of(Sim::new(7), targets, written)
    }

    fn of(sim: Sim, targets: &[&str], written: &[(&str, &str)]) -> Self {
        let here = sim.host("here");
        let clock = SimClock(here.clone());
        let (events, told) = Events::queue(256, false, Arc::new(clock));
        let limits = netloom_base::Limits::default();
        let cx = here.child(events, limits).serving("web".into());
        let pool = Pool::of(entries(targets), rules(written), cx.net()).unwrap();
        Place {
            sim,
            cx,
            pool,
            told,
        }
    }

    /// Serves on a host of the network: what comes is accepted and kept.
    fn serve(&self, host: &str) -> Server {
        serve(&self.sim, host)
    }

    fn pick(&self) -> Result<Pick, Failure> {
        self.pick_for(None, &[])
    }

    fn pick_for(&self, client: Option<IpAddr>, tried: &[Pick]) -> Result<Pick, Failure> {
        let picked = self.pool.pick(client, tried, &self.cx);
        self.sim.block_on(picked).unwrap()
    }

    /// How often each target is taken in so many picks, each let go at once.
    fn shares(&self, picks: usize) -> BTreeMap<String, usize> {
        let mut shares = BTreeMap::new();
        for _ in 0..picks {
            *shares.entry(name(&self.pick().unwrap())).or_default() += 1;
        }
        shares
    }

    /// What was told since, in words.
    fn heard(&mut self) -> Vec<String> {
        let mut heard = Vec::new();
        while let Ok(stamped) = self.told.try_recv() {
            if let netloom_base::Event::Note(record) = stamped.event {
                heard.push(record.in_words().unwrap());
            }
        }
        heard
    }

    fn run(&self, time: Duration) {
        self.sim.run_for(time).unwrap();
    }
}

struct SimClock(Cx);

impl netloom_transport::Clock for SimClock {
    fn now(&self) -> netloom_base::Moment {
        self.0.now()
    }

    fn wall(&self) -> netloom_base::Timestamp {
        self.0.wall()
    }

    fn sleep_until(
        &self,
        moment: netloom_base::Moment,
    ) -> netloom_transport::BoxFuture<'static, ()> {
        let cx = self.0.clone();
        Box::pin(async move { cx.sleep(moment - cx.now()).await })
    }
}

/// A server that goes when it is dropped.
struct Server(Cx);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.shutdown().abort();
    }
}

fn serve(sim: &Sim, host: &str) -> Server {
    serve_saying(sim, host, b"")
}

/// A server on port 80 that says this to whoever comes, then keeps listening.
fn serve_saying(sim: &Sim, host: &str, says: &'static [u8]) -> Server {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let cx = sim.host(host).bare();
    let there = cx.clone();
    sim.block_on(async {
        let stack = cx.net().stack(&"tcp://*:80".parse().unwrap(), Role::Bind);
        let bound = cx.net().bind(&stack.unwrap(), &cx).await.unwrap();
        let bound = bound.into_iter().next().unwrap();
        let stop = cx.shutdown().clone();
        cx.clone().spawn_loose(async move {
            let mut listener = bound.listener().unwrap().unwrap();
            loop {
                let accepted = tokio::select! {
                    biased;
                    () = stop.aborted() => return,
                    accepted = listener.accept() => accepted.unwrap(),
                };
                let stop = stop.clone();
                let mut conn = accepted.attach().unwrap();
                cx.spawn_loose(async move {
                    let talk = async {
                        let mut asked = [0; 1024];
                        if conn.write_all(says).await.is_ok() {
                            while conn.read(&mut asked).await.is_ok_and(|n| n > 0) {}
                        }
                    };
                    tokio::select! {
                        biased;
                        () = stop.aborted() => {}
                        () = talk => {}
                    }
                });
            }
        });
    })
    .unwrap();
    Server(there)
}

fn name(pick: &Pick) -> String {
    pick.target().stack.endpoint.to_string()
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}
