//! The library's examples, as built beside these tests.

use std::path::PathBuf;
use std::process::Command;

use crate::client::{open, there_and_back};
use crate::program::{Program, addr};

/// The example's program. `cargo test` builds it; `cargo test --test it` alone
/// does not, and then the test says so.
fn example(name: &str) -> Option<Command> {
    let test = std::env::current_exe().unwrap();
    let built: PathBuf = test.ancestors().nth(2).unwrap().join("examples").join(name);
    if built.is_file() {
        return Some(Command::new(built));
    }
    let in_ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false");
    assert!(!in_ci, "{} is not built", built.display());
    eprintln!(
        "skipped: {} is not built; cargo build --examples",
        built.display()
    );
    None
}

#[test]
fn echo_server_and_client_talk() {
    let (Some(mut server), Some(mut client)) = (example("echo_server"), example("client")) else {
        return;
    };
    let mut server = Program::start(server.arg("tcp://127.0.0.1:0"));
    let told = server.stdout.line("listening ");
    let endpoint = told.split(' ').nth(1).unwrap();
    assert_eq!(there_and_back(&open(addr(endpoint)), b"bytes"), b"bytes");

    let ended = Program::start(client.args([endpoint, "hello"])).end();
    assert_eq!(
        (ended.code, ended.text().as_str()),
        (Some(0), "hello\n"),
        "{ended:?}"
    );
    server.feed(b"");
    assert_eq!(server.end().code, Some(0));

    // Nobody is there any more, and the library says why in netloom's words.
    let ended = Program::start(client.args([endpoint, "hello"])).end();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.starts_with("error[connect.refused"),
        "{ended:?}"
    );
}

#[test]
fn a_custom_service_answers() {
    let Some(mut service) = example("custom_service") else {
        return;
    };
    let ended = Program::start(&mut service).end();
    assert_eq!(
        (ended.code, ended.text().as_str()),
        (Some(0), "1: one\n2: two\n"),
        "{ended:?}"
    );
}

#[test]
fn framed_messages_are_added_up() {
    let Some(mut framed) = example("framed") else {
        return;
    };
    let ended = Program::start(&mut framed).end();
    assert_eq!(
        (ended.code, ended.text().as_str()),
        (
            Some(0),
            "[1,2,3] -> 6\n[] -> 0\n\"half\" -> it is no list of numbers\n"
        ),
        "{ended:?}"
    );
}
