//! Binding what is taken or may not be had.

use crate::place::{
    Program, as_nobody, failed, fix, in_namespace, is_confirmed, knows, run, until,
};
use netloom_transport::probe::State;

const SERVER: &str = "
import socket, sys
s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); print(s.getsockname()[1])
";

#[test]
fn a_port_that_a_python_server_has_is_taken_by_pid_and_name() {
    run(|lab| async move {
        let (mut server, port) = Program::python(
            "import http.server as h; s = h.HTTPServer(('127.0.0.1', 0), h.SimpleHTTPRequestHandler); \
             print(s.server_port); s.serve_forever()",
        );
        let url = format!("tcp://127.0.0.1:{port}");
        let diagnosis = lab.explain(&failed(lab.bind(&url).await)).await;
        assert_eq!(diagnosis.code.name(), "bind.in-use.listener");
        assert!(is_confirmed(&diagnosis));
        knows(&diagnosis, &["LISTEN", &format!("127.0.0.1:{port}")]);
        let pid = server.pid().to_string();
        knows(&diagnosis, &[&format!("process {pid} `"), "http.server"]);
        lab.follow(fix(&diagnosis, "netloom listen")).await;
        lab.follow(fix(&diagnosis, &format!("kill {pid}"))).await;
        server.ended();
        lab.bind(&url).await.unwrap();
    });
}

#[test]
fn only_time_wait_holds_the_port() {
    run(|lab| async move {
        let text = format!("{SERVER}c, _ = s.accept(); c.close(); s.close(); sys.stdin.read()");
        let (_server, port) = Program::python(&text);
        let url = format!("tcp://127.0.0.1:{port}");
        let conn = lab.dial(&url).await.unwrap();
        until("the server's close", || async {
            let all = lab.probe.sockets_on(&lab.cx, port).await?;
            all.into_iter()
                .find(|entry| matches!(entry.state, State::FinWait2))
        })
        .await;
        drop(conn);
        until("TIME_WAIT", || async {
            let all = lab.probe.sockets_on(&lab.cx, port).await?;
            (!all.is_empty() && all.iter().all(|entry| entry.state == State::TimeWait))
                .then_some(())
        })
        .await;
        let diagnosis = lab.explain(&failed(lab.bind(&url).await)).await;
        assert_eq!(diagnosis.code.name(), "bind.in-use.time-wait");
        assert!(is_confirmed(&diagnosis));
        knows(&diagnosis, &["TIME_WAIT", "s left"]);
        fix(&diagnosis, "sleep ");
        lab.follow(fix(&diagnosis, "netloom listen")).await;
    });
}

#[test]
fn a_connection_of_a_dead_listener_holds_the_port() {
    run(|lab| async move {
        let text = format!("{SERVER}c, _ = s.accept(); s.close(); sys.stdin.read()");
        let (server, port) = Program::python(&text);
        let url = format!("tcp://127.0.0.1:{port}");
        let _conn = lab.dial(&url).await.unwrap();
        until("the listener's end", || async {
            let all = lab.probe.sockets_on(&lab.cx, port).await?;
            all.iter()
                .all(|entry| entry.state != State::Listen)
                .then_some(())
        })
        .await;
        let diagnosis = lab.explain(&failed(lab.bind(&url).await)).await;
        assert_eq!(diagnosis.code.name(), "bind.in-use.connection");
        knows(&diagnosis, &["ESTABLISHED"]);
        knows(
            &diagnosis,
            &[&format!("process {} `", server.pid()), "python"],
        );
        lab.follow(fix(&diagnosis, "netloom listen")).await;
        lab.follow(fix(&diagnosis, "kill ")).await;
    });
}

#[test]
fn a_socket_that_does_not_listen_holds_the_port() {
    run(|lab| async move {
        let (server, port) = Program::python(
            "import socket, sys; s = socket.socket(); s.bind(('127.0.0.1', 0)); print(s.getsockname()[1]); sys.stdin.read()",
        );
        let url = format!("tcp://127.0.0.1:{port}");
        let diagnosis = lab.explain(&failed(lab.bind(&url).await)).await;
        assert_eq!(diagnosis.code.name(), "bind.in-use.bound");
        knows(&diagnosis, &["BOUND"]);
        lab.follow(fix(&diagnosis, &format!("kill {}", server.pid())))
            .await;
    });
}

#[test]
fn a_wildcard_overlaps_an_address_and_the_other_family() {
    run(|lab| async move {
        for (listens, asked) in [
            ("socket.AF_INET, '0.0.0.0'", "tcp://127.0.0.1"),
            ("socket.AF_INET, '127.0.0.1'", "tcp://0.0.0.0"),
            ("socket.AF_INET6, '::'", "tcp://127.0.0.1"),
            ("socket.AF_INET, '0.0.0.0'", "tcp://*"),
        ] {
            let (server, port) = Program::python(&format!(
                "import socket, sys; f, a = {listens}; s = socket.socket(f); s.bind((a, 0)); \
                 s.listen(); print(s.getsockname()[1]); sys.stdin.read()"
            ));
            let url = format!("{asked}:{port}");
            let diagnosis = lab.explain(&failed(lab.bind(&url).await)).await;
            assert_eq!(
                diagnosis.code.name(),
                "bind.in-use.overlap",
                "{listens} {asked}"
            );
            assert!(is_confirmed(&diagnosis));
            lab.follow(fix(&diagnosis, "netloom listen")).await;
            lab.follow(fix(&diagnosis, &format!("kill {}", server.pid())))
                .await;
        }
    });
}

#[test]
fn an_address_of_another_host_is_not_local() {
    run(|lab| async move {
        let diagnosis = lab
            .explain(&failed(lab.bind("tcp://203.0.113.1:0").await))
            .await;
        assert_eq!(diagnosis.code.name(), "bind.not-local");
        knows(&diagnosis, &["127.0.0.1"]);
        lab.follow(fix(&diagnosis, "netloom listen")).await;
    });
}

#[test]
fn a_low_port_needs_a_capability() {
    as_nobody("bind::a_low_port_needs_a_capability", |lab| async move {
        let ports = lab.probe.port_settings(&lab.cx).await.unwrap();
        if ports.unprivileged_start <= 1 {
            return crate::place::skip("every user may bind every port here");
        }
        let url = format!("tcp://127.0.0.1:{}", ports.unprivileged_start - 1);
        let diagnosis = lab.explain(&failed(lab.bind(&url).await)).await;
        assert_eq!(diagnosis.code.name(), "bind.denied.privileged-port");
        knows(
            &diagnosis,
            &[
                "CAP_NET_BIND_SERVICE",
                &ports.unprivileged_start.to_string(),
            ],
        );
        lab.follow(fix(&diagnosis, "netloom listen")).await;
    });
}

#[test]
fn a_link_local_address_needs_its_interface() {
    in_namespace(
        "bind::a_link_local_address_needs_its_interface",
        |lab| async move {
            crate::place::sh(
                "ip link add d0 type veth peer name d1; ip link set d0 up; ip link set d1 up; ip addr add fe80::7/64 dev d0 nodad",
            );
            let diagnosis = lab
                .explain(&failed(lab.bind("tcp://[fe80::7]:7007").await))
                .await;
            assert_eq!(diagnosis.code.name(), "bind.no-scope");
            knows(&diagnosis, &["d0"]);
            // Which interface a name means is read from /sys, which shows the namespace it was mounted in.
            assert!(
                fix(&diagnosis, "netloom listen")
                    .command
                    .as_ref()
                    .unwrap()
                    .contains("%d0]:7007")
            );
            let diagnosis = lab
                .explain(&failed(lab.dial("tcp://[fe80::9]:7007").await))
                .await;
            assert_eq!(diagnosis.code.name(), "bind.no-scope");
        },
    );
}

#[test]
fn a_restarted_server_with_reuse_address_is_healthy() {
    run(|lab| async move {
        let text = SERVER.replace(
            "s.bind",
            "s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind",
        );
        let (server, port) = Program::python(&format!(
            "{text}c, _ = s.accept(); c.close(); sys.stdin.read()"
        ));
        let url = format!("tcp://127.0.0.1:{port}");
        let conn = lab.dial(&url).await.unwrap();
        drop(server);
        drop(conn);
        until("the port", || async { lab.bind(&url).await.ok() }).await;
        crate::record::quiet(&url);
    });
}
