//! A person who takes part at a terminal.

use crate::client::patient_udp;
use crate::program::Folder;
use crate::terminal::Terminal;

use super::{Plain, server};

#[test]
fn what_others_say_never_tears_the_line_being_typed() {
    let (server, folder) = (server(&[]), Folder::new());
    let mut bo = Plain::named(&server, "bo");
    let url = format!("tcp://{}", server.addr());
    let mut anna = Terminal::netloom(&folder, &["chat", &url, "--nick", "anna"]);
    anna.row("anna in lobby · /help · Ctrl-D leaves");
    bo.until("* guest-2 is called anna");

    anna.types("half a li");
    anna.prompt("half a li");
    bo.say("one\ntwo \x1b[2Jthings\n");
    let rows = anna.until("what bo said above the prompt", |rows, (row, column)| {
        let at = usize::from(row);
        at > 1
            && column == 11
            && rows.get(at).is_some_and(|row| row == "> half a li")
            && rows[at - 1].starts_with("<bo> two")
    });
    assert!(rows.iter().any(|row| row == "<bo> one"), "{rows:?}");
    anna.types("ne\r");
    assert_eq!(bo.until("<anna>"), "<anna> half a line");

    // What was said is there once, and comes back with a key.
    anna.prompt("");
    anna.types("\x1b[A");
    anna.prompt("half a line");
    anna.types(" more\r");
    assert_eq!(bo.until("<anna>"), "<anna> half a line more");
    anna.types("\x1b[200~three\nlines\x1b[201~\r/join builds\r");
    assert_eq!(bo.until("<anna>"), "<anna> three");
    assert_eq!(bo.until("<anna>"), "<anna> lines");
    anna.row("anna in builds · /help · Ctrl-D leaves");
    anna.types("/nick ann\r");
    anna.row("ann in builds · /help · Ctrl-D leaves");
    anna.types("\x1dhex\r");
    anna.text("`hex` is no command here");

    anna.types("/join lobby\r");
    bo.until("* ann is here now");
    anna.types("\x04");
    assert_eq!(bo.until("* ann left"), "* ann left");
    let (code, all) = anna.end();
    assert_eq!(code, Some(0), "{all}");
    let (before, _) = all.split_once("* the last ").unwrap();
    assert!(!before.contains("<ann"), "an echo of one's own: {all}");
    assert!(!all.contains("\x1b[2J"), "{all}");
    assert!(!folder.path().join("netloom/history").exists());
}

#[test]
fn ctrl_c_leaves_in_order_and_waits_for_no_server() {
    let (server, folder) = (server(&[]), Folder::new());
    let mut bo = Plain::named(&server, "bo");
    let url = format!("tcp://{}", server.addr());
    let mut anna = Terminal::netloom(&folder, &["chat", &url, "--nick", "anna"]);
    bo.until("* guest-2 is called anna");
    anna.types("gone\x03");
    anna.prompt("");
    anna.types("\x03");
    assert_eq!(bo.until("* anna left"), "* anna left");
    assert_eq!(anna.end().0, Some(130));

    // One that never ends its side is left after a second.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    let mut anna = Terminal::netloom(&folder, &["chat", &url]);
    let _stream = listener.accept().unwrap();
    anna.prompt("");
    anna.types("\x03");
    assert_eq!(anna.end().0, Some(130));
}

#[test]
fn datagrams_and_groups_have_the_same_editor() {
    let folder = Folder::new();
    let socket = patient_udp();
    let url = format!("udp://{}", socket.local_addr().unwrap());
    let mut anna = Terminal::netloom(&folder, &["chat", &url, "--nick", "anna"]);
    let mut heard = [0; 1024];
    let (n, peer) = socket.recv_from(&mut heard).unwrap();
    assert!(heard[..n].starts_with(b"{"));
    let welcome = b"* welcome, anna: this is lobby; /help tells the rest\n";
    socket.send_to(welcome, peer).unwrap();
    anna.row("anna in lobby · /help · Ctrl-D leaves");
    anna.types("helo\x1b[Dl\r");
    let (n, _) = socket.recv_from(&mut heard).unwrap();
    assert_eq!(&heard[..n], b"hello");
    anna.types("\x04");
    let (n, _) = socket.recv_from(&mut heard).unwrap();
    assert_eq!(&heard[..n], b"/quit");
    assert_eq!(anna.end().0, Some(0));

    let group = "udp://239.1.2.3:0,interface=lo";
    let mut ida = Terminal::netloom(&folder, &["chat", group, "--nick", "ida"]);
    ida.row("ida in lobby · /help · Ctrl-D leaves");
    ida.types("/who\r");
    ida.row("* in lobby: ida");
    ida.types("\x04");
    assert_eq!(ida.end().0, Some(0));
}
