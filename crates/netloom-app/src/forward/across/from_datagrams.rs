//! Clients that speak in datagrams, and a target that takes a stream.

use std::collections::HashMap;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use netloom_base::Failure;
use netloom_protocol::{DatagramService, Framed, Framing, WithFraming};
use netloom_transport::carry::{Carried, CarryFailure, End};
use netloom_transport::{
    Batch, BoxFuture, Conn, Cx, Datagrams, Guard, Messages, Outgoing, Peer, Permit,
};
use tokio::sync::mpsc;

use super::super::account::Account;
use super::super::service::Forwarder;
use super::super::untold::{Untold, were};

/// How many datagrams are taken at once.
const SLOTS: usize = 32;

/// How many datagrams of one client wait while its target is slow or dialled.
const WAITING: usize = 64;

/// Longer than any process runs.
const NEVER: Duration = Duration::from_hours(24 * 365 * 100);

/// How many answers of all targets wait to be sent.
const ANSWERS: usize = 256;

/// Keeps a stream to a target for each client; each datagram is one message.
pub(in super::super) struct FromDatagrams {
    forwarder: Arc<Forwarder>,
    framing: Framing,
    longest: usize,
    dropped: Arc<Untold>,
    guard: Arc<Guard>,
}

/// A client, and the address of ours that it asked.
type Client = (Peer, Option<IpAddr>);

/// What a session has for the socket.
struct Answer {
    client: Client,
    /// Nothing when the session is over.
    bytes: Option<Vec<u8>>,
    session: u64,
}

/// A client that is remembered.
struct Session {
    number: u64,
    messages: mpsc::Sender<Vec<u8>>,
}

impl FromDatagrams {
    pub(in super::super) fn new(
        forwarder: Arc<Forwarder>,
        framing: Framing,
        longest: usize,
    ) -> Self {
        let guard = forwarder.sessions.guard();
        FromDatagrams {
            guard,
            forwarder,
            framing,
            longest,
            dropped: Arc::default(),
        }
    }

    async fn run(&self, mut socket: Box<dyn Datagrams>, cx: &Cx) -> Result<(), Failure> {
        let mut batch = Batch::new(SLOTS, socket.room());
        let mut sessions: HashMap<Client, Session> = HashMap::new();
        let (sender, mut answers) = mpsc::channel::<Answer>(ANSWERS);
        let draining = cx.shutdown().clone();
        let mut drained = pin!(draining.draining());
        loop {
            let next = poll_fn(|task| {
                if drained.as_mut().poll(task).is_ready() {
                    return Poll::Ready(None);
                }
                if let Poll::Ready(Some(answer)) = answers.poll_recv(task) {
                    return Poll::Ready(Some(Some(answer)));
                }
                // What the network says of an earlier answer is for whoever asks.
                socket.poll_recv(task, &mut batch).map(|_| Some(None))
            });
            match next.await {
                // The sessions end when they see that nobody speaks to them.
                None => return Ok(()),
                Some(Some(answer)) => {
                    let known = sessions.get(&answer.client);
                    if known.is_none_or(|known| known.number != answer.session) {
                        continue;
                    }
                    match &answer.bytes {
                        Some(bytes) => say(&mut *socket, &answer.client, bytes).await,
                        None => drop(sessions.remove(&answer.client)),
                    }
                }
                Some(None) => {
                    for (of, bytes) in batch.iter() {
                        if of.truncated_from.is_some() {
                            self.dropped.add(1);
                            continue;
                        }
                        let client = (of.from.clone(), of.to);
                        self.hand_on(&mut sessions, &client, bytes, &sender, cx);
                    }
                    self.tell_dropped(cx);
                }
            }
        }
    }

    /// Gives a datagram to its client's session, which it begins if need be.
    fn hand_on(
        &self,
        sessions: &mut HashMap<Client, Session>,
        client: &Client,
        bytes: &[u8],
        answers: &mpsc::Sender<Answer>,
        cx: &Cx,
    ) {
        if !sessions.contains_key(client) {
            let source = client.0.ip();
            let permit = self
                .guard
                .try_permit()
                .and_then(|mut permit| permit.admit(source).then_some(permit));
            let Some(permit) = permit else {
                return self.dropped.add(1);
            };
            let (messages, queue) = mpsc::channel(WAITING);
            let number = Conn::number();
            let session = Talk {
                forwarder: self.forwarder.clone(),
                framing: self.framing,
                longest: self.longest,
                dropped: self.dropped.clone(),
                client: client.clone(),
                number,
                answers: answers.clone(),
                _permit: permit,
                cx: cx.clone(),
            };
            cx.spawn(session.run(queue));
            sessions.insert(client.clone(), Session { number, messages });
        }
        let session = sessions.get(client);
        if session.is_none_or(|session| session.messages.try_send(bytes.to_vec()).is_err()) {
            self.dropped.add(1);
        }
    }

    /// Tells how many were dropped, now and then.
    fn tell_dropped(&self, cx: &Cx) {
        if let Some(count) = self.dropped.due(cx) {
            let words = format!("{} dropped on the way to a target", were(count));
            cx.remark(cx.service(), words);
        }
    }
}

impl DatagramService for FromDatagrams {
    fn serve<'a>(
        &'a self,
        socket: Box<dyn Datagrams>,
        cx: &'a Cx,
    ) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(self.run(socket, cx))
    }
}

/// Sends one answer; one that cannot go is lost, as any datagram may be.
async fn say(socket: &mut dyn Datagrams, client: &Client, bytes: &[u8]) {
    let run = [Outgoing {
        to: Some(&client.0),
        from: client.1,
        bytes,
    }];
    let _ = poll_fn(|task| socket.poll_send(task, &run)).await;
}

/// One client's stream.
struct Talk {
    forwarder: Arc<Forwarder>,
    framing: Framing,
    longest: usize,
    dropped: Arc<Untold>,
    client: Client,
    number: u64,
    answers: mpsc::Sender<Answer>,
    _permit: Permit,
    cx: Cx,
}

/// What a session waits for.
enum Next {
    Said(Option<Vec<u8>>),
    Answered(Result<Option<Vec<u8>>, Failure>),
}

impl Talk {
    async fn run(self, mut queue: mpsc::Receiver<Vec<u8>>) {
        self.convey(&mut queue).await;
        // What came too late for this session is not carried by the next.
        queue.close();
        let mut late = 0;
        while queue.try_recv().is_ok() {
            late += 1;
        }
        self.dropped.add(late);
        let over = Answer {
            client: self.client,
            bytes: None,
            session: self.number,
        };
        // Nobody listens any more when the service has ended.
        let _ = self.answers.send(over).await;
    }

    async fn convey(&self, queue: &mut mpsc::Receiver<Vec<u8>>) {
        let (forwarder, cx) = (&*self.forwarder, &self.cx);
        let source = self.client.0.ip();
        let peer = || Some(self.client.0.clone());
        let journal = forwarder.access.journal();
        let mut account = Account::open(journal, cx, self.number, peer);
        let reached = match forwarder
            .reach
            .reach(&forwarder.pool, source, None, cx)
            .await
        {
            Ok(reached) => reached,
            Err(unreached) => {
                if let Some(account) = account {
                    account.unreached(&unreached, cx);
                }
                return;
            }
        };
        if let Some(account) = &mut account {
            account.reached(&reached);
        }
        let endpoint = &reached.pick.target().stack.endpoint;
        let Ok(conn) = reached.opened.stream() else {
            return;
        };
        let mut framed = conn.framed(self.framing).at_most(self.longest);
        let mut moved = Carried::default();
        match self.talk(&mut framed, queue, &mut moved).await {
            Ok(first) => {
                let _ = Box::new(framed).close().await;
                moved.ended_first = Some(first);
                if let Some(account) = account {
                    account.carried(moved, cx);
                }
            }
            Err(failure) => {
                Box::new(framed).abort();
                let again = Failure::new(failure.stage(), failure.side(), failure.code());
                let broke = CarryFailure {
                    end: End::Second,
                    carried: moved,
                    failure: again,
                    spared: None,
                };
                if let Some(account) = account {
                    account.broke(&broke, cx);
                }
                forwarder.reach.troubles.tell(failure.at(endpoint), cx);
            }
        }
    }

    /// How long a client is remembered that is quiet, as is its target.
    fn idle(&self) -> Duration {
        match self.forwarder.sessions.session_idle {
            Duration::ZERO => NEVER,
            idle => idle,
        }
    }

    /// Carries both ways until the target ends, or nothing came or went for so
    /// long, or the service ends; tells who ended it.
    async fn talk(
        &self,
        framed: &mut Framed,
        queue: &mut mpsc::Receiver<Vec<u8>>,
        moved: &mut Carried,
    ) -> Result<End, Failure> {
        let idle = self.idle();
        loop {
            let next = poll_fn(|task| {
                if let Poll::Ready(answer) = framed.poll_recv(task) {
                    return Poll::Ready(Next::Answered(answer));
                }
                queue.poll_recv(task).map(Next::Said)
            });
            match self.cx.timeout(idle, next).await {
                None | Some(Next::Said(None)) => return Ok(End::First),
                Some(Next::Answered(answer)) => match answer? {
                    None => return Ok(End::Second),
                    Some(bytes) => {
                        moved.back += bytes.len() as u64;
                        let answer = Answer {
                            client: self.client.clone(),
                            bytes: Some(bytes),
                            session: self.number,
                        };
                        if self.answers.send(answer).await.is_err() {
                            return Ok(End::First);
                        }
                    }
                },
                Some(Next::Said(Some(message))) => match self.send(framed, &message).await {
                    Ok(()) => moved.forth += message.len() as u64,
                    Err(failure) if failure.code() == netloom_base::Code::SEND_UNFRAMEABLE => {
                        self.dropped.add(1);
                    }
                    Err(failure) => return Err(failure),
                },
            }
        }
    }

    /// Sends one message. A target that takes nothing for as long as a client is
    /// remembered is given up.
    async fn send(&self, framed: &mut Framed, message: &[u8]) -> Result<(), Failure> {
        let idle = self.idle();
        let sent = self.cx.timeout(idle, Messages::send(framed, message)).await;
        sent.unwrap_or_else(|| {
            let (stage, code) = (netloom_base::Stage::Send, netloom_base::Code::LIMIT_IDLE);
            Err(Failure::new(stage, netloom_base::Side::Us, code))
        })
    }
}
