//! Ways through scripted proxies, on the simulated clock.

use std::sync::Arc;
use std::time::Duration;

use netloom_base::failure::{Fact, ProxyRefusal};
use netloom_base::{Code, Endpoint, Failure, Role, Stage};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};

use super::{Environment, Names, NoNames, Proxies, wrong};
use crate::conn::Conn;
use crate::cx::Cx;
use crate::net::Transport;
use crate::sim::{Link, Sim};
use crate::tcp::Tcp;

/// What a proxy does with the one client it takes.
enum Line {
    Hear(&'static [u8]),
    Say(&'static [u8]),
    /// From here on it carries bytes to there.
    Carry(&'static str),
    /// It stays silent for as long as the client is there.
    Wait,
}
use Line::{Carry, Hear, Say, Wait};

fn proxies() -> Proxies {
    Proxies::new([Tcp.card()], Vec::new(), Arc::new(Office))
}

/// One name, for two proxies.
struct Office;

impl Names for Office {
    fn find(&self, name: &str) -> Result<Vec<Endpoint>, Failure> {
        if name != "office" {
            return Err(wrong(format!("no proxy is called `{name}`")));
        }
        let two = ["socks5://one:1080", "http://two:3128"];
        Ok(two.iter().map(|text| text.parse().unwrap()).collect())
    }
}

struct World {
    sim: Sim,
    here: Cx,
}

impl World {
    fn new(proxies: Proxies) -> Self {
        let sim = Sim::new(5);
        sim.links(Link::default().delayed(Duration::from_millis(5), Duration::ZERO));
        let here = sim.host_by_way("here", Arc::new(proxies));
        World { sim, here }
    }

    /// A proxy, or anything else that answers.
    fn answers(&self, host: &str, port: u16, script: Vec<Line>) {
        let cx = self.sim.host(host);
        let listening = async {
            let endpoint = format!("tcp://{host}:{port}").parse().unwrap();
            let stack = cx.net().stack(&endpoint, Role::Bind).unwrap();
            let bound = cx.net().bind(&stack, &cx).await.unwrap().remove(0);
            let mut listener = bound.listener().unwrap().unwrap();
            let own = cx.clone();
            cx.spawn(async move {
                let conn = listener.accept().await.unwrap().attach().unwrap();
                play(conn, script, &own).await;
                drop(bound);
            });
        };
        self.sim.block_on(listening).unwrap();
    }

    fn dial(&self, endpoint: &str) -> Result<Conn, Failure> {
        self.sim.block_on(dial(&self.here, endpoint)).unwrap()
    }

    fn fails(&self, endpoint: &str) -> Failure {
        self.dial(endpoint).err().unwrap()
    }

    fn hears(&self, conn: &mut Conn) -> String {
        let mut said = String::new();
        let heard = conn.read_to_string(&mut said);
        self.sim.block_on(heard).unwrap().unwrap();
        said
    }
}

async fn dial(cx: &Cx, endpoint: &str) -> Result<Conn, Failure> {
    let stack = cx.net().stack(&endpoint.parse().unwrap(), Role::Dial)?;
    cx.net().dial(&stack, cx).await?.stream()
}

async fn play(mut conn: Conn, script: Vec<Line>, cx: &Cx) {
    for line in script {
        match line {
            Hear(wanted) => {
                let mut heard = vec![0; wanted.len()];
                conn.read_exact(&mut heard).await.unwrap();
                assert_eq!(
                    heard.escape_ascii().to_string(),
                    wanted.escape_ascii().to_string()
                );
            }
            Say(words) => conn.write_all(words).await.unwrap(),
            Carry(to) => {
                let mut further = dial(cx, to).await.unwrap();
                copy_bidirectional(&mut conn, &mut further).await.unwrap();
            }
            Wait => while conn.read(&mut [0; 8]).await.is_ok_and(|n| n > 0) {},
        }
    }
}

fn socks5_to_db() -> Vec<Line> {
    vec![
        Hear(b"\x05\x01\x00"),
        Say(b"\x05\x00"),
        Hear(b"\x05\x01\x00\x03\x02db\x15\x38"),
    ]
}

fn with(mut script: Vec<Line>, more: Vec<Line>) -> Vec<Line> {
    script.extend(more);
    script
}

fn answer(failure: &Failure) -> (ProxyRefusal, String) {
    let found = failure.facts().iter().find_map(|fact| match fact {
        Fact::Proxy(answer) => Some((answer.why, answer.to_string())),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("no proxy answered: {failure}"))
}

const THROUGH: &[u8] = b"\x05\x00\x00\x01\0\0\0\0\0\x00220 hi";

#[test]
fn what_came_behind_the_answer_is_the_targets_and_the_trail_tells_the_way() {
    let world = World::new(proxies());
    world.answers("proxy", 1080, with(socks5_to_db(), vec![Say(THROUGH)]));
    let mut conn = world.dial("tcp://db:5432,via=socks5:proxy").unwrap();
    let steps: Vec<String> = conn.trail().iter().map(|step| step.to.clone()).collect();
    assert_eq!(
        steps,
        [
            "proxy",
            "10.0.0.2:1080",
            "proxy socks5://proxy:1080 → db:5432"
        ]
    );
    assert!(conn.learned().is_empty());
    assert_eq!(world.hears(&mut conn), "220 hi");
}

#[test]
fn names_stand_for_chains_of_which_the_first_is_dialled_first() {
    let world = World::new(proxies());
    let to_two = vec![
        Hear(b"\x05\x01\x00"),
        Say(b"\x05\x00"),
        Hear(b"\x05\x01\x00\x03\x03two\x0c\x38"),
        Say(b"\x05\x00\x00\x01\0\0\0\0\0\x00"),
        Carry("tcp://two:3128"),
    ];
    let to_db = vec![
        Hear(b"CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n"),
        Say(b"HTTP/1.1 200 OK\r\n\r\nhi"),
    ];
    world.answers("one", 1080, to_two);
    world.answers("two", 3128, to_db);
    let mut conn = world.dial("tcp://db:5432,via=office").unwrap();
    let proxies: Vec<&str> = conn
        .trail()
        .iter()
        .map(|step| &*step.to)
        .filter(|to| to.starts_with("proxy "))
        .collect();
    assert_eq!(
        proxies,
        [
            "proxy socks5://one:1080 → two:3128",
            "proxy http://two:3128 → db:5432"
        ]
    );
    assert_eq!(world.hears(&mut conn), "hi");
}

#[test]
fn a_given_way_and_the_environments_one() {
    let refused = || with(socks5_to_db(), vec![Say(b"\x05\x05\x00\x01\0\0\0\0\0\0")]);
    let environment = || {
        Environment::read(|name| match name {
            "all_proxy" => Some("socks5://env/".to_owned()),
            "no_proxy" => Some("near".to_owned()),
            _ => None,
        })
    };
    let given = |proxy: &str| proxies().given(vec![proxy.to_owned()]);

    let world = World::new(given("socks5://given").from_environment(environment()));
    world.answers("given", 1080, refused());
    assert_eq!(
        answer(&world.fails("tcp://db:5432")).0,
        ProxyRefusal::ConnectionRefused
    );

    let world = World::new(proxies().from_environment(environment()));
    world.answers("env", 1080, with(socks5_to_db(), vec![Say(THROUGH)]));
    let conn = world.dial("tcp://db:5432").unwrap();
    let told: Vec<String> = conn.learned().iter().map(ToString::to_string).collect();
    assert_eq!(told, ["through socks5://env:1080 (all_proxy)"]);

    // Whoever says `direct`, and what `no_proxy` names, meets nobody there.
    for (proxies, endpoint) in [
        (proxies().from_environment(environment()), "tcp://near:1"),
        (
            proxies().from_environment(environment()),
            "tcp://localhost:1",
        ),
        (
            proxies().from_environment(environment()),
            "tcp://db:1,via=direct",
        ),
        (
            given("direct").from_environment(environment()),
            "tcp://db:1",
        ),
    ] {
        let world = World::new(proxies);
        for host in ["near", "db", "env"] {
            world.sim.host(host);
        }
        let failure = world.fails(endpoint);
        assert_eq!(failure.code(), Code::CONNECT_REFUSED, "{endpoint}");
        assert_eq!(failure.endpoint(), Some(endpoint));
    }
}

#[test]
fn a_refusal_says_why_and_who_cannot_be_let_in_is_denied() {
    let denied = [
        ProxyRefusal::Ruleset,
        ProxyRefusal::NoLogin,
        ProxyRefusal::WrongLogin,
    ];
    let replies: [(&'static [u8], ProxyRefusal); 5] = [
        (b"\x05\x01", ProxyRefusal::Unsaid),
        (b"\x05\x02", ProxyRefusal::Ruleset),
        (b"\x05\x04", ProxyRefusal::HostUnreachable),
        (b"\x05\x06", ProxyRefusal::TimedOut),
        (b"\x05\x08", ProxyRefusal::Unsupported),
    ];
    let socks =
        replies.map(|(say, why)| ("socks5", 1080, with(socks5_to_db(), vec![Say(say)]), why));
    let statuses: [(&'static [u8], ProxyRefusal); 5] = [
        (b"HTTP/1.1 407 Who\r\n\r\n", ProxyRefusal::NoLogin),
        (b"HTTP/1.1 403 No\r\n\r\n", ProxyRefusal::Ruleset),
        (b"HTTP/1.1 504 Late\r\n\r\n", ProxyRefusal::TimedOut),
        (b"HTTP/1.1 405 What\r\n\r\n", ProxyRefusal::Unsupported),
        (
            b"HTTP/1.1 503 No\r\nX-Squid-Error: ERR_DNS_FAIL 0\r\n\r\n",
            ProxyRefusal::NameUnknown,
        ),
    ];
    let http = statuses.map(|(say, why)| {
        let asked = Hear(b"CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n");
        ("http", 3128, vec![asked, Say(say)], why)
    });
    let socks4 = [(
        "socks4a",
        1080,
        vec![Say(b"\x00\x5b")],
        ProxyRefusal::Unsaid,
    )];
    for (kind, port, script, why) in socks.into_iter().chain(http).chain(socks4) {
        let world = World::new(proxies());
        world.answers("proxy", port, script);
        let failure = world.fails(&format!("tcp://db:5432,via={kind}:proxy"));
        let code = if denied.contains(&why) {
            Code::PROXY_DENIED
        } else {
            Code::PROXY_REFUSED
        };
        assert_eq!(
            (answer(&failure).0, failure.code()),
            (why, code),
            "{failure}"
        );
        assert_eq!(failure.stage(), Stage::Connect);
        let last = failure.trail().last().unwrap();
        assert_eq!(last.failed, Some(code));
    }
}

#[test]
fn a_login_is_said_and_never_shown() {
    let world = World::new(proxies());
    let script = vec![
        Hear(b"\x05\x02\x00\x02"),
        Say(b"\x05\x02"),
        Hear(b"\x01\x03bob\x07hunter2"),
        Say(b"\x01\x01"),
    ];
    world.answers("proxy", 1080, script);
    let endpoint = "tcp://db:5432,via=socks5:bob:hunter2%40proxy";
    let failure = world.fails(&endpoint.replace("%40", "@"));
    assert_eq!(failure.code(), Code::PROXY_DENIED);
    assert_eq!(answer(&failure).0, ProxyRefusal::WrongLogin);
    let told = format!("{failure} {:?} {:?}", failure.facts(), failure.trail());
    assert!(!told.contains("hunter2"), "{told}");
}

#[test]
fn what_is_no_proxy_of_that_kind_is_silent_or_closes_has_the_code_of_that() {
    let cases: [(Vec<Line>, Code, ProxyRefusal); 4] = [
        (
            vec![Say(b"HTTP/1.1 400 Bad Request\r\n\r\n")],
            Code::GREET_WRONG_PROTOCOL,
            ProxyRefusal::OtherProtocol,
        ),
        (vec![], Code::GREET_CLOSED, ProxyRefusal::Closed),
        (
            with(socks5_to_db(), vec![Say(b"\x05")]),
            Code::GREET_CLOSED,
            ProxyRefusal::Closed,
        ),
        (vec![Wait], Code::GREET_TIMEOUT, ProxyRefusal::Silent),
    ];
    for (script, code, why) in cases {
        let world = World::new(proxies());
        world.answers("proxy", 1080, script);
        let failure = world.fails("tcp://db:5432,via=socks5:proxy");
        assert_eq!((failure.code(), answer(&failure).0), (code, why));
    }
}

#[test]
fn a_proxy_that_cannot_be_reached_keeps_its_code_and_is_named() {
    let world = World::new(proxies());
    world.sim.host("proxy");
    let failure = world.fails("tcp://db:5432,via=socks5:proxy");
    assert_eq!(failure.code(), Code::CONNECT_REFUSED);
    assert_eq!(failure.endpoint(), Some("tcp://proxy:1080"));
    let told: Vec<String> = failure.facts().iter().map(ToString::to_string).collect();
    assert!(
        told.contains(&"it is a proxy on the way to tcp://db:5432,via=socks5:proxy".to_owned()),
        "{told:?}"
    );
}

#[test]
fn the_name_is_resolved_where_it_is_asked_for() {
    let world = World::new(proxies());
    world.sim.host("db");
    let script = vec![
        Hear(b"\x04\x01\x15\x38\x0a\x00\x00\x02\x00"),
        Say(b"\x00\x5a\0\0\0\0\0\0there"),
    ];
    world.answers("proxy", 1080, script);
    let mut conn = world
        .dial("tcp://db:5432?via=socks4a://proxy,resolve=here")
        .unwrap();
    assert_eq!(world.hears(&mut conn), "there");

    let world = World::new(proxies());
    world.answers("proxy", 1080, vec![Wait]);
    let v6 = world.fails("tcp://[2001:db8::1]:80,via=socks4a:proxy");
    assert_eq!(v6.stage(), Stage::Parse);
    assert!(v6.summary().contains("no IPv6"), "{v6}");
}

#[test]
fn what_cannot_be_read_is_said_before_anything_is_dialled() {
    let world = World::new(proxies());
    for (via, said) in [
        ("nobody", "no proxy is called `nobody`"),
        ("proxy:1080", "which kind of proxy"),
        ("socks6:proxy:1080", "no scheme is called `socks6`"),
        ("tcp:proxy:1080", "`tcp` is no proxy"),
        ("socks5:proxy,via=direct", "through no proxy"),
        ("socks5:proxy%2Cresolve=now", "`here` or `there`"),
        ("socks5:proxy%2Cbogus", "no option `bogus`"),
        ("socks5:proxy%2Cpassword-env=X", "has no user"),
    ] {
        let failure = world.fails(&format!("tcp://db:1,via={via}"));
        assert_eq!(failure.stage(), Stage::Parse, "{via}");
        assert!(failure.summary().contains(said), "{via}: {failure}");
    }
    let nine = vec!["socks5://p".to_owned(); 9];
    let failure = World::new(proxies().given(nine)).fails("tcp://db:1");
    assert!(failure.summary().contains("9 proxies"), "{failure}");
    let environment = Environment::read(|name| (name == "ALL_PROXY").then(|| "gopher://x".into()));
    let failure = World::new(proxies().from_environment(environment)).fails("tcp://db:1");
    assert!(failure.summary().contains("ALL_PROXY"), "{failure}");
    let unnamed = Proxies::new([Tcp.card()], Vec::new(), Arc::new(NoNames));
    let failure = World::new(unnamed).fails("tcp://db:1,via=office");
    assert!(failure.summary().contains("`office`"), "{failure}");
}

#[test]
fn a_network_without_ways_refuses_to_leave_one_out() {
    let sim = Sim::new(1);
    let cx = sim.host("here");
    sim.host("db");
    let asked = sim
        .block_on(dial(&cx, "tcp://db:1,via=socks5:proxy"))
        .unwrap();
    assert_eq!(asked.err().unwrap().stage(), Stage::Parse);
    let direct = sim.block_on(dial(&cx, "tcp://db:1,via=direct")).unwrap();
    assert_eq!(direct.err().unwrap().code(), Code::CONNECT_REFUSED);
}
