//! What the kernel drops of a chat over datagrams is told to who takes part.

use std::net::UdpSocket;

use crate::program::{PATIENCE, Program};

/// Says more than fits while the member cannot listen, until it tells of that.
fn flood(member: &Program, say: impl Fn(&[u8])) {
    member.signal("STOP");
    for _ in 0..100 {
        say(&[b'.'; 1000]);
    }
    member.signal("CONT");
    // The kernel tells its count with the next datagram that finds room.
    let told = member.stderr.until("drops", |said, _| {
        say(b"x");
        String::from_utf8_lossy(said)
            .lines()
            .find(|line| line.contains("recv.dropped"))
            .map(str::to_owned)
    });
    assert!(told.contains("dropped by the kernel"), "{told}");
}

#[test]
fn a_member_of_a_group_is_told_what_it_did_not_hear() {
    let url = "udp://239.255.77.9:0,interface=lo,rcvbuf=4KiB";
    let member = Program::netloom(["chat", url, "--nick", "gus"]);
    let line = member.stderr.line("listening udp://");
    let group = line["listening udp://".len()..].to_owned();
    let group = group.split([',', ' ']).next().unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    flood(&member, |bytes| {
        socket.send_to(bytes, group).unwrap();
    });
}

#[test]
fn a_client_is_told_what_it_did_not_hear() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let url = format!("udp://{},rcvbuf=4KiB", server.local_addr().unwrap());
    let member = Program::netloom(["chat", &url]);
    let (_, from) = server.recv_from(&mut [0; 1024]).unwrap();
    server.send_to(b"* welcome", from).unwrap();
    member.stdout.line("* welcome");
    flood(&member, |bytes| {
        server.send_to(bytes, from).unwrap();
    });
}
