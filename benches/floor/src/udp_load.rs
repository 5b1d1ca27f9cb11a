//! The load generator for UDP echo servers: one thread, one epoll.
//!
//! ```text
//! floor-udp-load ADDRESS [--conns N] [--bytes S] [--window W] [--most M]
//! ```
//!
//! Opens `N` connected sockets, prints `{"ready":N}` and does each line of
//! stdin, and prints one line of JSON for it. Every answer is compared with what
//! was sent.
//!
//! - `echo:COUNT` keeps `W` datagrams of `S` bytes under way on every socket, or
//!   on `M` sockets in turn, until `COUNT` came back. One that is lost ends the
//!   program: on loopback the windows are chosen to fit the receive buffers.
//! - `flood:MS` sends on the first socket as fast as it can, for so long, and
//!   takes what comes back meanwhile.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    dead_code,
    unsafe_code,
    reason = "a bare program to measure with, which shares a part of floor-load"
)]

#[path = "load/histogram.rs"]
mod histogram;
#[path = "load/poller.rs"]
#[allow(dead_code, reason = "some of it is for streams")]
mod poller;

use std::collections::VecDeque;
use std::io::{self, BufRead, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use histogram::Histogram;
use poller::Poller;

/// How many datagrams one system call takes.
const BATCH: usize = 32;

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("floor-udp-load: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<(), Box<dyn std::error::Error>> {
    let (mut to, mut conns, mut bytes, mut window) = (None, 64, 64, 1);
    let mut most = usize::MAX;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut number = || -> Result<usize, Box<dyn std::error::Error>> {
            Ok(args.next().ok_or("a number is missing")?.parse()?)
        };
        match arg.as_str() {
            "--conns" => conns = number()?,
            "--bytes" => bytes = number()?,
            "--window" => window = number()?,
            "--most" => most = number()?,
            _ => to = Some(arg.parse::<SocketAddr>()?),
        }
    }
    let to = to.ok_or("which address? floor-udp-load 127.0.0.1:7 --conns 64")?;
    let mut poller = Poller::new()?;
    let mut sockets = Vec::new();
    for index in 0..conns {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(to)?;
        socket.set_nonblocking(true)?;
        poller.add(socket.as_raw_fd(), index)?;
        sockets.push(Asker {
            socket,
            asked: VecDeque::new(),
        });
    }
    let question: Vec<u8> = (0..bytes).map(|at| b'!' + (at % 90) as u8).collect();
    let mut hand = Hand::new(bytes);
    say(&format!(r#"{{"ready":{conns}}}"#))?;
    for line in io::stdin().lock().lines() {
        let line = line?;
        if let Some(ms) = line.strip_prefix("flood:") {
            let time = Duration::from_millis(ms.parse()?);
            say(&flood(&mut sockets[0], &mut hand, &question, time)?)?;
            continue;
        }
        let count: u64 = line.strip_prefix("echo:").ok_or("echo:COUNT")?.parse()?;
        say(&echo(
            &mut poller,
            &mut sockets,
            &mut hand,
            &question,
            (window, most),
            count,
        )?)?;
    }
    Ok(())
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// One socket, and when each of its questions under way was asked. On
/// loopback answers come in order.
struct Asker {
    socket: UdpSocket,
    asked: VecDeque<Instant>,
}

fn echo(
    poller: &mut Poller,
    sockets: &mut [Asker],
    hand: &mut Hand,
    question: &[u8],
    (window, most): (usize, usize),
    count: u64,
) -> io::Result<String> {
    let begun = Instant::now();
    let cpu = own_cpu_ns();
    let mut times = Histogram::new();
    let (mut asked, mut came_back) = (0, 0);
    for asker in sockets.iter_mut().take(most) {
        let some = window.min((count - asked) as usize);
        asker.ask(some, question)?;
        asked += some as u64;
    }
    // Who asks next: those that have waited longest.
    let mut resting: VecDeque<usize> = (most.min(sockets.len())..sockets.len()).collect();
    while came_back < count {
        let ready = poller.wait(Duration::from_secs(5))?;
        if ready == 0 {
            return Err(io::Error::other("a datagram was lost"));
        }
        for slot in 0..ready {
            let number = poller.ready(slot);
            let socket = &mut sockets[number];
            let came = hand.receive(&socket.socket, question)?;
            let now = Instant::now();
            for at in socket.asked.drain(..came) {
                times.record((now - at).as_nanos() as u64);
            }
            came_back += came as u64;
            let some = came.min((count - asked) as usize);
            let next = match resting.pop_front() {
                Some(next) if came > 0 => {
                    resting.push_back(number);
                    next
                }
                Some(not_yet) => {
                    resting.push_front(not_yet);
                    number
                }
                None => number,
            };
            sockets[next].ask(some, question)?;
            asked += some as u64;
        }
    }
    Ok(format!(
        r#"{{"echoes":{count},"wall_ns":{},"cpu_ns":{},"p50_ns":{},"p99_ns":{},"p999_ns":{},"max_ns":{}}}"#,
        begun.elapsed().as_nanos(),
        own_cpu_ns().saturating_sub(cpu),
        times.quantile(0.5),
        times.quantile(0.99),
        times.quantile(0.999),
        times.max(),
    ))
}

/// One client at full rate: asks as fast as it can, and takes what comes back.
/// What is lost on the way is not asked again.
fn flood(
    Asker { socket, .. }: &mut Asker,
    hand: &mut Hand,
    question: &[u8],
    time: Duration,
) -> io::Result<String> {
    let (begun, cpu) = (Instant::now(), own_cpu_ns());
    let (mut asked, mut came_back) = (0, 0);
    while begun.elapsed() < time {
        asked += match Hand::send(socket, question, BATCH) {
            Err(full) if full.kind() == io::ErrorKind::WouldBlock => 0,
            sent => sent?,
        };
        loop {
            let came = hand.receive(socket, question)?;
            came_back += came;
            if came < BATCH {
                break;
            }
        }
    }
    Ok(format!(
        r#"{{"echoes":{came_back},"lost":{},"wall_ns":{},"cpu_ns":{},"p50_ns":0,"p99_ns":0,"p999_ns":0,"max_ns":0}}"#,
        asked.saturating_sub(came_back),
        begun.elapsed().as_nanos(),
        own_cpu_ns().saturating_sub(cpu),
    ))
}

impl Asker {
    fn ask(&mut self, mut count: usize, question: &[u8]) -> io::Result<()> {
        while count > 0 {
            let now = Instant::now();
            let sent = Hand::send(&self.socket, question, count)?;
            self.asked.extend(std::iter::repeat_n(now, sent));
            count -= sent;
        }
        Ok(())
    }
}

/// The headers of one system call, with room for the answers.
struct Hand {
    bytes: Vec<u8>,
    room: usize,
}

impl Hand {
    fn new(bytes: usize) -> Self {
        let room = bytes + 1; // one more shows an answer that is too long
        Hand {
            bytes: vec![0; room * BATCH],
            room,
        }
    }

    fn headers(parts: &mut [libc::iovec; BATCH], count: usize) -> Vec<libc::mmsghdr> {
        parts[..count]
            .iter_mut()
            .map(|part| {
                // SAFETY: all-zero is a valid mmsghdr: no pointers, no lengths.
                let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
                header.msg_hdr.msg_iov = part;
                header.msg_hdr.msg_iovlen = 1;
                header
            })
            .collect()
    }

    fn send(socket: &UdpSocket, question: &[u8], count: usize) -> io::Result<usize> {
        let count = count.min(BATCH);
        let mut parts = [libc::iovec {
            iov_base: question.as_ptr().cast_mut().cast(),
            iov_len: question.len(),
        }; BATCH];
        let mut headers = Hand::headers(&mut parts, count);
        // SAFETY: the headers point to `question`, which the kernel only reads.
        let sent =
            unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count as u32, 0) };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }

    fn receive(&mut self, socket: &UdpSocket, question: &[u8]) -> io::Result<usize> {
        let mut parts = [libc::iovec {
            iov_base: std::ptr::null_mut(),
            iov_len: self.room,
        }; BATCH];
        for (part, room) in parts.iter_mut().zip(self.bytes.chunks_exact_mut(self.room)) {
            part.iov_base = room.as_mut_ptr().cast();
        }
        let mut headers = Hand::headers(&mut parts, BATCH);
        // SAFETY: the headers point to `bytes`, with the lengths they say.
        let got = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                BATCH as u32,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        let Ok(got) = usize::try_from(got) else {
            let error = io::Error::last_os_error();
            let nothing = error.kind() == io::ErrorKind::WouldBlock;
            return if nothing { Ok(0) } else { Err(error) };
        };
        for (header, room) in headers[..got].iter().zip(self.bytes.chunks(self.room)) {
            if &room[..header.msg_len as usize] != question {
                return Err(io::Error::other("the answer differs from the question"));
            }
        }
        Ok(got)
    }
}

/// This process's CPU time (it has one thread); 0 where the kernel does not tell.
fn own_cpu_ns() -> u64 {
    std::fs::read_to_string("/proc/self/schedstat")
        .ok()
        .and_then(|text| text.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}
