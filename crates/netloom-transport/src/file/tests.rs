use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use netloom_base::{Code, Failure, Stage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::File;
use crate::conn::Conn;
use crate::trial::{self, Folder};

async fn open(endpoint: &str) -> Conn {
    trial::dial(&trial::cx(File), endpoint).await.unwrap()
}

async fn not_opened(endpoint: &str) -> Failure {
    match trial::dial(&trial::cx(File), endpoint).await {
        Ok(_) => panic!("{endpoint} could be opened"),
        Err(failure) => failure,
    }
}

/// Writes everything, and waits for its end as whoever carries bytes does.
async fn write(endpoint: &str, bytes: &[u8]) {
    let mut conn = open(endpoint).await;
    conn.write_all(bytes).await.unwrap();
    conn.shutdown().await.unwrap();
    assert_eq!(conn.read(&mut [0; 1]).await.unwrap(), 0);
}

/// Eight million bytes in which no two parts are alike.
fn large() -> Vec<u8> {
    (0u32..2_000_000).flat_map(u32::to_le_bytes).collect()
}

fn mkfifo(path: &str) {
    let made = std::process::Command::new("mkfifo").arg(path).status();
    assert!(made.unwrap().success());
}

#[tokio::test]
async fn a_large_file_is_read_and_written_byte_for_byte() {
    let folder = Folder::new("file-large");
    let (from, to) = (folder.join("from"), folder.join("to"));
    let bytes = large();
    std::fs::write(&from, &bytes).unwrap();
    let mut conn = open(&format!("file:{from}")).await;
    let mut read = Vec::new();
    conn.read_to_end(&mut read).await.unwrap();
    assert!(read == bytes);
    write(&format!("file:{to},create"), &bytes).await;
    assert!(std::fs::read(&to).unwrap() == bytes);
    assert_eq!(
        conn.facts().peer.unwrap().to_string(),
        format!("file:{from}")
    );
}

#[tokio::test]
async fn what_is_there_is_kept_unless_its_loss_is_asked_for() {
    let folder = Folder::new("file-kept");
    let path = folder.join("log");
    write(&format!("file:{path},create,mode=600"), b"one\n").await;
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    write(&format!("file:{path},append"), b"two\n").await;
    write(&format!("file:{path},append,create"), b"three\n").await;
    let exists = not_opened(&format!("file:{path},create")).await;
    assert!(exists.summary().contains("there already"), "{exists}");
    let unforced = not_opened(&format!("file:{path},truncate")).await;
    assert_eq!(unforced.stage(), Stage::Parse);
    assert_eq!(std::fs::read(&path).unwrap(), b"one\ntwo\nthree\n");
    write(&format!("file:{path},truncate,force"), b"new").await;
    assert_eq!(std::fs::read(&path).unwrap(), b"new");
}

#[tokio::test]
async fn a_file_that_is_read_is_not_written() {
    let folder = Folder::new("file-read");
    let path = folder.join("notes");
    std::fs::write(&path, "hi").unwrap();
    let mut conn = open(&format!("file:{path}")).await;
    let refused = Failure::from_io(Stage::Send, conn.write(b"x").await.unwrap_err());
    assert_eq!(refused.code(), Code::FD_NOT_USABLE);
    let mut said = String::new();
    conn.read_to_string(&mut said).await.unwrap();
    assert_eq!(said, "hi");
}

#[tokio::test]
async fn links_are_followed_but_nothing_is_made_behind_one() {
    let folder = Folder::new("file-links");
    let (real, link, nowhere) = (
        folder.join("real"),
        folder.join("link"),
        folder.join("nowhere"),
    );
    std::fs::write(&real, "a").unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    std::os::unix::fs::symlink(folder.join("gone"), &nowhere).unwrap();
    write(&format!("file:{link},append"), b"b").await;
    assert_eq!(std::fs::read(&real).unwrap(), b"ab");
    not_opened(&format!("file:{nowhere},create")).await;
    assert!(!Path::new(&folder.join("gone")).exists());
}

#[tokio::test]
async fn a_pipe_waits_for_its_writer_and_ends_with_it() {
    let folder = Folder::new("file-fifo");
    let path = folder.join("pipe");
    mkfifo(&path);
    let unread = not_opened(&format!("file:{path},append")).await;
    assert_eq!(
        (unread.code(), unread.may_retry()),
        (Code::FD_NOT_USABLE, true)
    );
    let mut reading = open(&format!("file:{path}")).await;
    let mut writing = open(&format!("file:{path},append")).await;
    let bytes = large();
    let mut read = Vec::new();
    let write = async {
        writing.write_all(&bytes).await.unwrap();
        writing.shutdown().await.unwrap();
    };
    let (all, ()) = tokio::join!(reading.read_to_end(&mut read), write);
    all.unwrap();
    assert!(read == bytes);
}

#[tokio::test]
async fn what_cannot_be_opened_says_what_it_is() {
    let folder = Folder::new("file-wrong");
    let path = folder.path().display();
    let _socket = std::os::unix::net::UnixListener::bind(folder.join("sock")).unwrap();
    for (endpoint, code, said) in [
        (format!("file:{path}"), Code::FD_NOT_USABLE, "is a folder"),
        (
            format!("file:{path},append"),
            Code::FD_NOT_USABLE,
            "is a folder",
        ),
        (
            format!("file:{path}/none"),
            Code::CONNECT_NO_SUCH_PATH,
            "`create` makes one",
        ),
        (
            format!("file:{path}/no/x,create"),
            Code::CONNECT_NO_SUCH_PATH,
            "no folder",
        ),
        (format!("file:{path}/sock"), Code::FD_NOT_USABLE, "unix:"),
        (
            format!("file:{path}/sock/x"),
            Code::CONNECT_NO_SUCH_PATH,
            "a part of",
        ),
        (
            format!("file:{path}/x,mode=600"),
            Code::PARSE_ENDPOINT,
            "needs `create`",
        ),
        (
            format!("file:{path}/x,append,truncate,force"),
            Code::PARSE_ENDPOINT,
            "one of them",
        ),
    ] {
        let failure = not_opened(&endpoint).await;
        assert_eq!(failure.code(), code, "{endpoint}: {failure}");
        assert!(failure.summary().contains(said), "{endpoint}: {failure}");
    }
}

#[tokio::test]
async fn devices_are_opened_and_a_full_one_says_so() {
    let mut zero = open("file:/dev/zero").await;
    let mut some = [1; 1000];
    zero.read_exact(&mut some).await.unwrap();
    assert_eq!(some, [0; 1000]);
    write("file:/dev/null,append", b"gone").await;
    #[cfg(target_os = "linux")]
    {
        let mut full = open("file:/dev/full,append").await;
        full.write_all(b"x").await.unwrap();
        let error = full.shutdown().await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOSPC));
    }
}
