//! The server behind the forwarder. The first byte of a connection says what
//! it does; see [`Kind`](super::flows::Kind).

use super::flows::{Kind, send};
use crate::Outcome;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

/// Nothing waits longer for the other side.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Listens until the process ends.
pub(super) struct Origin {
    address: String,
}

impl Origin {
    pub(super) fn start() -> Outcome<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
        let address = listener
            .local_addr()
            .map_err(|e| e.to_string())?
            .to_string();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || {
                    // What goes wrong here is seen by the client, which compares.
                    let _ = serve(stream);
                });
            }
        });
        Ok(Origin { address })
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }
}

fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_write_timeout(Some(PATIENCE))?;
    // Whoever is silent may be so as long as the soak lasts.
    let mut head = [0; 9];
    stream.read_exact(&mut head)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let [kind, size @ ..] = head;
    let size = u64::from_le_bytes(size);
    match Kind::from_byte(kind) {
        Some(Kind::Bulk | Kind::Short | Kind::Kept | Kind::Trickle | Kind::Slow) => echo(stream),
        Some(Kind::ClientEndsFirst) => {
            // Says everything only when the client has ended.
            let said = drain(&mut stream)?;
            stream.write_all(&said.to_le_bytes())?;
            send(&mut stream, 0, size)?;
            stream.shutdown(Shutdown::Write)
        }
        Some(Kind::ServerEndsFirst) => {
            // Ends, and still hears.
            send(&mut stream, 0, size)?;
            stream.shutdown(Shutdown::Write)?;
            drain(&mut stream).map(|_| ())
        }
        Some(Kind::Reset) => drain(&mut stream).map(|_| ()),
        None => Ok(()),
    }
}

fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match stream.read(&mut buffer)? {
            0 => return stream.shutdown(Shutdown::Write),
            n => stream.write_all(&buffer[..n])?,
        }
    }
}

fn drain(stream: &mut TcpStream) -> io::Result<u64> {
    io::copy(stream, &mut io::sink())
}
