//! Connecting on this very host.

use std::time::Duration;

use crate::place::{Program, failed, fix, has, in_namespace, is_confirmed, knows, run, sh};

fn listens(on: &str) -> String {
    format!(
        "import socket, sys; f, a = {on}; s = socket.socket(f); s.bind((a, 0)); s.listen(1); \
         print(s.getsockname()[1]); sys.stdin.read()"
    )
}

#[test]
fn nothing_listens_and_the_port_beside_it_is_named() {
    in_namespace(
        "connect::nothing_listens_and_the_port_beside_it_is_named",
        |lab| async move {
            let (_server, port) = Program::python(&listens("socket.AF_INET, '127.0.0.1'"));
            let url = format!("tcp://127.0.0.1:{}", port - 1);
            let diagnosis = lab.explain(&failed(lab.dial(&url).await)).await;
            assert_eq!(diagnosis.code.name(), "connect.refused.no-listener");
            assert!(is_confirmed(&diagnosis));
            knows(&diagnosis, &["python", &port.to_string()]);
            lab.follow(fix(&diagnosis, "netloom connect")).await;
            lab.follow(fix(&diagnosis, "netloom listen")).await;
        },
    );
}

#[test]
fn it_listens_on_the_other_family_only() {
    run(|lab| async move {
        let (server, port) = Program::python(&listens("socket.AF_INET, '127.0.0.1'"));
        let diagnosis = lab
            .explain(&failed(lab.dial(&format!("tcp://[::1]:{port}")).await))
            .await;
        assert_eq!(diagnosis.code.name(), "connect.refused.other-family");
        assert!(is_confirmed(&diagnosis));
        knows(&diagnosis, &[&format!("process {}", server.pid())]);
        lab.follow(fix(&diagnosis, "netloom connect")).await;
    });
}

#[test]
fn it_listens_on_loopback_only() {
    in_namespace("connect::it_listens_on_loopback_only", |lab| async move {
        sh("ip addr add 10.9.0.1/32 dev lo");
        let (_server, port) = Program::python(&listens("socket.AF_INET, '127.0.0.1'"));
        let diagnosis = lab
            .explain(&failed(lab.dial(&format!("tcp://10.9.0.1:{port}")).await))
            .await;
        assert_eq!(diagnosis.code.name(), "connect.refused.loopback-only");
        lab.follow(fix(&diagnosis, "netloom connect")).await;
    });
}

#[test]
fn the_accept_queue_is_full() {
    run(|lab| async move {
        let (server, port) = Program::python(&listens("socket.AF_INET, '127.0.0.1'"));
        let addr = ([127, 0, 0, 1], port).into();
        let url = format!("tcp://127.0.0.1:{port}");
        let mut open = Vec::new();
        let failure = loop {
            match lab.dial_for(&url, addr, Duration::from_millis(300)).await {
                Ok(conn) => open.push(conn),
                Err(failure) => break failure,
            }
            assert!(open.len() < 10);
        };
        let diagnosis = lab.explain(&failure).await;
        assert_eq!(diagnosis.code.name(), "connect.timeout.queue-full");
        assert!(is_confirmed(&diagnosis));
        knows(&diagnosis, &["2 connections wait", "1 may"]);
        knows(&diagnosis, &[&format!("process {}", server.pid())]);
        lab.follow(fix(&diagnosis, "kill ")).await;
    });
}

#[test]
fn a_client_meets_itself() {
    in_namespace("connect::a_client_meets_itself", |lab| async move {
        sh("echo 40000 40001 > /proc/sys/net/ipv4/ip_local_port_range");
        let failure = loop {
            let failure = failed(lab.dial("tcp://127.0.0.1:40000").await);
            if failure.code().name() == "connect.self" {
                break failure;
            }
        };
        let diagnosis = lab.explain(&failure).await;
        assert_eq!(diagnosis.code.name(), "connect.self");
        knows(&diagnosis, &["40000-40001"]);
        lab.follow(fix(&diagnosis, "netloom listen")).await;
    });
}

#[test]
fn the_local_ports_are_used_up() {
    in_namespace("connect::the_local_ports_are_used_up", |lab| async move {
        let (_server, port) = Program::python(
            "import socket, sys; s = socket.socket(); s.bind(('127.0.0.1', 7007)); s.listen(99); print(7007); sys.stdin.read()",
        );
        sh("echo 40000 40009 > /proc/sys/net/ipv4/ip_local_port_range");
        let url = format!("tcp://127.0.0.1:{port}");
        let mut open = Vec::new();
        let failure = loop {
            match lab.dial(&url).await {
                Ok(conn) => open.push(conn),
                Err(failure) => break failure,
            }
        };
        let diagnosis = lab.explain(&failure).await;
        assert_eq!(diagnosis.code.name(), "connect.no-local-port");
        assert!(is_confirmed(&diagnosis));
        knows(&diagnosis, &["10 of the 10 ports"]);
        knows(&diagnosis, &[&format!("process {}", std::process::id())]);
        lab.follow(fix(&diagnosis, "sysctl")).await;
        lab.dial(&url).await.unwrap();
    });
}

#[test]
fn this_hosts_own_rules_drop_and_reject() {
    in_namespace(
        "connect::this_hosts_own_rules_drop_and_reject",
        |lab| async move {
            if !has("nft") {
                return;
            }
            sh(
                "nft add table inet t; nft add chain inet t in '{ type filter hook input priority 0; }'",
            );
            sh("nft add rule inet t in tcp dport 7001 drop");
            sh("nft add rule inet t in tcp dport 7002 reject with icmpx type admin-prohibited");
            let addr = ([127, 0, 0, 1], 7001).into();
            let failure = lab
                .dial_for("tcp://127.0.0.1:7001", addr, Duration::from_millis(200))
                .await;
            let diagnosis = lab.explain(&failed(failure)).await;
            assert_eq!(diagnosis.code.name(), "connect.denied.local-firewall");
            lab.follow(fix(&diagnosis, "nft list ruleset")).await;
            let diagnosis = lab
                .explain(&failed(lab.dial("tcp://127.0.0.1:7002").await))
                .await;
            assert_eq!(diagnosis.code.name(), "connect.denied.local-firewall");
            knows(&diagnosis, &["ICMP 3/13", "127.0.0.1"]);
            // To loopback a person's dial is not armed: a second one hears it.
            let failure = failed(lab.dial_armed("tcp://127.0.0.2:7002").await);
            let diagnosis = lab.explain(&failure).await;
            assert_eq!(diagnosis.code.name(), "connect.denied.local-firewall");
            knows(&diagnosis, &["ICMP 3/13", "127.0.0."]);
            assert!(!lab.left_alone("127.0.0.2:7002").await);
            // To another address of this host it is, and has heard it itself.
            sh("ip addr add 192.0.2.1/32 dev lo");
            let failure = failed(lab.dial_armed("tcp://192.0.2.1:7002").await);
            let diagnosis = lab.explain(&failure).await;
            assert_eq!(diagnosis.code.name(), "connect.denied.local-firewall");
            knows(&diagnosis, &["ICMP 3/13", "192.0.2.1"]);
            assert!(lab.left_alone("192.0.2.1:7002").await);
        },
    );
}

#[test]
fn a_server_that_answers_is_healthy() {
    run(|lab| async move {
        for (on, host) in [
            ("socket.AF_INET, '0.0.0.0'", "127.0.0.1"),
            ("socket.AF_INET6, '::'", "127.0.0.1"),
        ] {
            let (_server, port) = Program::python(&listens(on));
            let entry = lab.listening(port).await;
            assert!(!entry.queue_is_full());
            lab.is_quiet(&format!("tcp://{host}:{port}")).await;
        }
    });
}
