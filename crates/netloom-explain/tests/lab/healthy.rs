//! Nothing is wrong, and nothing is said.

use netloom_transport::Conn;
use netloom_transport::resolve::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::certs::{Leaf, below, root, write};
use crate::place::{Lab, Program, has, in_folder, in_namespace_asking, run_asking};
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
    in_namespace_asking(
        "healthy::names_with_one_family_or_a_search_domain",
        || {
            let server = dnsmasq(
                5353,
                &[
                    "--address=/four.lab/127.0.0.1",
                    "--address=/six.lab/::1",
                    "--host-record=both.lab,127.0.0.1,::1",
                ],
            );
            let config = Config {
                search: vec!["lab".to_owned()],
                ..asking(&[([127, 0, 0, 1], 5353).into()])
            };
            (dns(config), server)
        },
        |lab, _server| async move {
            if !has("dnsmasq") {
                return;
            }
            ready(&lab, 5353).await;
            let (_server, port) = Program::python(
                "import socket, sys; s = socket.create_server(('::', 0), family=socket.AF_INET6, dualstack_ipv6=True); \
                 print(s.getsockname()[1]); sys.stdin.read()",
            );
            for name in ["four.lab", "six.lab", "both.lab", "four.lab.", "four"] {
                let conn = lab.is_healthy(&format!("tcp://{name}:{port}")).await;
                drop(conn);
            }
        },
    );
}
