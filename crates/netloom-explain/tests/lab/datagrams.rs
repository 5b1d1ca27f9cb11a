//! Datagrams between hosts: groups with and without a route, broadcast, what
//! routers say, and what does not fit.

use std::time::Duration;

use netloom_base::diagnosis::Verdict;
use netloom_base::{Diagnosis, Failure};
use netloom_transport::datagrams::{recv, send};
use netloom_transport::{Batch, Datagrams, Outgoing, Peer};

use crate::place::{
    Host, Lab, Program, failed, fix, has, in_namespace, is_confirmed, knows, run, sh,
};

async fn say(socket: &mut dyn Datagrams, text: &[u8]) -> Result<(), Failure> {
    send(socket, &[Outgoing::connected(text)]).await
}

/// The next datagram, and who sent it; `None` when none comes soon.
async fn heard(lab: &Lab, socket: &mut dyn Datagrams, soon: Duration) -> Option<(String, Peer)> {
    let mut batch = Batch::new(8, socket.room());
    let came = lab.cx.timeout(soon, recv(socket, &mut batch)).await?;
    came.unwrap();
    let (of, bytes) = batch.iter().next()?;
    Some((String::from_utf8_lossy(bytes).into_owned(), of.from.clone()))
}

const SOON: Duration = Duration::from_secs(5);
const NOT: Duration = Duration::from_millis(300);

/// What the network says of a datagram, told to whoever waits for an answer.
async fn answer_to(lab: &Lab, url: &str, text: &[u8]) -> Failure {
    let mut socket = lab.towards(url).await.unwrap_or_else(|f| panic!("{f}"));
    if let Err(failure) = say(&mut *socket, text).await {
        return failure.at(url);
    }
    let mut batch = Batch::new(1, 64);
    let came = lab.cx.timeout(SOON, recv(&mut *socket, &mut batch)).await;
    failed(came.expect("nothing was said")).at(url)
}

/// Hears a group on eth0, answers nobody; says who sent what.
fn member(family: &str, group: &str) -> String {
    let join = if family == "AF_INET6" {
        format!(
            "s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, socket.inet_pton(socket.AF_INET6, '{group}') + socket.if_nametoindex('eth0').to_bytes(4, 'little'))"
        )
    } else {
        format!(
            "s.setsockopt(0, socket.IP_ADD_MEMBERSHIP, socket.inet_aton('{group}') + socket.inet_aton('0.0.0.0') + socket.if_nametoindex('eth0').to_bytes(4, 'little'))"
        )
    };
    format!(
        "import socket\ns = socket.socket(socket.{family}, socket.SOCK_DGRAM)\ns.bind(('', 5000))\n{join}\nprint('ready')\nwhile True:\n d, a = s.recvfrom(9999)\n print(d.decode(), a[0].split('%')[0])\n"
    )
}

#[test]
fn a_group_is_sent_through_every_interface_without_a_route() {
    in_namespace(
        "datagrams::a_group_is_sent_through_every_interface_without_a_route",
        |lab| async move {
            let a = Host::beside("a", "10.9.0.1/24", "10.9.0.2/24").await;
            let b = Host::beside("b", "10.8.0.1/24", "10.8.0.2/24").await;
            let mut at_a = a.python(&member("AF_INET", "239.1.2.3"));
            let mut at_b = b.python(&member("AF_INET", "239.1.2.3"));
            let mut socket = lab.towards("udp://239.1.2.3:5000").await.unwrap();
            let told: Vec<String> = socket.learned().iter().map(ToString::to_string).collect();
            assert_eq!(told, ["sent through v-a", "sent through v-b"]);
            say(&mut *socket, b"hello").await.unwrap();
            assert_eq!(at_a.line(), "hello 10.9.0.1");
            assert_eq!(at_b.line(), "hello 10.8.0.1");

            let mut one = lab
                .towards("udp://239.1.2.3:5000,interface=v-b")
                .await
                .unwrap();
            say(&mut *one, b"only").await.unwrap();
            say(&mut *socket, b"all").await.unwrap();
            assert_eq!(at_b.line(), "only 10.8.0.1");
            assert_eq!(at_a.line(), "all 10.9.0.1");
        },
    );
}

#[test]
fn a_group_of_ipv6_is_reached_as_soon_as_an_address_may_be_used() {
    in_namespace(
        "datagrams::a_group_of_ipv6_is_reached_as_soon_as_an_address_may_be_used",
        |lab| async move {
            let a = Host::beside("a", "10.9.0.1/24", "10.9.0.2/24").await;
            let mut at_a = a.python(&member("AF_INET6", "ff02::114"));
            // The link-local address is being checked: sending would fail now.
            let mut socket = lab.towards("udp://[ff02::114%v-a]:5000").await.unwrap();
            say(&mut *socket, b"six").await.unwrap();
            assert!(at_a.line().starts_with("six fe80:"));
            let mut all = lab.towards("udp://[ff02::114]:5000").await.unwrap();
            say(&mut *all, b"every").await.unwrap();
            assert!(at_a.line().starts_with("every fe80:"));
        },
    );
}

/// Says something to a group from eth0, again and again until it is ended.
fn speaker(group: &str, text: &str) -> String {
    format!(
        "import socket, time\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.setsockopt(0, socket.IP_MULTICAST_IF, bytes(8) + socket.if_nametoindex('eth0').to_bytes(4, 'little'))\nprint('ready')\nwhile True:\n s.sendto(b'{text}', ('{group}', 5000))\n time.sleep(0.02)\n"
    )
}

#[test]
fn a_group_is_joined_on_every_interface_and_each_is_named() {
    in_namespace(
        "datagrams::a_group_is_joined_on_every_interface_and_each_is_named",
        |lab| async move {
            let a = Host::beside("a", "10.9.0.1/24", "10.9.0.2/24").await;
            let b = Host::beside("b", "10.8.0.1/24", "10.8.0.2/24").await;
            let held = lab.mailbox("udp://239.1.2.3:5000").await.unwrap();
            let told: Vec<String> = held[0].learned().iter().map(ToString::to_string).collect();
            assert_eq!(told, ["joined 239.1.2.3 on v-a", "joined 239.1.2.3 on v-b"]);
            let mut socket = held[0].socket().unwrap().unwrap();
            assert!(held[0].socket().unwrap().is_none(), "each would get a copy");
            for (host, from) in [(&a, "10.9.0.2"), (&b, "10.8.0.2")] {
                let _speaker = host.python(&speaker("239.1.2.3", from));
                while heard(&lab, &mut *socket, SOON).await.unwrap().0 != from {}
            }

            // The other socket joined on the other interface only.
            let held = lab
                .mailbox("udp://239.1.2.4:5000,interface=v-b")
                .await
                .unwrap();
            let mut only_b = held[0].socket().unwrap().unwrap();
            let other = lab
                .mailbox("udp://239.1.2.4:5000,interface=v-a")
                .await
                .unwrap();
            let mut only_a = other[0].socket().unwrap().unwrap();
            let _speaker = a.python(&speaker("239.1.2.4", "x"));
            heard(&lab, &mut *only_a, SOON).await.unwrap();
            assert_eq!(heard(&lab, &mut *only_b, NOT).await, None);
        },
    );
}

#[test]
fn a_group_is_silent_where_it_is_not_joined() {
    in_namespace(
        "datagrams::a_group_is_silent_where_it_is_not_joined",
        |lab| async move {
            let a = Host::beside("a", "10.9.0.1/24", "10.9.0.2/24").await;
            let _b = Host::beside("b", "10.8.0.1/24", "10.8.0.2/24").await;
            let _speaker = a.python(&speaker("239.1.2.5", "x"));
            let url = "udp://239.1.2.5:5000,interface=v-b";
            let diagnosis = lab.silence(url).await;
            knows(&diagnosis, &["joined on v-b (1 socket)"]);
            knows(&diagnosis, &["not joined on v-a"]);
            let elsewhere = |told: &Diagnosis| {
                let mut causes = told.causes.iter();
                let cause = causes.find(|cause| cause.text.contains("come in by v-a"));
                cause.map(|cause| cause.verdict)
            };
            assert_eq!(elsewhere(&diagnosis), Some(Verdict::Possible));
            // Routes lead there: it is where this host itself would speak.
            sh("ip route add 224.0.0.0/4 dev v-a");
            let diagnosis = lab.silence(url).await;
            assert_eq!(elsewhere(&diagnosis), Some(Verdict::Likely));
            let mended = fix(&diagnosis, "netloom listen").command.clone();
            assert_eq!(
                mended.as_deref(),
                Some("netloom listen udp://239.1.2.5:5000")
            );
            // What it advises is heard.
            let held = lab.mailbox("udp://239.1.2.5:5000").await.unwrap();
            let mut all = held[0].socket().unwrap().unwrap();
            assert_eq!(heard(&lab, &mut *all, SOON).await.unwrap().0, "x");

            let url = "udp://[ff05::115%v-b]:5000";
            // Its own address is being checked, and binding waits for that.
            lab.mailbox(url).await.unwrap();
            let diagnosis = lab.silence(url).await;
            knows(&diagnosis, &["ff05::115 was joined on v-b (1 socket)"]);
            let behind = diagnosis
                .causes
                .iter()
                .find(|c| c.text.contains("behind a router"));
            assert!(behind.is_some(), "{diagnosis}");
        },
    );
}

#[test]
fn only_the_sender_that_was_asked_for_is_heard() {
    in_namespace(
        "datagrams::only_the_sender_that_was_asked_for_is_heard",
        |lab| async move {
            let a = Host::beside("a", "10.9.0.1/24", "10.9.0.2/24").await;
            let _speaker = a.python(&speaker("232.1.2.3", "it"));
            let bind = async |url: &str| {
                let held = lab.mailbox(url).await.unwrap();
                held[0].socket().unwrap().unwrap()
            };
            let mut other = bind("udp://232.1.2.3:5000,from=10.9.0.77").await;
            let mut that = bind("udp://232.1.2.3:5000,from=10.9.0.2").await;
            let (text, from) = heard(&lab, &mut *that, SOON).await.unwrap();
            assert!(from.to_string().starts_with("10.9.0.2:"), "{text} {from}");
            assert_eq!(heard(&lab, &mut *other, NOT).await, None);
        },
    );
}

#[test]
fn no_interface_carries_the_group() {
    in_namespace(
        "datagrams::no_interface_carries_the_group",
        |lab| async move {
            let diagnosis = lab
                .explain(&failed(lab.towards("udp://239.1.2.3:5000").await))
                .await;
            assert_eq!(diagnosis.code.name(), "join.no-interface");
            assert!(is_confirmed(&diagnosis));
            knows(&diagnosis, &["lo is up and carries no multicast"]);
            lab.follow(fix(&diagnosis, "netloom connect")).await;

            sh("ip link add d0 type veth peer name d1");
            let diagnosis = lab
                .explain(&failed(lab.mailbox("udp://239.1.2.3:5000").await))
                .await;
            assert_eq!(diagnosis.code.name(), "join.no-interface");
            knows(&diagnosis, &["d0 is down and carries multicast"]);
            lab.follow(fix(&diagnosis, "ip link set")).await;
            lab.mailbox("udp://239.1.2.3:5000").await.unwrap();
            // It is up, and has no address to send from.
            let diagnosis = lab
                .explain(&failed(lab.towards("udp://239.1.2.3:5000").await))
                .await;
            assert_eq!(diagnosis.code.name(), "join.no-interface");
            knows(&diagnosis, &["it has no IPv4 address"]);
            lab.follow(fix(&diagnosis, "ip addr add")).await;
            lab.towards("udp://239.1.2.3:5000").await.unwrap();
        },
    );
}

#[test]
fn broadcast_is_denied_until_it_is_asked_for() {
    in_namespace(
        "datagrams::broadcast_is_denied_until_it_is_asked_for",
        |lab| async move {
            let a = Host::beside("a", "10.9.0.1/24", "10.9.0.2/24").await;
            let listener = "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.bind(('', 9))\nprint('ready')\nwhile True:\n d, a = s.recvfrom(99)\n print(d.decode())\n s.sendto(b'here', a)\n";
            let mut there = a.python(listener);
            for url in ["udp://10.9.0.255:9", "udp://255.255.255.255:9"] {
                let diagnosis = lab.explain(&failed(lab.towards(url).await)).await;
                assert_eq!(diagnosis.code.name(), "send.denied.broadcast");
                assert!(is_confirmed(&diagnosis));
                lab.follow(fix(&diagnosis, "netloom connect")).await;
                let mut socket = lab.towards(&format!("{url},broadcast")).await.unwrap();
                say(&mut *socket, b"who").await.unwrap();
                assert_eq!(there.line(), "who");
                let (text, from) = heard(&lab, &mut *socket, SOON).await.unwrap();
                assert_eq!(
                    (&*text, from.to_string()),
                    ("here", "10.9.0.2:9".to_owned())
                );
            }
        },
    );
}

#[test]
fn a_closed_port_is_told_by_its_host() {
    run(|lab| async move {
        let (mut server, port) = Program::python(
            "import socket, sys; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('127.0.0.1', 0)); print(s.getsockname()[1]); sys.stdin.read()",
        );
        server.kill();
        let url = format!("udp://127.0.0.1:{port}");
        let failure = answer_to(&lab, &url, b"?").await;
        let diagnosis = lab.explain(&failure).await;
        assert_eq!(diagnosis.code.name(), "send.refused.no-listener");
        assert!(is_confirmed(&diagnosis));
        knows(&diagnosis, &["ICMP 3/3", "127.0.0.1"]);
        lab.follow(fix(&diagnosis, "netloom listen")).await;
    });
}

#[test]
fn another_host_and_a_router_are_told_apart() {
    in_namespace(
        "datagrams::another_host_and_a_router_are_told_apart",
        |lab| async move {
            let router = Host::beside("a", "10.9.0.1/24", "10.9.0.2/24").await;
            let diagnosis = lab
                .explain(&answer_to(&lab, "udp://10.9.0.2:9", b"?").await)
                .await;
            assert_eq!(diagnosis.code.name(), "send.refused.no-listener");
            assert!(!is_confirmed(&diagnosis));
            sh("ip route add default via 10.9.0.2");
            router.sh("echo 1 > /proc/sys/net/ipv4/ip_forward; ip route add prohibit 192.0.2.0/24; ip route add unreachable 198.51.100.0/24");
            let diagnosis = lab
                .explain(&answer_to(&lab, "udp://192.0.2.1:9", b"?").await)
                .await;
            assert_eq!(diagnosis.code.name(), "send.rejected.firewall");
            assert!(is_confirmed(&diagnosis));
            knows(&diagnosis, &["ICMP 3/13", "from 10.9.0.2"]);
            let diagnosis = lab
                .explain(&answer_to(&lab, "udp://198.51.100.1:9", b"?").await)
                .await;
            assert_eq!(diagnosis.code.name(), "connect.unreachable.neighbour");
            knows(&diagnosis, &["ICMP 3/1", "from 10.9.0.2"]);
        },
    );
}

#[test]
fn a_rule_of_the_host_itself_is_no_closed_port() {
    in_namespace(
        "datagrams::a_rule_of_the_host_itself_is_no_closed_port",
        |lab| async move {
            if !has("nft") {
                return;
            }
            let host = Host::beside("a", "10.9.0.1/24", "10.9.0.2/24").await;
            host.sh("nft add table inet t; nft add chain inet t in \"{ type filter hook input priority 0; }\"; nft add rule inet t in udp dport 9 reject with icmpx type admin-prohibited");
            let diagnosis = lab
                .explain(&answer_to(&lab, "udp://10.9.0.2:9", b"?").await)
                .await;
            assert_eq!(diagnosis.code.name(), "send.rejected.firewall");
            assert!(is_confirmed(&diagnosis));
            knows(&diagnosis, &["ICMP 3/13", "from 10.9.0.2"]);
        },
    );
}

#[test]
fn what_does_not_fit_names_the_limit() {
    in_namespace(
        "datagrams::what_does_not_fit_names_the_limit",
        |lab| async move {
            let router = Host::beside("a", "10.9.0.1/24", "10.9.0.2/24").await;
            let large = vec![b'x'; 65_508];
            let failure = answer_to(&lab, "udp://10.9.0.2:9", &large).await;
            let diagnosis = lab.explain(&failure).await;
            assert_eq!(diagnosis.code.name(), "send.too-large");
            assert!(diagnosis.summary.contains("65507"), "{diagnosis}");

            let failure = answer_to(&lab, "udp://10.9.0.2:9,df", &large[..1473]).await;
            let diagnosis = lab.explain(&failure).await;
            assert_eq!(diagnosis.code.name(), "send.too-large");
            knows(&diagnosis, &["the path MTU allows 1500"]);

            // A narrow link behind the router: it says so, once it was tried.
            sh("ip route add default via 10.9.0.2");
            router.sh("echo 1 > /proc/sys/net/ipv4/ip_forward; ip link add n0 mtu 1280 type veth peer name n1; ip addr add 192.0.2.2/24 dev n0; ip link set n0 up; ip link set n1 up; ip neigh add 192.0.2.1 lladdr 02:00:00:00:00:01 dev n0");
            let failure = answer_to(&lab, "udp://192.0.2.1:9,df", &large[..1400]).await;
            let diagnosis = lab.explain(&failure).await;
            assert_eq!(diagnosis.code.name(), "send.too-large");
            assert!(is_confirmed(&diagnosis));
            knows(&diagnosis, &["ICMP 3/4", "from 10.9.0.2"]);
            knows(&diagnosis, &["the path MTU allows 1280"]);
            // What fits passes.
            let mut socket = lab.towards("udp://192.0.2.1:9,df").await.unwrap();
            say(&mut *socket, &large[..1252]).await.unwrap();
            let again = failed(say(&mut *socket, &large[..1253]).await);
            assert_eq!(again.code().name(), "send.too-large");
        },
    );
}

#[test]
fn this_hosts_own_rules_keep_a_datagram_in() {
    in_namespace(
        "datagrams::this_hosts_own_rules_keep_a_datagram_in",
        |lab| async move {
            if !has("nft") {
                return;
            }
            sh(
                "nft add table inet t; nft add chain inet t out '{ type filter hook output priority 0; }'; nft add rule inet t out udp dport 9 drop",
            );
            let failure = answer_to(&lab, "udp://127.0.0.1:9", b"?").await;
            let diagnosis = lab.explain(&failure).await;
            assert_eq!(diagnosis.code.name(), "send.denied.local-firewall");
            assert!(is_confirmed(&diagnosis));
            lab.follow(fix(&diagnosis, "nft list ruleset")).await;
        },
    );
}

#[test]
fn there_is_no_route_for_a_datagram() {
    in_namespace(
        "datagrams::there_is_no_route_for_a_datagram",
        |lab| async move {
            let diagnosis = lab
                .explain(&failed(lab.towards("udp://192.0.2.1:9").await))
                .await;
            assert_eq!(diagnosis.code.name(), "connect.unreachable.no-route");
            assert!(is_confirmed(&diagnosis));
        },
    );
}

#[test]
fn a_taken_port_names_its_holder() {
    run(|lab| async move {
        let (server, port) = Program::python(
            "import socket, sys; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('127.0.0.1', 0)); print(s.getsockname()[1]); sys.stdin.read()",
        );
        let url = format!("udp://127.0.0.1:{port}");
        let diagnosis = lab.explain(&failed(lab.mailbox(&url).await)).await;
        assert_eq!(diagnosis.code.name(), "bind.in-use.bound");
        assert!(is_confirmed(&diagnosis));
        knows(&diagnosis, &[&format!("process {}", server.pid())]);
        lab.follow(fix(&diagnosis, "netloom listen")).await;
    });
}

#[test]
fn a_unix_receiver_that_is_gone_is_told() {
    run(|lab| async move {
        let name = format!("unixgram:@netloom-lab-{}", std::process::id());
        let held = lab.mailbox(&name).await.unwrap();
        let receiver = held[0].socket().unwrap().unwrap();
        let mut socket = lab.towards(&name).await.unwrap();
        say(&mut *socket, b"?").await.unwrap();
        drop((receiver, held));
        let failure = failed(say(&mut *socket, b"?").await).at(&name);
        let diagnosis = lab.explain(&failure).await;
        assert_eq!(diagnosis.code.name(), "send.peer-closed");
        assert!(is_confirmed(&diagnosis));
        let diagnosis = lab.explain(&failed(lab.towards(&name).await)).await;
        assert_eq!(diagnosis.code.name(), "connect.refused.no-listener");
    });
}
