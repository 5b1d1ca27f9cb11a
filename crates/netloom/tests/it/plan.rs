//! Plans: flags become a file, the file is checked, and both do the same.

use std::io::Write;
use std::net::Shutdown;

use crate::client;
use crate::program::{Folder, Server, addr, netloom, run};
use crate::told;

#[test]
fn the_file_that_flags_print_does_the_same() {
    let folder = Folder::new();
    let socket = format!("unix:{}", folder.join("x.sock"));
    let file = folder.join("netloom.toml");
    let words = r#"a 'quoted' "text" \\ with \x00 and \xff\r\n"#;
    let listen = [
        "listen",
        "tcp://127.0.0.1:0",
        &socket,
        "--reply",
        words,
        "--per-line",
        "--threads",
        "2",
        "--max-conns",
        "5",
        "--idle",
        "5m",
        "--drain",
        "1s",
    ];
    let serve = [
        "serve",
        "reply",
        "--on",
        listen[1],
        "--on",
        listen[2],
        "--text",
        words,
        "--per-line",
        "--threads",
        "2",
        "--max-conns",
        "5",
        "--idle",
        "5m",
        "--drain",
        "1s",
    ];
    let printed = run(listen.into_iter().chain(["--print-config"]), b"");
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let same = run(serve.into_iter().chain(["--print-config"]), b"");
    assert_eq!(printed.text(), same.text());
    std::fs::write(&file, &printed.stdout).unwrap();
    let check = run(["up", &file, "--check"], b"");
    assert_eq!(check.code, Some(0), "{check:?}");

    let answers = |command: &mut std::process::Command| {
        let server = Server::start(command, 2);
        let stream = client::open(addr(&server.endpoints[0]));
        let answer = client::there_and_back(&stream, b"one\ntwo\n");
        server.stop();
        answer
    };
    let expected = b"a 'quoted' \"text\" \\ with \0 and \xff\r\n".repeat(2);
    assert_eq!(answers(netloom().args(listen)), expected);
    assert_eq!(answers(netloom().args(["up", &file])), expected);
}

#[test]
fn a_file_printed_by_up_is_the_same_plan() {
    let folder = Folder::new();
    let (first, second) = (folder.join("first.toml"), folder.join("second.toml"));
    std::fs::write(&first, run(["up", "--example"], b"").stdout).unwrap();
    let flags = ["--threads", "3", "--runtime", "stealing", "--print-config"];
    let printed = run([&["up", first.as_str()], &flags[..]].concat(), b"");
    assert_eq!(
        (printed.code, printed.stderr.as_str()),
        (Some(0), ""),
        "{printed:?}"
    );
    let head = "runtime = \"stealing\"\n\nthreads = 3\n";
    assert!(printed.text().starts_with(head), "{printed:?}");
    std::fs::write(&second, &printed.stdout).unwrap();
    let again = run(["up", &second, "--print-config"], b"");
    assert_eq!(again.text(), printed.text());
}

#[test]
fn the_example_is_the_file_in_the_repository() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../netloom.toml");
    let example = run(["up", "--example"], b"");
    assert_eq!(example.text(), std::fs::read_to_string(file).unwrap());
    let check = run(["up", file, "--check"], b"");
    assert_eq!(check.code, Some(0), "{check:?}");
}

const BROKEN: &str = r#"thread = 2

[service.one]
kind = "ecko"
on = "tcp://:7007"

[service.two]
kind = "reply"
on = ["tcp://:99999", "tpc://:7008", 7]
text = 'hi\q'
limits = { max-cons = 3, idle = "soon" }

[service.three]
kind = "echo"
text = "echo has no text"
"#;

#[test]
fn a_broken_file_is_told_all_its_mistakes_at_once() {
    let folder = Folder::new();
    std::fs::write(folder.path().join("broken.toml"), BROKEN).unwrap();
    let check = |more: &[&str]| {
        let mut command = netloom();
        command
            .current_dir(folder.path())
            .args(["up", "broken.toml", "--check"])
            .args(more);
        crate::program::Program::start(&mut command).end()
    };
    let plain = check(&[]);
    assert_eq!((plain.code, plain.text().as_str()), (Some(2), ""));
    insta::assert_snapshot!("broken_file", plain.stderr);

    let json = check(&["--json"]);
    assert_eq!((json.code, json.stderr.as_str()), (Some(2), ""));
    let lines = told::lines(&json.stdout);
    assert!(
        lines
            .iter()
            .all(|line| told::text(line, "code") == "parse.config")
    );
    let wrong = [
        "thread",
        "ecko",
        "99999",
        "tpc",
        r"\\q",
        "max-cons",
        "soon",
        "[service.three]",
        "broken.toml:9",
    ];
    for word in wrong {
        let found = lines.iter().any(|line| line.to_string().contains(word));
        assert!(found, "{word} is not told in:\n{}", plain.stderr);
    }
}

#[test]
fn a_file_that_is_missing_is_named_with_the_reason() {
    let ended = run(["up", "/no/such/file"], b"");
    assert_eq!(ended.code, Some(2));
    assert!(
        ended
            .stderr
            .starts_with("error[parse.config]: /no/such/file"),
        "{ended:?}"
    );
    assert!(
        ended.stderr.contains("ENOENT") || ended.stderr.to_lowercase().contains("no such file"),
        "{ended:?}"
    );
}

#[test]
fn one_address_in_use_starts_nothing() {
    let folder = Folder::new();
    let holder = Server::netloom(&["listen", "tcp://127.0.0.1:0", "--echo"]);
    let file = folder.join("netloom.toml");
    let text = format!(
        "[service.free]\nkind = \"echo\"\non = \"unix:{}\"\n\n[service.taken]\nkind = \"echo\"\non = \"{}\"\n",
        folder.join("free.sock"),
        holder.endpoint(),
    );
    std::fs::write(&file, text).unwrap();
    let ended = run(["up", &file], b"");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.starts_with("error[bind.in-use"), "{ended:?}");
    assert!(
        ended.stderr.contains(holder.endpoint()) && !ended.stderr.contains("listening"),
        "{ended:?}"
    );
    assert!(
        !folder.path().join("free.sock").exists(),
        "its socket file was left over"
    );
    let mut stream = client::open(holder.addr());
    stream.write_all(b"the holder serves on").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client::until_closed(&mut stream), b"the holder serves on");
}
