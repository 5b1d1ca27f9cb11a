use netloom_base::{Code, Failure, Stage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Pty;
use crate::conn::Conn;
use crate::trial;

async fn run(endpoint: &str) -> Conn {
    trial::dial(&trial::cx(Pty), endpoint).await.unwrap()
}

/// All it says, and how it ended.
async fn hear(conn: &mut Conn) -> (String, Result<(), Failure>) {
    let mut all = Vec::new();
    let ended = conn.read_to_end(&mut all).await;
    let ended = ended.map(drop);
    (
        String::from_utf8_lossy(&all).into_owned(),
        ended.map_err(|error| Failure::from_io(Stage::Recv, error)),
    )
}

#[tokio::test]
async fn a_program_sees_a_terminal_of_this_size_and_its_own_session() {
    let script = "pty:sh -c 'test -t 0 && test -t 1 && test -t 2 && stty size && ps -o sid= -p $$ && echo $$',size=100x33";
    let (said, ended) = hear(&mut run(script).await).await;
    ended.unwrap();
    let words: Vec<&str> = said.split_whitespace().collect();
    assert_eq!(words[..2], ["33", "100"], "{said}");
    assert_eq!(words[2], words[3], "it leads its session: {said}");
}

#[tokio::test]
async fn what_is_typed_is_echoed_and_the_end_of_the_stream_is_the_end_of_the_input() {
    let mut conn = run("pty:cat").await;
    conn.write_all(b"one\nand a half").await.unwrap();
    conn.shutdown().await.unwrap();
    let (said, ended) = hear(&mut conn).await;
    ended.unwrap();
    // Once echoed, once said, with the ends of line that terminals have.
    assert_eq!(said.matches("one\r\n").count(), 2, "{said:?}");
    assert_eq!(said.matches("and a half").count(), 2, "{said:?}");
}

#[tokio::test]
async fn a_raw_terminal_passes_every_byte() {
    let mut conn = run("pty:head -c 256,raw").await;
    let all: Vec<u8> = (0..=255).collect();
    conn.write_all(&all).await.unwrap();
    let mut back = Vec::new();
    conn.read_to_end(&mut back).await.unwrap();
    assert_eq!(back, all);
}

#[tokio::test]
async fn a_key_is_a_signal_and_how_it_ended_is_told() {
    let mut conn = run("pty:sleep 600").await;
    conn.write_all(b"\x03").await.unwrap();
    let (_, ended) = hear(&mut conn).await;
    let failure = ended.unwrap_err();
    assert_eq!(failure.code(), Code::EXEC_FAILED);
    assert!(failure.summary().contains("SIGINT"), "{failure}");
}

#[tokio::test]
async fn dropping_it_hangs_up() {
    let folder = trial::Folder::new("pty-hangup");
    let pipe = folder.join("told");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let script = format!(
        "pty:sh -c 'trap \"echo hung up > {pipe}; exit\" HUP; echo ready; while :; do sleep 600 & wait; done'"
    );
    let mut conn = run(&script).await;
    let mut ready = [0; 5];
    conn.read_exact(&mut ready).await.unwrap();
    assert_eq!(&ready, b"ready");
    drop(conn);
    let mut told = String::new();
    let opened = tokio::net::unix::pipe::OpenOptions::new().open_receiver(&pipe);
    opened.unwrap().read_to_string(&mut told).await.unwrap();
    assert_eq!(told, "hung up\n");
}

#[tokio::test]
async fn what_cannot_be_run_says_so() {
    let cx = trial::cx(Pty);
    for (endpoint, code) in [
        ("pty:netloom-no-such-program", Code::EXEC_NOT_FOUND),
        ("pty:/", Code::EXEC_DENIED),
        ("pty:sh -c 'x", Code::PARSE_ENDPOINT),
        ("pty:sh,size=80", Code::PARSE_ENDPOINT),
    ] {
        let failure = trial::dial(&cx, endpoint).await.err().unwrap();
        assert_eq!(failure.code(), code, "{endpoint}: {failure}");
    }
}
