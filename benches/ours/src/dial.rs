//! Dials and closes, one after the other, as a program that uses the library
//! does. `floor-tokio-dial` is the same without Netloom. Each is closed by a
//! reset: what is closed in order keeps its port for a minute, and the search
//! for a free one would be what is measured.
//!
//! ```text
//! ours-dial 127.0.0.1:PORT COUNT
//! ```
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a bare program to measure: it has no Cx and speaks on stdout"
)]

use netloom::Close;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let to = args.next().ok_or("which address?")?;
    let count: u32 = args.next().ok_or("how many dials?")?.parse()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let endpoint = format!("tcp://{to}");
        // What the first dial makes is the program's, not a dial's.
        netloom::connect(&endpoint).await?.close(Close::Abort);
        let (begun, cpu) = (Instant::now(), own_cpu_ns());
        for _ in 0..count {
            netloom::connect(&endpoint).await?.close(Close::Abort);
        }
        let (wall, cpu) = (begun.elapsed().as_nanos(), own_cpu_ns() - cpu);
        println!(r#"{{"dials":{count},"wall_ns":{wall},"cpu_ns":{cpu}}}"#);
        Ok(())
    })
}

/// This process's CPU time (it has one thread); 0 where the kernel does not
/// tell.
fn own_cpu_ns() -> u64 {
    std::fs::read_to_string("/proc/self/schedstat")
        .ok()
        .and_then(|text| text.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}
