//! The floor for tokio: the least an echo server can do on one
//! `current_thread` runtime, a task and a buffer per connection.
//!
//! Prints `listening PORT` on stdout.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a bare program to measure against: it has no Cx and speaks on stdout"
)]

use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What one read may bring.
const BUFFER: usize = 4 * 1024;

fn main() -> io::Result<()> {
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?
        .block_on(serve())
}

async fn serve() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening {}", listener.local_addr()?.port());
    loop {
        let (conn, _) = listener.accept().await?;
        conn.set_nodelay(true)?;
        tokio::spawn(async move {
            // A client that goes away ends its own task and nothing else.
            let _ = echo(conn).await;
        });
    }
}

async fn echo(mut conn: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let got = conn.read(&mut buffer).await?;
        if got == 0 {
            return conn.shutdown().await;
        }
        conn.write_all(&buffer[..got]).await?;
    }
}
