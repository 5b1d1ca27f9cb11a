//! Visits in a simulation, to peers that follow a script.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use netloom_base::{Endpoint, Failure, Role, Stack};
use netloom_transport::sim::{Link, Sim};
use netloom_transport::{Close, Conn, Cx, Listener};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::greeting::{Greeted, Visit};
use crate::registry::{Protocol, protocol_for};
use crate::speaking;

/// One conversation, seen by the peer.
pub(crate) struct Far {
    pub(crate) conn: Conn,
    /// The peer's world, to listen in.
    pub(crate) cx: Cx,
    /// How many came before this one.
    pub(crate) number: usize,
    asked: Arc<Mutex<Vec<String>>>,
}

/// What a peer of HTTP does after its answer.
#[derive(Clone, Copy)]
pub(crate) enum End {
    /// It closes in order.
    Close,
    /// It neither reads nor ends.
    Hold,
    /// It resets, whatever it has not read.
    Reset,
    /// It answers this, whatever comes next, and closes.
    Then(&'static [u8]),
}

/// What a peer of HTTP does with a request's head: the bytes it answers, and how it ends.
pub(crate) trait Answers: Fn(&str) -> (Vec<u8>, End) + Send + Sync + 'static {}

impl<F: Fn(&str) -> (Vec<u8>, End) + Send + Sync + 'static> Answers for F {}

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

    /// The head of the next request, without its end; `None` when it does not
    /// come whole. It is among what was asked.
    async fn request(&mut self) -> Option<String> {
        let mut came = Vec::new();
        let mut buffer = [0; 1024];
        loop {
            let n = self.conn.read(&mut buffer).await.unwrap_or_default();
            came.extend_from_slice(&buffer[..n]);
            let text = String::from_utf8_lossy(&came);
            if let Some((head, _)) = text.split_once("\r\n\r\n") {
                self.asked.lock().unwrap().push(head.to_owned());
                return Some(head.to_owned());
            }
            if n == 0 {
                return None;
            }
        }
    }

    /// Answers one request.
    async fn serve(mut self, answers: &impl Answers) {
        let Some(head) = self.request().await else {
            return;
        };
        let (answer, end) = answers(&head);
        // The visitor may have had enough.
        let _ = self.conn.write_all(&answer).await;
        let _ = self.conn.flush().await;
        let mut buffer = [0; 1024];
        match end {
            End::Reset => return self.reset(),
            End::Close => {}
            End::Hold => std::future::pending().await,
            End::Then(bytes) => {
                let _ = self.conn.read(&mut buffer).await;
                let _ = self.conn.write_all(bytes).await;
            }
        }
        let _ = self.conn.shutdown().await;
        while let Ok(1..) = self.conn.read(&mut buffer).await {}
    }

    pub(crate) fn reset(self) {
        self.conn.close(Close::Abort);
    }
}

/// How a visit went.
pub(crate) struct Went {
    pub(crate) result: Result<Greeted, Failure>,
    pub(crate) took: Duration,
    /// The heads of the requests that [`visit_http`]'s peer was asked.
    pub(crate) asked: Vec<String>,
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

    /// The same without what each is about.
    pub(crate) fn texts(&self) -> Vec<&str> {
        let told = &self.result.as_ref().unwrap().told;
        told.iter().map(|told| &*told.text).collect()
    }

    pub(crate) fn failure(&self) -> &Failure {
        self.result.as_ref().unwrap_err()
    }

    pub(crate) fn knows(&self, words: &str) {
        let facts = self.failure().facts();
        let found = facts.iter().any(|fact| fact.to_string().contains(words));
        assert!(found, "no fact has {words:?} in {facts:?}");
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
    let protocol = protocol_for(&stack(url)).unwrap();
    visit_as(protocol, url, send, deep, far)
}

/// Visits `url` to a peer that answers every request of HTTP as `answers` says.
pub(crate) fn visit_http(
    protocol: &dyn Protocol,
    url: &str,
    send: Option<&[u8]>,
    answers: impl Answers,
) -> Went {
    let answers = Arc::new(answers);
    visit_as(protocol, url, send, false, move |far| {
        let answers = Arc::clone(&answers);
        async move { far.serve(&*answers).await }
    })
}

/// What an endpoint means here.
pub(crate) fn stack(url: &str) -> Stack {
    let endpoint: Endpoint = url.parse().unwrap();
    speaking::stack(&endpoint).unwrap()
}

fn visit_as<F: Future<Output = ()> + Send + 'static>(
    protocol: &dyn Protocol,
    url: &str,
    send: Option<&[u8]>,
    deep: bool,
    far: impl Fn(Far) -> F + Send + 'static,
) -> Went {
    let sim = Sim::new(5);
    sim.links(Link::default().delayed(Duration::from_millis(5), Duration::ZERO));
    let (here, there) = (sim.host("here"), sim.host("far"));
    sim.set_addresses("far", vec![IpAddr::from([203, 0, 113, 1])]);
    let stack = stack(url);
    let asked = Arc::default();
    let seen = Arc::clone(&asked);
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
                    asked: Arc::clone(&seen),
                }));
            }
        });
        let visit = Visit {
            stack: &stack,
            send,
            deep,
        };
        let conn = visit.dial_again(&here).await.unwrap();
        protocol.greet(conn, visit, &here).await
    });
    let result = result.unwrap();
    if let Ok(greeted) = &result {
        assert!(greeted.told.iter().all(|told| told.about.len() <= 9));
    }
    Went {
        result,
        took: sim.now() - began,
        asked: std::mem::take(&mut *asked.lock().unwrap()),
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
