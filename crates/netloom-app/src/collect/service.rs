//! One connection, one file.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use netloom_base::event::{Fields, Record};
use netloom_base::{Code, Event, Failure, Kind, SettingError, Side, Stage};
use netloom_protocol::Service;
use netloom_transport::scratch::with_scratch;
use netloom_transport::{BoxFuture, Close, Conn, Cx};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::task::spawn_blocking;

use super::folder::{Folder, Part};
use super::{CollectSettings, Quotas};

/// Writes files into a folder.
pub(super) struct Collector {
    settings: CollectSettings,
    /// Taken when the service begins.
    folder: OnceLock<Arc<Folder>>,
}

impl Collector {
    pub(super) fn new(settings: CollectSettings) -> Self {
        Collector {
            settings,
            folder: OnceLock::new(),
        }
    }

    fn quotas(&self) -> Quotas {
        Quotas {
            max_bytes: self.settings.max_bytes.0,
            max_total: self.settings.max_total.0,
            min_free: self.settings.min_free.0,
            keep_partial: self.settings.keep_partial,
        }
    }

    fn folder(&self) -> Result<Arc<Folder>, Failure> {
        let not_begun = || Failure::new(Stage::Create, Side::Us, Code::STOPPED);
        self.folder.get().cloned().ok_or_else(not_begun)
    }

    /// Reads to the client's end; its file, if it sent anything.
    async fn collect(&self, conn: &mut Conn, cx: &Cx) -> Result<Option<(String, u64)>, Failure> {
        let peer = conn.facts().peer;
        let peer = peer.map_or_else(|| "unknown".to_owned(), |peer| peer.to_string());
        let (folder, mut part) = (self.folder()?, None);
        loop {
            let chunk = match next(conn).await {
                Ok(chunk) if chunk.is_empty() => break,
                Ok(chunk) => chunk,
                Err(error) => {
                    blocking(move || {
                        drop(part);
                        Ok(())
                    })
                    .await?;
                    return Err(conn.failure(Stage::Recv, error));
                }
            };
            let (open, folder) = (part.take(), folder.clone());
            let name = match open {
                Some(_) => String::new(),
                None => self.settings.name.fill(cx.wall(), &peer, conn.id()),
            };
            part = blocking(move || {
                let mut part = match open {
                    Some(part) => part,
                    None => Part::begin(folder, &name)?,
                };
                part.write(&chunk)?;
                Ok(Some(part))
            })
            .await?;
        }
        let sync = !self.settings.no_sync;
        match part {
            Some(part) => blocking(move || part.finish(sync)).await.map(Some),
            None => Ok(None),
        }
    }
}

/// What has come; nothing at the end.
async fn next(conn: &mut Conn) -> io::Result<Vec<u8>> {
    std::future::poll_fn(|task| {
        with_scratch(|scratch| {
            let mut buf = ReadBuf::new(scratch);
            Pin::new(&mut *conn)
                .poll_read(task, &mut buf)
                .map_ok(|()| buf.filled().to_vec())
        })
    })
    .await
}

/// A disk may be far away, and slow: its work is done beside the reactor. What
/// was begun is finished, though nobody waits for it any more.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let lost = |error| Failure::from_io(Stage::Recv, io::Error::other(error));
    spawn_blocking(work).await.map_err(lost)?
}

impl Service for Collector {
    /// The disk is looked at here and now: nobody is served yet.
    fn begin(self: Arc<Self>, cx: &Cx) -> Result<(), Failure> {
        let quotas = self.quotas();
        let (folder, unfinished) = Folder::open(&self.settings.into, quotas)?;
        if unfinished > 0 {
            let fate = if quotas.keep_partial {
                "kept as partial"
            } else {
                "removed"
            };
            let files = if unfinished == 1 { "file" } else { "files" };
            let text = format!("{unfinished} unfinished {files} of an earlier run: {fate}");
            cx.remark(cx.service(), text);
        }
        let _ = self.folder.set(Arc::new(folder)); // begun once
        Ok(())
    }

    fn refuses(&self, kind: Kind, _: bool) -> Option<SettingError> {
        let message =
            "a file is the bytes of a stream, whose end makes it whole; datagrams have none";
        (kind == Kind::Datagram).then(|| SettingError::new("on", None, message))
    }

    fn risk(&self) -> Option<String> {
        Some("whoever reaches it fills the folder up to its limits".to_owned())
    }

    fn serve<'a>(&'a self, mut conn: Conn, cx: &'a Cx) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let collected = match self.collect(&mut conn, cx).await {
                Ok(collected) => collected,
                Err(failure) => {
                    // The client must not take this for a good end.
                    conn.close(Close::Abort);
                    return Err(failure);
                }
            };
            if let Some((file, bytes)) = collected {
                let conn = conn.id();
                cx.events()
                    .tell_connection(|| Event::Note(Box::new(Collected { conn, file, bytes })));
            }
            // Only now, so that who sees the end knows that the file is there.
            if let Err(error) = conn.shutdown().await {
                return Err(conn.failure(Stage::Close, error));
            }
            conn.close(Close::Orderly);
            Ok(())
        })
    }
}

/// A file is whole.
#[derive(Debug)]
struct Collected {
    conn: u64,
    file: String,
    bytes: u64,
}

impl Record for Collected {
    fn kind(&self) -> &'static str {
        "collected"
    }

    fn fields(&self, to: &mut dyn Fields) {
        to.number("conn", self.conn);
        to.text("file", &self.file);
        to.number("bytes", self.bytes);
        to.text("text", &format!("{} has {} bytes", self.file, self.bytes));
    }
}
