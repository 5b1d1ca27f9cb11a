//! `chargen`: lines of characters for as long as the client reads (RFC 864).

use std::borrow::Cow;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use netloom_base::settings::ByteSize;
use netloom_base::{Failure, Key, SettingError, Settings, Stage, settings};
use netloom_protocol::{Answer, DatagramService, Offer, Service, each, finish};
use netloom_transport::scratch::with_scratch;
use netloom_transport::{BoxFuture, Close, Conn, Cx, Net, Notice};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::registry::ServiceKind;

settings! {
    /// How much is generated.
    struct ChargenSettings {
        /// end after so many bytes; 0 is never
        bytes: ByteSize = ByteSize(0),
    }
}

/// The kind `chargen`.
#[derive(Debug, Clone, Copy)]
pub struct Chargen;

impl ServiceKind for Chargen {
    fn name(&self) -> &'static str {
        "chargen"
    }

    fn help(&self) -> &'static str {
        "send lines of characters for as long as the client reads"
    }

    fn keys(&self) -> &'static [Key] {
        ChargenSettings::KEYS
    }

    fn build(&self, settings: &Settings, _: &dyn Net) -> Result<Offer, Vec<SettingError>> {
        let bytes = ChargenSettings::read(settings)?.bytes.0;
        let most = if bytes == 0 { u64::MAX } else { bytes };
        Ok(Offer::Bytes(Arc::new(Characters {
            pattern: pattern(),
            most,
        })))
    }
}

/// Printable characters, one line's worth of them.
const PRINTABLE: u8 = 95;
const LINE: usize = 72;

/// The whole cycle of the RFC's pattern: 95 lines, each beginning one
/// character later. Any number of copies in a row is the pattern too.
fn pattern() -> Vec<u8> {
    let mut text = Vec::with_capacity((LINE + 2) * PRINTABLE as usize);
    for first in 0..PRINTABLE {
        text.extend((0..LINE as u8).map(|i| b' ' + (first + i) % PRINTABLE));
        text.extend_from_slice(b"\r\n");
    }
    text
}

struct Characters {
    pattern: Vec<u8>,
    most: u64,
}

impl Service for Characters {
    fn serve<'a>(&'a self, mut conn: Conn, cx: &'a Cx) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let mut generating = Generating {
                sent: 0,
                client_ended: false,
            };
            let ended = std::future::poll_fn(|task| generating.poll(self, &mut conn, task)).await;
            match ended {
                Ok(()) => finish(conn, cx).await,
                // However the client leaves, it leaves because it has had enough.
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
                    ) =>
                {
                    conn.close(Close::Orderly);
                    Ok(())
                }
                Err(error) => Err(conn.failure(Stage::Send, error)),
            }
        })
    }

    fn datagrams(self: Arc<Self>) -> Option<Arc<dyn DatagramService>> {
        Some(each(Handful {
            pattern: pattern(),
            most: self.most.min(MOST_ANSWERED),
        }))
    }
}

/// The most characters in one answer to a datagram (RFC 864).
const MOST_ANSWERED: u64 = 512;

/// Answers a datagram with so many characters as chance says.
struct Handful {
    pattern: Vec<u8>,
    most: u64,
}

impl Answer for Handful {
    fn answer<'r>(&'r self, _: &'r [u8], cx: &Cx) -> Option<Cow<'r, [u8]>> {
        let some = cx.random_below(self.most + 1) as usize;
        Some((&self.pattern[..some]).into())
    }
}

struct Generating {
    sent: u64,
    client_ended: bool,
}

impl Generating {
    /// Writes until the limit, and throws away what the client sends.
    fn poll(
        &mut self,
        what: &Characters,
        conn: &mut Conn,
        task: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.swallow(conn, task)?;
        while self.sent < what.most {
            if conn.notice() == Some(Notice::Drain) {
                break;
            }
            let at = (self.sent % what.pattern.len() as u64) as usize;
            let room = usize::try_from(what.most - self.sent).unwrap_or(usize::MAX);
            let rest = &what.pattern[at..];
            self.sent +=
                ready!(Pin::new(&mut *conn).poll_write(task, &rest[..rest.len().min(room)]))?
                    as u64;
        }
        Poll::Ready(Ok(()))
    }

    fn swallow(&mut self, conn: &mut Conn, task: &mut Context<'_>) -> io::Result<()> {
        with_scratch(|scratch| {
            while !self.client_ended {
                let mut buf = ReadBuf::new(scratch);
                match Pin::new(&mut *conn).poll_read(task, &mut buf) {
                    Poll::Ready(result) => result?,
                    Poll::Pending => break,
                }
                self.client_ended = buf.filled().is_empty();
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pattern_is_the_rfc_s() {
        let text = pattern();
        assert!(text.starts_with(
            b" !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefg\r\n!\"#"
        ));
        assert_eq!(text.len(), 95 * 74);
    }
}
