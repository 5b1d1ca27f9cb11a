use std::os::fd::{AsFd, OwnedFd};

use netloom_base::{Code, Failure, Stage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Serial;
use crate::ready::Ready;
use crate::trial;

/// A terminal stands for a line: its far end, the near one, and the path of that.
fn line() -> (OwnedFd, OwnedFd, String) {
    let (far, near) = crate::pty::pair().unwrap();
    let path = rustix::termios::ttyname(near.as_fd(), Vec::new()).unwrap();
    (far, near, path.into_string().unwrap())
}

#[tokio::test]
async fn every_byte_passes_both_ways_at_the_speed_that_was_asked_for() {
    let (far, _near, path) = line();
    let cx = trial::cx(Serial);
    let mut conn = trial::dial(&cx, &format!("serial:{path},baud=57600,stop=2"))
        .await
        .unwrap();
    let set = rustix::termios::tcgetattr(&far).unwrap();
    assert_eq!((set.input_speed(), set.output_speed()), (57_600, 57_600));
    assert!(
        set.control_modes
            .contains(rustix::termios::ControlModes::CSTOPB)
    );
    assert_eq!(
        conn.facts().peer.unwrap().to_string(),
        format!("serial:{path}")
    );
    let mut far = Ready::new(far);
    let all: Vec<u8> = (0..=255).collect();
    let mut got = vec![0; 256];
    conn.write_all(&all).await.unwrap();
    far.read_exact(&mut got).await.unwrap();
    assert_eq!(got, all);
    far.write_all(&all).await.unwrap();
    conn.read_exact(&mut got).await.unwrap();
    assert_eq!(got, all);
    // Nobody is told, and what the other side says still comes.
    conn.shutdown().await.unwrap();
    far.write_all(b"still").await.unwrap();
    conn.read_exact(&mut got[..5]).await.unwrap();
    assert_eq!(&got[..5], b"still");
    drop(far);
    let error = conn.read(&mut got).await.unwrap_err();
    let failure = Failure::from_io(Stage::Recv, error);
    assert!(failure.summary().contains("is gone"), "{failure}");
}

#[tokio::test]
async fn what_is_no_such_line_says_so() {
    let (_far, _near, path) = line();
    let cx = trial::cx(Serial);
    for (endpoint, code, words) in [
        (
            "serial:/dev/no-such-line".to_owned(),
            Code::CONNECT_NO_SUCH_PATH,
            "there is no `/dev/no-such-line`",
        ),
        (
            "serial:/dev/no-such-line?baud=9600".to_owned(),
            Code::CONNECT_NO_SUCH_PATH,
            "serial:/dev/no-such-line,baud=9600",
        ),
        (
            "serial:/dev/null".to_owned(),
            Code::FD_NOT_USABLE,
            "is no serial port",
        ),
        // A terminal has neither parity nor fewer bits.
        (
            format!("serial:{path},data=7,parity=even"),
            Code::FD_NOT_USABLE,
            "does not take 115200 7E1",
        ),
        (
            format!("serial:{path},parity=mark"),
            Code::PARSE_ENDPOINT,
            "parity",
        ),
        (
            format!("serial:{path},baud=0"),
            Code::PARSE_ENDPOINT,
            "baud",
        ),
        (
            format!("serial:{path},data=9"),
            Code::PARSE_ENDPOINT,
            "data",
        ),
    ] {
        let failure = trial::dial(&cx, &endpoint).await.err().unwrap();
        assert_eq!(failure.code(), code, "{endpoint}: {failure}");
        let told = failure.summary() + &format!("{:?}", failure.facts());
        assert!(told.contains(words), "{endpoint}: {told}");
    }
}

#[tokio::test]
async fn nobody_else_opens_it_meanwhile() {
    if rustix::process::geteuid().is_root() {
        eprintln!("skipped: root opens whatever it likes (TIOCEXCL)");
        return;
    }
    let (_far, _near, path) = line();
    let cx = trial::cx(Serial);
    let endpoint = format!("serial:{path}");
    let _first = trial::dial(&cx, &endpoint).await.unwrap();
    let failure = trial::dial(&cx, &endpoint).await.err().unwrap();
    assert_eq!(failure.code(), Code::FD_NOT_USABLE, "{failure}");
    assert!(failure.summary().contains("for itself"), "{failure}");
}
