//! The floor for a dial: connects and closes, one after the other, on one
//! `current_thread` runtime of tokio. `ours-dial` is the same through Netloom.
//!
//! ```text
//! floor-tokio-dial 127.0.0.1:PORT COUNT [nodelay]
//! ```
//!
//! With `nodelay` each socket gets the option that Netloom's have on loopback
//! by default: TCP_NODELAY.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a bare program to measure: it has no Cx and speaks on stdout"
)]

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let to = args.next().ok_or("which address?")?;
    let count: u32 = args.next().ok_or("how many dials?")?.parse()?;
    let nodelay = args.next().is_some_and(|word| word == "nodelay");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let to: SocketAddr = to.parse()?;
        // What the first dial makes is the program's, not a dial's.
        reset(&connect(to, nodelay).await?)?;
        let (begun, cpu) = (Instant::now(), own_cpu_ns());
        for _ in 0..count {
            reset(&connect(to, nodelay).await?)?;
        }
        let (wall, cpu) = (begun.elapsed().as_nanos(), own_cpu_ns() - cpu);
        println!(r#"{{"dials":{count},"wall_ns":{wall},"cpu_ns":{cpu}}}"#);
        Ok(())
    })
}

async fn connect(to: SocketAddr, nodelay: bool) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(to).await?;
    if nodelay {
        stream.set_nodelay(true)?;
    }
    Ok(stream)
}

/// Closes without TIME_WAIT: what is closed in order keeps its port for a
/// minute, and the search for a free one would be what is measured.
fn reset(stream: &TcpStream) -> io::Result<()> {
    socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO))
}

/// This process's CPU time (it has one thread); 0 where the kernel does not
/// tell.
fn own_cpu_ns() -> u64 {
    std::fs::read_to_string("/proc/self/schedstat")
        .ok()
        .and_then(|text| text.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}
