use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

use netloom_base::{Code, Failure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Unix;
use crate::conn::{Conn, Peer};
use crate::cx::Cx;
use crate::listener::Listener;
use crate::trial::{self, Folder};

async fn listen(cx: &Cx, endpoint: &str) -> Result<Box<dyn Listener>, Failure> {
    let bound = trial::bind(cx, endpoint).await?;
    bound[0]
        .listener()
        .map(|listener| listener.expect("the first listener"))
}

async fn refused(endpoint: &str) -> Failure {
    match trial::dial(&trial::cx(Unix), endpoint).await {
        Ok(_) => panic!("{endpoint} could be dialled"),
        Err(failure) => failure,
    }
}

async fn not_bound(endpoint: &str) -> Failure {
    match trial::bind(&trial::cx(Unix), endpoint).await {
        Ok(_) => panic!("{endpoint} could be bound"),
        Err(failure) => failure,
    }
}

/// A socket file whose socket is closed.
fn leave_over(path: &str) {
    drop(std::os::unix::net::UnixListener::bind_addr(
        &std::os::unix::net::SocketAddr::from_pathname(path).unwrap(),
    ));
    assert!(Path::new(path).exists());
}

async fn talk(mut here: Conn, mut there: Conn) {
    here.write_all(b"hello").await.unwrap();
    here.shutdown().await.unwrap();
    let mut got = Vec::new();
    there.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, b"hello");
    there.write_all(b"and back").await.unwrap();
    drop(there);
    got.clear();
    here.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, b"and back");
}

#[tokio::test]
async fn bytes_go_both_ways_and_the_file_goes_with_the_listener() {
    let folder = Folder::new("both-ways");
    let path = folder.join("s");
    let endpoint = format!("unix:{path}");
    let cx = trial::cx(Unix);
    let bound = trial::bind(&cx, &endpoint).await.unwrap();
    assert_eq!(bound[0].endpoint().to_string(), endpoint);
    assert_eq!(bound[0].try_with(), Some(format!("nc -U {path}")));
    // The kernel takes connections from here on.
    let here = trial::dial(&cx, &endpoint).await.unwrap();
    let mut listener = bound[0].listener().unwrap().unwrap();
    assert!(bound[0].listener().unwrap().is_none());
    let accepted = listener.accept().await.unwrap();
    let pid = std::process::id();
    if cfg!(target_os = "linux") {
        assert!(
            accepted
                .from()
                .to_string()
                .starts_with(&format!("unix:pid {pid} uid ")),
            "{}",
            accepted.from()
        );
    }
    assert_eq!(here.facts().peer, Some(Peer::Named(endpoint.into())));
    talk(here, accepted.attach().unwrap()).await;
    drop(listener);
    assert!(!Path::new(&path).exists());
}

#[tokio::test]
async fn an_address_that_nobody_listened_on_is_given_back() {
    let folder = Folder::new("given-back");
    let path = folder.join("s");
    let bound = trial::bind(&trial::cx(Unix), &format!("unix:{path}"))
        .await
        .unwrap();
    assert!(Path::new(&path).exists());
    drop(bound);
    assert!(!Path::new(&path).exists());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_abstract_name_needs_no_file() {
    let endpoint = format!("unix:@netloom-{}-abstract", std::process::id());
    assert_eq!(refused(&endpoint).await.code(), Code::CONNECT_REFUSED);
    let cx = trial::cx(Unix);
    let mut listener = listen(&cx, &endpoint).await.unwrap();
    assert_eq!(not_bound(&endpoint).await.code(), Code::BIND_IN_USE);
    let here = trial::dial(&cx, &endpoint).await.unwrap();
    talk(here, listener.accept().await.unwrap().attach().unwrap()).await;
    assert_eq!(
        not_bound(&format!("{endpoint},mode=600")).await.code(),
        Code::PARSE_ENDPOINT
    );
}

#[tokio::test]
async fn a_missing_and_a_left_over_and_a_wrong_file_are_told_apart() {
    let folder = Folder::new("told-apart");
    assert_eq!(
        refused(&format!("unix:{}", folder.join("none")))
            .await
            .code(),
        Code::CONNECT_NO_SUCH_PATH
    );
    assert_eq!(
        refused(&format!("unix:{}", folder.join("none/s")))
            .await
            .code(),
        Code::CONNECT_NO_SUCH_PATH
    );
    leave_over(&folder.join("old"));
    let failure = refused(&format!("unix:{}", folder.join("old"))).await;
    assert_eq!(failure.code(), Code::CONNECT_STALE_SOCKET);
    assert_eq!(failure.trail().len(), 1);
    std::fs::write(folder.join("plain"), "text").unwrap();
    let failure = refused(&format!("unix:{}", folder.join("plain"))).await;
    assert_eq!(failure.code(), Code::CONNECT_NOT_A_SOCKET);
    assert!(
        failure.summary().contains("is a file, not a socket"),
        "{failure}"
    );
    let failure = refused(&format!("unix:{}", folder.path().display())).await;
    assert!(failure.summary().contains("is a folder"), "{failure}");
    let datagrams = folder.join("datagrams");
    let _datagrams = std::os::unix::net::UnixDatagram::bind(&datagrams).unwrap();
    let failure = refused(&format!("unix:{datagrams}")).await;
    assert!(failure.summary().contains("datagrams"), "{failure}");
}

#[tokio::test]
async fn a_left_over_file_makes_room() {
    let folder = Folder::new("makes-room");
    let path = folder.join("s");
    leave_over(&path);
    let cx = trial::cx(Unix);
    let mut listener = listen(&cx, &format!("unix:{path}")).await.unwrap();
    let here = trial::dial(&cx, &format!("unix:{path}")).await.unwrap();
    talk(here, listener.accept().await.unwrap().attach().unwrap()).await;
}

#[tokio::test]
async fn what_is_in_use_or_no_socket_is_left_alone() {
    let folder = Folder::new("left-alone");
    let path = folder.join("s");
    let cx = trial::cx(Unix);
    let _first = listen(&cx, &format!("unix:{path}")).await.unwrap();
    let failure = not_bound(&format!("unix:{path}")).await;
    assert_eq!(failure.code(), Code::BIND_SOCKET_FILE);
    if cfg!(target_os = "linux") {
        let evidence = failure.facts()[0].to_string();
        assert!(
            evidence.starts_with(&format!("process {} of uid", std::process::id())),
            "{evidence}"
        );
    }
    assert!(std::fs::metadata(&path).unwrap().file_type().is_socket());

    for (name, what) in [
        ("file", "a file"),
        ("link", "a symbolic link"),
        ("folder", "a folder"),
    ] {
        let path = folder.join(name);
        match name {
            "file" => std::fs::write(&path, "text").unwrap(),
            "link" => std::os::unix::fs::symlink("nowhere", &path).unwrap(),
            _ => std::fs::create_dir(&path).unwrap(),
        }
        let failure = not_bound(&format!("unix:{path}")).await;
        assert_eq!(failure.code(), Code::BIND_SOCKET_FILE);
        assert!(failure.summary().contains(what), "{failure}");
        assert!(std::fs::symlink_metadata(&path).is_ok());
    }
    let failure = not_bound(&format!("unix:{}", folder.join("none/s"))).await;
    assert_eq!(failure.code(), Code::BIND_NO_SUCH_PATH);
}

#[tokio::test]
async fn only_our_own_file_is_removed() {
    let folder = Folder::new("only-ours");
    let path = folder.join("s");
    let cx = trial::cx(Unix);
    let first = listen(&cx, &format!("unix:{path}")).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    let _second = listen(&cx, &format!("unix:{path}")).await.unwrap();
    drop(first);
    assert!(trial::dial(&cx, &format!("unix:{path}")).await.is_ok());
}

#[tokio::test]
async fn the_mode_is_exactly_as_asked() {
    let folder = Folder::new("mode");
    for mode in [0o600, 0o660, 0o777] {
        let path = folder.join(&format!("{mode:o}"));
        let _listener = listen(&trial::cx(Unix), &format!("unix:{path},mode={mode:o}"))
            .await
            .unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            mode
        );
    }
    for wrong in ["800", "1777", "rw", "-600", "+600", ""] {
        let failure = not_bound(&format!("unix:{},mode={wrong}", folder.join("s"))).await;
        assert_eq!(failure.code(), Code::PARSE_ENDPOINT, "{wrong}");
    }
    assert!(!Path::new(&folder.join("s")).exists());
}

#[tokio::test]
async fn a_path_that_is_too_long_is_told_with_the_limit() {
    let path = format!("/tmp/{}", "x".repeat(200));
    for failure in [
        refused(&format!("unix:{path}")).await,
        not_bound(&format!("unix:{path}")).await,
    ] {
        assert_eq!(failure.code(), Code::PARSE_ENDPOINT);
        assert!(
            failure.summary().contains("may have 10") && failure.summary().contains("205"),
            "{failure}"
        );
    }
}

#[tokio::test]
async fn a_dial_waits_for_room_in_a_full_queue() {
    let folder = Folder::new("full-queue");
    let endpoint = format!("unix:{}", folder.join("s"));
    let cx = trial::cx(Unix);
    let mut listener = listen(&cx, &format!("{endpoint},backlog=0")).await.unwrap();
    let first = trial::dial(&cx, &endpoint).await.unwrap();
    let (second, accepted) = tokio::join!(trial::dial(&cx, &endpoint), async {
        let accepted = listener.accept().await.unwrap();
        (accepted, listener.accept().await.unwrap())
    });
    talk(first, accepted.0.attach().unwrap()).await;
    talk(second.unwrap(), accepted.1.attach().unwrap()).await;
}

#[tokio::test]
async fn a_folder_that_may_not_be_used_is_told() {
    let folder = Folder::new("denied");
    let closed = folder.join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o000)).unwrap();
    let root = std::fs::read_dir(&closed).is_ok();
    if !root {
        assert_eq!(
            refused(&format!("unix:{closed}/s")).await.code(),
            Code::CONNECT_DENIED_PATH
        );
        assert_eq!(
            not_bound(&format!("unix:{closed}/s")).await.code(),
            Code::BIND_DENIED_PATH
        );
    }
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).unwrap();
}
