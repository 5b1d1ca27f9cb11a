//! Connecting to other hosts, in namespaces at the other end of a cable.

use std::time::Duration;

use netloom_base::diagnosis::Verdict;

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
        },
    );
}
