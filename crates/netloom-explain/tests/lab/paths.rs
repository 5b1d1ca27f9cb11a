//! Paths of unix sockets that are not what they should be, and descriptors that
//! were not handed over.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;

use crate::place::{
    Folder, Lab, Program, as_nobody, failed, fix, has, in_folder, is_confirmed, knows, run, until,
};

fn allow(path: &str, mode: u32) {
    set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// A Python server on a unix socket, which listens if `kind` is a stream.
fn server(path: &str, kind: &str) -> Program {
    let (program, _) = Program::python(&format!(
        "import socket, sys; s = socket.socket(socket.AF_UNIX, socket.{kind}); s.bind({path:?})
if s.type == socket.SOCK_STREAM: s.listen()
print(0); sys.stdin.read()"
    ));
    program
}

#[test]
fn a_folder_that_may_not_be_written_to() {
    as_nobody(
        "paths::a_folder_that_may_not_be_written_to",
        |lab| async move {
            let folder = Folder::new("closed");
            allow(&folder.path("."), 0o500);
            let url = format!("unix:{}", folder.path("sock"));
            let diagnosis = lab.explain(&failed(lab.bind(&url).await)).await;
            assert_eq!(diagnosis.code.name(), "bind.denied.path");
            knows(&diagnosis, &["mode 500"]);
            // What the rights say, done.
            allow(&folder.path("."), 0o700);
            lab.bind(&url).await.unwrap();
        },
    );
}

#[test]
fn a_folder_that_is_not_there() {
    run(|lab| async move {
        let folder = Folder::new("gone");
        let url = format!("unix:{}", folder.path("run/sock"));
        let diagnosis = lab.explain(&failed(lab.bind(&url).await)).await;
        assert_eq!(diagnosis.code.name(), "bind.no-such-path");
        assert!(is_confirmed(&diagnosis));
        assert!(diagnosis.to_string().contains("mkdir -p"), "{diagnosis}");
        std::fs::create_dir_all(folder.path("run")).unwrap();
        lab.bind(&url).await.unwrap();
    });
}

#[test]
fn a_socket_that_this_user_may_not_use() {
    as_nobody(
        "paths::a_socket_that_this_user_may_not_use",
        |lab| async move {
            let folder = Folder::new("denied");
            let path = folder.path("sock");
            let _server = server(&path, "SOCK_STREAM");
            allow(&path, 0);
            let url = format!("unix:{path}");
            let diagnosis = lab.explain(&failed(lab.dial(&url).await)).await;
            assert_eq!(diagnosis.code.name(), "connect.denied.path");
            assert!(is_confirmed(&diagnosis));
            knows(&diagnosis, &["mode 000"]);
            knows(&diagnosis, &[&format!("uid {}", lab.probe.user().unwrap())]);
            if has("namei") {
                lab.follow(fix(&diagnosis, "namei -l")).await;
            }
            allow(&path, 0o600);
            lab.is_healthy(&url).await;
        },
    );
}

#[test]
fn a_file_that_is_no_socket() {
    run(|lab| async move {
        let folder = Folder::new("file");
        std::fs::write(folder.path("sock"), "").unwrap();
        for (path, what) in [
            (folder.path("sock"), "a file"),
            (folder.path("."), "a folder"),
        ] {
            let failure = failed(lab.dial(&format!("unix:{path}")).await);
            let diagnosis = lab.explain(&failure).await;
            assert_eq!(diagnosis.code.name(), "connect.not-a-socket");
            assert!(is_confirmed(&diagnosis));
            assert!(diagnosis.to_string().contains(what), "{diagnosis}");
            if has("ss") {
                lab.follow(fix(&diagnosis, "ss -xl")).await;
            }
        }
    });
}

#[test]
fn a_socket_that_takes_datagrams() {
    run(|lab| async move {
        let folder = Folder::new("datagrams");
        let path = folder.path("sock");
        let _server = server(&path, "SOCK_DGRAM");
        let failure = failed(lab.dial(&format!("unix:{path}")).await);
        let diagnosis = lab.explain(&failure).await;
        assert_eq!(diagnosis.code.name(), "connect.other");
        assert!(
            diagnosis.to_string().contains("takes datagrams"),
            "{diagnosis}"
        );
        assert!(diagnosis.to_string().contains("EPROTOTYPE"), "{diagnosis}");
    });
}

/// How many sockets wait to be accepted on a path, and how many may.
async fn waits(lab: &Lab, path: &str) -> Option<()> {
    let all = lab.probe.unix_sockets(&lab.cx).await?;
    let found = all.iter().any(|entry| entry.name == path && entry.listens);
    found.then_some(())
}

#[test]
fn the_accept_queue_of_a_path_is_full() {
    run(|lab| async move {
        let folder = Folder::new("queue");
        let path = folder.path("sock");
        let (server, _) = Program::python(&format!(
            "import socket, sys; s = socket.socket(socket.AF_UNIX); s.bind({path:?}); s.listen(0); print(0); sys.stdin.read()"
        ));
        until("listening", || waits(&lab, &path)).await;
        let url = format!("unix:{path}");
        let mut open = Vec::new();
        let failure = loop {
            match lab.dial(&url).await {
                Ok(conn) => open.push(conn),
                Err(failure) => break failure,
            }
            assert!(open.len() < 10);
        };
        let diagnosis = lab.explain(&failure).await;
        assert_eq!(diagnosis.code.name(), "connect.timeout.queue-full");
        assert!(is_confirmed(&diagnosis));
        knows(&diagnosis, &[&format!("process {}", server.pid())]);
    });
}

#[test]
fn a_descriptor_that_nobody_handed_over() {
    in_folder(
        "paths::a_descriptor_that_nobody_handed_over",
        |lab| async move {
            let diagnosis = lab.explain(&failed(lab.dial("fd:900").await)).await;
            assert_eq!(diagnosis.code.name(), "fd.not-usable");
            assert!(diagnosis.to_string().contains("900"), "{diagnosis}");
            lab.follow(fix(&diagnosis, "ls -l /proc/self/fd")).await;
            let diagnosis = lab.explain(&failed(lab.bind("fd:systemd").await)).await;
            assert_eq!(diagnosis.code.name(), "fd.not-usable");
            assert!(diagnosis.to_string().contains("LISTEN_FDS"), "{diagnosis}");
        },
    );
}
