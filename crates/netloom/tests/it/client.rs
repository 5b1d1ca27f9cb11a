//! Clients made of plain sockets.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::program::PATIENCE;

/// A connection on which nothing waits for ever.
pub(crate) fn open(addr: SocketAddr) -> TcpStream {
    patient(whole(|| TcpStream::connect_timeout(&addr, PATIENCE)).unwrap())
}

/// Calls again for as long as a signal comes between: a wait with a deadline is
/// not taken up again by the kernel (signal(7)).
pub(crate) fn whole<T>(mut call: impl FnMut() -> std::io::Result<T>) -> std::io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

pub(crate) fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// A socket for datagrams on which nothing waits for ever.
pub(crate) fn patient_udp() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// A TCP port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    below_clients(|port| TcpListener::bind(("127.0.0.1", port)).is_ok())
}

/// A UDP port that was free a moment ago.
pub(crate) fn free_udp_port() -> u16 {
    below_clients(|port| UdpSocket::bind(("127.0.0.1", port)).is_ok())
}

/// A free port out of those that the kernel gives no client (ip(7),
/// `ip_local_port_range`): among thousands of them one would have it soon.
fn below_clients(is_free: impl Fn(u16) -> bool) -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let next = std::process::id() * 64 + NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 20_000 + (next % 12_000) as u16;
        if is_free(port) {
            return port;
        }
    }
}

/// Sends `bytes` and the end of them, and gives all that comes back.
pub(crate) fn there_and_back(stream: &TcpStream, bytes: &[u8]) -> Vec<u8> {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut stream = stream;
            stream.write_all(bytes).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
        });
        let (mut stream, mut back) = (stream, Vec::new());
        stream.read_to_end(&mut back).unwrap();
        back
    })
}

/// Sends `bytes` to an echo and reads as many back, and goes on.
pub(crate) fn echoed(stream: &mut TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).unwrap();
    let mut back = vec![0; bytes.len()];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(back, bytes);
}

/// Reads until the end, or until a reset, which is an end too.
pub(crate) fn until_closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut got = Vec::new();
    match stream.read_to_end(&mut got) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        Err(error) => panic!("{error}"),
    }
    got
}

/// Ends the connection with a reset.
pub(crate) fn reset(stream: TcpStream) {
    let linger = Some(std::time::Duration::ZERO);
    socket2::SockRef::from(&stream).set_linger(linger).unwrap();
    drop(stream);
}

/// Every value, in an order that repeats only after 4 GiB.
pub(crate) fn random(len: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_u32;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 24) as u8
    };
    (0..len).map(next).collect()
}

/// Whether they are equal, without printing megabytes.
#[track_caller]
pub(crate) fn assert_same(got: &[u8], sent: &[u8]) {
    if got != sent {
        let at = got.iter().zip(sent).position(|(a, b)| a != b);
        panic!(
            "{} bytes of {}, first difference at {at:?}",
            got.len(),
            sent.len()
        );
    }
}
