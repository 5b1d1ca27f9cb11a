//! Connections on several cores: spread evenly, and moved without a loss.

use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use netloom_base::{Endpoint, Failure, Settings};
use netloom_host::{Plan, Running, ServicePlan, check, os_net, start};
use netloom_protocol::Service;
use netloom_transport::cores::{Cores, Threads};
use netloom_transport::{BoxFuture, Conn, Cx};

use crate::client::{assert_same, echoed, open, random, there_and_back};
use crate::program::{Folder, PATIENCE, Server, addr};
use crate::told;

/// Services that run in this process until this is dropped.
struct Inside {
    running: Arc<Running>,
    cx: Cx,
    cores: Cores,
    _runtime: tokio::runtime::Runtime,
}

impl Inside {
    /// One echo for each of `count`; `put` may put something else in its place.
    fn start(
        threads: Threads,
        count: usize,
        put: impl Fn(usize) -> Option<Arc<dyn Service>>,
    ) -> Self {
        let plans = vec![serving("echo", Settings::new()); count];
        Inside::start_all(threads, plans, put)
    }

    fn start_all(
        threads: Threads,
        mut services: Vec<ServicePlan>,
        put: impl Fn(usize) -> Option<Arc<dyn Service>>,
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        for (i, service) in services.iter_mut().enumerate() {
            service.name = format!("service-{i}");
        }
        let plan = Plan {
            services,
            ..Plan::default()
        };
        let net = os_net();
        let Ok(mut prepared) = check(&plan, &*net) else {
            panic!("the plan is sound")
        };
        for (i, service) in prepared.iter_mut().enumerate() {
            if let Some(other) = put(i) {
                service.on[0].answering = netloom_protocol::Answering::Conns(other);
            }
        }
        let cores = Cores::start(threads).unwrap();
        let (cx, running) = runtime.block_on(async {
            let cx = Cx::os(net);
            let running = start(prepared, &cx, Some(cores.clone())).await.unwrap();
            (cx, running)
        });
        Inside {
            running: Arc::new(running),
            cx,
            cores,
            _runtime: runtime,
        }
    }

    fn addr(&self, service: usize) -> std::net::SocketAddr {
        let endpoints: Vec<Endpoint> = self
            .running
            .bound()
            .map(|(_, endpoint)| endpoint.clone())
            .collect();
        addr(&endpoints[service].to_string())
    }
}

fn serving(kind: &str, settings: Settings) -> ServicePlan {
    ServicePlan {
        kind: kind.into(),
        on: vec!["tcp://127.0.0.1:0".into()],
        settings,
        ..ServicePlan::default()
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.cx.shutdown().abort();
        self.cores.stop();
    }
}

#[test]
fn a_fixed_number_of_threads_shares_connections_evenly() {
    let inside = Inside::start(Threads::Fixed(4), 1, |_| None);
    let mut clients: Vec<TcpStream> = (0..64)
        .map(|_| {
            let mut stream = open(inside.addr(0));
            echoed(&mut stream, b"placed");
            stream
        })
        .collect();
    assert_eq!(inside.running.per_core(), [16; 4]);
    for stream in &mut clients {
        echoed(stream, b"and served there");
    }
    assert_eq!(inside.running.connections(), 64);
}

/// Keeps its core busy for as long as its client stays.
struct Burner(Arc<AtomicBool>);

impl Service for Burner {
    fn serve<'a>(&'a self, _conn: Conn, _: &'a Cx) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            while self.0.load(Ordering::Relaxed) {
                let slice = Instant::now() + Duration::from_micros(500);
                while Instant::now() < slice {
                    std::hint::spin_loop();
                }
                tokio::task::yield_now().await;
            }
            Ok(())
        })
    }
}

/// One core is kept busy; connections that talk on it move to another as soon
/// as the machine has time to spare for one, and nothing is lost on the way.
#[test]
fn busy_connections_move_off_a_busy_core_and_lose_nothing() {
    talk_beside_a_burner(serving("echo", Settings::new()));
}

/// The same for pairs: what is carried moves with both its connections, and its
/// account goes with it.
#[test]
fn busy_pairs_move_off_a_busy_core_and_lose_nothing() {
    let folder = Folder::new();
    let log = folder.join("access.log");
    let target = Server::netloom(&["listen", "tcp://127.0.0.1:0", "--echo"]);
    let settings = Settings::new()
        .with("to", target.endpoint())
        .with("access-log", log.as_str());
    let said = talk_beside_a_burner(serving("forward", settings));
    let end = Instant::now() + PATIENCE;
    let lines = loop {
        let text = std::fs::read_to_string(&log).unwrap();
        if text.lines().count() == 6 {
            break text;
        }
        assert!(
            Instant::now() < end,
            "not everybody is accounted for: {text}"
        );
        std::thread::yield_now();
    };
    for line in told::lines(lines.as_bytes()) {
        let carried = (line["to_target"].as_u64(), line["to_client"].as_u64());
        assert_eq!(carried, (Some(said), Some(said)), "{line}");
    }
    target.stop();
}

/// Says how many bytes each client said, and got back.
fn talk_beside_a_burner(talking: ServicePlan) -> u64 {
    const LONGEST: Duration = Duration::from_secs(6);
    // Two of them would leave no time to spare to each other.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);

    let burning = Arc::new(AtomicBool::new(true));
    let burner = burning.clone();
    let services = vec![serving("echo", Settings::new()), talking];
    let inside = Inside::start_all(Threads::Adaptive(2), services, move |i| {
        (i == 0).then(|| Arc::new(Burner(burner.clone())) as Arc<dyn Service>)
    });
    let (fire, at) = (inside.addr(0), inside.addr(1));
    let mut clients: Vec<TcpStream> = (0..6).map(|_| open(at)).collect();
    for stream in &mut clients {
        echoed(stream, b"all on the first core");
    }
    assert_eq!(inside.running.per_core(), [6]);
    let _fire = open(fire);

    let piece = random(40_000);
    let mut said = b"all on the first core".len() + piece.len();
    let mut end = Instant::now() + LONGEST;
    let mut awake = false;
    let per_core = loop {
        let per_core = inside.running.per_core();
        if per_core.len() == 2 && !awake {
            awake = true;
            end = Instant::now() + PATIENCE;
        }
        // The burner counts on its core: all others have left it when one is there.
        let all_moved = awake && per_core[0] <= 1 && per_core[1] >= 6;
        if all_moved || Instant::now() >= end {
            break per_core;
        }
        for stream in &mut clients {
            echoed_in_parts(stream, &piece);
        }
        said += piece.len();
    };
    burning.store(false, Ordering::Relaxed);
    // Each goes on where it is now, to its end in good order.
    for stream in &clients {
        assert_same(&there_and_back(stream, &piece), &piece);
    }
    if awake {
        assert!(per_core[1] >= 1, "nobody moved: {per_core:?}");
    } else {
        eprintln!("skipped: the machine had no time to spare for a second core");
    }
    said as u64
}

/// Writes from one thread and reads in another, so that both directions are
/// full when the connection is asked to move.
fn echoed_in_parts(stream: &mut TcpStream, bytes: &[u8]) {
    use std::io::{Read, Write};

    let mut writing = stream.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for chunk in bytes.chunks(7001) {
                writing.write_all(chunk).unwrap();
            }
        });
        let mut back = vec![0; bytes.len()];
        stream.read_exact(&mut back).unwrap();
        assert_same(&back, bytes);
    });
}

/// The same from outside: whatever the cores do, every byte comes back.
#[test]
fn long_busy_connections_lose_nothing_however_many_threads_serve() {
    let sent = random(8 << 20);
    for threads in [
        &[][..],
        &["--threads", "1"],
        &["--threads", "4"],
        &["--runtime", "stealing", "--threads", "3"],
    ] {
        let args = [&["listen", "tcp://127.0.0.1:0", "--echo"], threads].concat();
        let server = Server::netloom(&args);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                let (at, sent) = (server.addr(), &sent);
                scope.spawn(move || assert_same(&there_and_back(&open(at), sent), sent));
            }
        });
        server.stop();
    }
}
