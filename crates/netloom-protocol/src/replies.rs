//! Replies of three digits, read while a conversation opens: SMTP and FTP.

use netloom_base::Failure;
use netloom_wire::reply::{Replies, Reply};

use crate::opening::Opening;
use crate::shown::{COLUMNS, shown};

/// The next reply.
///
/// # Errors
/// As [`Opening::line`]; what is no reply is `greet.wrong-protocol`.
pub async fn reply(opening: &mut Opening<'_>) -> Result<Reply, Failure> {
    let mut replies = Replies::default();
    loop {
        let line = opening.line().await?;
        match replies.line(&line) {
            Ok(Some(reply)) => return Ok(reply),
            Ok(None) => {}
            Err(_) => return Err(opening.wrong()),
        }
    }
}

/// Says one command and gives the reply to it.
///
/// # Errors
/// As [`reply`] and [`Opening::say`].
pub async fn ask(opening: &mut Opening<'_>, command: &str) -> Result<Reply, Failure> {
    opening.say(format!("{command}\r\n").as_bytes()).await?;
    reply(opening).await
}

/// A reply as one line for a person: `220 mx.example.org ESMTP`.
pub fn told(reply: &Reply) -> String {
    let text = shown(reply.text().trim_ascii(), COLUMNS);
    format!("{} {text}", reply.code()).trim_end().to_owned()
}
