use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use netloom_base::{Code, Failure};
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Fd;
use crate::conn::Conn;
use crate::sys::hand_over;
use crate::trial::{self, Folder};

async fn adopt(fd: impl Into<OwnedFd>) -> (i32, Conn) {
    let number = hand_over(fd.into());
    (
        number,
        trial::dial(&trial::cx(Fd), &format!("fd:{number}"))
            .await
            .unwrap(),
    )
}

async fn not_dialled(endpoint: &str) -> Failure {
    match trial::dial(&trial::cx(Fd), endpoint).await {
        Ok(_) => panic!("{endpoint} could be dialled"),
        Err(failure) => failure,
    }
}

async fn not_bound(endpoint: &str) -> Failure {
    match trial::bind(&trial::cx(Fd), endpoint).await {
        Ok(_) => panic!("{endpoint} could be bound"),
        Err(failure) => failure,
    }
}

fn tcp_listener() -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket
        .bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .unwrap();
    socket.listen(8).unwrap();
    socket
}

#[tokio::test]
async fn a_connected_socket_is_a_stream() {
    let (ours, mut far) = UnixStream::pair().unwrap();
    let (_, mut conn) = adopt(ours).await;
    conn.write_all(b"ping").await.unwrap();
    let mut got = [0; 4];
    far.read_exact(&mut got).unwrap();
    far.write_all(b"pong").unwrap();
    conn.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"pong");
    assert!(conn.socket_mut().is_some());
    drop(conn);
    assert_eq!(far.read(&mut got).unwrap(), 0);
}

#[tokio::test]
async fn a_tcp_connection_is_a_stream() {
    let listener = tcp_listener();
    let dialled = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    dialled.connect(&listener.local_addr().unwrap()).unwrap();
    let (mut far, _) = listener.accept().unwrap();
    let (_, mut conn) = adopt(dialled).await;
    let peer = conn.facts().peer.unwrap().to_string();
    assert_eq!(
        peer,
        listener
            .local_addr()
            .unwrap()
            .as_socket()
            .unwrap()
            .to_string()
    );
    far.write_all(b"pong").unwrap();
    let mut got = [0; 4];
    conn.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"pong");
}

#[tokio::test]
async fn a_pipe_is_half_a_stream() {
    let (from, mut feed) = std::io::pipe().unwrap();
    let (_, mut reading) = adopt(from).await;
    feed.write_all(b"through").unwrap();
    drop(feed);
    let mut got = Vec::new();
    reading.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, b"through");
    let error = reading.write_all(b"x").await.unwrap_err();
    assert!(error.to_string().contains("can only be read"), "{error}");

    let (mut drain, to) = std::io::pipe().unwrap();
    let (_, mut writing) = adopt(to).await;
    writing.write_all(b"out").await.unwrap();
    writing.shutdown().await.unwrap();
    let drained = tokio::task::spawn_blocking(move || {
        let mut got = Vec::new();
        drain.read_to_end(&mut got).map(|_| got)
    });
    // The number is closed too, or the end would never come.
    drop(writing);
    assert_eq!(drained.await.unwrap().unwrap(), b"out");
}

#[tokio::test]
async fn a_descriptor_is_adopted_once() {
    let (ours, _far) = UnixStream::pair().unwrap();
    let (number, _conn) = adopt(ours).await;
    let failure = not_dialled(&format!("fd:{number}")).await;
    assert_eq!(failure.code(), Code::FD_NOT_USABLE);
    assert!(failure.summary().contains("in use already"), "{failure}");
}

#[tokio::test]
async fn what_this_program_opened_is_not_adopted() {
    use std::os::fd::AsRawFd;

    let file = std::fs::File::open("/dev/null").unwrap();
    let failure = not_dialled(&format!("fd:{}", file.as_raw_fd())).await;
    assert!(
        failure.summary().contains("opened by this program"),
        "{failure}"
    );
    let failure = not_dialled("fd:999999").await;
    assert!(
        failure.summary().contains("nothing was handed over"),
        "{failure}"
    );
    assert_eq!(not_dialled("fd:3x").await.code(), Code::PARSE_ENDPOINT);
}

#[tokio::test]
async fn a_listening_socket_says_where_it_really_is() {
    let listener = tcp_listener();
    let port = listener.local_addr().unwrap().as_socket().unwrap().port();
    let number = hand_over(listener.into());
    let bound = trial::bind(&trial::cx(Fd), &format!("fd:{number}"))
        .await
        .unwrap();
    assert_eq!(
        bound[0].endpoint().to_string(),
        format!("tcp://127.0.0.1:{port}")
    );
    let mut listener = bound[0].listener().unwrap().unwrap();
    assert!(bound[0].listener().unwrap().is_none());
    let far = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    far.connect(&std::net::SocketAddr::from(([127, 0, 0, 1], port)).into())
        .unwrap();
    let accepted = listener.accept().await.unwrap();
    assert_eq!(
        accepted.from().to_string(),
        far.local_addr().unwrap().as_socket().unwrap().to_string()
    );
    assert_eq!(
        not_bound(&format!("fd:{number}")).await.code(),
        Code::FD_NOT_USABLE
    );
}

#[tokio::test]
async fn a_unix_listener_says_its_path() {
    let folder = Folder::new("fd-unix");
    let path = folder.join("s");
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    let address = socket2::SockAddr::unix(&path).unwrap();
    socket.bind(&address).unwrap();
    socket.listen(8).unwrap();
    let number = hand_over(socket.into());
    let bound = trial::bind(&trial::cx(Fd), &format!("fd:{number}"))
        .await
        .unwrap();
    assert_eq!(bound[0].endpoint().to_string(), format!("unix:{path}"));
    let mut listener = bound[0].listener().unwrap().unwrap();
    let far = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    far.connect(&address).unwrap();
    assert!(
        listener
            .accept()
            .await
            .unwrap()
            .from()
            .to_string()
            .starts_with("unix:")
    );
    drop((bound, listener));
    // Whoever made the file removes it.
    assert!(std::path::Path::new(&path).exists());
}

#[tokio::test]
async fn a_wrong_descriptor_is_named_and_left_as_it_is() {
    let listener = hand_over(tcp_listener().into());
    let failure = not_dialled(&format!("fd:{listener}")).await;
    assert!(
        failure.summary().contains("a socket that listens"),
        "{failure}"
    );
    // It was only looked at.
    assert!(
        trial::bind(&trial::cx(Fd), &format!("fd:{listener}"))
            .await
            .is_ok()
    );

    let datagrams = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    let datagrams = hand_over(datagrams.into());
    let failure = not_bound(&format!("fd:{datagrams}")).await;
    assert!(
        failure.summary().contains("a socket for datagrams"),
        "{failure}"
    );

    let lonely = hand_over(
        Socket::new(Domain::IPV4, Type::STREAM, None)
            .unwrap()
            .into(),
    );
    let failure = not_dialled(&format!("fd:{lonely}")).await;
    assert!(failure.summary().contains("not connected"), "{failure}");

    let folder = hand_over(std::fs::File::open("/").unwrap().into());
    assert!(
        not_dialled(&format!("fd:{folder}"))
            .await
            .summary()
            .contains("a folder")
    );

    let file = hand_over(std::fs::File::open("/dev/null").unwrap().into());
    let failure = not_bound(&format!("fd:{file}")).await;
    assert_eq!(failure.code(), Code::FD_NOT_USABLE);
    assert!(
        failure.summary().contains("a pipe, a terminal or a file"),
        "{failure}"
    );
    // Nobody else closes what a parent would have.
    for number in [datagrams, lonely, folder, file] {
        drop(crate::sys::adopt(number));
    }
}
