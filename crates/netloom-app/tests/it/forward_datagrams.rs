//! `forward` from datagrams to datagrams, on the simulated network.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use netloom_app::kind;
use netloom_base::{Event, Limits, Role, Settings, Value};
use netloom_protocol::{Answering, Figure, Measures, Offer};
use netloom_transport::cx::{OsClock, Stamped};
use netloom_transport::datagrams::{recv, send};
use netloom_transport::sim::Sim;
use netloom_transport::{Batch, Cx, Datagrams, Events, Opened, Outgoing, Peer};
use tokio::sync::mpsc::Receiver;

const SECOND: Duration = Duration::from_secs(1);

/// A forwarder at `udp://server:7`, and what it tells.
struct Forwarder {
    cx: Cx,
    offer: Offer,
    told: Receiver<Stamped>,
}

impl Forwarder {
    async fn start(sim: &Sim, settings: Settings) -> Self {
        let (events, told) = Events::queue(1024, true, Arc::new(OsClock::new()));
        let cx = sim.host("server").child(events, Limits::default());
        let offer = kind("forward").unwrap().build(&settings, cx.net()).unwrap();
        serve(&cx, "udp://server:7", &offer).await;
        Forwarder { cx, offer, told }
    }

    /// What it told since the last call, in a word each.
    fn told(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        while let Ok(stamped) = self.told.try_recv() {
            all.push(match stamped.event {
                Event::Failed { failure, .. } => {
                    format!(
                        "{} {}",
                        failure.code(),
                        failure.endpoint().unwrap_or_default()
                    )
                }
                Event::Refused { count, limit, .. } => format!("refused {count} {limit}"),
                Event::Opened { .. } => "opened".to_owned(),
                Event::Closed { lasted, .. } => format!("closed after {} ms", lasted.as_millis()),
                Event::Note(record) => format!("{record:?}"),
                other => panic!("{other:?}"),
            });
        }
        all
    }

    fn figure(&self, name: &str, label: &str) -> u64 {
        let all = Figures::of(&self.offer).0.into_iter();
        let mut own = all.filter(|(known, labels, _)| *known == name && labels.contains(label));
        own.next().unwrap().2
    }

    fn open(&self) -> u64 {
        self.figure("netloom_forward_sessions", "")
    }
}

/// Name, labels and value of each.
struct Figures(Vec<(&'static str, String, u64)>);

impl Figures {
    /// What whoever asks the whole service is told.
    fn of(offer: &Offer) -> Self {
        let mut figures = Figures(Vec::new());
        offer.measure(&mut figures);
        figures
    }
}

impl Measures for Figures {
    fn figure(
        &mut self,
        name: &'static str,
        _: &'static str,
        labels: &[(&str, &str)],
        figure: Figure,
    ) {
        let value = match figure {
            Figure::Counter(n) => n,
            Figure::Gauge(n) => n as u64,
        };
        self.0.push((name, format!("{labels:?}"), value));
    }
}

async fn serve(cx: &Cx, url: &str, offer: &Offer) {
    let stack = cx.net().stack(&url.parse().unwrap(), Role::Bind).unwrap();
    let answering = netloom_protocol::answering(&stack, offer, &Settings::new()).unwrap();
    let Answering::Datagrams(service) = answering else {
        panic!("{answering:?}");
    };
    for held in cx.net().datagrams(&stack, cx).await.unwrap() {
        let (socket, service, there) =
            (held.socket().unwrap().unwrap(), service.clone(), cx.clone());
        cx.spawn(async move { service.serve(socket, &there).await.unwrap() });
    }
}

/// An echo server on a host of its own, at port 9.
async fn echo(sim: &Sim, host: &str) {
    let cx = sim.host(host);
    let offer = kind("echo")
        .unwrap()
        .build(&Settings::new(), cx.net())
        .unwrap();
    serve(&cx, &format!("udp://{host}:9"), &offer).await;
}

fn to(targets: &[&str]) -> Settings {
    let targets = targets.iter().map(|host| format!("udp://{host}:9").into());
    Settings::new().with("to", Value::List(targets.collect()))
}

/// A client on the host `name`.
async fn client(sim: &Sim, name: &str) -> Client {
    let cx = sim.host(name);
    let url = "udp://server:7".parse().unwrap();
    let stack = cx.net().stack(&url, Role::Dial).unwrap();
    match cx.net().dial(&stack, &cx).await.unwrap() {
        Opened::Datagrams(socket) => Client { cx, socket },
        other => panic!("udp gave {}", other.kind()),
    }
}

struct Client {
    cx: Cx,
    socket: Box<dyn Datagrams>,
}

impl Client {
    async fn say(&mut self, what: &[u8]) {
        send(&mut *self.socket, &[Outgoing::connected(what)])
            .await
            .unwrap();
    }

    /// What comes next, if anything does within half a second.
    async fn hear(&mut self) -> Option<Vec<u8>> {
        let mut batch = Batch::new(1, 65_535);
        let came = self
            .cx
            .timeout(SECOND / 2, recv(&mut *self.socket, &mut batch));
        came.await?.unwrap();
        let (_, bytes) = batch.iter().next().unwrap();
        Some(bytes.to_vec())
    }

    async fn ask(&mut self, what: &[u8]) -> Option<Vec<u8>> {
        self.say(what).await;
        self.hear().await
    }
}

/// Runs `work` in a world with a target, an order of tasks drawn by chance too.
fn with(settings: &Settings, work: &impl AsyncFn(&Sim, &mut Forwarder)) {
    for sim in [Sim::new(3), Sim::new(4).shuffled(), Sim::new(5).shuffled()] {
        sim.block_on(async {
            let mut forwarder = Forwarder::start(&sim, settings.clone()).await;
            work(&sim, &mut forwarder).await;
            forwarder.cx.shutdown().drain();
            let ended = forwarder
                .cx
                .timeout(SECOND, forwarder.cx.tasks_done())
                .await;
            assert!(ended.is_some(), "it ends at once");
            assert_eq!(forwarder.open(), 0);
        })
        .unwrap();
    }
}

#[test]
fn each_client_has_its_answers_in_order_and_its_own_place_at_the_target() {
    with(&to(&["target"]), &async |sim, forwarder| {
        let cx = sim.host("target");
        let stack = cx
            .net()
            .stack(&"udp://target:9".parse().unwrap(), Role::Bind);
        let held = cx
            .net()
            .datagrams(&stack.unwrap(), &cx)
            .await
            .unwrap()
            .remove(0);
        let mut target = held.socket().unwrap().unwrap();
        sim.links(netloom_transport::sim::Link {
            jitter: Duration::ZERO,
            ..Default::default()
        });
        let mut clients = Vec::new();
        for i in 0..8 {
            clients.push(client(sim, &format!("client{}", i % 3)).await);
        }
        for word in 0..50_u8 {
            for (i, client) in clients.iter_mut().enumerate() {
                client.say(&[i as u8, word]).await;
            }
        }
        let mut places: Vec<Option<Peer>> = vec![None; 8];
        let mut words = [0; 8];
        let mut batch = Batch::new(8, 64);
        while words.iter().any(|word| *word < 50) {
            let came = cx.timeout(SECOND, recv(&mut *target, &mut batch)).await;
            came.expect("all of them arrive").unwrap();
            for (of, bytes) in batch.iter() {
                let who = usize::from(bytes[0]);
                assert_eq!(bytes[1], words[who], "client {who}");
                words[who] += 1;
                let place = places[who].get_or_insert_with(|| of.from.clone());
                assert_eq!(*place, of.from, "it keeps its place");
            }
            let answers: Vec<_> = batch
                .iter()
                .map(|(of, b)| Outgoing::to(&of.from, b))
                .collect();
            send(&mut *target, &answers).await.unwrap();
        }
        for (i, place) in places.iter().enumerate() {
            assert!(!places[..i].contains(place), "two clients share one");
        }
        for (i, client) in clients.iter_mut().enumerate() {
            for word in 0..50 {
                assert_eq!(client.hear().await, Some(vec![i as u8, word]));
            }
        }
        assert_eq!(forwarder.open(), 8);
        let carried = |way| forwarder.figure("netloom_forward_datagrams_total", way);
        assert_eq!((carried("forth"), carried("back")), (400, 400));
    });
}

#[test]
fn a_quiet_session_ends_and_one_in_use_does_not() {
    let settings = to(&["target"]).with("session-idle", "8s");
    with(&settings, &async |sim, forwarder| {
        echo(sim, "target").await;
        let (mut quiet, mut busy) = (client(sim, "a").await, client(sim, "b").await);
        assert_eq!(quiet.ask(b"x").await.unwrap(), b"x");
        for _ in 0..20 {
            assert_eq!(busy.ask(b"y").await.unwrap(), b"y");
            busy.cx.sleep(SECOND).await;
        }
        let told = forwarder.told();
        assert_eq!(told[..2], ["opened", "opened"]);
        let after: u64 = told[2]
            .strip_prefix("closed after ")
            .and_then(|rest| rest.strip_suffix(" ms")?.parse().ok())
            .unwrap();
        assert!((8_000..=9_010).contains(&after), "{after}");
        assert_eq!((told.len(), forwarder.open()), (3, 1));
        // Whoever comes back begins anew.
        assert_eq!(quiet.ask(b"z").await.unwrap(), b"z");
        assert_eq!(forwarder.open(), 2);
    });
}

#[test]
fn there_are_no_more_sessions_than_may_be() {
    let settings = to(&["target"])
        .with("max-sessions", "2")
        .with("session-idle", "4s");
    with(&settings, &async |sim, forwarder| {
        echo(sim, "target").await;
        let mut first = client(sim, "a").await;
        assert!(first.ask(b"1").await.is_some());
        assert!(client(sim, "b").await.ask(b"2").await.is_some());
        let mut third = client(sim, "c").await;
        assert_eq!(third.ask(b"3").await, None);
        assert_eq!(first.ask(b"1").await.unwrap(), b"1", "who is in stays in");
        let told = forwarder.told();
        assert!(
            told.contains(&"refused 1 max-sessions".to_owned()),
            "{told:?}"
        );
        third.cx.sleep(SECOND * 5).await;
        assert_eq!(third.ask(b"3").await.unwrap(), b"3");
    });
}

#[test]
fn one_address_has_no_more_sessions_than_it_may() {
    let settings = to(&["target"]).with("max-sessions-per-source", "2");
    with(&settings, &async |sim, forwarder| {
        echo(sim, "target").await;
        let mut greedy = Vec::new();
        for _ in 0..3 {
            greedy.push(client(sim, "greedy").await);
        }
        assert!(greedy[0].ask(b"1").await.is_some());
        assert!(greedy[1].ask(b"2").await.is_some());
        assert_eq!(greedy[2].ask(b"3").await, None);
        assert!(client(sim, "other").await.ask(b"4").await.is_some());
        let told = forwarder.told();
        let refused = "refused 1 max-sessions-per-source".to_owned();
        assert!(told.contains(&refused), "{told:?}");
    });
}

#[test]
fn a_target_that_is_closed_is_told_once_a_second_and_heals() {
    with(&to(&["target"]), &async |sim, forwarder| {
        sim.host("target");
        let mut asking = client(sim, "a").await;
        for _ in 0..3 {
            asking.say(b"x").await;
            asking.cx.sleep(SECOND / 10).await;
        }
        let failed = "send.refused.no-listener udp://target:9";
        let count = |told: Vec<String>| told.iter().filter(|said| *said == failed).count();
        assert_eq!(count(forwarder.told()), 1, "of three within a second");
        assert_eq!(
            forwarder.figure("netloom_forward_session_failures_total", ""),
            3
        );
        assert_eq!(forwarder.open(), 0, "each ended its session");
        asking.cx.sleep(SECOND).await;
        assert_eq!(asking.ask(b"y").await, None);
        assert_eq!(count(forwarder.told()), 1);
        echo(sim, "target").await;
        assert_eq!(asking.ask(b"z").await.unwrap(), b"z");
    });
}

#[test]
fn a_name_that_nobody_has_is_not_asked_for_again_at_once() {
    with(&to(&["later"]), &async |sim, forwarder| {
        let mut asking = client(sim, "a").await;
        for _ in 0..5 {
            assert_eq!(asking.ask(b"x").await, None); // each half a second
        }
        let told = forwarder.told();
        let failed = |said: &&String| said.starts_with("resolve.no-such-name udp://later:9");
        let failures = told.iter().filter(failed).count();
        assert!((2..=3).contains(&failures), "{told:?}");
        let lost = forwarder.figure("netloom_forward_datagrams_lost_total", "unreached");
        assert_eq!((forwarder.open(), lost), (1, 5));
        echo(sim, "later").await;
        asking.cx.sleep(SECOND).await;
        assert_eq!(asking.ask(b"y").await.unwrap(), b"y");
    });
}

#[test]
fn a_target_that_cannot_be_reached_is_passed_over() {
    with(&to(&["nowhere", "target"]), &async |sim, forwarder| {
        echo(sim, "target").await;
        for _ in 0..4 {
            let mut asking = client(sim, "a").await;
            assert_eq!(asking.ask(b"x").await.unwrap(), b"x");
        }
        let told = forwarder.told();
        let is_fine = |said: &String| said == "opened" || said.contains("udp://nowhere:9");
        assert!(told.iter().all(is_fine), "{told:?}");
        assert_eq!(forwarder.open(), 4);
    });
}

#[test]
fn datagrams_as_large_as_can_be_and_empty_ones_come_through() {
    with(&to(&["target"]), &async |sim, forwarder| {
        echo(sim, "target").await;
        let mut asking = client(sim, "a").await;
        for size in [0, 1, 1472, 65_507] {
            let bytes = vec![7; size];
            assert!(
                asking.ask(&bytes).await.as_deref() == Some(&bytes),
                "{size}"
            );
        }
        let lost = |why| forwarder.figure("netloom_forward_datagrams_lost_total", why);
        assert_eq!(lost("unreached") + lost("overrun"), 0);
    });
}

#[test]
fn each_port_of_a_set_has_figures_of_its_own() {
    let sim = Sim::new(6);
    sim.block_on(async {
        let cx = sim.host("server");
        let ports = Value::List(vec!["udp://target:9,10".into()]);
        let settings = Settings::new().with("to", ports);
        let offer = kind("forward").unwrap().build(&settings, cx.net()).unwrap();
        for (nth, port) in [7, 8].into_iter().enumerate() {
            let one = offer.nth(nth, 2).unwrap();
            serve(&cx, &format!("udp://server:{port}"), &one).await;
        }
        echo(&sim, "target").await;
        assert_eq!(client(&sim, "a").await.ask(b"x").await.unwrap(), b"x");

        let Figures(all) = Figures::of(&offer);
        let sessions = all
            .iter()
            .filter(|(name, ..)| *name == "netloom_forward_sessions_total");
        let sessions: Vec<_> = sessions.map(|(_, of, n)| (of.as_str(), *n)).collect();
        let (first, second) = (r#"[("pool", "0")]"#, r#"[("pool", "1")]"#);
        assert_eq!(sessions, [(first, 1), (second, 0)]);
        let different: HashSet<_> = all.iter().map(|(name, of, _)| (name, of)).collect();
        assert_eq!(different.len(), all.len(), "one is told twice: {all:?}");
        cx.shutdown().drain();
    })
    .unwrap();
}
