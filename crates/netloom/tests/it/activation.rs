//! Under a service manager: readiness is told, and sockets are handed over.

use std::os::unix::net::UnixDatagram;
use std::process::Command;

use crate::client::{open, there_and_back};
use crate::program::{Folder, PATIENCE, Server, netloom};

#[test]
fn the_service_manager_is_told_when_services_are_ready_and_when_they_stop() {
    let folder = Folder::new();
    let path = folder.join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let heard = || {
        let mut said = [0; 64];
        let n = manager.recv(&mut said).unwrap();
        String::from_utf8_lossy(&said[..n]).into_owned()
    };
    let mut command = netloom();
    command
        .args(["listen", "tcp://127.0.0.1:0", "--echo"])
        .env("NOTIFY_SOCKET", &path);
    let server = Server::start(&mut command, 1);
    assert_eq!(heard(), "READY=1");
    assert_eq!(server.stop().code, Some(0));
    assert_eq!(heard(), "STOPPING=1");
}

/// What systemd does: a socket that listens is descriptor 3, and says for whom.
const HAND_OVER: &str = r#"
import os, socket, sys
listener = socket.create_server(("127.0.0.1", 0), backlog=16)
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS="1", LISTEN_FDNAMES="door", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[1], sys.argv[1:])
"#;

#[test]
fn a_listening_socket_is_taken_over_from_the_service_manager() {
    for endpoint in ["fd:systemd", "fd:door", "fd:3"] {
        let mut command = Command::new("python3");
        command
            .args(["-c", HAND_OVER, env!("CARGO_BIN_EXE_netloom")])
            .args(["serve", "echo", "--on", endpoint]);
        let server = Server::start(&mut command, 1);
        assert_eq!(
            there_and_back(&open(server.addr()), b"hi"),
            b"hi",
            "{endpoint}"
        );
        assert_eq!(server.stop().code, Some(0), "{endpoint}");
    }
}
