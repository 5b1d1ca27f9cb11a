//! `discard`: what comes in is thrown away (RFC 863).

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use netloom_base::{Failure, Key, SettingError, Settings, Stage};
use netloom_protocol::{
    Answer, DatagramService, MessageService, Offer, Service, each, each_message,
};
use netloom_transport::scratch::with_scratch;
use netloom_transport::{BoxFuture, Close, Conn, Cx, Net, Notice};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};

use crate::registry::ServiceKind;

/// The kind `discard`.
#[derive(Debug, Clone, Copy)]
pub struct Discard;

impl ServiceKind for Discard {
    fn name(&self) -> &'static str {
        "discard"
    }

    fn help(&self) -> &'static str {
        "read and throw away what comes in"
    }

    fn keys(&self) -> &'static [Key] {
        &[]
    }

    fn build(&self, settings: &Settings, _: &dyn Net) -> Result<Offer, Vec<SettingError>> {
        match settings.unknown(self.keys()) {
            errors if errors.is_empty() => Ok(Offer::Bytes(Arc::new(Discard))),
            errors => Err(errors),
        }
    }
}

impl Service for Discard {
    fn serve<'a>(&'a self, mut conn: Conn, _: &'a Cx) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            match swallow(&mut conn).await {
                Ok(Some(Notice::Move)) => {
                    // One that cannot move stays: nothing is lost by reading on.
                    let Some(mut stayed) = conn.depart()? else {
                        return Ok(());
                    };
                    let ended = swallow(&mut stayed).await;
                    return ended
                        .map(drop)
                        .map_err(|error| stayed.failure(Stage::Recv, error));
                }
                Ok(_) => {}
                Err(error) => return Err(conn.failure(Stage::Recv, error)),
            }
            if let Err(error) = conn.shutdown().await {
                return Err(conn.failure(Stage::Close, error));
            }
            conn.close(Close::Orderly);
            Ok(())
        })
    }

    fn datagrams(self: Arc<Self>) -> Option<Arc<dyn DatagramService>> {
        Some(each(*self))
    }

    fn messages(self: Arc<Self>) -> Option<Arc<dyn MessageService>> {
        Some(each_message(*self))
    }
}

impl Answer for Discard {
    fn answer<'r>(&'r self, _: &'r [u8], _: &Cx) -> Option<Cow<'r, [u8]>> {
        None
    }
}

/// Reads until the client has said everything, or until the seat's keeper
/// wants something of a connection at rest.
async fn swallow(conn: &mut Conn) -> std::io::Result<Option<Notice>> {
    std::future::poll_fn(|task| {
        with_scratch(|scratch| {
            loop {
                let mut buf = ReadBuf::new(scratch);
                match Pin::new(&mut *conn).poll_read(task, &mut buf) {
                    Poll::Ready(Ok(())) if buf.filled().is_empty() => return Poll::Ready(Ok(None)),
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => match conn.notice() {
                        Some(notice @ (Notice::Drain | Notice::Move)) => {
                            return Poll::Ready(Ok(Some(notice)));
                        }
                        _ => return Poll::Pending,
                    },
                }
            }
        })
    })
    .await
}
