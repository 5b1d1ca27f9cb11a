//! Whoever has said everything still hears all of the answer: whichever side
//! ends first, over TCP, unix sockets and TLS, little and much.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};

use socket2::Socket;

use crate::client::{assert_same, random, whole};
use crate::program::{Folder, PATIENCE, Server};
use crate::told;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Over {
    Tcp,
    Unix,
    Tls,
}

/// A forwarder between a client and a target in this process. Where it speaks
/// TLS, another forwarder does so on the other side of it.
struct Way {
    forward: Server,
    before: Option<Server>,
    _behind: Option<Server>,
    target: Listener,
    _folder: Folder,
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Way {
    fn new(front: Over, back: Over) -> Self {
        let folder = Folder::new();
        let target = match back {
            Over::Unix => Listener::Unix(UnixListener::bind(folder.join("target")).unwrap()),
            Over::Tcp | Over::Tls => Listener::Tcp(TcpListener::bind("127.0.0.1:0").unwrap()),
        };
        let at = match &target {
            Listener::Unix(_) => format!("unix:{}", folder.join("target")),
            Listener::Tcp(listener) => format!("tcp://{}", listener.local_addr().unwrap()),
        };
        let serves_tls = "tls://127.0.0.1:0,cert=auto";
        let behind = (back == Over::Tls).then(|| Server::netloom(&["forward", serves_tls, &at]));
        let to = match &behind {
            Some(behind) => format!("{},insecure", behind.endpoint()),
            None => at,
        };
        let on = match front {
            Over::Tcp => "tcp://127.0.0.1:0".to_owned(),
            Over::Unix => format!("unix:{}", folder.join("front")),
            Over::Tls => serves_tls.to_owned(),
        };
        let forward = Server::netloom(&["forward", &on, &to, "--json", "--threads", "1"]);
        let before = (front == Over::Tls).then(|| {
            let to = format!("{},insecure", forward.endpoint());
            Server::netloom(&["forward", "tcp://127.0.0.1:0", &to])
        });
        Way {
            forward,
            before,
            _behind: behind,
            target,
            _folder: folder,
        }
    }

    /// A client's socket and the target's of one connection.
    fn open(&self) -> (Socket, Socket) {
        let front = self.before.as_ref().unwrap_or(&self.forward);
        let client = match front.endpoint().strip_prefix("unix:") {
            Some(path) => Socket::from(UnixStream::connect(path).unwrap()),
            None => Socket::from(TcpStream::connect(front.addr()).unwrap()),
        };
        let target = whole(|| match &self.target {
            Listener::Tcp(listener) => Ok(Socket::from(listener.accept()?.0)),
            Listener::Unix(listener) => Ok(Socket::from(listener.accept()?.0)),
        });
        let target = target.unwrap();
        for socket in [&client, &target] {
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            socket.set_write_timeout(Some(PATIENCE)).unwrap();
        }
        (client, target)
    }
}

/// One says this and ends; the other has heard it, and its end, when it begins.
fn talk(mut first: Socket, mut last: Socket, words: &[u8], answer: &[u8]) {
    says(&mut first, &mut last, words);
    says(&mut last, &mut first, answer);
}

fn says(from: &mut Socket, to: &mut Socket, words: &[u8]) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            from.write_all(words).unwrap();
            from.shutdown(Shutdown::Write).unwrap();
        });
        let mut got = Vec::new();
        to.read_to_end(&mut got).unwrap();
        assert_same(&got, words);
    });
}

fn every_end_is_passed_on(front: Over, back: Over) {
    let way = Way::new(front, back);
    let bulk = random(8 << 20);
    let word = &bulk[..100];
    let all: [(&[u8], &[u8]); 4] = [(b"", word), (word, b""), (word, word), (&bulk, &bulk)];
    for client_first in [true, false] {
        for (words, answer) in all {
            let (client, target) = way.open();
            if client_first {
                talk(client, target, words, answer);
            } else {
                talk(target, client, words, answer);
            }
        }
    }
    let accounts = way
        .forward
        .program
        .stdout
        .lines(r#""kind":"forwarded""#, 2 * all.len());
    // They may be told in another order than they ended in.
    let mut told = Vec::new();
    for line in &accounts {
        let account = told::line(line);
        assert_eq!(told::text(&account, "reason"), "end", "{account}");
        let bytes = |name: &str| account[name].as_u64().unwrap();
        let moved = (bytes("to_target"), bytes("to_client"));
        if moved.0 + moved.1 > 1000 {
            let in_the_clear = front != Over::Tls && back != Over::Tls;
            let spliced = told::text(&account, "gear") == "splice";
            assert_eq!(spliced, in_the_clear, "{account}");
        }
        told.push((moved, told::text(&account, "closed_by").to_owned()));
    }
    let mut wanted = Vec::new();
    for (words, answer) in all {
        let (first, last) = (words.len() as u64, answer.len() as u64);
        wanted.push(((first, last), "client".to_owned()));
        wanted.push(((last, first), "target".to_owned()));
    }
    told.sort();
    wanted.sort();
    assert_eq!(told, wanted);
}

#[test]
fn an_end_goes_from_tcp_to_everything() {
    every_end_is_passed_on(Over::Tcp, Over::Tcp);
    every_end_is_passed_on(Over::Tcp, Over::Unix);
    every_end_is_passed_on(Over::Tcp, Over::Tls);
}

#[test]
fn an_end_goes_from_unix_sockets_to_everything() {
    every_end_is_passed_on(Over::Unix, Over::Tcp);
    every_end_is_passed_on(Over::Unix, Over::Unix);
    every_end_is_passed_on(Over::Unix, Over::Tls);
}

#[test]
fn an_end_goes_from_tls_to_everything() {
    every_end_is_passed_on(Over::Tls, Over::Tcp);
    every_end_is_passed_on(Over::Tls, Over::Unix);
    every_end_is_passed_on(Over::Tls, Over::Tls);
}
