//! One service on the host `server`, with a small accept loop of its own.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use netloom_app::kind;
use netloom_base::{Code, Failure, Limits, Moment, Opens, Role, Settings};
use netloom_protocol::{Service, protocol_for};
use netloom_transport::seat::Deadlines;
use netloom_transport::sim::Sim;
use netloom_transport::{Bound, Conn, Cx, Events, Guard, Listener, Seats};
use tokio::io::AsyncReadExt;

/// Where every service of these tests listens.
pub(crate) const AT: &str = "tcp://server:7";

/// A running service.
pub(crate) struct Served {
    pub(crate) cx: Cx,
    pub(crate) seats: Arc<Seats>,
    pub(crate) guard: Arc<Guard>,
    ended: Arc<Mutex<Vec<Ended>>>,
}

/// How one of its conversations ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) at: Moment,
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) result: Result<(), Failure>,
}

impl Ended {
    pub(crate) fn code(&self) -> Option<Code> {
        self.result.as_ref().err().map(Failure::code)
    }
}

impl Served {
    /// Starts `name` with default limits.
    pub(crate) async fn start(sim: &Sim, name: &str, settings: Settings) -> Arc<Self> {
        Served::limited(sim, name, settings, Limits::default()).await
    }

    pub(crate) async fn limited(
        sim: &Sim,
        name: &str,
        settings: Settings,
        limits: Limits,
    ) -> Arc<Self> {
        let cx = sim.host("server").child(Events::nowhere(), limits.clone());
        let offer = kind(name).unwrap().build(&settings, cx.net()).unwrap();
        let stack = cx.net().stack(&AT.parse().unwrap(), Role::Bind).unwrap();
        let service = protocol_for(&stack)
            .unwrap()
            .service_for(&offer, &Settings::new())
            .unwrap();
        let idle = Some(limits.idle.unwrap_or_else(|| offer.idle()));
        let greet = (offer.opens() == Opens::Client).then_some(limits.greet_timeout);
        let served = Arc::new(Served {
            seats: Seats::new(Deadlines {
                idle,
                lifetime: limits.lifetime,
                greet,
            }),
            guard: Guard::new(limits.total(20_000), limits.max_conns_per_source),
            ended: Arc::default(),
            cx,
        });
        for bound in served.cx.net().bind(&stack, &served.cx).await.unwrap() {
            let listener = bound.listener().unwrap().unwrap();
            served
                .cx
                .spawn(served.clone().accept(bound, listener, service.clone()));
        }
        served.cx.spawn(served.clone().go_round());
        served
    }

    async fn accept(
        self: Arc<Self>,
        _bound: Arc<dyn Bound>,
        mut listener: Box<dyn Listener>,
        service: Arc<dyn Service>,
    ) {
        let stopped = self.cx.clone();
        let mut stopping = std::pin::pin!(stopped.shutdown().draining());
        loop {
            let next = async { (self.guard.permit().await, listener.accept().await) };
            let (mut permit, accepted) = tokio::select! {
                biased;
                () = &mut stopping => return,
                next = next => (next.0, next.1.unwrap()),
            };
            if permit.admit(accepted.source()) {
                let seat = self.seats.take(Some(permit));
                let conn = accepted.attach().unwrap().seated(seat);
                self.cx.spawn(self.clone().converse(conn, service.clone()));
            } else {
                accepted.refuse();
            }
        }
    }

    async fn converse(self: Arc<Self>, conn: Conn, service: Arc<dyn Service>) {
        let seat = conn.seat().unwrap().clone();
        let result = service.serve(conn, &self.cx).await;
        self.seats.leave(&seat);
        let ended = Ended {
            at: self.cx.now(),
            received: seat.received(),
            sent: seat.sent(),
            result,
        };
        self.ended.lock().unwrap().push(ended);
    }

    async fn go_round(self: Arc<Self>) {
        let Some(round) = self.seats.round() else {
            return;
        };
        while self
            .cx
            .timeout(round, self.cx.shutdown().draining())
            .await
            .is_none()
        {
            self.seats.go_round();
        }
    }

    /// How the conversations that are over have ended, oldest first.
    pub(crate) fn take_ended(&self) -> Vec<Ended> {
        std::mem::take(&mut self.ended.lock().unwrap())
    }

    /// Drains the service. Afterwards nothing of it is left.
    pub(crate) async fn stop(&self, sim: &Sim) {
        self.cx.shutdown().drain();
        self.seats.drain();
        let drained = self
            .cx
            .timeout(self.cx.limits().drain, self.cx.tasks_done())
            .await;
        if drained.is_none() {
            self.seats.abort();
            self.cx
                .timeout(Duration::from_secs(5), self.cx.tasks_done())
                .await
                .expect("aborted tasks end");
        }
        assert_eq!(
            (self.seats.taken(), self.guard.open(), self.cx.tasks()),
            (0, 0, 0)
        );
        // The last words and ends are still on their way.
        self.cx.sleep(Duration::from_mins(1)).await;
        assert_eq!(sim.streams(), []);
    }
}

/// Dials the service from the host `from`.
pub(crate) async fn dial(cx: &Cx) -> Result<Conn, Failure> {
    let stack = cx.net().stack(&AT.parse().unwrap(), Role::Dial)?;
    cx.net().dial(&stack, cx).await?.stream()
}

/// Bytes that tell where they stood in the stream of `who`.
pub(crate) fn text(who: u64, length: usize) -> Vec<u8> {
    let word = |i: u64| {
        (who << 32 | i)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .to_be_bytes()
    };
    (0..length.div_ceil(8) as u64)
        .flat_map(word)
        .take(length)
        .collect()
}

/// Reads to the end, `piece` bytes at a time with a rest after each.
pub(crate) async fn read_slowly(
    conn: &mut (impl tokio::io::AsyncRead + Unpin),
    piece: usize,
    rest: Duration,
    cx: &Cx,
) -> (Vec<u8>, std::io::Result<()>) {
    let mut got = Vec::new();
    let mut bytes = vec![0; piece];
    loop {
        match conn.read(&mut bytes).await {
            Ok(0) => return (got, Ok(())),
            Ok(n) => got.extend_from_slice(&bytes[..n]),
            Err(error) => return (got, Err(error)),
        }
        cx.sleep(rest).await;
    }
}
