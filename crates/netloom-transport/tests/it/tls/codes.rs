//! Every code that two ends of ours can make, seen at each end.

use netloom_base::failure::Fact;
use netloom_base::{Code, Failure, Side, Stage};
use netloom_transport::tls::codes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::certs::{Folder, Leaf, intermediate, root, root_of};
use super::{Served, dial, meet, told, world};

fn names(failure: &Failure, code: Code) -> String {
    assert_eq!(failure.code(), code, "{}", told(failure));
    assert_eq!(failure.stage(), Stage::Tls, "{}", told(failure));
    told(failure)
}

/// Serves a leaf of the test root and dials with the root trusted: both codes.
async fn refused(test: &str, leaf: Leaf, client: Code, server: Code) -> (String, String) {
    let (folder, root) = (Folder::new(test), root("root"));
    let cert = folder.write("leaf.pem", &leaf.signed_by(&root));
    let ca = folder.write("ca.pem", &root.pem());
    let (dialled, answered) = meet(&format!("cert={cert}"), &format!("ca={ca},ca-only")).await;
    (
        names(&dialled.unwrap_err(), client),
        names(&answered.unwrap_err(), server),
    )
}

#[tokio::test]
async fn expired() {
    let leaf = Leaf {
        until: (2021, 1, 2),
        ..Leaf::default()
    };
    let (client, server) = refused("expired", leaf, codes::EXPIRED, codes::EXPIRED).await;
    assert!(
        client.contains("the certificate expired on 2021-01-02"),
        "{client}"
    );
    assert!(client.contains("this host's clock says 20"), "{client}");
    assert!(
        client.contains("valid 2020-01-01 to 2021-01-02, SHA-256 "),
        "{client}"
    );
    assert!(server.contains("certificate_expired (45)"), "{server}");
}

#[tokio::test]
async fn not_yet_valid() {
    let leaf = Leaf {
        from: (2090, 5, 6),
        ..Leaf::default()
    };
    let (client, server) =
        refused("future", leaf, codes::NOT_YET_VALID, codes::NOT_YET_VALID).await;
    assert!(
        client.contains("the certificate begins to count on 2090-05-06"),
        "{client}"
    );
    assert!(
        server.contains("refused this end's certificate"),
        "{server}"
    );
}

#[tokio::test]
async fn name_mismatch() {
    let leaf = Leaf {
        names: vec!["a.example".to_owned(), "192.0.2.7".to_owned()],
        ..Leaf::default()
    };
    let (client, server) = refused("name", leaf, codes::NAME_MISMATCH, Stage::Tls.other()).await;
    assert!(
        client.contains("is for a.example, 192.0.2.7, not for 127.0.0.1"),
        "{client}"
    );
    assert!(
        server.contains("(42)") || server.contains("(46)"),
        "{server}"
    );
}

#[tokio::test]
async fn another_name_can_be_asked_for_and_another_verified() {
    let (folder, root) = (Folder::new("verify"), root("root"));
    let leaf = Leaf {
        names: vec!["a.example".to_owned()],
        ..Leaf::default()
    };
    let cert = folder.write("leaf.pem", &leaf.signed_by(&root));
    let ca = folder.write("ca.pem", &root.pem());
    for name in [
        "sni=a.example",
        "verify-name=a.example,sni=off",
        "verify-name=a.example,sni=b.example",
    ] {
        let (dialled, answered) = meet(&format!("cert={cert}"), &format!("ca={ca},{name}")).await;
        dialled.unwrap();
        answered.unwrap();
    }
}

#[tokio::test]
async fn self_signed_until_it_is_named() {
    let folder = Folder::new("self");
    let cert = folder.write("leaf.pem", &Leaf::default().self_signed());
    let (dialled, answered) = meet(&format!("cert={cert}"), "min=1.2").await;
    let client = names(&dialled.unwrap_err(), codes::SELF_SIGNED);
    assert!(client.contains("issued by itself"), "{client}");
    let server = names(&answered.unwrap_err(), codes::SELF_SIGNED);
    assert!(server.contains("unknown_ca (48)"), "{server}");

    let (dialled, answered) = meet(&format!("cert={cert}"), &format!("ca={cert},ca-only")).await;
    dialled.unwrap();
    answered.unwrap();
}

#[tokio::test]
async fn a_certificate_is_made_and_nobody_trusts_it() {
    let (dialled, _) = meet("cert=auto", "min=1.3").await;
    let client = names(&dialled.unwrap_err(), codes::SELF_SIGNED);
    assert!(client.contains("for localhost 127.0.0.1 ::1"), "{client}");
    let (dialled, answered) = meet("cert=auto", "insecure").await;
    let step = dialled.unwrap().trail().last().unwrap().to.clone();
    assert!(
        step.starts_with("127.0.0.1, TLS 1.3, TLS_AES_256_GCM_SHA384, X25519MLKEM768"),
        "{step}"
    );
    answered.unwrap();
}

#[tokio::test]
async fn untrusted_issuer() {
    let (folder, root) = (Folder::new("untrusted"), root("a root nobody knows"));
    let chain = format!("{}{}", Leaf::default().signed_by(&root), root.pem());
    let cert = folder.write("leaf.pem", &chain);
    let (dialled, answered) = meet(&format!("cert={cert}"), "min=1.2").await;
    let client = names(&dialled.unwrap_err(), codes::UNTRUSTED_ISSUER);
    assert!(client.contains("a root nobody knows"), "{client}");
    names(&answered.unwrap_err(), codes::UNTRUSTED_ISSUER);
}

#[tokio::test]
async fn an_authority_that_was_made_anew_is_not_the_old_one() {
    let (folder, old, new) = (Folder::new("anew"), root("root"), root("root"));
    let cert = folder.write("leaf.pem", &Leaf::default().signed_by(&new));
    let ca = folder.write("ca.pem", &old.pem());
    let (dialled, _) = meet(&format!("cert={cert}"), &format!("ca={ca},ca-only")).await;
    let client = names(&dialled.unwrap_err(), codes::UNTRUSTED_ISSUER);
    assert!(client.contains("but with another key"), "{client}");
}

#[tokio::test]
async fn missing_intermediate() {
    let (folder, root) = (Folder::new("missing"), root("root"));
    let middle = intermediate("the one between", &root);
    let ca = folder.write("ca.pem", &root.pem());
    // Of the same organisation as a trusted root; or it says where its issuer is.
    for (leaf, trust) in [
        (Leaf::default(), format!("ca={ca},ca-only")),
        (
            Leaf {
                issuer_place: true,
                ..Leaf::default()
            },
            "min=1.2".to_owned(),
        ),
    ] {
        let cert = folder.write("leaf.pem", &leaf.signed_by(&middle));
        let (dialled, _) = meet(&format!("cert={cert}"), &trust).await;
        let client = names(&dialled.unwrap_err(), codes::MISSING_INTERMEDIATE);
        assert!(client.contains("CN=the one between"), "{client}");
    }
    let whole = format!("{}{}", Leaf::default().signed_by(&middle), middle.pem());
    let cert = folder.write("whole.pem", &whole);
    let (dialled, answered) = meet(&format!("cert={cert}"), &format!("ca={ca},ca-only")).await;
    dialled.unwrap();
    answered.unwrap();
}

#[tokio::test]
async fn client_certificates() {
    let (folder, root, other) = (
        Folder::new("client"),
        root("clients"),
        root_of("strangers", "Others"),
    );
    let ca = folder.write("ca.pem", &root.pem());
    let good = Leaf {
        client: true,
        ..Leaf::default()
    };
    let cert = folder.write("client.pem", &good.signed_by(&root));
    let bad = folder.write("stranger.pem", &good.signed_by(&other));
    let require = format!("cert=auto,client-ca={ca}");

    let (dialled, answered) = meet(&require, "insecure").await;
    let server = names(&answered.unwrap_err(), codes::CLIENT_CERTIFICATE_REQUIRED);
    assert!(
        server.contains("the client showed no certificate"),
        "{server}"
    );
    // In TLS 1.3 the client's handshake is over before it is refused.
    let mut conn = dialled.unwrap();
    let error = conn.read(&mut [0; 1]).await.unwrap_err();
    let client = names(
        &conn.failure(Stage::Recv, error),
        codes::CLIENT_CERTIFICATE_REQUIRED,
    );
    assert!(client.contains("certificate_required (116)"), "{client}");
    assert!(client.contains("issued by O=Test, CN=clients"), "{client}");

    let (dialled, answered) = meet(&require, &format!("insecure,cert={bad}")).await;
    let server = answered.unwrap_err();
    assert_eq!(server.side(), Side::Peer);
    let server = names(&server, codes::UNTRUSTED_ISSUER);
    assert!(
        server.contains("the client's certificate is issued by O=Others, CN=strangers"),
        "{server}"
    );
    let mut conn = dialled.unwrap();
    let error = conn.read(&mut [0; 1]).await.unwrap_err();
    names(&conn.failure(Stage::Recv, error), codes::UNTRUSTED_ISSUER);

    let (dialled, answered) = meet(&require, &format!("insecure,cert={cert}")).await;
    dialled.unwrap();
    answered.unwrap();
    let (dialled, answered) = meet(&format!("{require},client-auth=request"), "insecure").await;
    dialled.unwrap();
    answered.unwrap();
}

#[tokio::test]
async fn no_common_alpn() {
    let (dialled, answered) = meet("cert=auto,alpn=h2", "insecure,alpn=http%2F1.1%2Cmqtt").await;
    let server = names(&answered.unwrap_err(), codes::NO_COMMON_ALPN);
    assert!(server.contains("protocols http/1.1 mqtt"), "{server}");
    assert!(
        server.contains("this end speaks TLS 1.2 and 1.3, protocols h2"),
        "{server}"
    );
    let client = names(&dialled.unwrap_err(), codes::NO_COMMON_ALPN);
    assert!(client.contains("no_application_protocol (120)"), "{client}");

    let (dialled, _) = meet("cert=auto,alpn=h2%2Chttp%2F1.1", "insecure,alpn=http%2F1.1").await;
    assert!(
        dialled
            .unwrap()
            .trail()
            .last()
            .unwrap()
            .to
            .ends_with(", http/1.1")
    );
}

#[tokio::test]
async fn mistakes_in_options_are_told_before_anything_is_opened() {
    let cx = world();
    let folder = Folder::new("mistakes");
    let empty = folder.write("empty.pem", "");
    let (one, two) = (Leaf::default().self_signed(), Leaf::default().self_signed());
    let (one, two) = (folder.write("one.pem", &one), folder.write("two.pem", &two));
    let certificate = std::fs::read_to_string(one.replace("%2F", "/")).unwrap();
    let keyless = certificate
        .split("-----BEGIN PRIVATE")
        .next()
        .unwrap()
        .to_owned();
    let keyless = folder.write("keyless.pem", &keyless);
    for (options, wrong) in [
        ("min=1.2".to_owned(), "a server needs a certificate"),
        ("cert=%2Fno%2Fsuch.pem".to_owned(), "there is no such file"),
        (format!("cert={empty}"), "holds no certificate"),
        (format!("cert={keyless}"), "holds no private key"),
        (
            format!("cert={one},key={two}"),
            "is not the key of the certificate",
        ),
        (
            "cert=auto,client-auth=require".to_owned(),
            "needs `client-ca`",
        ),
        ("cert=auto,min=1.1".to_owned(), "1.2 or 1.3 is expected"),
        ("cert=auto,alpn=h2%2C".to_owned(), "1 to 255 bytes"),
    ] {
        let failure = Served::at(&cx, &format!("tls://127.0.0.1:0,{options}"))
            .await
            .err()
            .unwrap();
        assert_eq!(failure.code(), Code::PARSE_ENDPOINT);
        assert!(
            told(&failure).contains(wrong),
            "{options}: {}",
            told(&failure)
        );
        assert!(
            failure
                .facts()
                .iter()
                .any(|fact| matches!(fact, Fact::Complaint(_)))
        );
    }
    for (options, wrong) in [
        ("ca-only", "needs `ca`"),
        ("key=x", "needs `cert`"),
        ("sni=-a..b", "not a name"),
    ] {
        let failure = dial(&cx, &format!("tls://127.0.0.1:1,{options}"))
            .await
            .unwrap_err();
        assert!(told(&failure).contains(wrong), "{}", told(&failure));
    }
}

#[tokio::test]
async fn a_session_goes_on_where_tls_is_put_on_a_unix_socket() {
    let cx = world();
    let folder = Folder::new("unix");
    let path = folder.write("x", "");
    let path = path.replace("%2F", "/");
    std::fs::remove_file(&path).unwrap();
    let mut served = Served::at(&cx, &format!("tls+unix:{path},cert=auto"))
        .await
        .unwrap();
    let endpoint = format!("tls+unix:{path},insecure");
    let (dialled, answered) = tokio::join!(dial(&cx, &endpoint), served.answer());
    let (mut here, mut there) = (dialled.unwrap(), answered.unwrap());
    here.write_all(b"over a file").await.unwrap();
    here.shutdown().await.unwrap();
    let mut all = String::new();
    there.read_to_string(&mut all).await.unwrap();
    assert_eq!(all, "over a file");
}
