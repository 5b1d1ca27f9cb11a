//! Bytes through TLS: exact, in both directions at once, each ending by itself.

use std::sync::Arc;

use netloom_transport::seat::{Deadlines, Seats};
use netloom_transport::sim::{Link, Sim};
use netloom_transport::tls::Tls;
use netloom_transport::{Close, Conn, Layer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::meet;
use super::scripted::pair;

const MIB: usize = 1 << 20;

fn bytes(seed: usize) -> Vec<u8> {
    (0..MIB).map(|i| ((i * 31 + seed) % 251) as u8).collect()
}

/// Sends a mebibyte each way at once; each end shuts when it has sent.
async fn exchange(here: Conn, there: Conn) {
    let talk = |mut conn: Conn, sends: Vec<u8>, expects: Vec<u8>| async move {
        let (mut reading, mut writing) = tokio::io::split(&mut conn);
        let mut got = Vec::new();
        let sending = async {
            writing.write_all(&sends).await.unwrap();
            writing.shutdown().await.unwrap();
        };
        let ((), received) = tokio::join!(sending, reading.read_to_end(&mut got));
        received.unwrap();
        assert!(got == expects);
        conn.close(Close::Orderly);
    };
    tokio::join!(
        talk(here, bytes(1), bytes(2)),
        talk(there, bytes(2), bytes(1)),
    );
}

/// The first to speak ends first; the other goes on after that.
async fn half_close(mut first: Conn, mut second: Conn) {
    let one = async {
        first.write_all(b"the question").await.unwrap();
        first.shutdown().await.unwrap();
        let mut answer = Vec::new();
        first.read_to_end(&mut answer).await.unwrap();
        assert!(answer == bytes(3));
    };
    let two = async {
        let mut question = String::new();
        second.read_to_string(&mut question).await.unwrap();
        assert_eq!(question, "the question");
        second.write_all(&bytes(3)).await.unwrap();
        second.shutdown().await.unwrap();
    };
    tokio::join!(one, two);
}

#[tokio::test]
async fn a_mebibyte_each_way_over_loopback() {
    for options in ["insecure", "insecure,min=1.3"] {
        let (here, there) = meet("cert=auto", options).await;
        exchange(here.unwrap(), there.unwrap()).await;
    }
}

#[tokio::test]
async fn each_direction_ends_by_itself_over_loopback() {
    let (here, there) = meet("cert=auto", "insecure").await;
    half_close(here.unwrap(), there.unwrap()).await;
    let (here, there) = meet("cert=auto", "insecure").await;
    half_close(there.unwrap(), here.unwrap()).await;
}

#[test]
fn the_same_in_simulation_in_small_pieces() {
    let sim = Sim::with_layers(5, vec![Arc::new(Tls::default()) as Arc<dyn Layer>]);
    sim.links(Link {
        segment: 701,
        ..Link::default()
    });
    let (a, b) = (sim.host("a"), sim.host("b"));
    sim.block_on(async {
        let (here, there) = pair(&a, &b, "insecure").await;
        exchange(here, there).await;
    })
    .unwrap();
    sim.block_on(async {
        let (here, there) = pair(&a, &b, "insecure").await;
        half_close(here, there).await;
    })
    .unwrap();
}

/// A program that writes without a flush and then reads does not wait for
/// what TLS kept back when the network had no room.
#[test]
fn what_was_written_is_on_its_way_without_a_flush() {
    let sim = Sim::with_layers(6, vec![Arc::new(Tls::default()) as Arc<dyn Layer>]);
    let (a, b) = (sim.host("a"), sim.host("b"));
    sim.block_on(async {
        let (mut here, mut there) = pair(&a, &b, "insecure").await;
        let asking = async {
            here.write_all(&bytes(4)).await.unwrap();
            let mut answer = [0; 2];
            here.read_exact(&mut answer).await.unwrap();
            answer
        };
        let answering = async {
            let mut all = vec![0; MIB];
            there.read_exact(&mut all).await.unwrap();
            there.write_all(b"ok").await.unwrap();
            there.flush().await.unwrap();
            all == bytes(4)
        };
        let (answer, same) = tokio::join!(asking, answering);
        assert_eq!((&answer, same), (b"ok", true));
    })
    .unwrap();
}

#[tokio::test]
async fn number_and_seat_stay_and_the_socket_is_out_of_reach() {
    let (here, there) = meet("cert=auto", "insecure").await;
    let (mut here, there) = (here.unwrap(), there.unwrap());
    assert!(here.socket_mut().is_none());
    assert!(here.facts().peer.is_some() && there.facts().local.is_some());
    assert_eq!(here.trail().len(), 2, "connect, tls");
    assert_eq!(there.trail().len(), 0, "a server remembers nothing");
    let seats = Seats::new(Deadlines::default());
    let seat = seats.take(None);
    let mut here = here.seated(seat.clone());
    let id = here.id();
    here.write_all(b"12345").await.unwrap();
    assert_eq!(
        (here.id(), seat.sent()),
        (id, 5),
        "what is counted is what was said"
    );
    assert!(
        here.depart().unwrap().is_some(),
        "a session cannot leave its core"
    );
    seats.leave(&seat);
}
