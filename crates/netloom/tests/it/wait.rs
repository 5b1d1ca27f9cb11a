//! `wait`: until endpoints can be opened.

use crate::program::{Folder, Program, Server, netloom, run};
use crate::told;

#[test]
fn it_ends_when_all_are_open_and_tells_each() {
    let one = Server::netloom(&["listen", "tcp://127.0.0.1:0", "--echo"]);
    let folder = Folder::new();
    let path = format!("unix:{}", folder.join("s"));
    let two = Server::netloom(&["listen", &path, "--echo"]);
    let urls = [one.endpoint(), two.endpoint()];

    let ended = run(["wait", urls[0], urls[1], "--timeout", "30s"], b"");
    assert_eq!((ended.code, ended.stdout.len()), (Some(0), 0), "{ended:?}");
    for url in urls {
        assert!(
            ended.stderr.contains(&format!("open {url} after ")),
            "{ended:?}"
        );
    }

    let ended = run(["wait", urls[0], urls[1], "--json"], b"");
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let lines = told::lines(&ended.stdout);
    assert_eq!(told::text(told::one_end(&lines), "kind"), "done");
    let mut open: Vec<&str> = lines[..2]
        .iter()
        .map(|l| told::text(l, "endpoint"))
        .collect();
    open.sort_unstable();
    assert_eq!(open, urls);

    let ended = run(["wait", urls[0], "-q"], b"");
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    one.stop();
    two.stop();
}

#[test]
fn what_opens_later_is_waited_for() {
    let folder = Folder::new();
    let path = format!("unix:{}", folder.join("s"));
    let mut waiting = Program::netloom(["wait", &path, "--json"]);
    let server = Server::netloom(&["listen", &path, "--echo"]);
    let ended = waiting.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let lines = told::lines(&ended.stdout);
    assert_eq!(told::kinds(&lines), ["open", "done"]);
    server.stop();
}

#[test]
fn when_the_time_is_over_each_that_did_not_open_is_explained() {
    let folder = Folder::new();
    let missing = format!("unix:{}", folder.join("missing"));
    // Bound and not listening: whoever connects is refused, and nobody else takes it.
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port();
    let bound = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    bound
        .bind(
            &"127.0.0.1:0"
                .parse::<std::net::SocketAddr>()
                .unwrap()
                .into(),
        )
        .unwrap();
    let refused = bound.local_addr().unwrap().as_socket().unwrap();
    let (there, refused) = (
        format!("tcp://127.0.0.1:{port}"),
        format!("tcp://{refused}"),
    );

    let ended = run(
        ["wait", &missing, &there, &refused, "--timeout", "300ms"],
        b"",
    );
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let said = &ended.stderr;
    assert!(said.contains("error[connect.no-such-path]"), "{said}");
    assert!(
        said.contains("error[connect.refused.no-listener]"),
        "{said}"
    );
    assert!(said.contains(&format!("open {there} after ")), "{said}");
    assert!(said.contains(" times in 0."), "{said}");
    assert_eq!(said.matches("error[").count(), 2, "{said}");
}

#[test]
fn a_silent_listener_that_takes_no_handshake_is_told_by_the_deadline() {
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tls://{}", held.local_addr().unwrap());
    let ended = run(["wait", &url, "--timeout", "300ms"], b"");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("evidence  waited "), "{ended:?}");
}

#[test]
fn mistakes_are_told_together_and_nothing_is_waited_for() {
    let ended = run(["wait", "tcp://:99999", "tcp//x", "tcp://:1"], b"");
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let count = ended.stderr.matches("error[parse.endpoint]").count();
    assert_eq!(count, 2, "{ended:?}");
    let ended = run(["wait", "nosuch://:1"], b"");
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let ended = run(["wait"], b"");
    assert_eq!(ended.code, Some(2), "{ended:?}");
}

#[test]
fn an_interrupt_ends_it() {
    let folder = Folder::new();
    let path = format!("unix:{}", folder.join("s"));
    let marker = Server::netloom(&["listen", "tcp://127.0.0.1:0", "--echo"]);
    // The one that is open is told of when the waiting, and its signals, have begun.
    let mut waiting = Program::start(netloom().args(["wait", marker.endpoint(), &path]));
    waiting.stderr.line("open tcp://");
    waiting.signal("INT");
    assert_eq!(waiting.end().code, Some(130));
    marker.stop();
}
