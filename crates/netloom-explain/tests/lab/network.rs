//! Connecting to other hosts, in namespaces at the other end of a cable.

use std::time::Duration;

use netloom_base::diagnosis::Verdict;
use netloom_base::failure::Fact;
use netloom_base::{Code, Failure, Side, Stage};

use crate::place::{Host, Program, failed, has, in_namespace, is_confirmed, knows, sh};

#[test]
fn there_is_no_route() {
    in_namespace("network::there_is_no_route", |lab| async move {
        sh("ip link add d0 type veth peer name d1");
        let diagnosis = lab
            .explain(&failed(lab.dial("tcp://192.0.2.1:80").await))
            .await;
        assert_eq!(diagnosis.code.name(), "connect.unreachable.no-route");
        assert!(is_confirmed(&diagnosis));
        knows(&diagnosis, &["192.0.2.1", "ENETUNREACH"]);
        lab.follow(crate::place::fix(&diagnosis, "ip link set d0 up"))
            .await;
        let diagnosis = lab
            .explain(&failed(lab.dial("tcp://[2001:db8::1]:80").await))
            .await;
        assert_eq!(diagnosis.code.name(), "connect.unreachable.no-route");
    });
}

#[test]
fn the_neighbour_is_dead() {
    in_namespace("network::the_neighbour_is_dead", |lab| async move {
        let _host = Host::beside("a", "10.9.0.1/24", "10.9.0.2/24").await;
        sh("echo 100 > /proc/sys/net/ipv4/neigh/v-a/retrans_time_ms");
        let diagnosis = lab
            .explain(&failed(lab.dial("tcp://10.9.0.99:80").await))
            .await;
        assert_eq!(diagnosis.code.name(), "connect.unreachable.neighbour");
        assert!(is_confirmed(&diagnosis));
        knows(&diagnosis, &["10.9.0.99", "v-a"]);
    });
}

#[test]
fn another_host_refuses_and_one_end_cannot_tell_why() {
    in_namespace(
        "network::another_host_refuses_and_one_end_cannot_tell_why",
        |lab| async move {
            let _host = Host::beside("a", "10.9.0.1/24", "10.9.0.2/24").await;
            let diagnosis = lab
                .explain(&failed(lab.dial("tcp://10.9.0.2:80").await))
                .await;
            assert_eq!(diagnosis.code.name(), "connect.refused.no-listener");
            assert!(!is_confirmed(&diagnosis));
            assert!(
                diagnosis
                    .causes
                    .iter()
                    .any(|cause| cause.text.contains("firewall"))
            );
            assert!(!diagnosis.unchecked.is_empty());
        },
    );
}

#[test]
fn a_router_that_prohibits_it_is_named() {
    in_namespace(
        "network::a_router_that_prohibits_it_is_named",
        |lab| async move {
            let router = Host::beside("a", "10.9.0.1/24", "10.9.0.2/24").await;
            sh("ip route add default via 10.9.0.2");
            router.sh("echo 1 > /proc/sys/net/ipv4/ip_forward; ip route add prohibit 192.0.2.0/24");
            let diagnosis = lab
                .explain(&failed(lab.dial("tcp://192.0.2.1:80").await))
                .await;
            assert_eq!(diagnosis.code.name(), "connect.rejected.firewall");
            assert!(is_confirmed(&diagnosis));
            knows(&diagnosis, &["ICMP 3/13", "from 10.9.0.2"]);

            // Armed, the dial that failed has heard it, and nobody dials again.
            let failure = failed(lab.dial_armed("tcp://192.0.2.2:80").await);
            assert_eq!(failure.code().name(), "connect.rejected.firewall");
            let diagnosis = lab.explain(&failure).await;
            assert_eq!(diagnosis.code.name(), "connect.rejected.firewall");
            assert!(is_confirmed(&diagnosis));
            knows(&diagnosis, &["ICMP 3/13", "from 10.9.0.2"]);
            assert!(lab.left_alone("192.0.2.2:80").await);
        },
    );
}

#[test]
fn a_router_that_finds_no_host_is_named() {
    in_namespace(
        "network::a_router_that_finds_no_host_is_named",
        |lab| async move {
            let router = Host::beside("a", "10.9.0.1/24", "10.9.0.2/24").await;
            sh("ip route add default via 10.9.0.2");
            router.sh(
                "echo 1 > /proc/sys/net/ipv4/ip_forward; ip route add unreachable 198.51.100.0/24",
            );
            let diagnosis = lab
                .explain(&failed(lab.dial("tcp://198.51.100.1:80").await))
                .await;
            assert_eq!(diagnosis.code.name(), "connect.unreachable.neighbour");
            knows(&diagnosis, &["ICMP 3/1", "from 10.9.0.2"]);

            let failure = failed(lab.dial_armed("tcp://198.51.100.2:80").await);
            let diagnosis = lab.explain(&failure).await;
            assert_eq!(diagnosis.code.name(), "connect.unreachable.neighbour");
            knows(&diagnosis, &["ICMP 3/1", "from 10.9.0.2"]);
            assert!(lab.left_alone("198.51.100.2:80").await);
        },
    );
}

#[test]
fn a_host_that_rejects_by_rule_is_told_from_one_that_listens_not() {
    in_namespace(
        "network::a_host_that_rejects_by_rule_is_told_from_one_that_listens_not",
        |lab| async move {
            if !has("nft") {
                return;
            }
            let host = Host::beside("a", "10.9.0.1/24", "10.9.0.2/24").await;
            host.sh("nft add table inet t; nft add chain inet t in \"{ type filter hook input priority 0; }\"; nft add rule inet t in tcp dport 80 reject with icmpx type port-unreachable");
            let diagnosis = lab
                .explain(&failed(lab.dial("tcp://10.9.0.2:80").await))
                .await;
            assert_eq!(diagnosis.code.name(), "connect.rejected.firewall");
            knows(&diagnosis, &["ICMP 3/3", "from 10.9.0.2"]);

            // The kernel calls both refused; the error queue tells them apart.
            host.sh("nft add rule inet t in tcp dport 81 reject with icmpx type port-unreachable");
            let failure = failed(lab.dial_armed("tcp://10.9.0.2:81").await);
            assert_eq!(failure.errno().unwrap().to_string(), "ECONNREFUSED");
            let diagnosis = lab.explain(&failure).await;
            assert_eq!(diagnosis.code.name(), "connect.rejected.firewall");
            assert!(is_confirmed(&diagnosis));
            knows(&diagnosis, &["ICMP 3/3", "from 10.9.0.2"]);
            let failure = failed(lab.dial_armed("tcp://10.9.0.2:82").await);
            assert_eq!(failure.errno().unwrap().to_string(), "ECONNREFUSED");
            let diagnosis = lab.explain(&failure).await;
            assert_eq!(diagnosis.code.name(), "connect.refused.no-listener");
            assert!(!is_confirmed(&diagnosis));
            knows(
                &diagnosis,
                &["the dial was refused by a reset", "without ICMP"],
            );
            for port in [81, 82] {
                assert!(lab.left_alone(&format!("10.9.0.2:{port}")).await, "{port}");
            }
        },
    );
}

/// Routers say why only so often (RFC 1812 §4.3.2.8), so that a second dial may
/// hear nothing: then only the first one knew.
#[test]
fn a_router_that_says_it_once_has_been_heard() {
    in_namespace(
        "network::a_router_that_says_it_once_has_been_heard",
        |lab| async move {
            if !has("nft") {
                return;
            }
            let router = Host::beside("a", "10.9.0.1/24", "10.9.0.2/24").await;
            sh("ip route add default via 10.9.0.2");
            router.sh("echo 1 > /proc/sys/net/ipv4/ip_forward; ip route add 192.0.2.0/24 dev lo; nft add table inet t; nft add chain inet t fw \"{ type filter hook forward priority 0; }\"; nft add rule inet t fw limit rate 1/hour burst 1 packets reject with icmpx type admin-prohibited; nft add rule inet t fw drop");
            let failure = failed(lab.dial_armed("tcp://192.0.2.1:80").await);
            let began = std::time::Instant::now();
            let diagnosis = lab.explain(&failure).await;
            let armed = began.elapsed();
            assert_eq!(diagnosis.code.name(), "connect.rejected.firewall");
            assert!(is_confirmed(&diagnosis));

            // The same failure without what was heard: all that is left is silence.
            let deaf = Failure::new(Stage::Connect, Side::Path, Code::CONNECT_NEIGHBOUR)
                .fact(Fact::Tried(([192, 0, 2, 1], 80).into()))
                .at("tcp://192.0.2.1:80");
            let began = std::time::Instant::now();
            let diagnosis = lab.explain(&deaf).await;
            assert!(!is_confirmed(&diagnosis));
            assert!(began.elapsed() > 4 * armed, "{armed:?}");
        },
    );
}

#[test]
fn silence_names_who_answered_last() {
    in_namespace(
        "network::silence_names_who_answered_last",
        |lab| async move {
            if !has("nft") {
                return;
            }
            let host = Host::beside("a", "10.9.0.1/24", "10.9.0.2/24").await;
            host.sh("nft add table inet t; nft add chain inet t in \"{ type filter hook input priority 0; }\"; nft add rule inet t in tcp dport 80 drop");
            let soon = Duration::from_millis(300);
            let failure = lab
                .dial_for("tcp://10.9.0.2:80", ([10, 9, 0, 2], 80).into(), soon)
                .await;
            let diagnosis = lab.explain(&failed(failure)).await;
            assert_eq!(diagnosis.code.name(), "connect.timeout.dropped");
            knows(&diagnosis, &["10.9.0.2", "REACHABLE"]);
            assert!(
                diagnosis
                    .causes
                    .iter()
                    .any(|cause| cause.verdict == Verdict::Refuted)
            );

            sh("ip route add default via 10.9.0.2");
            host.sh("echo 1 > /proc/sys/net/ipv4/ip_forward; ip route add 192.0.2.0/24 dev lo; nft add chain inet t fw \"{ type filter hook forward priority 0; policy drop; }\"");
            let failure = lab
                .dial_for("tcp://192.0.2.1:80", ([192, 0, 2, 1], 80).into(), soon)
                .await;
            let diagnosis = lab.explain(&failed(failure)).await;
            assert_eq!(diagnosis.code.name(), "connect.timeout.dropped");
            assert!(!is_confirmed(&diagnosis));
            knows(&diagnosis, &["10.9.0.2 answered at hop 1"]);
        },
    );
}

#[test]
fn a_host_that_answers_is_healthy() {
    in_namespace(
        "network::a_host_that_answers_is_healthy",
        |lab| async move {
            let host = Host::beside("a", "10.9.0.1/24", "10.9.0.2/24").await;
            let pid = host.pid().to_string();
            let _server = Program::start(&[
                "nsenter",
                "-t",
                &pid,
                "-n",
                "python3",
                "-m",
                "http.server",
                "7007",
            ]);
            crate::place::until("an answer", || async {
                lab.dial("tcp://10.9.0.2:7007").await.ok()
            })
            .await;
            lab.is_quiet("tcp://10.9.0.2:7007").await;
        },
    );
}
