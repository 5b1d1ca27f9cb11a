//! Opening a TCP connection.

use std::net::SocketAddr;

use netloom_base::failure::Fact;
use netloom_base::{Code, Failure, Side, Stack, Stage};
use tokio::net::TcpSocket;

use super::options::{DialOptions, make};
use crate::cx::Cx;
use crate::net::{Opened, mistakes};
use crate::race;
use crate::socket::Socket;

pub(super) async fn dial(stack: &Stack, cx: &Cx) -> Result<Opened, Failure> {
    let options =
        DialOptions::read(&stack.transport().settings).map_err(|e| mistakes(stack, &e))?;
    let source = options.source.map(|source| source.0);
    race::connect(stack, source, cx, |addr| attempt(addr, &options)).await
}

async fn attempt(addr: SocketAddr, options: &DialOptions) -> Result<Socket, Failure> {
    let socket = make(addr)?;
    options.common().set(&socket)?;
    if let Some(source) = options.source {
        socket
            .bind(&source.0.into())
            .map_err(|error| Failure::from_io(Stage::Bind, error).fact(Fact::Local(source.0)))?;
    }
    let stream = TcpSocket::from_std_stream(socket.into())
        .connect(addr)
        .await
        .map_err(|error| Failure::from_io(Stage::Connect, error))?;
    // A client of an ephemeral port on this host can meet itself (RFC 9293 §3.5).
    if addr.ip().is_loopback() && stream.local_addr().is_ok_and(|local| local == addr) {
        return Err(Failure::new(Stage::Connect, Side::Us, Code::CONNECT_SELF));
    }
    Ok(Socket::Tcp(stream))
}
