//! Visits in a simulation, to peers that follow a script.

use std::net::IpAddr;
use std::time::Duration;

use netloom_base::{Endpoint, Failure, Role};
use netloom_transport::sim::{Link, Sim};
use netloom_transport::{Close, Conn, Cx, Listener};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::greeting::{Greeted, Visit};
use crate::registry::protocol_for;
use crate::speaking;

/// One conversation, seen by the peer.
pub(crate) struct Far {
    pub(crate) conn: Conn,
    /// The peer's world, to listen in.
    pub(crate) cx: Cx,
    /// How many came before this one.
    pub(crate) number: usize,
}

impl Far {
    pub(crate) async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        self.conn.write_all(bytes.as_ref()).await.unwrap();
    }

    /// The next line, without its end; empty when there is none.
    pub(crate) async fn line(&mut self) -> String {
        let mut line = Vec::new();
        while let Ok(byte) = self.conn.read_u8().await {
            if byte == b'\n' {
                break;
            }
            line.push(byte);
        }
        String::from_utf8(line).unwrap().trim_end().to_owned()
    }

    /// Answers lines until there are no more: the answer whose command begins a
    /// line, or 500. Gives every line that came.
    pub(crate) async fn answer(&mut self, answers: &[(&str, &str)]) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.line().await;
            if line.is_empty() {
                return lines;
            }
            let fits = |(command, _): &&(&str, &str)| line.starts_with(command);
            let answer = answers
                .iter()
                .find(fits)
                .map_or("500 what", |(_, answer)| answer);
            lines.push(line.clone());
            self.say(format!("{answer}\r\n")).await;
        }
    }

    /// The next `n` bytes.
    pub(crate) async fn bytes(&mut self, n: usize) -> Vec<u8> {
        let mut bytes = vec![0; n];
        self.conn.read_exact(&mut bytes).await.unwrap();
        bytes
    }

    pub(crate) fn reset(self) {
        self.conn.close(Close::Abort);
    }
}

/// How a visit went.
pub(crate) struct Went {
    pub(crate) result: Result<Greeted, Failure>,
    pub(crate) took: Duration,
}

impl Went {
    /// What was told, a line for each.
    pub(crate) fn told(&self) -> String {
        let told = &self.result.as_ref().unwrap().told;
        let lines: Vec<String> = told
            .iter()
            .map(|told| format!("{}: {}", told.about, told.text))
            .collect();
        lines.join("\n")
    }

    pub(crate) fn failure(&self) -> &Failure {
        self.result.as_ref().unwrap_err()
    }

    pub(crate) fn code(&self) -> &'static str {
        self.failure().code().name()
    }

    /// Everything the failure knows, in words.
    pub(crate) fn facts(&self) -> String {
        let failure = self.failure();
        let facts: Vec<String> = failure.facts().iter().map(ToString::to_string).collect();
        format!("{failure}\n{}", facts.join("\n"))
    }
}

/// Visits `url`, whose host is `far` at the address 203.0.113.1.
pub(crate) fn visit<F: Future<Output = ()> + Send + 'static>(
    url: &str,
    far: impl Fn(Far) -> F + Send + 'static,
) -> Went {
    visit_with(url, None, false, far)
}

pub(crate) fn visit_with<F: Future<Output = ()> + Send + 'static>(
    url: &str,
    send: Option<&[u8]>,
    deep: bool,
    far: impl Fn(Far) -> F + Send + 'static,
) -> Went {
    let sim = Sim::new(5);
    sim.links(Link::default().delayed(Duration::from_millis(5), Duration::ZERO));
    let (here, there) = (sim.host("here"), sim.host("far"));
    sim.set_addresses("far", vec![IpAddr::from([203, 0, 113, 1])]);
    let endpoint: Endpoint = url.parse().unwrap();
    let stack = speaking::stack(&endpoint).unwrap();
    let began = sim.now();
    let port = stack.port().unwrap();
    let result = sim.block_on(async {
        let mut listener = listen(&there, port).await;
        let cx = there.clone();
        there.spawn_loose(async move {
            for number in 0.. {
                let Ok(accepted) = listener.accept().await else {
                    return;
                };
                let conn = accepted.attach().unwrap();
                cx.spawn_loose(far(Far {
                    conn,
                    cx: cx.clone(),
                    number,
                }));
            }
        });
        let visit = Visit {
            stack: &stack,
            send,
            deep,
        };
        let conn = visit.dial_again(&here).await.unwrap();
        protocol_for(&stack)
            .unwrap()
            .greet(conn, visit, &here)
            .await
    });
    Went {
        result: result.unwrap(),
        took: sim.now() - began,
    }
}

/// A listener of that host; at any port for 0.
pub(crate) async fn listen(cx: &Cx, port: u16) -> Box<dyn Listener> {
    bound(cx, port).await.0
}

/// The same with the port that it got.
pub(crate) async fn bound(cx: &Cx, port: u16) -> (Box<dyn Listener>, u16) {
    let endpoint = format!("tcp://far:{port}").parse().unwrap();
    let stack = cx.net().stack(&endpoint, Role::Bind).unwrap();
    let bound = cx.net().bind(&stack, cx).await.unwrap().remove(0);
    let port = bound.endpoint().port().unwrap();
    (bound.listener().unwrap().unwrap(), port)
}
