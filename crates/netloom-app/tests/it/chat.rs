//! `chat` where waiting costs nothing: who is late, who is dropped, who leaves.

use std::time::Duration;

use netloom_base::{Code, Limits, Settings};
use netloom_transport::sim::{Link, Sim};
use netloom_transport::{Close, Conn, Cx};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::served::{Served, dial};

/// A member that remembers what it has not looked at.
struct Member {
    conn: Conn,
    rest: Vec<u8>,
}

impl Member {
    async fn new(cx: &Cx) -> Self {
        let conn = dial(cx).await.unwrap();
        let mut member = Member {
            conn,
            rest: Vec::new(),
        };
        assert!(member.line().await.starts_with("* welcome"));
        member
    }

    async fn say(&mut self, text: &str) {
        self.conn.write_all(text.as_bytes()).await.unwrap();
    }

    async fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.rest.iter().position(|&b| b == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return String::from_utf8(line).unwrap().trim_end().to_owned();
            }
            let mut part = [0; 4096];
            let read = self.conn.read(&mut part).await.unwrap();
            assert!(read > 0, "it ended");
            self.rest.extend_from_slice(&part[..read]);
        }
    }

    async fn until(&mut self, begin: &str) -> String {
        loop {
            let line = self.line().await;
            if line.starts_with(begin) {
                return line;
            }
        }
    }
}

#[test]
fn who_does_not_read_is_dropped_and_the_others_hear_everything_in_time() {
    let sim = Sim::new(7);
    let delay = Duration::from_millis(10);
    sim.links(Link::default().delayed(delay, Duration::ZERO));
    sim.block_on(async {
        let settings = Settings::new()
            .with("max-queue", "64KiB")
            .with("max-rate", "0");
        let served = Served::start(&sim, "chat", settings).await;
        let here = sim.host("here");
        let (mut loud, mut fast) = (Member::new(&here).await, Member::new(&here).await);
        let slow = Member::new(&sim.host("slow")).await;
        fast.until("* guest-3 is here now").await;
        let text = "x".repeat(1000);
        let (mut dropped, mut worst, mut after) = (false, Duration::ZERO, 0);
        for i in 0.. {
            let began = here.now();
            loud.say(&format!("{i} {text}\n")).await;
            loop {
                let line = fast.line().await;
                if line.starts_with(&format!("<guest-1> {i} ")) {
                    break;
                }
                assert_eq!(line, "* guest-3 left: limit.slow-reader, did not read");
                dropped = true;
            }
            worst = worst.max(here.now() - began);
            after += usize::from(dropped);
            if after == 10 {
                break;
            }
            assert!(
                i < 1000,
                "64 KiB in the window and 64 KiB here are full by now"
            );
        }
        // There and on: two delays, whether one of them reads or not.
        assert!(worst < delay * 3, "{worst:?}");
        let ended = served.take_ended();
        assert_eq!(ended.len(), 1);
        assert_eq!(ended[0].code(), Some(Code::LIMIT_SLOW_READER));
        drop((loud, fast, slow));
        served.stop(&sim).await;
    })
    .unwrap();
    assert_eq!(sim.tasks(), 0);
}

#[test]
fn members_leave_in_order_by_reset_by_silence_and_at_the_end() {
    let sim = Sim::new(3);
    sim.block_on(async {
        let limits = Limits {
            idle: Some(Duration::from_mins(10)),
            ..Limits::default()
        };
        let served = Served::limited(&sim, "chat", Settings::new(), limits).await;
        let here = sim.host("here");
        let mut watch = Member::new(&here).await;
        let mut polite = Member::new(&here).await;
        polite.say("/quit\n").await;
        assert_eq!(polite.conn.read(&mut [0; 1000]).await.unwrap(), 0);
        let mut half = Member::new(&here).await;
        half.conn.shutdown().await.unwrap();
        let reset = Member::new(&here).await;
        reset.conn.close(Close::Abort);
        let silent = Member::new(&here).await;
        let mut left = Vec::new();
        while left.len() < 3 {
            let line = watch.until("* guest-").await;
            left.extend(line.strip_suffix(" left").map(str::to_owned));
        }
        left.sort();
        assert_eq!(left, ["* guest-2", "* guest-3", "* guest-4"]);
        // Whoever neither speaks nor hears is idle, and both of them do not.
        here.sleep(Duration::from_mins(11)).await;
        drop((silent, half, polite));
        let mut last = Member::new(&here).await;
        last.say("/who\n").await;
        assert_eq!(last.until("* in").await, "* in lobby: guest-6");
        drop(watch);
        served.cx.shutdown().drain();
        served.seats.drain();
        let mut words = Vec::new();
        last.conn.read_to_end(&mut words).await.unwrap();
        drop(last);
        served.stop(&sim).await;
    })
    .unwrap();
    assert_eq!(sim.tasks(), 0);
}

#[test]
fn the_same_seed_tells_the_same_and_nobody_stays() {
    let run = |seed: u64| {
        let sim = Sim::new(seed).shuffled();
        sim.links(Link::default().delayed(Duration::from_millis(20), Duration::from_millis(15)));
        let mut heard = Vec::new();
        sim.block_on(async {
            let settings = Settings::new().with("max-rate", "0");
            let served = Served::start(&sim, "chat", settings).await;
            let watching = sim.host("watch");
            let mut watch = Member::new(&watching).await;
            for i in 0..10 {
                let cx = sim.host(&format!("talker{i}"));
                cx.spawn({
                    let cx = cx.clone();
                    async move {
                        let mut member = Member::new(&cx).await;
                        for n in 0..10 {
                            cx.sleep(Duration::from_millis(cx.random_below(50))).await;
                            member.say(&format!("{i}.{n}\n")).await;
                        }
                        member.conn.shutdown().await.unwrap();
                        let mut rest = Vec::new();
                        member.conn.read_to_end(&mut rest).await.unwrap();
                    }
                });
            }
            while heard.len() < 100 {
                heard.push(watch.until("<").await);
            }
            for i in 0..10 {
                sim.host(&format!("talker{i}")).tasks_done().await;
                let own: Vec<&String> = heard
                    .iter()
                    .filter(|line| line.contains(&format!(" {i}.")))
                    .collect();
                assert!(
                    own.iter()
                        .enumerate()
                        .all(|(n, line)| line.ends_with(&format!(".{n}")))
                );
            }
            drop(watch);
            served.stop(&sim).await;
        })
        .unwrap();
        assert_eq!(sim.tasks(), 0);
        heard
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}
