//! Every form that reads, and how it prints.

use std::collections::HashSet;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};

use crate::endpoint::{Endpoint, EndpointSet, Host, Ports};
use crate::settings::{Secret, Value};

fn read(text: &str) -> Endpoint {
    text.parse().unwrap_or_else(|e| panic!("{text}\n{e}"))
}

#[test]
fn every_form_prints_normalised() {
    let forms = [
        // short forms
        ("host:80", "tcp://host:80"),
        (":80", "tcp://:80"),
        ("*:80", "tcp://*:80"),
        ("any:80", "tcp://*:80"),
        ("[::1]:80", "tcp://[::1]:80"),
        ("10.0.0.1:80", "tcp://10.0.0.1:80"),
        (
            "my_host.example:80,443,nodelay",
            "tcp://my_host.example:80,443,nodelay",
        ),
        ("bob@host:80", "tcp://bob@host:80"),
        ("host:8080/x?y", "tcp://host:8080/x?y"),
        ("bücher.example:80", "tcp://xn--bcher-kva.example:80"),
        // hosts
        ("TCP://Example.ORG.:80", "tcp://example.org.:80"),
        ("http://", "http://"),
        ("http:///x", "http:///x"),
        ("tcp://ANY:0", "tcp://*:0"),
        ("tcp://[fe80::1%eth0]:1", "tcp://[fe80::1%eth0]:1"),
        ("tcp://[FE80:0::1%25eth0]:1", "tcp://[fe80::1%eth0]:1"),
        ("tcp://[fe80::1%25]:1", "tcp://[fe80::1%25]:1"),
        ("tcp://[fe80::1%25251]:1", "tcp://[fe80::1%25251]:1"),
        ("tcp://[fe80::1%7]:1", "tcp://[fe80::1%7]:1"),
        ("tcp://１２７.0.0.1:1", "tcp://127.0.0.1:1"),
        ("tcp://r3---sn-x.example:1", "tcp://r3---sn-x.example:1"),
        ("tcp://例え。テスト:1", "tcp://xn--r8jz45g.xn--zckzah:1"),
        // ports
        ("tcp://h:8000-8010", "tcp://h:8000-8010"),
        ("tcp://h:80,443,9000-9000", "tcp://h:80,443,9000"),
        ("tcp://h:0080", "tcp://h:80"),
        ("tcp://h:0,0", "tcp://h:0,0"),
        // users
        ("ftp://bob:secret@h/x", "ftp://bob@h/x"),
        ("ftp://bob%40home:s%40@h", "ftp://bob%40home@h"),
        ("redis://:secret@h:1", "redis://h:1"),
        // options
        ("https://:443,cert=auto/", "https://:443,cert=auto/"),
        (
            "tcp://h,nodelay,Source_Port=5",
            "tcp://h,nodelay,source-port=5",
        ),
        ("tcp://h:1,a=%2fx%2Cy%20z/p", "tcp://h:1,a=%2Fx%2Cy%20z/p"),
        (
            "smtp://h:25,from=me@example.org",
            "smtp://h:25,from=me@example.org",
        ),
        ("http://h,root=%2E/x", "http://h,root=%2E/x"),
        ("http://h?a=b&c", "http://h?a=b&c"),
        ("http://h/p%20q?", "http://h/p%20q?"),
        ("tcp://h:1,key-password=x,b=1", "tcp://h:1,b=1"),
        // layers
        ("tls+tcp://h:1", "tls+tcp://h:1"),
        ("TLS+unix:/run/x", "tls+unix:/run/x"),
        ("tls+-", "tls+-"),
        // opaque
        ("-", "-"),
        ("-,a=b/c", "-,a=b/c"),
        ("unix:/run/x.sock", "unix:/run/x.sock"),
        ("unix:@name", "unix:@name"),
        ("unix:/run/a%2Cb,mode=600", "unix:/run/a%2Cb,mode=600"),
        ("unix:/run/it's", "unix:/run/it%27s"),
        ("file:a%25b", "file:a%25b"),
        ("fd:3", "fd:3"),
        ("file:/x,append,dir=/y?z", "file:/x,append,dir=/y?z"),
        ("vsock:2:1234", "vsock:2:1234"),
        (
            "serial:/dev/ttyUSB0,baud=115200",
            "serial:/dev/ttyUSB0,baud=115200",
        ),
        ("pty:", "pty:"),
        (
            "exec:ls -l 'a, b' \"c\\\", d\",dir=/tmp",
            "exec:ls -l 'a, b' \"c\\\", d\",dir=/tmp",
        ),
        ("exec:echo a\\,b", "exec:echo a\\,b"),
        (
            "magnet:?xt=urn:btih:abc&dn=x",
            "magnet:?xt=urn:btih:abc&dn=x",
        ),
        ("file:%2F/x", "file:%2F/x"),
        ("word:rest", "word:rest"),
        ("word:%38%30", "word:%380"),
        ("word:80:90", "word:80:90"),
        ("fd:%3a1", "fd:%3A1"),
        ("unix:a%5C,b", "unix:a%5C,b"),
        ("word:%5C%2Cb'c'", "word:%5C%2Cb%27c%27"),
        ("word:x,from=a%40b", "word:x,from=a%40b"),
        ("http:example.org", "http:example.org"),
    ];
    for (typed, printed) in forms {
        let endpoint = read(typed);
        assert_eq!(endpoint.to_string(), printed, "{typed}");
        let again = read(printed);
        assert_eq!(again.to_string(), printed, "{typed}");
        assert_eq!(again, strip(&endpoint), "{typed}");
        assert_eq!(
            read(endpoint.written()).scheme(),
            endpoint.scheme(),
            "{typed}"
        );
    }
}

/// Without what is never printed.
fn strip(endpoint: &Endpoint) -> Endpoint {
    let mut shown = endpoint.without_password().without_options();
    for option in endpoint.options().iter() {
        match &option.value {
            Value::Text(text) => shown = shown.with_option(&option.key, Some(text)),
            Value::Present => shown = shown.with_option(&option.key, None),
            _ => {}
        }
    }
    shown
}

#[test]
fn the_parts_are_told_apart() {
    let e = read("http+tls+tcp://bob%2B:p%3Aq@[fe80::1%eth0]:80,81-82,a=1,b/p/q?x=y&z");
    let layers: Vec<&str> = e.layers().iter().map(crate::endpoint::Word::text).collect();
    assert_eq!((layers, e.scheme()), (vec!["http", "tls"], "tcp"));
    assert_eq!(e.user(), Some("bob+"));
    assert_eq!(e.password().map(Secret::reveal), Some("p:q"));
    assert_eq!(
        e.host(),
        &Host::V6 {
            addr: "fe80::1".parse().unwrap(),
            zone: Some("eth0".into())
        }
    );
    assert_eq!(
        (e.ports().iter().collect::<Vec<_>>(), e.port()),
        (vec![80, 81, 82], None)
    );
    assert_eq!(
        (e.path(), e.query(), e.opaque()),
        ("/p/q", Some("x=y&z"), None)
    );
    let options: Vec<_> = e
        .options()
        .iter()
        .map(|o| (&*o.key, o.value.to_string()))
        .collect();
    assert_eq!(options, [("a", "1".to_owned()), ("b", "true".to_owned())]);
    let at = |span: Option<std::ops::Range<usize>>| e.written()[span.unwrap()].to_owned();
    assert_eq!(
        e.options()
            .iter()
            .map(|o| at(o.span.clone()))
            .collect::<Vec<_>>(),
        ["a=1", "b"]
    );
    assert_eq!(at(Some(e.scheme_span())), "tcp");
    assert_eq!(at(Some(e.layers()[1].span())), "tls");

    let e = read("unix:/run/a%2Cb%25,mode=600");
    assert_eq!((e.opaque(), e.path()), (Some("/run/a,b%"), ""));
    assert_eq!(read("http://h/a%20%ff").path_bytes(), b"/a \xff");
}

#[test]
fn secrets_are_kept_and_not_shown() {
    let e = read("ftp://bob:hunter2@h:21,key-password=swordfish,b=1/x");
    assert_eq!(e.password().map(Secret::reveal), Some("hunter2"));
    let Some(Value::Hidden(secret)) = e.options().last("key-password").map(|s| &s.value) else {
        panic!("not hidden");
    };
    assert_eq!(secret.reveal(), "swordfish");
    assert_eq!(e.written(), "ftp://bob:***@h:21,key-password=***,b=1/x");
    let span = e.options().last("b").and_then(|s| s.span.clone()).unwrap();
    assert_eq!(&e.written()[span], "b=1");
    assert_eq!(format!("{e:?}"), "Endpoint(ftp://bob@h:21,b=1/x)");

    let moved = e.with_port(2121);
    assert_eq!(
        (moved.to_string(), moved.written()),
        ("ftp://bob@h:2121,b=1/x".into(), "ftp://bob@h:2121,b=1/x")
    );
    assert_eq!(moved.password(), e.password());
    let span = moved
        .options()
        .last("b")
        .and_then(|s| s.span.clone())
        .unwrap();
    assert_eq!(&moved.written()[span], "b=1");
    assert_ne!(e, e.without_password());
}

#[test]
fn endpoints_can_be_built() {
    let v4: SocketAddr = "127.0.0.1:41233".parse().unwrap();
    assert_eq!(Endpoint::tcp(v4).to_string(), "tcp://127.0.0.1:41233");
    let v6 = SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::LOCALHOST, 1, 0, 3));
    assert_eq!(Endpoint::udp(v6).to_string(), "udp://[::1%3]:1");
    assert_eq!(
        read("https://*:0,cert=auto/x").with_address(v4).to_string(),
        "https://127.0.0.1:41233,cert=auto/x"
    );
    assert_eq!(
        read("http://h:1,a/x")
            .without_options()
            .with_scheme("HTTPS")
            .to_string(),
        "https://h:1/x"
    );
    assert_eq!(
        read(":1")
            .with_host(Host::Any)
            .with_option("a-b", Some("1,2"))
            .to_string(),
        "tcp://*:1,a-b=1%2C2"
    );
    assert_eq!(
        Endpoint::from_opaque("unix", "/a,b c ").to_string(),
        "unix:/a%2Cb c%20"
    );
    assert_eq!(
        Endpoint::from_opaque("unix", "@a\0b").to_string(),
        "unix:@a%00b"
    );
    assert_eq!(
        "::1".parse::<Host>().unwrap(),
        Host::V6 {
            addr: Ipv6Addr::LOCALHOST,
            zone: None
        }
    );
    assert_eq!("80,90-91".parse::<Ports>().unwrap().len(), 3);
}

#[test]
fn equal_is_what_says_the_same() {
    let same: HashSet<Endpoint> = ["HOST:80", "tcp://host:80", "tcp://host:080"]
        .iter()
        .map(|text| read(text))
        .collect();
    assert_eq!(same.len(), 1);
    assert_ne!(read("h:80"), read("h:80,a"));
}

#[test]
fn hosts_know_loopback() {
    for host in [
        "",
        "localhost",
        "a.localhost.",
        "127.9.9.9",
        "[::1]",
        "[::ffff:127.0.0.1]",
    ] {
        assert!(host.parse::<Host>().unwrap().is_loopback(), "{host}");
    }
    for host in ["*", "localhost.example", "0.0.0.0", "[::]"] {
        assert!(!host.parse::<Host>().unwrap().is_loopback(), "{host}");
    }
}

#[test]
fn a_set_is_its_ports() {
    let set: EndpointSet = "http://h:80,8000-8002,x=1/p".parse().unwrap();
    let all: Vec<String> = set.iter().map(|e| e.to_string()).collect();
    assert_eq!(
        all,
        [
            "http://h:80,x=1/p",
            "http://h:8000,x=1/p",
            "http://h:8001,x=1/p",
            "http://h:8002,x=1/p"
        ]
    );
    assert_eq!(
        (set.len(), set.iter().len(), set.to_string()),
        (4, 4, "http://h:80,8000-8002,x=1/p".into())
    );
    let one: EndpointSet = "unix:/x".parse().unwrap();
    assert_eq!(
        one.into_iter().map(|e| e.to_string()).collect::<Vec<_>>(),
        ["unix:/x"]
    );
    assert_eq!(
        "tcp://:1-4096".parse::<EndpointSet>().unwrap().len(),
        EndpointSet::MAX
    );
}
