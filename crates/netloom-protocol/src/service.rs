//! What answers a connection.

use std::sync::Arc;
use std::time::Duration;

use netloom_base::{Failure, Kind, Opens, SettingError, Stage};
use netloom_transport::scratch::with_scratch;
use netloom_transport::{BoxFuture, Close, Conn, Cx, Messages};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};

use crate::datagrams::{Answer, DatagramService};
use crate::measures::Measures;
use netloom_wire::framing::Framing;

/// How long an idle connection of a service that keeps connections open lives.
pub const LONG_IDLE: Duration = Duration::from_hours(1);

/// Holds conversations over streams. One value serves every connection.
pub trait Service: Send + Sync {
    /// Holds one conversation. It ends when this returns.
    ///
    /// When [`Conn::notice`] says so while nothing is in flight, the service
    /// ends the conversation in order, or gives it up with [`Conn::depart`] and
    /// returns; it is then called again on another core.
    fn serve<'a>(&'a self, conn: Conn, cx: &'a Cx) -> BoxFuture<'a, Result<(), Failure>>;

    /// What whoever reaches it can do to this host, where that is more than to
    /// talk: said when it is bound where strangers are.
    fn risk(&self) -> Option<String> {
        None
    }

    /// Who must speak first. A silent client of a service that waits for its
    /// first word is held to the greeting deadline.
    fn opens(&self) -> Opens {
        Opens::Either
    }

    /// How long a connection may be idle unless its limits say otherwise.
    fn idle(&self) -> Duration {
        LONG_IDLE
    }

    /// The same for datagrams, where that makes sense.
    fn datagrams(self: Arc<Self>) -> Option<Arc<dyn DatagramService>> {
        None
    }

    /// The same for whole messages, where that makes sense: what is done for a
    /// datagram is done for a message.
    fn messages(self: Arc<Self>) -> Option<Arc<dyn MessageService>> {
        None
    }

    /// The same for datagrams where it speaks in streams: each datagram is one
    /// message of `framing`, of at most `longest` bytes.
    fn framed_datagrams(
        self: Arc<Self>,
        framing: Framing,
        longest: usize,
    ) -> Option<Arc<dyn DatagramService>> {
        let _ = (framing, longest);
        None
    }

    /// Why it cannot be carried by what gives `kind`, with or without framing,
    /// though the kinds themselves would fit.
    fn refuses(&self, kind: Kind, framed: bool) -> Option<SettingError> {
        let _ = (kind, framed);
        None
    }

    /// The value that serves the `nth` (from 0) of `of` addresses that were
    /// written as one set of ports, or why they cannot be served; `None` where
    /// this one serves them all.
    ///
    /// # Errors
    /// In words, for whoever wrote the set.
    fn nth(self: Arc<Self>, nth: usize, of: usize) -> Result<Option<Arc<dyn Service>>, String> {
        let _ = (nth, of);
        Ok(None)
    }

    /// Where it carries to, when it carries on what comes.
    fn leads_to(&self) -> Option<String> {
        None
    }

    /// Called once, before anybody is let in: opens what it needs besides and
    /// starts what must run beside it, in `cx`.
    ///
    /// # Errors
    /// What could not be opened. Then nothing is served.
    fn begin(self: Arc<Self>, cx: &Cx) -> Result<(), Failure> {
        let _ = cx;
        Ok(())
    }

    /// Whether it tells itself how each of its conversations ended, so that
    /// nobody else need.
    fn accounts(&self) -> bool {
        false
    }

    /// Tells the figures it keeps besides those that every service has.
    fn measure(&self, to: &mut dyn Measures) {
        let _ = to;
    }

    /// The value that serves one core, for a service that keeps state per core.
    fn per_core(&self, core: usize) -> Option<Arc<dyn Service>> {
        let _ = core;
        None
    }
}

/// A service made of a function from a connection to a future.
///
/// ```
/// use netloom_protocol::from_fn;
/// use tokio::io::AsyncWriteExt;
///
/// let greeter = from_fn(|mut conn, cx| async move {
///     conn.write_all(b"hello\r\n").await.map_err(|e| conn.failure(netloom_base::Stage::Send, e))?;
///     netloom_protocol::finish(conn, &cx).await
/// });
/// # let _: &dyn netloom_protocol::Service = &greeter;
/// ```
pub fn from_fn<F, Fut>(hold: F) -> impl Service
where
    F: Fn(Conn, Cx) -> Fut + Send + Sync,
    Fut: Future<Output = Result<(), Failure>> + Send + 'static,
{
    FromFn(hold)
}

struct FromFn<F>(F);

impl<F, Fut> Service for FromFn<F>
where
    F: Fn(Conn, Cx) -> Fut + Send + Sync,
    Fut: Future<Output = Result<(), Failure>> + Send + 'static,
{
    fn serve<'a>(&'a self, conn: Conn, cx: &'a Cx) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(self.0(conn, cx.clone()))
    }
}

/// Holds conversations in whole messages.
pub trait MessageService: Send + Sync {
    /// Holds one conversation. It ends when this returns.
    fn serve<'a>(
        &'a self,
        messages: Box<dyn Messages>,
        cx: &'a Cx,
    ) -> BoxFuture<'a, Result<(), Failure>>;

    /// How long a connection may be idle unless its limits say otherwise.
    fn idle(&self) -> Duration {
        LONG_IDLE
    }

    /// Tells the figures it keeps besides those that every service has.
    fn measure(&self, to: &mut dyn Measures) {
        let _ = to;
    }

    /// As [`Service::accounts`].
    fn accounts(&self) -> bool {
        false
    }
}

/// Answers every message on its own, as [`each`](crate::each) answers datagrams.
pub fn each_message(answer: impl Answer) -> Arc<dyn MessageService> {
    Arc::new(EachMessage(answer))
}

struct EachMessage<A>(A);

impl<A: Answer> MessageService for EachMessage<A> {
    fn serve<'a>(
        &'a self,
        mut messages: Box<dyn Messages>,
        cx: &'a Cx,
    ) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            while let Some(request) = messages.recv().await? {
                if let Some(answer) = self.0.answer(&request, cx) {
                    messages.send(&answer).await?;
                }
            }
            messages.close().await
        })
    }
}

/// How long, and for how many bytes, a closing server listens to a client that
/// still talks.
const LINGER: (Duration, u64) = (Duration::from_secs(2), 1 << 20);

/// Ends a conversation in which this side has said everything.
///
/// A socket closed with unread bytes resets the connection, and a reset can
/// overtake the last words (RFC 9293 §3.10.4, RFC 1122 §4.2.2.13). So this
/// side is shut first, and what the peer still sends is read and thrown away,
/// within limits, until it has shut its side too.
pub async fn finish(mut conn: Conn, cx: &Cx) -> Result<(), Failure> {
    if let Err(error) = conn.shutdown().await {
        return Err(conn.failure(Stage::Close, error));
    }
    let mut left = LINGER.1;
    let drained = cx.timeout(LINGER.0, async {
        while left > 0 {
            match read_and_drop(&mut conn).await {
                Ok(0) | Err(_) => return,
                Ok(n) => left = left.saturating_sub(n as u64),
            }
        }
    });
    drained.await;
    conn.close(Close::Orderly);
    Ok(())
}

/// Reads what is there into the thread's scratch and forgets it.
async fn read_and_drop(conn: &mut Conn) -> std::io::Result<usize> {
    std::future::poll_fn(|task| {
        with_scratch(|scratch| {
            let mut buf = ReadBuf::new(scratch);
            std::pin::Pin::new(&mut *conn)
                .poll_read(task, &mut buf)
                .map_ok(|()| buf.filled().len())
        })
    })
    .await
}
