//! `collect`: whole files or none, whatever happens to the client, the server
//! or the disk.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::client::{assert_same, open, random, reset, until_closed};
use crate::peers::are_here;
use crate::program::{Folder, Program, Server, netloom, run};
use crate::told;

const AT: &str = "tcp://127.0.0.1:0";

fn serve(folder: &Folder, more: &[&str]) -> Server {
    let into = folder.join("");
    let mut command = netloom();
    command.args(["listen", AT, "--collect", &into, "--json"]);
    Server::start(command.args(more), 1)
}

/// The files of a folder, hidden ones too, but for those that get another name
/// just now.
fn files(folder: &Folder) -> BTreeMap<String, Vec<u8>> {
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.unwrap();
        let bytes = std::fs::read(entry.path()).ok()?;
        Some((entry.file_name().into_string().unwrap(), bytes))
    };
    let all = std::fs::read_dir(folder.path()).unwrap();
    all.filter_map(read).collect()
}

/// Sends it all, ends in order, and waits until the server has too.
fn send(stream: &mut TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(until_closed(stream), b"");
}

/// Waits until a file that is being written has so many bytes.
fn until_written(folder: &Folder, bytes: usize) {
    let end = std::time::Instant::now() + crate::program::PATIENCE;
    while files(folder).values().map(Vec::len).sum::<usize>() < bytes {
        assert!(std::time::Instant::now() < end, "the bytes do not come");
        std::thread::yield_now();
    }
}

#[test]
fn every_client_s_bytes_are_a_file_once_it_has_ended() {
    let folder = Folder::new();
    let server = serve(&folder, &[]);
    let sent: Vec<_> = (1..=8).map(|i| random(i * 300_000)).collect();
    std::thread::scope(|scope| {
        for bytes in &sent {
            scope.spawn(|| {
                let mut stream = open(server.addr());
                let name = stream.local_addr().unwrap().to_string().replace(':', "_");
                send(&mut stream, bytes);
                // The server's end says that the file is there, whole.
                let files = files(&folder);
                let (_, got) = files
                    .iter()
                    .find(|(file, _)| file.contains(&name) && !file.starts_with('.'))
                    .unwrap();
                assert_same(got, bytes);
            });
        }
    });
    // Who says nothing leaves nothing.
    send(&mut open(server.addr()), b"");
    assert_eq!(files(&folder).len(), 8);
    let told = server.program.stdout.lines(r#""kind":"collected""#, 8);
    for line in &told {
        let told = told::line(line);
        let (file, bytes) = (told::text(&told, "file"), told["bytes"].as_u64().unwrap());
        assert_eq!(files(&folder)[file].len() as u64, bytes);
    }
    server.stop();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let mode = entry.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn what_a_client_breaks_off_is_removed_or_kept_apart() {
    for (more, kept) in [(&[][..], 0), (&["--keep-partial"], 1)] {
        let folder = Folder::new();
        let server = serve(&folder, more);
        let mut stream = open(server.addr());
        let sent = random(100_000);
        stream.write_all(&sent).unwrap();
        until_written(&folder, sent.len());
        assert!(
            files(&folder)
                .keys()
                .all(|name| name.starts_with(".netloom-"))
        );
        reset(stream);
        let failed = server.program.stdout.line(r#""kind":"failed""#);
        assert_eq!(told::text(&told::line(&failed), "code"), "recv.reset");
        let left = files(&folder);
        assert_eq!(left.len(), kept, "{:?}", left.keys());
        for (name, bytes) in &left {
            assert!(
                name.contains(".partial") && !name.starts_with('.'),
                "{name}"
            );
            assert_same(bytes, &sent);
        }
    }
}

#[test]
fn a_server_that_is_killed_leaves_whole_files_and_what_the_next_removes() {
    let folder = Folder::new();
    let mut server = serve(&folder, &["--name", "{conn}"]);
    let whole = random(50_000);
    send(&mut open(server.addr()), &whole);
    let cut: Vec<_> = (0..5).map(|_| open(server.addr())).collect();
    for mut stream in &cut {
        stream.write_all(&random(70_000)).unwrap();
    }
    until_written(&folder, 50_000 + 5 * 70_000);
    server.program.signal("KILL");
    server.program.end();
    let left = files(&folder);
    let (parts, done): (Vec<_>, Vec<_>) = left.keys().partition(|name| name.starts_with('.'));
    assert_eq!((parts.len(), &done[..]), (5, &[&"1".to_owned()][..]));
    assert_same(&left["1"], &whole);
    // Neither is a link of that name followed, nor a file that others made removed.
    let elsewhere = Folder::new();
    let target = elsewhere.join("target");
    std::fs::write(&target, "mine").unwrap();
    std::os::unix::fs::symlink(&target, folder.join(".netloom-x.part")).unwrap();
    std::fs::write(folder.join("theirs.part"), "theirs").unwrap();

    let server = serve(&folder, &["--name", "{conn}"]);
    let note = server.program.stdout.line("unfinished");
    assert!(
        note.contains("5 unfinished files of an earlier run: removed"),
        "{note}"
    );
    let names: Vec<_> = files(&folder).into_keys().collect();
    assert_eq!(names, [".netloom-x.part", "1", "theirs.part"]);
    // A name that is taken is not taken again.
    let other = random(1000);
    send(&mut open(server.addr()), &other);
    assert_same(&files(&folder)["1"], &whole);
    assert_same(&files(&folder)["1-2"], &other);
    assert_eq!(std::fs::read(target).unwrap(), b"mine");
}

#[test]
fn a_link_in_the_way_is_not_followed() {
    let (folder, elsewhere) = (Folder::new(), Folder::new());
    let target = elsewhere.join("target");
    std::fs::write(&target, "mine").unwrap();
    for name in ["up", ".netloom-up.part"] {
        std::os::unix::fs::symlink(&target, folder.join(name)).unwrap();
    }
    let server = serve(&folder, &["--name", "up"]);
    send(&mut open(server.addr()), b"theirs");
    assert_eq!(files(&folder)["up-2"], b"theirs");
    assert_eq!(std::fs::read(target).unwrap(), b"mine");
}

#[test]
fn limits_turn_a_client_away_with_their_name() {
    let cases: [(&[&str], &str); 3] = [
        (&["--max-bytes", "64KiB"], "more than one file may hold"),
        (&["--max-total", "64KiB"], "as much as it may"),
        (&["--min-free", "1000000TiB"], "room"),
    ];
    for (more, why) in cases {
        let folder = Folder::new();
        let server = serve(&folder, more);
        let mut stream = open(server.addr());
        // It may be reset before all is sent.
        let _ = stream.write_all(&random(1 << 20));
        until_closed(&mut stream);
        let failed = server.program.stdout.line(r#""kind":"failed""#);
        let failed = told::line(&failed);
        assert_eq!(told::text(&failed, "code"), "limit.reached");
        assert!(told::text(&failed, "summary").contains(why), "{failed}");
        assert_eq!(files(&folder).len(), 0);
        if more[0] == "--max-total" {
            // What was given up counts no more.
            send(&mut open(server.addr()), &random(60_000));
            assert_eq!(files(&folder).len(), 1);
        }
    }
}

#[test]
fn what_is_there_counts_and_a_folder_has_one_collector() {
    let folder = Folder::new();
    std::fs::write(folder.join("old"), random(1000)).unwrap();
    let server = serve(&folder, &["--max-total", "1500"]);
    let mut stream = TcpStream::connect(server.addr()).unwrap();
    let _ = stream.write_all(&random(600));
    let failed = server.program.stdout.line(r#""kind":"failed""#);
    assert!(failed.contains("limit.reached"), "{failed}");

    let second = run(["listen", AT, "--collect", &folder.join("")], b"");
    assert_eq!(second.code, Some(1));
    assert!(
        second.stderr.contains("another service collects into"),
        "{}",
        second.stderr
    );
}

#[test]
fn a_folder_that_cannot_be_used_is_told_before_anybody_comes() {
    let folder = Folder::new();
    std::fs::write(folder.join("file"), "").unwrap();
    for (into, code) in [
        ("none", "connect.no-such-path"),
        ("file", "connect.no-such-path"),
    ] {
        let ended = run(
            ["listen", AT, "--collect", &folder.join(into), "--json"],
            b"",
        );
        let lines = told::lines(&ended.stdout);
        assert_eq!(told::text(told::one_end(&lines), "code"), code, "{into}");
        assert_eq!(ended.code, Some(1));
    }
    for wrong in [
        ["--name", "../{conn}"],
        ["--name", "{who}"],
        ["--max-bytes", "much"],
    ] {
        let into = folder.join("");
        let args = ["listen", AT, "--collect", &into, "--json"];
        let ended = run(args.into_iter().chain(wrong), b"");
        let lines = told::lines(&ended.stdout);
        assert_eq!(
            told::text(told::one_end(&lines), "code"),
            "parse.setting",
            "{wrong:?}"
        );
        assert_eq!(ended.code, Some(2));
    }
    let udp = ["listen", "udp://127.0.0.1:0", "--collect", &folder.join("")];
    assert_eq!(run(udp, b"").code, Some(2));
}

#[test]
fn programs_we_did_not_write_send_files() {
    let folder = Folder::new();
    let server = serve(&folder, &[]);
    let (host, port) = (
        server.addr().ip().to_string(),
        server.addr().port().to_string(),
    );
    let clients = [
        ("ncat", "ncat HOST PORT"),
        ("socat", "socat -t 30 - TCP:HOST:PORT"),
        (
            "python3",
            "python3 -c 'import socket, sys; s = socket.create_connection((\"HOST\", PORT)); \
             s.sendall(sys.stdin.buffer.read()); s.shutdown(1); s.recv(1)'",
        ),
    ];
    let sent = random(3 << 20);
    for (needs, line) in clients {
        if !are_here(&[needs]) {
            continue;
        }
        let line = line.replace("HOST", &host).replace("PORT", &port);
        let before = files(&folder);
        let mut client = Program::start(Command::new("sh").args(["-c", &line]));
        client.feed(&sent);
        client.end();
        let all = files(&folder);
        let (_, got) = all
            .iter()
            .find(|(name, _)| !before.contains_key(*name))
            .unwrap();
        assert_same(got, &sent);
    }
}
