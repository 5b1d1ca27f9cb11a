//! `connect` on a terminal, as a person types there.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;

use crate::client::patient;
use crate::program::Folder;
use crate::terminal::Terminal;

/// A server of one client that the test speaks for.
struct Server {
    listener: TcpListener,
    url: String,
}

impl Server {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("tcp://{}", listener.local_addr().unwrap());
        Server { listener, url }
    }

    fn accept(&self) -> Peer {
        let (stream, _) = self.listener.accept().unwrap();
        Peer(BufReader::new(patient(stream)))
    }
}

struct Peer(BufReader<TcpStream>);

impl Peer {
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line
    }

    fn say(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.get_mut().write_all(bytes.as_ref()).unwrap();
    }
}

/// A terminal connected to a server, with the prompt there.
fn connected(folder: &Folder, flags: &[&str]) -> (Terminal, Peer, Server) {
    let server = Server::new();
    let args = [&["connect", server.url.as_str()], flags].concat();
    let terminal = Terminal::netloom(folder, &args);
    let peer = server.accept();
    terminal.prompt("");
    (terminal, peer, server)
}

#[test]
fn keys_do_what_they_do_in_a_shell() {
    let folder = Folder::new();
    let (mut terminal, mut peer, _server) = connected(&folder, &[]);
    for (keys, line) in [
        ("helo\x1b[Dl\r", "hello\n"),
        ("one two three\x17\x17two\r", "one two\n"),
        ("one two\x1bbX\x1b[1;5D\x1b[1;5DY\r", "Yone Xtwo\n"),
        ("end\x01start \x05!\r", "start end!\n"),
        ("abc\x15x\x0b\x19\r", "xabc\n"),
        ("漢字é\x7f\x7f語\r", "漢語\n"),
        ("👩‍👩‍👧b\x1b[D\x1b[D\x1b[3~\r", "b\n"),
        ("a\tb\r", "a\tb\n"),
        ("first\\\rsecond\r", "first\n"),
        ("", "second\n"),
        ("up\x1b\rdown\x1b[A\x01>\r", ">up\n"),
        ("", "down\n"),
    ] {
        terminal.types(keys);
        assert_eq!(peer.line(), line, "{}", keys.escape_debug());
    }
    terminal.types("gone\x03");
    terminal.prompt("");
    terminal.types("\x04");
    assert_eq!(peer.line(), ""); // our side has ended
    peer.say("bye\n");
    drop(peer);
    let (code, all) = terminal.end();
    assert_eq!(code, Some(0), "{all}");
    assert!(all.contains("bye\r"), "{all}");
}

#[test]
fn what_comes_never_tears_what_is_typed() {
    let folder = Folder::new();
    let (mut terminal, mut peer, _server) = connected(&folder, &[]);
    terminal.types("half a li");
    terminal.prompt("half a li");
    peer.say("one\r\ntwo\nlogin: ");
    let rows = terminal.until("lines above the prompt", |rows, (row, column)| {
        let at = usize::from(row);
        rows.get(at).is_some_and(|row| row == "> half a li")
            && column == 11
            && at > 0
            && rows[at - 1] == "login:"
    });
    let from = rows.iter().position(|row| row == "one").unwrap();
    assert_eq!(
        rows[from..from + 4],
        ["one", "two", "login:", "> half a li"]
    );
    peer.say("\nmore\n");
    terminal.types("ne\r");
    assert_eq!(peer.line(), "half a line\n");
    let rows = terminal.until("the line that was sent", |rows, _| {
        rows.iter().any(|row| row == "> half a line")
    });
    let lines: Vec<&String> = rows
        .iter()
        .filter(|row| !row.contains(" received"))
        .collect();
    let torn = lines
        .iter()
        .any(|row| row.contains("more") && *row != "more");
    assert!(!torn, "{rows:?}");
    terminal.types("\x03");
    let (code, _) = terminal.end();
    assert_eq!(code, Some(130));
}

#[test]
fn the_history_outlives_the_program_and_keeps_no_secret() {
    let folder = Folder::new();
    let file = folder.path().join("netloom/history");
    {
        let (mut terminal, mut peer, _server) = connected(&folder, &[]);
        for line in ["GET one", "PUT two", " not this"] {
            terminal.types(format!("{line}\r"));
            assert_eq!(peer.line(), format!("{line}\n"));
        }
        peer.say("Password: ");
        terminal.text("Password:");
        terminal.types("hunter2\r");
        assert_eq!(peer.line(), "hunter2\n");
        terminal.row("> (not shown)");
        terminal.types("\x1dquit\r");
        let (code, all) = terminal.end();
        assert_eq!(code, Some(0));
        assert!(!all.contains("hunter2"), "{all}");
    }
    assert_eq!(
        std::fs::read_to_string(&file).unwrap(),
        "GET one\nPUT two\n"
    );
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let (mut terminal, mut peer, _server) = connected(&folder, &[]);
    terminal.types("\x1b[A\x1b[A");
    terminal.prompt("GET one");
    terminal.types("\x1b[B");
    terminal.prompt("PUT two");
    terminal.types("\x1b[B\x12one");
    terminal.row("search `one`: GET one");
    terminal.types("\r");
    assert_eq!(peer.line(), "GET one\n");
    drop(peer);
    assert_eq!(terminal.end().0, Some(0));

    let before = std::fs::read(&file).unwrap();
    let (mut terminal, mut peer, _server) = connected(&folder, &["--no-history"]);
    terminal.types("\x1b[Anew\r");
    assert_eq!(peer.line(), "new\n");
    drop(peer);
    assert_eq!(terminal.end().0, Some(0));
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[test]
fn a_paste_of_lines_is_one_message_and_no_key() {
    let folder = Folder::new();
    let (mut terminal, mut peer, _server) = connected(&folder, &["--framing", "len32"]);
    terminal.types("\x1b[200~one\r\ntwo\x03\x1b[201~");
    terminal.text("two^C");
    terminal.types("\r");
    let mut message = [0; 12];
    peer.0.read_exact(&mut message).unwrap();
    assert_eq!(&message, b"\0\0\0\x08one\ntwo\x03");
    drop(peer);
    assert_eq!(terminal.end().0, Some(0));
}

#[test]
fn another_window_size_is_taken_up() {
    let folder = Folder::new();
    let (mut terminal, mut peer, _server) = connected(&folder, &["--no-history"]);
    peer.say("before\n");
    terminal.row("before");
    terminal.types("x".repeat(30));
    terminal.prompt(&"x".repeat(30));
    terminal.resize(10, 20);
    terminal.types("y");
    terminal.until("the line in two rows", |rows, (row, column)| {
        let at = usize::from(row);
        at > 0
            && rows[at - 1] == format!("> {}", "x".repeat(18))
            && rows[at] == format!("{}y", "x".repeat(12))
            && column == 13
    });
    terminal.resize(24, 80);
    terminal.types("z\r");
    assert_eq!(peer.line(), format!("{}yz\n", "x".repeat(30)));
    drop(peer);
    assert_eq!(terminal.end().0, Some(0));
}

#[test]
fn colour_is_left_out_when_nobody_wants_it() {
    let folder = Folder::new();
    for (variables, flags, colour) in [
        (&[][..], &[][..], true),
        (&[("NO_COLOR", "1")], &[], false),
        (&[], &["--color", "never"], false),
    ] {
        let server = Server::new();
        let args = [&["connect", server.url.as_str()], flags].concat();
        let mut terminal = Terminal::with(&folder, &args, variables);
        let mut peer = server.accept();
        terminal.prompt("");
        terminal.types("hi\r");
        assert_eq!(peer.line(), "hi\n");
        drop(peer);
        let (code, all) = terminal.end();
        assert_eq!(code, Some(0));
        assert_eq!(all.contains("\x1b[36m"), colour, "{variables:?} {flags:?}");
        // Sequences that colour end in m; those that move the cursor do not.
        let colours = all.split("\x1b[").skip(1).filter(|after| {
            after
                .trim_start_matches(|c: char| c.is_ascii_digit() || c == ';')
                .starts_with('m')
        });
        assert_eq!(colours.count() > 0, colour, "{all:?}");
    }
}

#[test]
fn a_peer_can_do_nothing_to_the_terminal() {
    let folder = Folder::new();
    let (terminal, mut peer, _server) = connected(&folder, &[]);
    peer.say(
        b"\x1b]52;c;ZXZpbA==\x07\x1b]0;owned\x07\x1b[2J\x1b[H\x1bc\x9b31m\xc2\x9b31m\xff\xfe\n",
    );
    terminal.text("^[]52;c;ZXZpbA==^G^[]0;owned^G^[[2J^[[H^[c\\x9b31m\\u{9b}31m\\xff\\xfe");
    peer.say("still\rhere\n");
    terminal.row("still^Mhere");
    let (mut peer, said) = (peer, terminal.bytes());
    for attack in [
        &b"\x1b]"[..],
        b"\x07",
        b"\x1b[2J",
        b"\x1bc",
        b"\x9b",
        b"\xff",
    ] {
        let found = said.windows(attack.len()).any(|window| window == attack);
        assert!(!found, "{}", attack.escape_ascii());
    }
    peer.say("end\n");
    drop(peer);
    assert_eq!(terminal.end().0, Some(0));

    let (terminal, mut peer, _server) = connected(&folder, &["--raw-terminal"]);
    peer.say("\x1b[31mred\x1b[0m\n");
    terminal.row("red");
    drop(peer);
    let (_, all) = terminal.end();
    assert!(all.contains("\x1b[31mred\x1b[0m"), "{all}");
}

#[test]
fn ten_megabytes_without_a_line_end_are_shown_in_little_memory() {
    let folder = Folder::new();
    let (mut terminal, mut peer, _server) = connected(&folder, &[]);
    let block = vec![b'x'; 64 * 1024];
    for _ in 0..160 {
        peer.say(&block);
    }
    peer.say("\nlast line\n");
    terminal.row("last line");
    terminal.types("alive\r");
    assert_eq!(peer.line(), "alive\n");
    let mut shown = terminal.bytes();
    shown.retain(|byte| *byte == b'x');
    assert!(shown.len() >= 160 * block.len(), "{}", shown.len());
    // What it needed at most: proc_pid_status(5).
    let pid = terminal.pid_of_netloom();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let peak = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    let peak: u64 = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(peak < 96 * 1024, "{peak} KiB");
    drop(peer);
    assert_eq!(terminal.end().0, Some(0));
}

#[test]
fn commands_are_for_this_program_and_nothing_of_them_is_sent() {
    let folder = Folder::new();
    let (mut terminal, mut peer, _server) = connected(&folder, &[]);
    terminal.types("unsent\x1dhelp\r");
    terminal.text("commands after Ctrl-]");
    terminal.prompt("unsent");
    terminal.types("\x1dnonsense\r");
    terminal.text("`nonsense` is no command here");
    terminal.types("\x15\x1dhex\r");
    terminal.types("hi\r");
    assert_eq!(peer.line(), "hi\n");
    terminal.text("> 00000000  68 69 0a ");
    peer.say("ok\n");
    terminal.text("< 00000000  6f 6b 0a ");
    terminal.types("\x1dhex off\r\x1dstatus\r");
    terminal.text("3 received, 3 sent");
    terminal.types("\x1dclose\r");
    assert_eq!(peer.line(), "");
    terminal.text("note: our side has ended");
    peer.0.get_mut().shutdown(Shutdown::Write).unwrap();
    assert_eq!(terminal.end().0, Some(0));
}

#[test]
fn a_person_can_dial_again_and_a_server_that_dies_is_dialled_again() {
    let folder = Folder::new();
    let (mut terminal, mut peer, server) = connected(&folder, &["--reconnect"]);
    terminal.types("one\r");
    assert_eq!(peer.line(), "one\n");
    drop(peer);
    let mut peer = server.accept();
    terminal.text("dialling again in");
    terminal.types("two\r");
    assert_eq!(peer.line(), "two\n");
    terminal.types("\x1dreconnect\r");
    let mut next = server.accept();
    assert_eq!(peer.line(), "");
    terminal.types("three\r");
    assert_eq!(next.line(), "three\n");
    terminal.types("\x04");
    assert_eq!(next.line(), "");
    drop(next);
    assert_eq!(terminal.end().0, Some(0));
}

#[test]
fn datagrams_have_the_same_editor() {
    let folder = Folder::new();
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket
        .set_read_timeout(Some(crate::program::PATIENCE))
        .unwrap();
    let url = format!("udp://{}", socket.local_addr().unwrap());
    let mut terminal = Terminal::netloom(&folder, &["connect", &url, "-v"]);
    terminal.prompt("");
    terminal.types("helo\x1b[Dl\r");
    let mut buf = [0; 100];
    let (n, from) = socket.recv_from(&mut buf).unwrap();
    assert_eq!(&buf[..n], b"hello\n");
    socket.send_to(b"\x1b[2Jno line end", from).unwrap();
    terminal.text("< 00000000  1b 5b 32 4a 6e 6f 20 6c ");
    terminal.types("\x1dhex off\r\x1dnothing\r");
    terminal.text("`nothing` is no command here"); // and what came before it is done
    socket.send_to(b"\x1b[2Jagain", from).unwrap();
    terminal.row("^[[2Jagain");
    terminal.types("\x03");
    assert_eq!(terminal.end().0, Some(130));
}

#[test]
fn the_terminal_is_given_back_however_it_ends() {
    let folder = Folder::new();
    let (mut terminal, mut peer, _server) = connected(&folder, &[]);
    terminal.types("half a li");
    terminal.prompt("half a li");
    peer.say("unfinished");
    terminal.row("unfinished");
    crate::client::reset(peer.0.into_inner());
    let (code, all) = terminal.end();
    assert_eq!(code, Some(1), "{all}");
    assert!(all.contains("error[recv.reset"), "{all}");

    let (terminal, _peer, _server) = connected(&folder, &["--timeout", "300ms"]);
    let (code, all) = terminal.end();
    assert_eq!(code, Some(1), "{all}");
    assert!(all.contains("error[stuck.both-reading"), "{all}");

    let (terminal, _peer, _server) = connected(&folder, &[]);
    let kill = format!("kill -TERM {}", terminal.pid_of_netloom());
    let status = std::process::Command::new("sh")
        .args(["-c", &kill])
        .status();
    assert!(status.unwrap().success());
    assert_eq!(terminal.end().0, Some(130));
}

#[test]
fn several_share_a_terminal() {
    let folder = Folder::new();
    let (one, two) = (Server::new(), Server::new());
    let args = ["connect", one.url.as_str(), two.url.as_str()];
    let mut terminal = Terminal::netloom(&folder, &args);
    let (mut a, mut b) = (one.accept(), two.accept());
    terminal.prompt("");
    terminal.types("to all\r");
    assert_eq!((a.line(), b.line()), ("to all\n".into(), "to all\n".into()));
    a.say("\x1b[2Jhere\n");
    terminal.row(&format!("[{}] ^[[2Jhere", one.url));
    drop(a);
    // What is typed from now on is not for it.
    terminal.row(&format!("note: {} has ended", one.url));
    terminal.types("and you\r");
    assert_eq!(b.line(), "and you\n");
    drop(b);
    assert_eq!(terminal.end().0, Some(0));
}

#[test]
fn whoever_listens_has_the_same_editor() {
    let folder = Folder::new();
    let mut terminal = Terminal::netloom(&folder, &["listen", "tcp://127.0.0.1:0"]);
    let rows = terminal.until("an address", |rows, _| {
        rows.iter().any(|row| row.starts_with("listening tcp://"))
    });
    let url = rows[0].trim_start_matches("listening tcp://").to_owned();
    let mut peer = Peer(BufReader::new(crate::client::open(url.parse().unwrap())));
    terminal.prompt("");
    terminal.types("helo\x1b[Dl\r");
    assert_eq!(peer.line(), "hello\n");
    peer.say("\x07bell\n");
    terminal.row("^Gbell");
    drop(peer);
    assert_eq!(terminal.end().0, Some(0));
}
