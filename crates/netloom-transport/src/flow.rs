//! What the kernel counts of a TCP connection, read of its own socket.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use netloom_base::failure::Flow;
use tokio::net::TcpStream;

use crate::socket::canonical;
use crate::sys;

/// How long a `struct tcp_info` is that has the peer's window in it, and ours.
const WITH_WINDOW: usize = 232;
const WITH_OURS: usize = 236;

/// A flow of the queues of both directions (unread, unsent) and what the kernel
/// filled of its `struct tcp_info`.
pub(crate) fn read(
    (local, remote): (SocketAddr, SocketAddr),
    (unread, unsent): (u32, u32),
    info: &[u8],
) -> Flow {
    let word = |at: usize| {
        let bytes = info.get(at..at + 4)?;
        Some(u32::from_ne_bytes(bytes.try_into().ok()?))
    };
    let millis = |at: usize| Duration::from_millis(word(at).unwrap_or(0).into());
    Flow {
        local,
        remote,
        unread,
        unsent,
        window: word(WITH_WINDOW - 4),
        offered: word(WITH_OURS - 4),
        paused: millis(44),
        again: word(100).unwrap_or(0),
        silent: millis(52),
        other: None,
    }
}

/// Where this connection stands, for five system calls.
pub(crate) fn of(socket: &TcpStream) -> Option<Flow> {
    let ends = (socket.local_addr().ok()?, socket.peer_addr().ok()?);
    let ends = (canonical(ends.0), canonical(ends.1));
    let mut info = [0; 512];
    let filled = sys::tcp_info(socket.as_fd(), &mut info)?;
    Some(read(
        ends,
        sys::queued(socket.as_fd())?,
        info.get(..filled)?,
    ))
}

#[cfg(test)]
mod tests {
    use netloom_base::Code;
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn an_old_kernels_shorter_answer_tells_no_window() {
        let ends = (([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 2).into());
        let flow = read(ends, (1, 2), &[0; 104]);
        assert_eq!(
            (flow.window, flow.offered, flow.stuck()),
            (None, None, None)
        );
        assert_eq!((flow.unread, flow.unsent), (1, 2));
        let flow = read(ends, (1, 2), &[0; 232]);
        assert_eq!((flow.window, flow.offered), (Some(0), None));
        assert_eq!(flow.stuck(), Some(Code::STUCK_READER_STOPPED));
    }

    #[tokio::test]
    #[expect(
        clippy::disallowed_methods,
        reason = "the kernel is asked about real sockets"
    )]
    async fn windows_close_when_nobody_reads() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dialled = TcpStream::connect(listener.local_addr().unwrap());
        let (near, (far, _)) = tokio::try_join!(dialled, listener.accept()).unwrap();
        let flow = of(&near).unwrap();
        assert_eq!(
            (flow.stuck(), flow.is_shut(), flow.unread),
            (None, false, 0)
        );
        assert_eq!((flow.unsent, flow.local), (0, near.local_addr().unwrap()));
        fill(&near, |near| of(near).unwrap().is_shut()).await;
        assert_eq!(of(&near).unwrap().stuck(), Some(Code::STUCK_READER_STOPPED));
        // The other side alone has been written to, and still has room to write.
        let flow = of(&far).unwrap();
        assert!(flow.unread > 0 && flow.stuck().is_none(), "{flow}");
        fill(&far, |far| of(far).unwrap().stuck().is_some()).await;
        for end in [&near, &far] {
            let flow = of(end).unwrap();
            assert_eq!(flow.stuck(), Some(Code::STUCK_BOTH_WRITING), "{flow}");
        }
    }

    /// Writes until that has come about which full buffers bring.
    async fn fill(end: &TcpStream, done: impl Fn(&TcpStream) -> bool) {
        let chunk = vec![0; 1 << 16];
        while !done(end) {
            let _ = end.try_write(&chunk); // a full buffer empties, or stays full
            tokio::task::yield_now().await;
        }
    }
}
