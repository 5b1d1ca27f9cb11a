//! One who speaks and many who listen: the load of a chat.
//!
//! `floor-chat-load --conns N --window W ADDRESS` opens N listeners and a
//! speaker, says so, and then takes `say:COUNT` from stdin, a line each: the
//! speaker says COUNT lines of 64 bytes, at most W ahead of what was heard.
//! Every listener checks that it hears every line, once and in order.
#![allow(
    clippy::disallowed_methods,
    clippy::exit,
    reason = "a bare program to measure with"
)]

use std::cell::{Cell, RefCell};
use std::io::{BufRead, Write};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

/// Nothing heard for so long: the rest is lost.
const LOST: Duration = Duration::from_secs(20);

/// How many listeners look at their watch.
const WATCHES: usize = 16;

const LINE: usize = 64;

#[derive(Default)]
struct Heard {
    lines: Cell<u64>,
    wrong: Cell<u64>,
    greeted: Cell<usize>,
    late: RefCell<Vec<u64>>,
}

fn main() {
    let mut args = std::env::args().skip(1);
    let (mut conns, mut window, mut to) = (1, 1, String::new());
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--conns" => conns = number(args.next()),
            "--window" => window = number(args.next()),
            _ => to = arg,
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.unwrap_or_else(|error| fail(&error));
    let local = LocalSet::new();
    let heard = Rc::new(Heard::default());
    let began = Instant::now();
    let mut speaker = local.block_on(&runtime, open(conns, &to, &heard, began));
    answer("{\"ready\":true}");
    let mut said = 0;
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let Some(count) = line
            .strip_prefix("say:")
            .and_then(|count| count.parse::<u64>().ok())
        else {
            fail(&format!("no such command: {line}"));
        };
        let start = Instant::now();
        heard.late.borrow_mut().clear();
        let before = heard.lines.get();
        let work = say(
            &mut speaker,
            (said, count),
            (conns, window),
            before,
            &heard,
            began,
        );
        local.block_on(&runtime, work);
        said += count;
        let wall = start.elapsed().as_nanos();
        let lost = count * conns as u64 - (heard.lines.get() - before);
        let mut late = heard.late.borrow_mut();
        late.sort_unstable();
        let at = |part: f64| {
            late.get((late.len() as f64 * part) as usize)
                .or(late.last())
                .copied()
                .unwrap_or(0)
        };
        answer(&format!(
            "{{\"echoes\":{},\"wall_ns\":{wall},\"cpu_ns\":0,\"p50_ns\":{},\"p99_ns\":{},\"p999_ns\":{},\"max_ns\":{},\"lost\":{lost},\"wrong\":{}}}",
            count * conns as u64 - lost,
            at(0.5),
            at(0.99),
            at(0.999),
            at(1.0),
            heard.wrong.get()
        ));
    }
}

/// Opens everybody, and waits until the server has greeted them.
async fn open(conns: usize, to: &str, heard: &Rc<Heard>, began: Instant) -> TcpStream {
    for i in 0..conns {
        let stream = TcpStream::connect(to)
            .await
            .unwrap_or_else(|error| fail(&error));
        tokio::task::spawn_local(listen(stream, i < WATCHES, heard.clone(), began));
        // Not faster than the server can take them from its queue.
        if i % 256 == 255 {
            greeted(heard, i + 1).await;
        }
    }
    greeted(heard, conns).await;
    let speaker = TcpStream::connect(to)
        .await
        .unwrap_or_else(|error| fail(&error));
    let _ = speaker.set_nodelay(true);
    speaker
}

async fn greeted(heard: &Heard, count: usize) {
    let begun = Instant::now();
    while heard.greeted.get() < count {
        if begun.elapsed() > LOST {
            fail(&format!("{} of {count} were greeted", heard.greeted.get()));
        }
        tokio::task::yield_now().await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn listen(mut stream: TcpStream, watch: bool, heard: Rc<Heard>, began: Instant) {
    let mut bytes = vec![0; 32 * 1024];
    let (mut filled, mut next, mut greeted) = (0, 0_u64, false);
    loop {
        let Ok(read @ 1..) = stream.read(&mut bytes[filled..]).await else {
            return;
        };
        if !greeted {
            greeted = true;
            heard.greeted.set(heard.greeted.get() + 1);
        }
        filled += read;
        let mut from = 0;
        while let Some(end) = bytes[from..filled].iter().position(|&b| b == b'\n') {
            let line = &bytes[from..from + end];
            from += end + 1;
            // `… #NUMBER NANOSECONDS xxx`; whatever has no `#` is the server's.
            let Some(mark) = line.iter().position(|&b| b == b'#') else {
                continue;
            };
            let mut words = line[mark + 1..].split(|&b| b == b' ').map(digits);
            if words.next() != Some(next) {
                heard.wrong.set(heard.wrong.get() + 1);
            }
            next += 1;
            heard.lines.set(heard.lines.get() + 1);
            if watch {
                let at = words.next().unwrap_or(0);
                let now = began.elapsed().as_nanos() as u64;
                heard.late.borrow_mut().push(now.saturating_sub(at));
            }
        }
        bytes.copy_within(from..filled, 0);
        filled -= from;
    }
}

async fn say(
    speaker: &mut TcpStream,
    (first, count): (u64, u64),
    (conns, window): (usize, usize),
    before: u64,
    heard: &Heard,
    began: Instant,
) {
    let conns = conns as u64;
    let mut said = 0;
    let mut moved = (Instant::now(), before);
    let mut own = [0; 4096];
    loop {
        let lines = heard.lines.get();
        if lines - before >= count * conns {
            return;
        }
        if lines != moved.1 {
            moved = (Instant::now(), lines);
        } else if moved.0.elapsed() > LOST {
            return;
        }
        let ahead = said * conns - (lines - before).min(said * conns);
        let room = (window as u64)
            .saturating_sub(ahead.div_ceil(conns))
            .min(count - said);
        if room > 0 {
            let mut block = Vec::with_capacity(room as usize * LINE);
            for i in 0..room {
                let at = block.len();
                let now = began.elapsed().as_nanos();
                let _ = write!(block, "#{} {now} ", first + said + i);
                block.resize(at + LINE - 1, b'x');
                block.push(b'\n');
            }
            speaker
                .write_all(&block)
                .await
                .unwrap_or_else(|error| fail(&error));
            said += room;
        }
        // What the server tells the speaker is thrown away.
        let _ = speaker.try_read(&mut own);
        tokio::task::yield_now().await;
    }
}

fn digits(word: &[u8]) -> u64 {
    let digit = |sum: u64, b: &u8| {
        sum.wrapping_mul(10)
            .wrapping_add(u64::from(b.wrapping_sub(b'0')))
    };
    word.iter().fold(0, digit)
}

fn number(word: Option<String>) -> usize {
    let read = word.and_then(|word| word.parse().ok());
    read.unwrap_or_else(|| fail(&"a number is missing"))
}

fn answer(line: &str) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
        fail(&"nobody reads the answer");
    }
}

fn fail(why: &dyn std::fmt::Display) -> ! {
    let _ = writeln!(std::io::stderr(), "floor-chat-load: {why}");
    std::process::exit(1)
}
