//! Asking one proxy to pass bytes through.

use std::io;
use std::time::Duration;

use netloom_base::failure::{Fact, ProxyRefusal, Step};
use netloom_base::{Code, Failure, Side, Stage};
use netloom_wire::socks::{Dialogue, Next, Refusal, Target};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::hop::Hop;
use super::{refused, wrong};
use crate::ahead::Ahead;
use crate::conn::Conn;
use crate::cx::Cx;

/// How long a proxy may take to connect to the target and say so.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How much of an answer that was not understood is kept as evidence.
const KEPT: usize = 64;

/// How it ended when it did not end well.
enum Ended {
    Refused(Refusal),
    /// The connection to the proxy ended first, with the kernel's word for it.
    Closed(Option<io::Error>),
}

/// Asks the proxy at the other end of `conn` for `target`. The connection that
/// comes back is the target's.
pub(super) async fn pass(
    mut conn: Conn,
    hop: &Hop,
    target: &Target,
    cx: &Cx,
) -> Result<Conn, Failure> {
    let login = hop.login()?;
    let (mut dialogue, first) = Dialogue::begin(hop.protocol().0, target, login.as_ref())
        .map_err(|unsayable| wrong(format!("{hop} cannot be asked for {target}: {unsayable}")))?;
    let began = cx.now();
    let talk = exchange(&mut conn, &mut dialogue, first);
    let ended = cx.timeout(HANDSHAKE_TIMEOUT, talk).await;

    let case = refused::Case {
        hop,
        target,
        with_login: login.is_some(),
    };
    let failure = match ended {
        Some(Ok(behind)) => {
            conn.remember([step(hop, target, None, cx.now() - began)]);
            return Ok(if behind.is_empty() {
                conn
            } else {
                conn.wrap(|io| Box::new(Ahead::new(behind, io)))
            });
        }
        Some(Err(Ended::Refused(refusal))) => {
            let failure = case.failure(&refusal);
            match first_bytes(&dialogue) {
                Some(bytes) if refusal == Refusal::OtherProtocol => failure.fact(bytes),
                _ => failure,
            }
        }
        Some(Err(Ended::Closed(error))) => {
            let failure = case.mute(
                Code::GREET_CLOSED,
                ProxyRefusal::Closed,
                "closed without an answer",
            );
            let errno = error.and_then(|error| error.raw_os_error());
            match errno {
                Some(errno) => failure.fact(Fact::Errno(netloom_base::failure::Errno(errno))),
                None => failure,
            }
        }
        None => case
            .mute(Code::GREET_TIMEOUT, ProxyRefusal::Silent, "no answer came")
            .fact(Fact::Waited(HANDSHAKE_TIMEOUT))
            .retry(),
    };
    let last = step(hop, target, Some(failure.code()), cx.now() - began);
    Err(failure.after(conn.trail().iter().cloned().chain([last])))
}

/// What belongs to the conversation behind the proxy's answer.
async fn exchange(
    conn: &mut Conn,
    dialogue: &mut Dialogue,
    first: Vec<u8>,
) -> Result<Vec<u8>, Ended> {
    let mut say = first;
    let mut came = [0; 1024];
    loop {
        if !say.is_empty() {
            let said = async {
                conn.write_all(&say).await?;
                conn.flush().await
            };
            said.await.map_err(|error| Ended::Closed(Some(error)))?;
        }
        // It may have heard the next answer together with the last one.
        let heard = dialogue.hear(&[]).map_err(Ended::Refused)?;
        let mut next = heard;
        if next == Next::Hear {
            let read = conn.read(&mut came).await;
            let n = read.map_err(|error| Ended::Closed(Some(error)))?;
            if n == 0 {
                return Err(Ended::Closed(None));
            }
            next = dialogue.hear(&came[..n]).map_err(Ended::Refused)?;
        }
        match next {
            Next::Through(behind) => return Ok(behind),
            Next::Say(words) => say = words,
            Next::Hear => say.clear(),
        }
    }
}

fn step(hop: &Hop, target: &Target, failed: Option<Code>, took: Duration) -> Step {
    Step {
        stage: Stage::Connect,
        to: format!("proxy {hop} → {target}"),
        failed,
        took,
    }
}

fn first_bytes(dialogue: &Dialogue) -> Option<Fact> {
    let heard = dialogue.heard();
    let kept = &heard[..heard.len().min(KEPT)];
    (!kept.is_empty()).then(|| Fact::FirstBytes(kept.to_vec()))
}

impl refused::Case<'_> {
    /// A failure in which the proxy said nothing that could be read.
    pub(super) fn mute(&self, code: Code, why: ProxyRefusal, said: &str) -> Failure {
        let failure = Failure::new(Stage::Connect, Side::Path, code);
        failure
            .message(format!("the proxy {}: {said}", self.hop))
            .fact(self.answer(why, said.to_owned()))
    }
}
