//! A server that answers what a test says, in a simulated network.

use std::sync::{Arc, Mutex};

use netloom_base::story::Told;
use netloom_base::{Card, Failure, Role, Schemes, Stack};
use netloom_transport::sim::Sim;
use netloom_transport::tls::Tls;
use netloom_transport::{Close, Conn, Cx, Layer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::greeting::{Greeted, Visit};
use crate::registry::Protocol;

/// What a server does with a request's head: the bytes it answers, and how it ends.
pub(crate) trait Answers: Fn(&str) -> (Vec<u8>, End) + Send + Sync + 'static {}

impl<F: Fn(&str) -> (Vec<u8>, End) + Send + Sync + 'static> Answers for F {}

/// What a server does after its answer.
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

/// How a visit ended, and what the server was asked.
pub(crate) struct Visited {
    pub(crate) ended: Result<Greeted, Failure>,
    pub(crate) asked: Vec<String>,
}

impl Visited {
    pub(crate) fn told(&self) -> Vec<&str> {
        match &self.ended {
            Ok(greeted) => greeted
                .told
                .iter()
                .map(|Told { text, .. }| &**text)
                .collect(),
            Err(failure) => panic!("{failure}: {:?}", failure.facts()),
        }
    }

    pub(crate) fn failure(&self) -> &Failure {
        match &self.ended {
            Ok(greeted) => panic!("{:?}", greeted.told),
            Err(failure) => failure,
        }
    }

    pub(crate) fn knows(&self, words: &str) {
        let facts = self.failure().facts();
        let found = facts.iter().any(|fact| fact.to_string().contains(words));
        assert!(found, "no fact has {words:?} in {facts:?}");
    }
}

/// The meaning of an endpoint where this protocol is spoken.
pub(crate) fn stack(protocol: &dyn Protocol, url: &str, tcp: &'static Card) -> Stack {
    let tls = Tls::default();
    let schemes = Schemes::new([tcp, tls.card(), protocol.card()]);
    schemes.stack(&url.parse().unwrap(), Role::Dial).unwrap()
}

/// The card of tcp, as the simulation has it.
pub(crate) fn tcp(cx: &Cx) -> &'static Card {
    let endpoint = "tcp://127.0.0.1:1".parse().unwrap();
    let stack = cx.net().stack(&endpoint, Role::Dial).unwrap();
    stack.transport().card
}

/// Visits `url` at the host `far`, port 80, where `answers` says what comes back.
pub(crate) fn visit(
    protocol: &'static dyn Protocol,
    url: &str,
    send: Option<&[u8]>,
    answers: impl Answers,
) -> Visited {
    let sim = Sim::new(7);
    let (here, far) = (sim.host("here"), sim.host("far"));
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = asked.clone();
    let served = far.clone();
    far.spawn_loose(async move {
        let endpoint = "tcp://*:80".parse().unwrap();
        let bound = served.net().stack(&endpoint, Role::Bind).unwrap();
        let bound = served.net().bind(&bound, &served).await.unwrap().remove(0);
        let mut listener = bound.listener().unwrap().unwrap();
        while let Ok(accepted) = listener.accept().await {
            serve(accepted.attach().unwrap(), &answers, &seen).await;
        }
    });
    let ended = sim.block_on(async {
        // The server binds in its own task first.
        here.sleep(std::time::Duration::from_millis(1)).await;
        let stack = stack(protocol, url, tcp(&here));
        let visit = Visit {
            stack: &stack,
            send,
            deep: false,
        };
        let conn = visit.dial_again(&here).await.unwrap();
        let greeted = protocol.greet(conn, visit, &here).await;
        if let Ok(greeted) = &greeted {
            assert!(greeted.told.iter().all(|told| told.about.len() <= 9));
        }
        greeted
    });
    Visited {
        ended: ended.unwrap(),
        asked: asked.lock().unwrap().clone(),
    }
}

async fn serve(mut conn: Conn, answers: &impl Answers, seen: &Mutex<Vec<String>>) {
    let mut came = Vec::new();
    let mut buffer = [0; 1024];
    let head = loop {
        let n = conn.read(&mut buffer).await.unwrap_or_default();
        came.extend_from_slice(&buffer[..n]);
        let text = String::from_utf8_lossy(&came).into_owned();
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            break head.to_owned();
        }
        if n == 0 {
            return;
        }
    };
    seen.lock().unwrap().push(head.clone());
    let (answer, end) = answers(&head);
    let _ = conn.write_all(&answer).await;
    let _ = conn.flush().await;
    match end {
        End::Reset => return conn.close(Close::Abort),
        End::Close => {}
        End::Hold => std::future::pending().await,
        End::Then(bytes) => {
            let _ = conn.read(&mut buffer).await;
            let _ = conn.write_all(bytes).await;
        }
    }
    let _ = conn.shutdown().await;
    while let Ok(1..) = conn.read(&mut buffer).await {}
}
