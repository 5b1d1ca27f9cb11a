//! How a conversation ends: who closes first, and what the other end does then.

use std::time::Duration;

use netloom_base::failure::Spoken;
use netloom_base::story::Told;
use netloom_base::{Code, Failure, Stage};
use netloom_transport::{Close, Conn, Cx};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::watch::{Seeing, Seen};

/// How long a peer that means to close first is waited for.
const AFTER_YOU: Duration = Duration::from_millis(50);

/// The most bytes that are read on the way to the end.
const MOST: u64 = 1 << 20;

/// How one end came.
enum End {
    /// The peer said that it will say no more.
    Peer,
    /// It went on beyond what is read here.
    More,
    /// Reading failed.
    Failed(Failure),
}

/// Sees the conversation to its end, and tells how that went. `conn` is `None`
/// where the protocol has ended it; `patience` is how long the peer may take
/// to close after this end did, and `None` where nothing is to be closed.
///
/// # Errors
/// What the peer's end is when it is no end of a connection: a program that
/// ended with an error.
pub(super) async fn end(
    conn: Option<Conn>,
    seeing: &Seeing,
    patience: Option<Duration>,
    cx: &Cx,
) -> Result<Told, Failure> {
    let Some(patience) = patience else {
        return Ok(told(
            "left open: both ends are this program's own".to_owned(),
        ));
    };
    let Some(mut conn) = conn else {
        return Ok(told(ended_by_protocol(seeing.so_far())));
    };
    let before = seeing.so_far();
    let mut waited = String::new();
    if before.peer_ended.is_none() && before.failed.is_none() {
        match cx.timeout(AFTER_YOU, read_on(&mut conn, seeing)).await {
            Some(End::Failed(failure)) => return broken(conn, failure, "before we closed"),
            Some(End::More) => {
                conn.close(Close::Abort);
                return Ok(told(
                    "the peer was still sending when we hung up".to_owned(),
                ));
            }
            Some(End::Peer) => {}
            None => {
                let seen = seeing.so_far();
                let silence = cx.now() - seen.last_byte.unwrap_or(seen.since);
                waited = format!(", after {} of silence", Spoken(silence));
            }
        }
    }
    let peer_first = seeing.so_far().peer_ended;
    // To a peer that is gone nothing can be said; what it did is told below.
    let shut = cx.timeout(patience, conn.shutdown()).await;
    let shut_at = cx.now();
    if let Some(at) = peer_first {
        let after = Spoken(shut_at - at);
        conn.close(Close::Orderly);
        return Ok(told(match shut {
            Some(Ok(())) => format!("the peer closed first; we followed {after} later"),
            _ => "the peer closed first, and took no goodbye".to_owned(),
        }));
    }
    let answer = cx.timeout(patience, read_on(&mut conn, seeing)).await;
    let text = match answer {
        Some(End::Peer) => {
            let at = seeing.so_far().peer_ended.unwrap_or(shut_at);
            format!(
                "we closed first{waited}; the peer followed {} later",
                Spoken(at - shut_at)
            )
        }
        Some(End::Failed(failure)) => return broken(conn, failure, "after we closed first"),
        Some(End::More) => {
            conn.close(Close::Abort);
            return Ok(told(
                "we closed first; the peer went on sending, and we hung up".to_owned(),
            ));
        }
        None => {
            let most = Spoken(patience);
            format!("we closed first{waited}; the peer keeps its half open ({most} later still)")
        }
    };
    conn.close(Close::Orderly);
    Ok(told(text))
}

/// Reads until the peer's end, and throws away what comes.
async fn read_on(conn: &mut Conn, seeing: &Seeing) -> End {
    let least = seeing.so_far().received;
    let mut buffer = vec![0; 16 * 1024];
    loop {
        match conn.read(&mut buffer).await {
            Ok(0) => return End::Peer,
            Ok(_) if seeing.so_far().received - least > MOST => return End::More,
            Ok(_) => {}
            Err(error) => return End::Failed(conn.failure(Stage::Close, error)),
        }
    }
}

/// A reset is an end too; a failure that a layer or a program tells is one.
fn broken(conn: Conn, failure: Failure, when: &str) -> Result<Told, Failure> {
    conn.close(Close::Orderly);
    match failure.stage() {
        Stage::Close if failure.code() == Code::RECV_RESET => Ok(told(format!(
            "the peer reset the connection instead of closing it, {when}"
        ))),
        Stage::Close if failure.code() == Stage::Close.other() => {
            Ok(told(format!("{}, {when}", failure.summary())))
        }
        _ => Err(failure),
    }
}

fn ended_by_protocol(seen: Seen) -> String {
    match (seen.peer_ended, seen.we_ended, seen.failed) {
        (Some(peer), Some(we), _) if peer < we => {
            format!(
                "the peer closed first; we followed {} later",
                Spoken(we - peer)
            )
        }
        (Some(peer), Some(we), _) => {
            format!(
                "we closed first; the peer followed {} later",
                Spoken(peer - we)
            )
        }
        (Some(_), None, _) => "the peer closed first".to_owned(),
        (None, _, Some(_)) => "the connection broke after the greeting".to_owned(),
        (None, ..) => "we closed first".to_owned(),
    }
}

fn told(text: String) -> Told {
    Told::new("close", text, "recv")
}
