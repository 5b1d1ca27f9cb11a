//! What taking messages out of a stream costs: the decoder on one core, fed
//! with 64 KiB reads, beside the copy that a read is.
//!
//! ```text
//! floor-framing MIB
//! ```
//!
//! Prints a line of JSON for each measurement: GiB of stream per second of CPU
//! time. Every measurement copies the stream piece by piece into a buffer, as
//! the kernel does for a read; `memcpy` does nothing else, the others decode
//! what is in the buffer and look at the ends of every message.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a bare program to measure with: it has no Cx and speaks on stdout"
)]

use std::fs;
use std::hint::black_box;
use std::process::ExitCode;

use netloom_wire::framing::{Decoder, Framing};

/// What one read brings, as in netloom's own scratch.
const READ: usize = 64 * 1024;
/// The stream is repeated until all is measured.
const STREAM: usize = 1 << 20;

fn main() -> ExitCode {
    let mib = std::env::args().nth(1).and_then(|word| word.parse().ok());
    let Some(bytes) = mib.map(|mib: u64| mib << 20) else {
        eprintln!("floor-framing MIB");
        return ExitCode::from(2);
    };
    let plain = stream(Framing::Len32, 1024);
    report("memcpy", 0, || copied(&plain, bytes));
    for framing in [
        Framing::Len32,
        Framing::Varint,
        Framing::Netstring,
        Framing::Lines,
    ] {
        for size in [1024, 64 * 1024] {
            let stream = stream(framing, size);
            report(framing.name(), size, || decoded(framing, &stream, bytes));
        }
    }
    ExitCode::SUCCESS
}

/// Whole frames of messages of `size` bytes without a line break.
fn stream(framing: Framing, size: usize) -> Vec<u8> {
    let message: Vec<u8> = (0..size).map(|i| b'a' + (i % 26) as u8).collect();
    let mut stream = Vec::new();
    while stream.len() < STREAM {
        if let Ok(frame) = framing.frame(&message) {
            frame.write_to(&mut stream);
        }
    }
    stream
}

fn copied(stream: &[u8], bytes: u64) -> u64 {
    let mut buffer = vec![0; READ];
    let mut done = 0;
    while done < bytes {
        for piece in stream.chunks(READ) {
            buffer[..piece.len()].copy_from_slice(piece);
            black_box(&mut buffer);
            done += piece.len() as u64;
        }
    }
    done
}

fn decoded(framing: Framing, stream: &[u8], bytes: u64) -> u64 {
    let mut decoder = Decoder::new(framing, 1 << 20);
    let mut buffer = vec![0; READ];
    let (mut done, mut seen) = (0, 0_u64);
    while done < bytes {
        for piece in stream.chunks(READ) {
            buffer[..piece.len()].copy_from_slice(piece);
            let read = black_box(&buffer[..piece.len()]);
            let fed = decoder.feed(read, |message| {
                black_box((message.first(), message.last()));
                seen += 1;
            });
            assert!(fed.is_ok(), "the stream is sound");
            done += piece.len() as u64;
        }
    }
    assert_eq!(decoder.messages(), seen);
    done
}

fn report(what: &str, size: usize, work: impl Fn() -> u64) {
    let before = cpu();
    let done = work();
    let seconds = (cpu() - before) as f64 / 1e9;
    let rate = done as f64 / seconds / f64::from(1 << 30);
    println!(r#"{{"what":"{what}","message":{size},"gib_per_cpu_s":{rate:.3}}}"#);
}

/// Nanoseconds this thread has had a core (proc(5), `schedstat`).
fn cpu() -> u64 {
    let told = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let first = told.split(' ').next();
    first.and_then(|word| word.parse().ok()).unwrap_or_default()
}
