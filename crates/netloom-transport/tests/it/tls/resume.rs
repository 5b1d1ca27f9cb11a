//! A second dial goes on with the session of the first, and every dial keeps
//! its own facts all the same.

use netloom_base::failure::Fact;
use netloom_transport::Conn;
use netloom_transport::tls::codes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::certs::{Folder, Leaf, root, root_of};
use super::openssl::{accepting, installed, openssl};
use super::{Served, dial, told, world};

/// Whether the handshake of a dialled connection went on from an earlier one.
fn resumed(conn: &Conn) -> bool {
    conn.trail().last().unwrap().to.ends_with(", resumed")
}

/// Dials, and reads a word, with which the tickets come.
async fn greeted(served: &mut Served, endpoint: &str) -> Conn {
    let cx = served.cx.clone();
    let (here, there) = tokio::join!(dial(&cx, endpoint), served.answer());
    let (mut here, mut there) = (here.unwrap(), there.unwrap());
    there.write_all(b"hello").await.unwrap();
    there.flush().await.unwrap();
    let mut word = [0; 5];
    here.read_exact(&mut word).await.unwrap();
    here
}

#[tokio::test]
async fn a_second_dial_to_our_own_server_resumes() {
    let (cx, folder, root) = (world(), Folder::new("resume"), root("root"));
    let cert = folder.write("leaf.pem", &Leaf::default().signed_by(&root));
    let ca = folder.write("ca.pem", &root.pem());
    for min in ["1.2", "1.3"] {
        let serve = format!("tls://127.0.0.1:0,cert={cert}");
        let mut served = Served::at(&cx, &serve).await.unwrap();
        let ask = format!(
            "tls://127.0.0.1:{},ca={ca},ca-only,sni=localhost,min={min}",
            served.port()
        );
        assert!(!resumed(&greeted(&mut served, &ask).await));
        for _ in 0..3 {
            assert!(resumed(&greeted(&mut served, &ask).await), "{min}");
        }
        // What was taken without a check is no reason to trust it later.
        let careless = format!("tls://127.0.0.1:{},insecure", served.port());
        let careful = format!("tls://127.0.0.1:{},sni=localhost", served.port());
        greeted(&mut served, &careless).await;
        let both = async { tokio::join!(dial(&cx, &careful), served.answer()) };
        let (here, _there) = both.await;
        assert_eq!(here.unwrap_err().code(), codes::UNTRUSTED_ISSUER);
    }
}

/// Files that changed are read again, and nothing goes on under the old ones.
#[tokio::test]
async fn other_authorities_end_the_session() {
    let (cx, folder) = (world(), Folder::new("resume-ca"));
    let (root, stranger) = (root("root"), root_of("stranger", "Strangers"));
    let cert = folder.write("leaf.pem", &Leaf::default().signed_by(&root));
    let ca = folder.write("ca.pem", &root.pem());
    let serve = format!("tls://127.0.0.1:0,cert={cert}");
    let mut served = Served::at(&cx, &serve).await.unwrap();
    let ask = format!(
        "tls://127.0.0.1:{},ca={ca},ca-only,sni=localhost",
        served.port()
    );
    greeted(&mut served, &ask).await;
    assert!(resumed(&greeted(&mut served, &ask).await));
    folder.write("ca.pem", &stranger.pem());
    let (here, _there) = tokio::join!(dial(&cx, &ask), served.answer());
    assert_eq!(here.unwrap_err().code(), codes::UNTRUSTED_ISSUER);
}

/// Two dials of one endpoint at once are judged by one judge; what it saw of
/// each is told of each.
#[tokio::test]
async fn dials_at_the_same_time_keep_their_own_facts() {
    let (cx, folder) = (world(), Folder::new("resume-both"));
    let root = root("root");
    let leaf = |name: &str| Leaf {
        names: vec![name.to_owned()],
        ..Leaf::default()
    };
    let ca = folder.write("ca.pem", &root.pem());
    let mut failures = Vec::new();
    let certs: Vec<String> = ["one.example", "two.example"]
        .iter()
        .map(|name| folder.write(&format!("{name}.pem"), &leaf(name).signed_by(&root)))
        .collect();
    // Behind one address: the first who is answered meets the first certificate.
    let bound = format!("tls://127.0.0.1:0,cert={}", certs[0]);
    let mut first = Served::at(&cx, &bound).await.unwrap();
    let other = format!("tls://127.0.0.1:0,cert={}", certs[1]);
    let second = Served::at(&cx, &other).await.unwrap();
    let ask = format!(
        "tls://127.0.0.1:{},ca={ca},ca-only,sni=localhost",
        first.port()
    );
    let answering = async {
        for stack in [first.stack.clone(), second.stack.clone()] {
            first.stack = stack;
            // It fails at the other end, which is what is looked at.
            let _ = first.answer().await;
        }
    };
    let (one, two, ()) = tokio::join!(dial(&cx, &ask), dial(&cx, &ask), answering);
    for failure in [one.unwrap_err(), two.unwrap_err()] {
        assert_eq!(failure.code(), codes::NAME_MISMATCH, "{}", told(&failure));
        let chain = failure.facts().iter().find_map(|fact| match fact {
            Fact::Chain(chain) => Some(chain[0].names.join(" ")),
            _ => None,
        });
        failures.push(chain.unwrap());
    }
    failures.sort();
    assert_eq!(failures, ["one.example", "two.example"]);
}

#[tokio::test]
async fn a_second_dial_to_s_server_resumes() {
    if !installed() {
        return;
    }
    let (cx, folder, root) = (world(), Folder::new("resume-openssl"), root("root"));
    let cert = folder.write("leaf.pem", &Leaf::default().signed_by(&root));
    let ca = folder.write("ca.pem", &root.pem());
    let cert = cert.replace("%2F", "/");
    for version in ["-tls1_3", "-tls1_2"] {
        let mut server = openssl(&format!(
            "s_server -accept 127.0.0.1:0 -cert {cert} -key {cert} {version}"
        ));
        let (_lines, port) = accepting(&mut server).await;
        let ask = format!("tls://127.0.0.1:{port},ca={ca},ca-only,sni=localhost");
        for dials in 0..3 {
            let mut conn = dial(&cx, &ask)
                .await
                .unwrap_or_else(|f| panic!("{}", told(&f)));
            assert_eq!(resumed(&conn), dials > 0, "{version}, dial {dials}");
            let stdin = server.stdin.as_mut().unwrap();
            stdin.write_all(b"hello\n").await.unwrap();
            let mut word = [0; 6];
            conn.read_exact(&mut word).await.unwrap();
            conn.shutdown().await.unwrap();
            let mut rest = Vec::new();
            conn.read_to_end(&mut rest).await.unwrap();
        }
    }
}
