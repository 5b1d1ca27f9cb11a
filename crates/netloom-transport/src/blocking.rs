//! Streams over what can only be read and written blocking: standard input and
//! output, terminals, files, pipes that other programs share.
//!
//! Such a descriptor must not be set non-blocking, because that would happen to
//! everybody who has it. So each direction has one call at a time on the
//! blocking pool. A read that never returns stays there when its stream is
//! dropped: whoever owns the runtime ends it with `shutdown_background`.

use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use netloom_base::{Code, Failure, Side, Stage};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::conn::{Close, ConnFacts, Io};
use crate::socket::Socket;

/// How much moves in one call. Large, because each costs a change of thread.
const CHUNK: usize = 256 * 1024;

/// Two directions as one stream.
pub(crate) struct Halves<R, W> {
    input: Option<Reader<R>>,
    output: Output<W>,
    facts: ConnFacts,
    /// What becomes of the output when everything was said.
    end: fn(W),
}

enum Output<W> {
    Open(Writer<W>),
    Shut,
    /// It could never be written to.
    None,
}

impl<R, W> Halves<R, W> {
    /// A stream that reads `input` and writes `output`; without an input it is
    /// at its end, without an output every write fails. When it is shut, `end`
    /// gets the output with everything written.
    pub(crate) fn new(input: Option<R>, output: Option<W>, facts: ConnFacts, end: fn(W)) -> Self {
        let output = output.map_or(Output::None, |to| Output::Open(Writer::new(to)));
        Halves {
            input: input.map(Reader::new),
            output,
            facts,
            end,
        }
    }
}

impl<R: Read + Send + Unpin + 'static, W: Unpin> AsyncRead for Halves<R, W> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.input
            .as_mut()
            .map_or(Poll::Ready(Ok(())), |input| input.poll_read(cx, buf))
    }
}

impl<R: Unpin, W: Write + Send + Unpin + 'static> AsyncWrite for Halves<R, W> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.output {
            Output::Open(output) => output.poll_write(cx, buf),
            Output::Shut => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Output::None => {
                let failure = Failure::new(Stage::Send, Side::Us, Code::FD_NOT_USABLE);
                Poll::Ready(Err(failure
                    .message("this descriptor can only be read")
                    .into()))
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.output {
            Output::Open(output) => output.poll_settled(cx),
            Output::Shut | Output::None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Output::Open(output) = &mut this.output {
            let settled = ready!(output.poll_settled(cx));
            if let Some(to) = output.idle.take() {
                (this.end)(to.to);
            }
            this.output = Output::Shut;
            settled?;
        }
        Poll::Ready(Ok(()))
    }
}

impl<R, W> Io for Halves<R, W>
where
    R: Read + Send + Unpin + 'static,
    W: Write + Send + Unpin + 'static,
{
    fn facts(&self) -> ConnFacts {
        self.facts.clone()
    }

    fn into_socket(self: Box<Self>) -> Result<Socket, Box<dyn Io>> {
        Err(self)
    }

    fn close(self: Box<Self>, _: Close) {}
}

/// Reads ahead by one chunk.
struct Reader<R> {
    idle: Option<Supply<R>>,
    busy: Option<JoinHandle<(Supply<R>, io::Result<()>)>>,
}

struct Supply<R> {
    from: R,
    chunk: Vec<u8>,
    start: usize,
    end: usize,
}

impl<R> Reader<R> {
    fn new(from: R) -> Self {
        Reader {
            idle: Some(Supply {
                from,
                chunk: Vec::new(),
                start: 0,
                end: 0,
            }),
            busy: None,
        }
    }
}

impl<R: Read + Send + 'static> Reader<R> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            if let Some(busy) = &mut self.busy {
                let (supply, result) = ready!(Pin::new(busy).poll(cx)).map_err(io::Error::other)?;
                self.busy = None;
                let at_end = supply.left().is_empty();
                self.idle = Some(supply);
                result?;
                if at_end {
                    return Poll::Ready(Ok(()));
                }
            }
            let Some(mut supply) = self.idle.take() else {
                return Poll::Ready(Ok(()));
            };
            if !supply.left().is_empty() || buf.remaining() == 0 {
                supply.give(buf);
                self.idle = Some(supply);
                return Poll::Ready(Ok(()));
            }
            self.busy = Some(spawn_blocking(move || {
                let result = supply.fill();
                (supply, result)
            }));
        }
    }
}

impl<R> Supply<R> {
    fn left(&self) -> &[u8] {
        &self.chunk[self.start..self.end]
    }

    fn give(&mut self, buf: &mut ReadBuf<'_>) {
        let n = self.left().len().min(buf.remaining());
        buf.put_slice(&self.left()[..n]);
        self.start += n;
    }
}

impl<R: Read> Supply<R> {
    fn fill(&mut self) -> io::Result<()> {
        self.chunk.resize(CHUNK, 0);
        (self.start, self.end) = (0, 0);
        self.end = loop {
            match self.from.read(&mut self.chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        Ok(())
    }
}

/// Writes behind by one chunk. What it took is on its way at once, whether or
/// not anybody asks again; an error is told to the next who asks.
struct Writer<W> {
    idle: Option<Demand<W>>,
    busy: Option<JoinHandle<(Demand<W>, io::Result<()>)>>,
}

struct Demand<W> {
    to: W,
    chunk: Vec<u8>,
}

impl<W> Writer<W> {
    fn new(to: W) -> Self {
        Writer {
            idle: Some(Demand {
                to,
                chunk: Vec::new(),
            }),
            busy: None,
        }
    }
}

impl<W: Write + Send + 'static> Writer<W> {
    fn poll_settled(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(busy) = &mut self.busy else {
            return Poll::Ready(Ok(()));
        };
        let joined = ready!(Pin::new(busy).poll(cx));
        self.busy = None;
        let (demand, result) = joined.map_err(io::Error::other)?;
        self.idle = Some(demand);
        Poll::Ready(result)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_settled(cx))?;
        let Some(mut demand) = self.idle.take() else {
            return Poll::Ready(Err(io::Error::other("the blocking pool lost this stream")));
        };
        let n = buf.len().min(CHUNK);
        demand.chunk.clear();
        demand.chunk.extend_from_slice(&buf[..n]);
        self.busy = Some(spawn_blocking(move || {
            let Demand { to, chunk } = &mut demand;
            let result = to.write_all(chunk).and_then(|()| to.flush());
            (demand, result)
        }));
        Poll::Ready(Ok(n))
    }
}

/// A descriptor that blocks, also when somebody who shares it set it non-blocking.
#[cfg(unix)]
pub(crate) struct Patient(pub(crate) std::fs::File);

#[cfg(unix)]
impl Patient {
    fn until_done<T>(
        &mut self,
        events: libc::c_short,
        mut once: impl FnMut(&mut std::fs::File) -> io::Result<T>,
    ) -> io::Result<T> {
        use std::os::fd::AsFd;

        loop {
            match once(&mut self.0) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    crate::sys::wait_ready(self.0.as_fd(), events)?;
                }
                other => return other,
            }
        }
    }
}

#[cfg(unix)]
impl Read for Patient {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.until_done(libc::POLLIN, |file| file.read(buf))
    }
}

#[cfg(unix)]
impl Write for Patient {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.until_done(libc::POLLOUT, |file| file.write(buf))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(()) // a descriptor keeps nothing back
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::fd::OwnedFd;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn patient(fd: impl Into<OwnedFd>) -> Patient {
        Patient(fd.into().into())
    }

    fn halves(input: Option<Patient>, output: Option<Patient>) -> Halves<Patient, Patient> {
        Halves::new(input, output, ConnFacts::default(), drop)
    }

    #[tokio::test]
    async fn bytes_pass_unchanged_in_both_directions() {
        let (from, feed) = io::pipe().unwrap();
        let (drain, to) = io::pipe().unwrap();
        let sent: Vec<u8> = (0..3 * CHUNK + 17).map(|i| (i * 31 % 251) as u8).collect();
        let mut stream = halves(Some(patient(from)), Some(patient(to)));
        let expected = sent.clone();
        let feeding = std::thread::spawn(move || patient(feed).write_all(&sent).unwrap());
        let draining = std::thread::spawn(move || {
            let mut all = Vec::new();
            patient(drain).read_to_end(&mut all).unwrap();
            all
        });
        let mut got = Vec::new();
        stream.read_to_end(&mut got).await.unwrap();
        assert!(got == expected);
        stream.write_all(&got).await.unwrap();
        stream.shutdown().await.unwrap();
        assert!(draining.join().unwrap() == expected);
        feeding.join().unwrap();
    }

    #[tokio::test]
    async fn what_was_written_is_on_its_way_without_a_flush() {
        let (drain, to) = io::pipe().unwrap();
        let mut stream = halves(None, Some(patient(to)));
        stream.write_all(b"no newline").await.unwrap();
        let mut got = [0; 10];
        spawn_blocking(move || patient(drain).read_exact(&mut got).map(|()| got))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(stream.read(&mut got).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_descriptor_that_somebody_set_non_blocking_blocks_all_the_same() {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let mut stream = halves(
            Some(patient(ours.try_clone().unwrap())),
            Some(patient(ours)),
        );
        let far = std::thread::spawn(move || {
            let mut theirs = patient(theirs);
            let mut all = vec![0; 4 * CHUNK];
            theirs.read_exact(&mut all).unwrap();
            theirs.write_all(b"done").unwrap();
            all
        });
        stream.write_all(&vec![7; 4 * CHUNK]).await.unwrap();
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(
            (&answer, far.join().unwrap() == vec![7; 4 * CHUNK]),
            (b"done", true)
        );
    }

    #[tokio::test]
    async fn a_reader_that_has_gone_is_told_at_the_next_call() {
        let (drain, to) = io::pipe().unwrap();
        drop(drain);
        let mut stream = halves(None, Some(patient(to)));
        stream.write_all(b"x").await.unwrap();
        assert_eq!(
            stream.flush().await.unwrap_err().kind(),
            io::ErrorKind::BrokenPipe
        );
    }
}
