//! One desk for several conversations: what is typed goes to all of them, and
//! every line that comes says from whom it is.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use netloom_base::{Failure, Stage};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::desk::Desk;

/// How much may wait for the slowest of them, and to be shown.
const ROOM: usize = 256 * 1024;

/// The longest line that is kept together.
const LONGEST_LINE: usize = 64 * 1024;

/// What several share. Its clones are one.
#[derive(Clone)]
pub(super) struct Hub(Arc<Mutex<State>>);

struct State {
    parts: Vec<Queue>,
    /// Marked lines on their way to the desk.
    out: Vec<u8>,
    /// What the desk is being given of them, and how much of that it has.
    writing: Vec<u8>,
    written: usize,
    /// Whether lines say by themselves from whom they are.
    json: bool,
    ended: bool,
    driver: Option<Waker>,
}

/// One of them.
struct Queue {
    label: String,
    /// What is typed and not yet taken, as it was typed.
    typed: VecDeque<Vec<u8>>,
    waiting: usize,
    /// The line that came and has no end yet.
    line: Vec<u8>,
    open: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Hub {
    pub(super) fn new(labels: impl Iterator<Item = String>, json: bool) -> Self {
        let part = |label| Queue {
            label,
            typed: VecDeque::new(),
            waiting: 0,
            line: Vec::new(),
            open: true,
            reader: None,
            writer: None,
        };
        Hub(Arc::new(Mutex::new(State {
            parts: labels.map(part).collect(),
            out: Vec::new(),
            writing: Vec::new(),
            written: 0,
            json,
            ended: false,
            driver: None,
        })))
    }

    /// The stream of the conversation of that number.
    pub(super) fn part(&self, number: usize) -> Part {
        Part {
            hub: self.clone(),
            number,
        }
    }

    /// Shows a line of our own.
    pub(super) fn say(&self, line: &str) {
        let mut state = self.lock();
        state.out.extend_from_slice(line.as_bytes());
        state.out.push(b'\n');
        state.wake();
    }

    /// Whether nothing more is typed.
    pub(super) fn has_ended(&self) -> bool {
        self.lock().ended
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries between the desk and all of them; ends only when the desk fails.
    pub(super) async fn run(&self, mut desk: Desk) -> Failure {
        let mut block = vec![0; 64 * 1024];
        let (stage, error) = poll_fn(|task| {
            self.lock().driver = Some(task.waker().clone());
            loop {
                if let Poll::Ready(Err(error)) = self.show(&mut desk, task) {
                    return Poll::Ready((Stage::Send, error));
                }
                {
                    let state = self.lock();
                    let full = |part: &Queue| part.open && part.waiting > ROOM;
                    if state.ended || state.parts.iter().any(full) {
                        return Poll::Pending;
                    }
                }
                let mut buf = ReadBuf::new(&mut block);
                match ready!(Pin::new(&mut desk).poll_read(task, &mut buf)) {
                    Ok(()) => self.lock().typed(buf.filled()),
                    Err(error) => return Poll::Ready((Stage::Recv, error)),
                }
            }
        })
        .await;
        Failure::from_io(stage, error)
    }

    /// Shows all that is still to be shown.
    pub(super) async fn finish(&self, mut desk: Desk) {
        let shown = poll_fn(|task| self.show(&mut desk, task));
        let _ = shown.await; // whoever does not read has been noticed before
    }

    fn show(&self, desk: &mut Desk, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.lock();
        loop {
            while state.written < state.writing.len() {
                let left = &state.writing[state.written..];
                let n = ready!(Pin::new(&mut *desk).poll_write(task, left))?;
                state.written += n;
            }
            state.writing = std::mem::take(&mut state.out);
            state.written = 0;
            if state.writing.is_empty() {
                return Pin::new(&mut *desk).poll_flush(task);
            }
            for part in &mut state.parts {
                if let Some(writer) = part.writer.take() {
                    writer.wake();
                }
            }
        }
    }
}

impl State {
    fn wake(&mut self) {
        if let Some(driver) = self.driver.take() {
            driver.wake();
        }
    }

    fn typed(&mut self, bytes: &[u8]) {
        self.ended = bytes.is_empty();
        for part in self.parts.iter_mut().filter(|part| part.open) {
            if !bytes.is_empty() {
                part.typed.push_back(bytes.to_vec());
                part.waiting += bytes.len();
            }
            if let Some(reader) = part.reader.take() {
                reader.wake();
            }
        }
    }

    /// Moves the line that came to what is shown.
    fn mark(&mut self, number: usize) {
        let part = &mut self.parts[number];
        if !self.json {
            let mark = format!("[{}] ", part.label);
            self.out.extend_from_slice(mark.as_bytes());
        }
        self.out.append(&mut part.line);
        if !self.out.ends_with(b"\n") {
            self.out.push(b'\n');
        }
    }
}

/// One conversation's share of the desk.
pub(super) struct Part {
    hub: Hub,
    number: usize,
}

impl AsyncRead for Part {
    fn poll_read(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.hub.lock();
        let ended = state.ended;
        let part = &mut state.parts[self.number];
        let Some(first) = part.typed.front_mut() else {
            if ended {
                return Poll::Ready(Ok(()));
            }
            part.reader = Some(task.waker().clone());
            return Poll::Pending;
        };
        let rest = first.split_off(first.len().min(buf.remaining()));
        buf.put_slice(first);
        part.waiting -= first.len();
        *first = rest;
        if first.is_empty() {
            part.typed.pop_front();
        }
        state.wake();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Part {
    fn poll_write(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.hub.lock();
        if state.out.len() > ROOM {
            state.parts[self.number].writer = Some(task.waker().clone());
            state.wake();
            return Poll::Pending;
        }
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            state.parts[self.number].line.extend_from_slice(line);
            let long = !state.json && state.parts[self.number].line.len() >= LONGEST_LINE;
            if line.ends_with(b"\n") || long {
                state.mark(self.number);
            }
        }
        state.wake();
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let mut state = self.hub.lock();
        if !state.parts[self.number].line.is_empty() {
            state.mark(self.number);
        }
        let part = &mut state.parts[self.number];
        part.open = false;
        part.typed.clear();
        part.waiting = 0;
        state.wake();
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn lines_are_marked_and_what_is_typed_goes_to_all() {
        let (ours, mut theirs) = tokio::io::duplex(1024);
        let desk = Desk::new(Box::new(ours));
        let hub = Hub::new(["a", "b"].map(str::to_owned).into_iter(), false);
        let (mut a, mut b) = (hub.part(0), hub.part(1));
        let talking = async {
            let mut got = [0; 3];
            a.write_all(b"one\ntw").await.unwrap();
            b.write_all(b"three\n").await.unwrap();
            a.write_all(b"o").await.unwrap();
            a.read_exact(&mut got).await.unwrap();
            assert_eq!(&got, b"hi\n");
            drop(a);
            b.read_exact(&mut got).await.unwrap();
            assert_eq!(&got, b"hi\n");
            drop(b);
            hub.finish(desk.clone()).await;
        };
        theirs.write_all(b"hi\n").await.unwrap();
        tokio::select! {
            failure = hub.run(desk.clone()) => panic!("{failure}"),
            () = talking => {}
        }
        drop((hub, desk));
        let mut shown = String::new();
        theirs.read_to_string(&mut shown).await.unwrap();
        assert_eq!(shown, "[a] one\n[b] three\n[a] two\n");
    }
}
