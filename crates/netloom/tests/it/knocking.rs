//! `explain` and `wait` at one place that takes datagrams: who answers, who
//! keeps silent, and where nobody is.

use std::net::UdpSocket;

use crate::client::free_udp_port;
use crate::program::{Folder, Program, Server, run};
use crate::told;

#[test]
fn who_answers_is_told() {
    let server = Server::netloom(&["listen", "udp://127.0.0.1:0", "--echo"]);
    let url = server.endpoint();
    let ended = run(["explain", url, "--send", "hello", "--json"], b"");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let story = &told::lines(&ended.stdout)[0];
    assert_eq!((&story["sent"], &story["received"]), (&5.into(), &5.into()));
    assert_eq!(told::text(story, "peer"), url.trim_start_matches("udp://"));
    let told = story["told"].to_string();
    assert!(told.contains("5 bytes from 127.0.0.1:"), "{told}");
    #[cfg(target_os = "linux")]
    assert!(told.contains("`netloom`, on this host"), "{told}");
    server.stop();
}

#[test]
#[cfg(target_os = "linux")]
fn a_unix_socket_answers_too() {
    let folder = Folder::new();
    let url = format!("unixgram:{}", folder.join("s"));
    let server = Server::netloom(&["listen", &url, "--echo"]);
    let ended = run(["explain", &url, "--send", "hello"], b"");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let heard = format!("5 bytes from {url}");
    assert!(ended.text().contains(&heard), "{ended:?}");
    server.stop();
}

#[test]
fn one_empty_datagram_is_all_that_is_said_to_who_keeps_silent() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let url = format!("udp://{}", silent.local_addr().unwrap());
    let ended = run(["explain", &url, "--timeout", "600ms"], b"");
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (Some(0), ""),
        "{ended:?}"
    );
    let text = ended.text();
    assert!(
        text.contains("nobody answered an empty datagram in 300.0 ms, and nobody refused it"),
        "{text}"
    );
    let mut heard = [0; 9];
    assert_eq!(silent.recv(&mut heard).unwrap(), 0);
    silent.set_nonblocking(true).unwrap();
    assert!(silent.recv(&mut heard).is_err(), "it was said once");

    // Who asked for an answer and got none has failed.
    let asked = ["explain", &url, "--send", "who", "--timeout", "300ms"];
    let ended = run(asked, b"");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("error[recv.timeout]"), "{ended:?}");
    assert_eq!(silent.recv(&mut heard).unwrap(), 3);
}

#[test]
fn a_port_that_nobody_has_is_explained() {
    let url = format!("udp://127.0.0.1:{}", free_udp_port());
    for verb in [
        &["explain", &url][..],
        &["wait", &url, "--timeout", "200ms"],
    ] {
        let ended = run(verb.iter().copied(), b"");
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let code = "error[send.refused.no-listener]";
        assert!(ended.stderr.contains(code), "{ended:?}");
    }
}

#[test]
fn whoever_takes_datagrams_later_is_waited_for() {
    let url = format!("udp://127.0.0.1:{}", free_udp_port());
    let mut waiting = Program::netloom(["wait", &url, "--json"]);
    let server = Server::netloom(&["listen", &url, "--echo"]);
    let ended = waiting.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(told::kinds(&told::lines(&ended.stdout)), ["open", "done"]);
    server.stop();

    // Who is there and silent is there; that nothing more is known is told.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let url = format!("udp://{}", silent.local_addr().unwrap());
    let ended = run(["wait", &url, "--timeout", "600ms"], b"");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("UDP tells no more"), "{ended:?}");
}
