//! Nothing is wrong, and nothing is said.

use netloom_transport::Conn;
use netloom_transport::resolve::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::certs::{Leaf, below, root, write};
use crate::place::{
    Folder, Host, Lab, Program, has, in_folder, in_namespace, in_namespace_asking, run, run_asking,
    sh, until, with_descriptors,
};
use crate::resolve::{LISTENS, asking, dns, dnsmasq, ready};

/// A TLS session that says something, and ends.
async fn speaks(mut conn: Conn) {
    conn.write_all(b"Q\n").await.unwrap();
    conn.shutdown().await.unwrap();
    conn.read_to_end(&mut Vec::new()).await.unwrap();
}

async fn served(lab: &Lab, flags: &str, options: &str) {
    let (_server, port) = Program::s_server(&format!("-cert leaf.pem -key leaf.key -rev {flags}"));
    let url = format!("tls://localhost:{port},ca=root.pem{options}");
    speaks(lab.is_healthy(&url).await).await;
}

#[test]
fn servers_of_either_version_and_protocol() {
    in_folder(
        "healthy::servers_of_either_version_and_protocol",
        |lab| async move {
            if !has("openssl") {
                return;
            }
            Leaf::default().signed("leaf", &root());
            served(&lab, "-tls1_2", "").await;
            served(&lab, "-tls1_3", "").await;
            served(&lab, "-tls1_3", ",min=1.3").await;
            served(&lab, "-tls1_2", ",max=1.2").await;
            served(&lab, "-alpn h2,mqtt", ",alpn=mqtt").await;
            served(&lab, "-tls1_3 -groups P-256", "").await;
        },
    );
}

#[test]
fn a_server_that_wants_a_certificate_and_gets_it() {
    in_folder(
        "healthy::a_server_that_wants_a_certificate_and_gets_it",
        |lab| async move {
            if !has("openssl") {
                return;
            }
            let root = root();
            Leaf::default().signed("leaf", &root);
            let client = Leaf {
                client: true,
                ..Leaf::default()
            };
            client.signed("client", &root);
            for version in ["-tls1_2", "-tls1_3"] {
                let flags = format!("{version} -Verify 2 -verify_return_error -CAfile root.pem");
                served(&lab, &flags, ",cert=client.pem,key=client.key").await;
            }
        },
    );
}

#[test]
fn a_chain_with_its_intermediate() {
    in_folder("healthy::a_chain_with_its_intermediate", |lab| async move {
        if !has("openssl") {
            return;
        }
        let between = below(&root(), "between");
        write("between.pem", &between.pem());
        Leaf::default().signed("leaf", &between);
        served(&lab, "-cert_chain between.pem", "").await;
    });
}

#[test]
fn a_certificate_that_signs_itself_and_is_trusted() {
    in_folder(
        "healthy::a_certificate_that_signs_itself_and_is_trusted",
        |lab| async move {
            if !has("openssl") {
                return;
            }
            Leaf::default().self_signed("leaf");
            std::fs::copy("leaf.pem", "root.pem").unwrap();
            served(&lab, "", "").await;
            served(&lab, "", ",ca-only").await;
        },
    );
}

#[test]
fn a_server_of_our_own() {
    in_folder("healthy::a_server_of_our_own", |lab| async move {
        Leaf::default().signed("leaf", &root());
        let url = "tls://127.0.0.1:0,cert=leaf.pem,key=leaf.key";
        let bound = lab.bind(url).await.unwrap().remove(0);
        let mut listener = bound.listener().unwrap().unwrap();
        let stack = lab
            .cx
            .net()
            .stack(&url.parse().unwrap(), netloom_base::Role::Bind)
            .unwrap();
        let answered = async {
            let conn = listener.accept().await.unwrap().attach().unwrap();
            lab.cx.net().answer(&stack, conn, &lab.cx).await.map(drop)
        };
        let port = bound.endpoint().port().unwrap();
        let url = format!("tls://127.0.0.1:{port},ca=root.pem");
        let (_, answered) = tokio::join!(lab.is_healthy(&url), answered);
        answered.unwrap();
    });
}

#[test]
fn a_name_in_the_hosts_file() {
    let hosts = Config {
        hosts: Some("127.0.0.1 web.lab web\n".to_owned()),
        ..Config::default()
    };
    run_asking(dns(hosts), |lab| async move {
        let (_server, port) = Program::python(LISTENS);
        lab.is_healthy(&format!("tcp://web.lab:{port}")).await;
        lab.is_healthy(&format!("tcp://web:{port}")).await;
    });
}

#[test]
fn names_with_one_family_or_a_search_domain() {
    if !has("dnsmasq") {
        return;
    }
    in_namespace_asking(
        "healthy::names_with_one_family_or_a_search_domain",
        || {
            let server = dnsmasq(
                5353,
                &[
                    "--address=/four.lab/127.0.0.1",
                    "--address=/six.lab/::1",
                    "--host-record=both.lab,127.0.0.1,::1",
                    "--cname=alias.lab,both.lab",
                ],
            );
            let config = Config {
                search: vec!["lab".to_owned()],
                ..asking(&[([127, 0, 0, 1], 5353).into()])
            };
            (dns(config), server)
        },
        |lab, _server| async move {
            ready(&lab, 5353).await;
            let (_server, port) = Program::python(
                "import socket, sys; s = socket.create_server(('::', 0), family=socket.AF_INET6, dualstack_ipv6=True); \
                 print(s.getsockname()[1]); sys.stdin.read()",
            );
            for name in [
                "four.lab",
                "six.lab",
                "both.lab",
                "alias.lab",
                "four.lab.",
                "four",
            ] {
                lab.is_quiet(&format!("tcp://{name}:{port}")).await;
            }
        },
    );
}

/// A server that does `body` with each connection `c`.
fn server(body: &str) -> (Program, u16) {
    Program::python(&format!(
        "import socket, sys, time
s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1])
while True:
    c, _ = s.accept()
    {body}"
    ))
}

#[test]
fn a_unix_socket_with_and_without_a_file() {
    run(|lab| async move {
        if !has("socat") {
            return;
        }
        let folder = Folder::new("unix");
        let path = folder.path("sock");
        let hidden = format!("netloom-lab-{}", std::process::id());
        for (listen, name) in [
            (format!("UNIX-LISTEN:{path},fork"), path),
            (
                format!("ABSTRACT-LISTEN:{hidden},fork"),
                format!("@{hidden}"),
            ),
        ] {
            let _server = Program::start(&["socat", &listen, "PIPE"]);
            until("listening", || async {
                let all = lab.probe.unix_sockets(&lab.cx).await?;
                all.into_iter()
                    .find(|entry| entry.name == name && entry.listens)
            })
            .await;
            let story = lab
                .is_quiet_to(&format!("unix:{name}"), Some(b"hello"))
                .await;
            assert_eq!((story.sent, story.received), (5, 5));
        }
    });
}

#[test]
fn a_program_that_answers_and_ends_well() {
    run(|lab| async move {
        let story = lab.is_quiet_to("exec:cat", Some(b"hello")).await;
        assert_eq!(story.received, 5);
        lab.is_quiet("exec:true").await;
    });
}

#[test]
fn a_peer_that_says_its_last_word_and_reads_on() {
    run(|lab| async move {
        let (_server, port) = server(
            "c.sendall(b'that is all\\n'); c.shutdown(socket.SHUT_WR)
    while c.recv(999): pass
    c.close()",
        );
        let story = lab.is_quiet(&format!("tcp://127.0.0.1:{port}")).await;
        assert_eq!(story.received, 12);
    });
}

#[test]
fn a_server_that_answers_and_closes_first() {
    run(|lab| async move {
        let (_server, port) = server("c.sendall(b'you said ' + c.recv(99)); c.close()");
        let url = format!("tcp://127.0.0.1:{port}");
        let story = lab.is_quiet_to(&url, Some(b"hello")).await;
        assert_eq!(story.received, 14);
    });
}

#[test]
fn a_server_that_takes_a_second_to_answer() {
    run(|lab| async move {
        let (_server, port) =
            server("c.recv(99); time.sleep(1); c.sendall(b'here I am'); c.recv(99); c.close()");
        let url = format!("tcp://127.0.0.1:{port}");
        let story = lab.is_quiet_to(&url, Some(b"hello")).await;
        assert_eq!(story.received, 9);
    });
}

#[test]
fn a_server_that_says_nothing_first() {
    run(|lab| async move {
        let (_server, port) = server("c.recv(99); c.close()");
        lab.is_quiet(&format!("tcp://127.0.0.1:{port}")).await;
    });
}

#[test]
fn sixty_four_mebibytes_there_and_back() {
    run(|lab| async move {
        const BYTES: usize = 64 << 20;
        let (_server, port) = server(
            "while d := c.recv(1 << 20): c.sendall(d)
    c.close()",
        );
        let url = format!("tcp://127.0.0.1:{port}");
        let (mut read, mut write) = tokio::io::split(lab.is_healthy(&url).await);
        let there = async {
            write.write_all(&vec![b'x'; BYTES]).await.unwrap();
            write.shutdown().await.unwrap();
        };
        let mut back = Vec::new();
        let ((), came) = tokio::join!(there, read.read_to_end(&mut back));
        assert_eq!(came.unwrap(), BYTES);
    });
}

#[test]
fn a_backlog_of_one_that_is_used() {
    run(|lab| async move {
        let (_server, port) = Program::python(
            "import socket, sys; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(1); \
             print(s.getsockname()[1]); sys.stdin.read()",
        );
        let url = format!("tcp://127.0.0.1:{port}");
        let _first = lab.is_healthy(&url).await;
        assert_eq!(lab.listening(port).await.recv_queue, 1);
        lab.is_quiet(&url).await;
    });
}

#[test]
fn a_descriptor_table_that_is_nearly_full() {
    with_descriptors(
        "healthy::a_descriptor_table_that_is_nearly_full",
        "64",
        |lab| async move {
            let (_server, port) = server("c.sendall(b'hello\\n'); c.recv(9); c.close()");
            let mut open = Vec::new();
            while let Ok(file) = std::fs::File::open("/dev/null") {
                open.push(file);
            }
            // The dial needs one, and asking the kernel about it a few more.
            open.truncate(open.len() - 8);
            lab.is_quiet(&format!("tcp://127.0.0.1:{port}")).await;
        },
    );
}

#[test]
fn local_ports_that_are_nearly_used_up() {
    in_namespace(
        "healthy::local_ports_that_are_nearly_used_up",
        |lab| async move {
            let (_server, port) = Program::python(
                "import socket, sys; s = socket.create_server(('127.0.0.1', 7007), backlog=99); print(7007); sys.stdin.read()",
            );
            sh("echo 40000 40009 > /proc/sys/net/ipv4/ip_local_port_range");
            let url = format!("tcp://127.0.0.1:{port}");
            let mut open = Vec::new();
            for _ in 0..9 {
                open.push(lab.is_healthy(&url).await);
            }
            lab.is_quiet(&url).await;
        },
    );
}

#[test]
fn a_firewall_that_only_counts() {
    in_namespace("healthy::a_firewall_that_only_counts", |lab| async move {
        if !has("nft") {
            return;
        }
        for hook in ["input", "output"] {
            sh(&format!(
                "nft add table inet t; nft add chain inet t {hook} '{{ type filter hook {hook} priority 0; }}'; \
                 nft add rule inet t {hook} tcp dport 1-65535 counter; \
                 nft add rule inet t {hook} ct state invalid counter drop"
            ));
        }
        let (_server, port) = server("c.sendall(b'hello\\n'); c.recv(9); c.close()");
        lab.is_quiet(&format!("tcp://127.0.0.1:{port}")).await;
    });
}

/// Python's file server in another host's network.
fn far(host: &Host) -> Program {
    let pid = host.pid().to_string();
    Program::start(&[
        "nsenter",
        "-t",
        &pid,
        "-n",
        "python3",
        "-m",
        "http.server",
        "--bind",
        "::",
        "7007",
    ])
}

#[test]
fn a_way_over_a_router_and_a_slow_cable() {
    in_namespace(
        "healthy::a_way_over_a_router_and_a_slow_cable",
        |lab| async move {
            let host = Host::beside("a", "10.9.0.1/24", "10.9.0.2/24").await;
            host.sh("ip addr add 192.0.2.1/32 dev lo");
            sh("ip route add default via 10.9.0.2");
            let _server = far(&host);
            let url = "tcp://192.0.2.1:7007";
            until("an answer", || async { lab.dial(url).await.ok() }).await;
            lab.is_quiet(url).await;
            host.sh("tc qdisc add dev eth0 root netem delay 100ms || tc qdisc add dev eth0 root tbf rate 1mbit burst 2k latency 50ms");
            lab.is_quiet(url).await;
        },
    );
}

#[test]
fn a_link_local_address_with_its_interface() {
    in_namespace(
        "healthy::a_link_local_address_with_its_interface",
        |lab| async move {
            let host = Host::beside("a", "fe80::1/64", "fe80::2/64").await;
            let _server = far(&host);
            let index = std::fs::read_to_string("/proc/net/dev_snmp6/v-a").unwrap();
            let index = index.split_ascii_whitespace().nth(1).unwrap();
            let url = format!("tcp://[fe80::2%{index}]:7007");
            until("an answer", || async { lab.dial(&url).await.ok() }).await;
            lab.is_quiet(&url).await;
        },
    );
}

#[test]
fn a_session_that_is_taken_up_again() {
    in_folder(
        "healthy::a_session_that_is_taken_up_again",
        |lab| async move {
            if !has("openssl") {
                return;
            }
            Leaf::default().signed("leaf", &root());
            for version in ["-tls1_3", "-tls1_2"] {
                let (_server, port) =
                    Program::s_server(&format!("-cert leaf.pem -key leaf.key -rev {version}"));
                let url = format!("tls://localhost:{port},ca=root.pem");
                speaks(lab.is_healthy(&url).await).await;
                let again = lab.is_healthy(&url).await;
                let told: Vec<String> = again.learned().iter().map(ToString::to_string).collect();
                let told = format!("{} {:?}", told.join("; "), again.trail());
                assert!(told.contains("resumed"), "{version}: {told}");
                speaks(again).await;
            }
        },
    );
}
