//! Words without TLS that meet TLS, and the other way round.

use crate::program::{Server, run};
use crate::told;

/// An alert of TLS, as a server sends it to words it cannot read.
const ALERT: &[u8] = b"\x15\x03\x03\x00\x02\x02\x32";

#[test]
fn plain_words_to_a_server_of_tls_are_told_of_and_every_byte_is_passed_on() {
    let server = Server::netloom(&["listen", "tls://127.0.0.1:0,cert=auto", "--echo"]);
    let endpoint = server.endpoint().replace("tls://", "tcp://");
    let ended = run(["connect", &endpoint], b"hello there\n");
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert_eq!(ended.stdout[..3], ALERT[..3]);
    assert_eq!(ended.stdout.len(), ALERT.len());
    let said = ended.stderr;
    assert!(said.contains("error[tls.peer-speaks-tls]"), "{said}");
    let fix = format!("netloom connect {}", server.endpoint());
    assert!(said.contains(&fix), "{said}");

    // The same as JSON, and where something else was expected.
    let ended = run(["connect", &endpoint, "--json"], b"hello there\n");
    let lines = told::lines(&ended.stdout);
    assert_eq!(
        told::text(told::one_end(&lines), "code"),
        "tls.peer-speaks-tls"
    );
    let ended = run(
        [
            "connect",
            &endpoint,
            "--send",
            "hi there\\n",
            "--expect",
            "hi",
        ],
        b"",
    );
    assert!(
        ended.stderr.contains("tls.peer-speaks-tls"),
        "{}",
        ended.stderr
    );
    server.stop();
}

#[test]
fn whoever_speaks_tls_through_the_pipe_is_left_alone() {
    let server = Server::netloom(&["listen", "tls://127.0.0.1:0,cert=auto", "--echo"]);
    let endpoint = server.endpoint().replace("tls://", "tcp://");
    // A record that begins as a handshake does, and is none.
    let ended = run(
        ["connect", &endpoint],
        b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",
    );
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.stdout[..3], ALERT[..3]);
    server.stop();
}

#[test]
fn a_plain_server_notes_a_greeting_of_tls_only_to_whoever_listens_closely() {
    let server = Server::netloom(&["listen", "tcp://127.0.0.1:0", "--echo", "-v"]);
    let endpoint = format!("tls://{}", server.addr());
    let ended = run(["connect", &endpoint], b"");
    assert!(ended.stderr.contains("tls.peer-speaks-plain"));
    server.program.stderr.line("the client began with TLS");
    server.stop();

    let server = Server::netloom(&["listen", "tcp://127.0.0.1:0", "--echo"]);
    run(["connect", &format!("tls://{}", server.addr())], b"");
    let ended = server.stop();
    assert!(!ended.stderr.contains("TLS"), "{}", ended.stderr);
}

#[test]
fn a_deadline_tells_what_the_kernel_counted() {
    let server = Server::netloom(&["listen", "tcp://127.0.0.1:0", "--echo"]);
    let endpoint = format!("tcp://{}", server.addr());
    let ended = run(
        [
            "connect",
            &endpoint,
            "--send",
            "x",
            "--expect",
            "never",
            "--timeout",
            "300ms",
        ],
        b"",
    );
    assert_eq!(ended.code, Some(1));
    let said = ended.stderr;
    assert!(said.contains("error[recv.timeout]"), "{said}");
    assert!(said.contains("all that was sent is acknowledged"), "{said}");
    server.stop();
}

#[test]
fn without_probing_there_still_is_a_cause_and_a_fix() {
    let ended = run(
        ["connect", "--no-probe", "exec:there-is-no-such-program"],
        b"",
    );
    assert_eq!(ended.code, Some(1));
    let said = ended.stderr;
    assert!(
        said.contains("  cause     ") && said.contains("  fix       "),
        "{said}"
    );
}
