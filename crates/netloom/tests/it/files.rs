//! Files and terminals as endpoints of `connect`.

use crate::client::random;
use crate::program::{Folder, Program, netloom_under, run};

#[test]
fn a_file_is_read_to_stdout_and_stdin_is_written_to_one() {
    let folder = Folder::new();
    let (from, to) = (folder.join("from"), folder.join("to"));
    let bytes = random(3 << 20);
    std::fs::write(&from, &bytes).unwrap();
    let read = run(["connect", &format!("file:{from}")], b"");
    assert_eq!((read.code, read.stderr.as_str()), (Some(0), ""));
    assert!(read.stdout == bytes);

    let made = run(["connect", &format!("file:{to},create")], &bytes);
    assert_eq!(
        (made.code, made.text()),
        (Some(0), String::new()),
        "{}",
        made.stderr
    );
    let more = run(["connect", &format!("file:{to},append")], b"the end");
    assert_eq!(more.code, Some(0), "{}", more.stderr);
    assert!(std::fs::read(&to).unwrap() == [&bytes[..], b"the end"].concat());

    let exists = run(["connect", &format!("file:{to},create")], b"x");
    assert_eq!(exists.code, Some(1), "{}", exists.stderr);
    assert!(
        exists.stderr.contains("is there already"),
        "{}",
        exists.stderr
    );
    let lost = run(["connect", &format!("file:{to},truncate")], b"x");
    assert_eq!(lost.code, Some(2), "{}", lost.stderr);
    assert!(lost.stderr.contains("truncate,force"), "{}", lost.stderr);
}

#[test]
fn a_shell_on_a_terminal_talks_as_with_a_person() {
    let mut shell = Program::netloom(["connect", "pty:sh -i,env=PS1=ready>,size=90x20"]);
    shell.stdout.until("the prompt", |said, _| {
        said.windows(6).any(|part| part == b"ready>").then_some(())
    });
    shell.feed(b"stty size; tty -s && echo yes\n");
    let ended = shell.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let said = ended.text();
    assert!(
        said.contains("20 90\r\n") && said.contains("\nyes\r\n"),
        "{said:?}"
    );
}

/// As in the background of a script, which ignores what keys send.
#[test]
fn a_key_ends_a_program_on_a_terminal_wherever_we_were_started() {
    let script = ["-c", "trap '' INT QUIT TSTP; exec \"$@\"", "sh"];
    let mut on_terminal = netloom_under("sh", &script);
    let mut sleeper =
        Program::start(on_terminal.args(["connect", "pty:sh -c 'echo up; sleep 600'"]));
    sleeper.stdout.line("up");
    sleeper.feed(b"\x03");
    let ended = sleeper.end();
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("SIGINT"), "{}", ended.stderr);
}
