//! Services that run on real sockets, in this process.

use std::time::Duration;

use netloom_base::{Code, Limits, Stage};
use netloom_protocol::from_fn;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{connect, listen};

fn reader() -> impl netloom_protocol::Service {
    from_fn(|mut conn, _| async move {
        let mut byte = [0];
        match conn.read(&mut byte).await {
            Ok(_) => Ok(()),
            Err(error) => Err(conn.failure(Stage::Recv, error)),
        }
    })
}

#[tokio::test]
async fn a_server_takes_what_it_may_and_the_next_when_one_leaves() {
    let limits = Limits {
        max_conns: Some(1),
        ..Limits::default()
    };
    let server = listen("tcp://127.0.0.1:0")
        .limits(limits)
        .serve(reader())
        .await
        .unwrap();
    let endpoint = server.endpoints()[0].to_string();
    let mut first = connect(&endpoint).await.unwrap();
    let mut second = connect(&endpoint).await.unwrap();
    second.write_all(b"x").await.unwrap();
    first.write_all(b"x").await.unwrap();
    assert_eq!(first.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(
        second.read(&mut [0]).await.unwrap(),
        0,
        "served after the first had left"
    );
    server.stop().await;
}

#[tokio::test]
async fn an_idle_connection_ends_at_its_limit() {
    let limits = Limits {
        idle: Some(Duration::from_millis(80)),
        ..Limits::default()
    };
    let server = listen("tcp://127.0.0.1:0")
        .limits(limits)
        .serve(reader())
        .await
        .unwrap();
    let mut conn = connect(&server.endpoints()[0].to_string()).await.unwrap();
    assert_eq!(conn.read(&mut [0]).await.unwrap(), 0);
    server.stop().await;
}

#[tokio::test]
async fn stopping_ends_what_does_not_end_itself() {
    let limits = Limits {
        drain: Duration::from_millis(50),
        ..Limits::default()
    };
    let server = listen("tcp://127.0.0.1:0")
        .limits(limits)
        .serve(reader())
        .await
        .unwrap();
    let endpoint = server.endpoints()[0].to_string();
    let mut conn = connect(&endpoint).await.unwrap();
    let mut byte = [0];
    let (ended, ()) = tokio::join!(conn.read(&mut byte), server.stop());
    assert!(matches!(ended, Ok(0) | Err(_)));
    let refused = connect(&endpoint)
        .await
        .expect_err("nobody listens any more");
    assert_eq!(refused.code(), Code::CONNECT_REFUSED);
}

#[tokio::test]
async fn a_service_that_panics_gives_its_place_back() {
    let limits = Limits {
        max_conns: Some(1),
        ..Limits::default()
    };
    let panics = from_fn(|_, _| async { panic!("a fault in a service") });
    let server = listen("tcp://127.0.0.1:0")
        .limits(limits)
        .serve(panics)
        .await
        .unwrap();
    for _ in 0..3 {
        let mut conn = connect(&server.endpoints()[0].to_string()).await.unwrap();
        assert!(matches!(conn.read(&mut [0]).await, Ok(0) | Err(_)));
    }
    server.stop().await;
}

#[tokio::test]
async fn both_loopbacks_share_one_port() {
    let server = listen("tcp://:0").serve(reader()).await.unwrap();
    let ports: Vec<_> = server
        .endpoints()
        .iter()
        .map(netloom_base::Endpoint::port)
        .collect();
    assert!(ports.windows(2).all(|pair| pair[0] == pair[1]), "{ports:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_taken_port_is_told_as_taken() {
    let server = listen("tcp://127.0.0.1:0").serve(reader()).await.unwrap();
    let endpoint = server.endpoints()[0].to_string();
    let failure = listen(&endpoint)
        .serve(reader())
        .await
        .map(drop)
        .expect_err("the port is taken");
    assert_eq!(
        (failure.stage(), failure.code()),
        (Stage::Bind, Code::BIND_IN_USE)
    );
    assert_eq!(failure.endpoint(), Some(endpoint.as_str()));
    server.stop().await;
}

#[tokio::test]
async fn a_program_tells_figures_of_its_own_server() {
    let server = listen("tcp://127.0.0.1:0")
        .admin("tcp://127.0.0.1:0")
        .serve(reader())
        .await
        .unwrap();
    let [at, figures] = &server.endpoints()[..] else {
        panic!("{:?}", server.endpoints());
    };
    let mut first = connect(&at.to_string()).await.unwrap();
    first.write_all(b"x").await.unwrap();
    assert_eq!(first.read(&mut [0]).await.unwrap(), 0);
    let mut asking = connect(&figures.to_string()).await.unwrap();
    let request = b"GET /metrics HTTP/1.0\r\n\r\n";
    asking.write_all(request).await.unwrap();
    let mut told = String::new();
    asking.read_to_string(&mut told).await.unwrap();
    let received = "netloom_service_received_bytes_total{service=\"\"} 1\n";
    assert!(told.contains(received), "{told}");
    server.stop().await;
}
