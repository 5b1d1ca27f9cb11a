//! This end of an exchange of datagrams: each read of stdin is one datagram,
//! and what comes goes to stdout as it comes.
//!
//! Nobody says that a datagram was the last. So `connect` ends when stdin has
//! ended and nothing has come for a while; `listen` ends when it is told to.

use std::future::poll_fn;
use std::net::IpAddr;
use std::path::PathBuf;
use std::task::Poll;
use std::time::Duration;

use netloom_base::failure::Fact;
use netloom_base::{
    Code, Endpoint, EndpointSet, Failure, Kind, Moment, Role, Side, Stack, Stage, Story,
};
use netloom_explain::awaited::Awaited;
use netloom_host::os_net;
use netloom_transport::datagrams::{Lost, Received, send};
use netloom_transport::net::complaint;
use netloom_transport::probe::Probe;
use netloom_transport::{Batch, Conn, Cx, Datagrams, Opened, Outgoing, Peer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::client::converse;
use crate::connecting::{Console, recorder};
use crate::contract::Stop;
use crate::desk::Desk;
use crate::editor::{LONGEST, Options};
use crate::talk::{Expect, Script};
use crate::view::{Data, Face, json_line, now};
use crate::watch::{Seen, Watch};

/// The most bytes of stdin in one datagram: what passes every path unsplit.
const BLOCK: usize = 1200;

/// How many datagrams are received at once.
const SLOTS: usize = 32;

/// How long nothing comes before the exchange is taken for ended.
const QUIET: Duration = Duration::from_secs(1);

/// The same while something is expected.
const EXPECTED: Duration = Duration::from_secs(10);

/// How often losses are told.
const TELL: Duration = Duration::from_secs(1);

/// How datagrams are typed, shown and kept.
pub(crate) struct Talk {
    pub(crate) script: Script,
    pub(crate) options: Options,
    /// Where to record them, and how many bytes of that at most.
    pub(crate) record: Option<(PathBuf, u64)>,
}

/// Whether an endpoint means datagrams. One that cannot be read does not.
pub(crate) fn gives_datagrams(endpoint: &Endpoint, role: Role) -> bool {
    let stack = os_net().stack(endpoint, role);
    stack.is_ok_and(|stack| stack.kind() == Kind::Datagram)
}

/// The same of several, all of them.
pub(crate) fn all_give_datagrams(urls: &[&str]) -> bool {
    urls.iter().all(|url| {
        let set = url.parse::<EndpointSet>();
        set.is_ok_and(|set| set.iter().all(|one| gives_datagrams(&one, Role::Bind)))
    })
}

/// Whether an endpoint is a group: many may speak there, and it is listened to.
pub(crate) fn is_group(endpoint: &Endpoint) -> bool {
    endpoint.host().ip().is_some_and(|ip| ip.is_multicast())
        && [Role::Bind, Role::Dial]
            .into_iter()
            .any(|role| gives_datagrams(endpoint, role))
}

/// Talks to one endpoint. `overdue` says what did not happen when the limit passes.
pub(crate) fn connect(
    endpoint: &Endpoint,
    by: Talk,
    (limit, overdue): (Option<Duration>, &str),
    face: &Face,
) -> Result<(), Stop> {
    converse(None, overdue, |cx| async move {
        let stack = cx.net().stack(endpoint, Role::Dial)?;
        let Opened::Datagrams(socket) = cx.net().dial(&stack, &cx).await? else {
            return Err(Stop::usage(format!("{endpoint} gives no datagrams")));
        };
        for fact in socket.learned() {
            face.note(fact.to_string());
        }
        let mut exchange = Exchange::new(vec![socket], &by, limit, face, &cx).await?;
        exchange.answer_to = Some((0, None, None));
        let ended = exchange.hold(&by, &stack, overdue).await;
        ended.map_err(|stop| stop.at(endpoint))
    })
}

/// Waits for datagrams and talks to whoever sent the first; with `keep`, hears
/// everybody and talks to whoever sent the last.
pub(crate) fn listen(
    urls: &[&str],
    keep: bool,
    by: Talk,
    limit: Option<Duration>,
    face: &Face,
) -> Result<(), Stop> {
    let overdue = "no datagram came in time";
    converse(None, overdue, |cx| async move {
        let (mut sockets, mut hears_all, mut first) = (Vec::new(), keep, None);
        for url in urls {
            let set: EndpointSet = url.parse().map_err(|error| complaint(&error))?;
            for endpoint in set.iter() {
                let stack = cx.net().stack(&endpoint, Role::Bind)?;
                for bound in cx.net().datagrams(&stack, &cx).await? {
                    let Some(socket) = bound.socket()? else {
                        continue;
                    };
                    face.listening(&bound.endpoint().to_string());
                    for fact in bound.learned() {
                        face.note(fact.to_string());
                    }
                    hears_all |= bound.is_shared();
                    sockets.push(socket);
                    first.get_or_insert_with(|| {
                        let mut stack = stack.clone();
                        stack.endpoint = bound.endpoint(); // with the real port
                        stack
                    });
                }
            }
        }
        let Some(stack) = first else {
            return Ok(()); // there was nothing to listen on
        };
        let mut exchange = Exchange::new(sockets, &by, limit, face, &cx).await?;
        exchange.listens = true;
        exchange.hears_all = hears_all;
        exchange.hold(&by, &stack, overdue).await
    })
}

struct Exchange<'a> {
    sockets: Vec<Box<dyn Datagrams>>,
    script: Script,
    limit: Option<Duration>,
    face: &'a Face,
    cx: &'a Cx,
    desk: Desk,
    /// A person reads: each datagram has a line of its own.
    by_hand: bool,
    watch: Watch,
    seen: Option<Seen>,
    /// The group that is waited for, where it is one.
    group: Option<Awaited>,
    /// The number of this exchange, where there may be several.
    conn: u64,
    /// Whom to talk to: the socket, the peer unless it is connected, and the
    /// address of this host to say it from.
    answer_to: Option<(usize, Option<Peer>, Option<IpAddr>)>,
    listens: bool,
    hears_all: bool,
    strangers: u64,
    expect: Option<Expect>,
    began: Moment,
    /// When something was last said or heard.
    last: Moment,
    heard: bool,
    input_over: bool,
    received: u64,
    sent: u64,
    told: Vec<Lost>,
    told_at: Option<Moment>,
}

/// What happens next.
enum Next {
    Came(usize, Result<(), Failure>),
    Typed(std::io::Result<usize>),
    Silence,
}

impl<'a> Exchange<'a> {
    async fn new(
        sockets: Vec<Box<dyn Datagrams>>,
        by: &Talk,
        limit: Option<Duration>,
        face: &'a Face,
        cx: &'a Cx,
    ) -> Result<Self, Stop> {
        let recorder = recorder(by.record.as_ref(), face, cx)?;
        let script = by.script.clone();
        let began = cx.now();
        Ok(Exchange {
            told: vec![Lost::default(); sockets.len()],
            sockets,
            expect: script.expect.clone().map(Expect::new),
            script,
            limit,
            face,
            cx,
            desk: Desk::stdio(by.options.raw, face, cx).await?,
            by_hand: false,
            watch: Watch::new(face, recorder, false, cx),
            seen: None,
            group: None,
            conn: Conn::number(),
            answer_to: None,
            listens: false,
            hears_all: true,
            strangers: 0,
            began,
            last: began,
            heard: false,
            input_over: false,
            received: 0,
            sent: 0,
            told_at: None,
        })
    }

    /// The whole of it, on a terminal or in a pipe.
    async fn hold(&mut self, by: &Talk, stack: &Stack, overdue: &str) -> Result<(), Stop> {
        let (face, cx, watch) = (self.face, self.cx, self.watch.clone());
        let name = stack.endpoint.to_string();
        let console = if self.script.send.is_some() {
            None // nobody types
        } else {
            Console::open(by.options, name.clone(), &watch, face, cx).await?
        };
        if self.is_at_one_address() {
            self.group = Awaited::at(stack, self.listens, &Probe::new(), cx).await;
        }
        let at = self.sockets.first().map(|socket| socket.facts());
        let at = at.unwrap_or_default();
        let what = stack.to_string();
        self.seen = Some(watch.open(self.conn, &name, (&what, "datagram"), &at));
        self.desk = Console::desk_or_stdio(console.as_ref(), by.options, face, cx).await?;
        self.by_hand = console.is_some();
        let run = async {
            self.run(overdue).await?;
            let story = self.story(stack);
            face.record(&story, &story, now());
            Ok(())
        };
        match console {
            None => run.await?,
            Some(console) => console.beside(run).await?,
        }
        if let Some(seen) = &self.seen {
            watch.close(seen);
        }
        watch.finish()
    }

    /// Whether all that is held is one address, on however many interfaces.
    fn is_at_one_address(&self) -> bool {
        let mut held = self
            .sockets
            .iter()
            .map(|socket| match socket.facts().local {
                Some(Peer::Ip(addr)) => Some((addr.ip(), addr.port())),
                _ => None,
            });
        let first = held.next();
        first.is_some() && held.all(|one| one.is_some() && Some(one) == first)
    }

    /// When to give up, unless something happens before.
    fn deadline(&self) -> Option<Moment> {
        let whole = self.limit.map(|limit| self.began + limit);
        if self.listens || !self.input_over {
            return whole;
        }
        let quiet = match (&self.expect, self.limit) {
            (Some(_), Some(_)) => return whole,
            (Some(_), None) => EXPECTED,
            // Whoever gives a limit waits so long for the first answer.
            (None, Some(_)) if !self.heard => return whole,
            (None, _) => QUIET,
        };
        let quiet = self.last + quiet;
        Some(whole.map_or(quiet, |whole| whole.min(quiet)))
    }

    async fn run(&mut self, overdue: &str) -> Result<(), Failure> {
        let room = self.sockets.iter().map(|socket| socket.room()).max();
        let mut batch = Batch::new(SLOTS, room.unwrap_or(1));
        let mut block = vec![0; if self.by_hand { LONGEST + 1 } else { BLOCK }];
        if let Some(text) = self.script.send.take() {
            self.say(&text).await?;
            self.input_over = true;
        }
        loop {
            match self.next(&mut batch, &mut block).await {
                Next::Came(at, Ok(())) => {
                    self.last = self.cx.now();
                    if self.hear(at, &batch).await? {
                        return Ok(());
                    }
                    self.tell_losses(TELL);
                }
                // A path that carries less than was thought: what is said from
                // now on fits it.
                Next::Came(_, Err(failure)) if failure.code() == Code::SEND_TOO_LARGE => {
                    self.face.note(failure.to_string());
                }
                Next::Came(_, Err(failure)) => return Err(failure),
                Next::Typed(Ok(0)) => {
                    self.input_over = true;
                    self.last = self.cx.now();
                }
                Next::Typed(Ok(n)) => self.say(&block[..n]).await?,
                Next::Typed(Err(error)) => {
                    let failure = Failure::from_io(Stage::Recv, error);
                    return Err(failure.message("standard input cannot be read"));
                }
                Next::Silence => {
                    self.tell_losses(Duration::ZERO);
                    return match (self.silent(overdue), &self.group) {
                        (Err(silent), Some(group)) if !self.heard => {
                            Err(group.told(silent, &Probe::new(), self.cx).await)
                        }
                        (ended, _) => ended,
                    };
                }
            }
        }
    }

    /// Whether it is well that nothing came any more.
    fn silent(&self, overdue: &str) -> Result<(), Failure> {
        let over = |limit: &Duration| self.cx.now() - self.began >= *limit;
        let late = self.limit.filter(over);
        if self.expect.is_none() && (self.heard || late.is_none()) {
            return Ok(());
        }
        let waited = late.unwrap_or(EXPECTED);
        Err(Failure::new(Stage::Recv, Side::Peer, Code::RECV_TIMEOUT)
            .message(overdue)
            .fact(Fact::Waited(waited))
            .fact(Fact::Moved {
                received: self.received,
                sent: self.sent,
            }))
    }

    async fn next(&mut self, batch: &mut Batch, block: &mut [u8]) -> Next {
        let deadline = self.deadline();
        let (cx, sockets) = (self.cx, &mut self.sockets);
        let came = poll_fn(|task| {
            for (at, socket) in sockets.iter_mut().enumerate() {
                if let Poll::Ready(came) = socket.poll_recv(task, batch) {
                    return Poll::Ready(Next::Came(at, came));
                }
            }
            Poll::Pending
        });
        let silence = async {
            match deadline {
                Some(deadline) => cx.sleep(deadline - cx.now()).await,
                None => std::future::pending().await,
            }
        };
        let reads = !self.input_over && self.answer_to.is_some();
        let heard_or_typed = async {
            tokio::select! {
                came = came => came,
                typed = self.desk.read(block), if reads => Next::Typed(typed),
            }
        };
        // The limit first: who sends without end must not keep this from ending.
        tokio::select! {
            biased;
            () = silence => Next::Silence,
            next = heard_or_typed => next,
        }
    }

    /// Says one datagram.
    async fn say(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let Some((at, to, from)) = &self.answer_to else {
            return Ok(());
        };
        let out = Outgoing {
            to: to.as_ref(),
            from: *from,
            bytes,
        };
        send(&mut *self.sockets[*at], &[out]).await?;
        if let Some(seen) = &mut self.seen {
            self.watch.saw(seen, false, bytes);
        }
        if self.face.is_json() && self.face.is_verbose() {
            self.write(None, false, bytes).await?;
        }
        self.sent += bytes.len() as u64;
        self.last = self.cx.now();
        Ok(())
    }

    /// Writes what came. Whether that was all that is wanted.
    async fn hear(&mut self, at: usize, batch: &Batch) -> Result<bool, Failure> {
        for (of, bytes) in batch.iter() {
            if !self.belongs(at, of) {
                continue;
            }
            self.heard = true;
            self.received += bytes.len() as u64;
            if let Some(seen) = &mut self.seen {
                self.watch.saw(seen, true, bytes);
            }
            if let Some(whole) = of.truncated_from {
                self.face.note(format!(
                    "{}: a datagram of {whole} bytes from {} was cut to {}: buffer= gives more room",
                    Code::RECV_TRUNCATED,
                    of.from,
                    bytes.len()
                ));
            }
            if !self.write(Some(&of.from), true, bytes).await? {
                return Ok(true);
            }
            if self
                .expect
                .as_mut()
                .is_some_and(|expect| expect.feed(bytes))
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the sender is one of those who are heard.
    fn belongs(&mut self, at: usize, of: &Received) -> bool {
        if !self.listens {
            return true;
        }
        let known = match &self.answer_to {
            Some((_, Some(partner), _)) => Some(*partner == of.from),
            _ => None,
        };
        if known == Some(true) || (known.is_some() && self.hears_all) {
            self.answer_to = Some((at, Some(of.from.clone()), of.to));
            return true;
        }
        if known.is_none() {
            self.face
                .note(format!("the first datagram came from {}", name(&of.from)));
            self.answer_to = Some((at, Some(of.from.clone()), of.to));
            return true;
        }
        self.strangers += 1;
        if self.strangers == 1 {
            self.face.note(format!(
                "datagrams of others are left out, such as from {}: --keep hears everybody",
                name(&of.from)
            ));
        }
        false
    }

    /// Writes one datagram to stdout; `false` when nobody reads it any more.
    async fn write(
        &mut self,
        from: Option<&Peer>,
        inbound: bool,
        bytes: &[u8],
    ) -> Result<bool, Failure> {
        let whole;
        let shown = if self.face.is_json() {
            let from = from.map(Peer::to_string);
            let data = Data {
                conn: self.conn,
                endpoint: None,
                inbound,
                from: from.as_deref(),
                bytes,
            };
            whole = (json_line(&data, now()) + "\n").into_bytes();
            &whole
        } else if self.by_hand && !bytes.ends_with(b"\n") {
            whole = [bytes, b"\n"].concat();
            &whole
        } else {
            bytes
        };
        let written = self.desk.write_all(shown).await;
        match written.and(self.desk.flush().await) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                self.face.reader_left();
                Ok(false)
            }
            Err(error) => {
                Err(Failure::from_io(Stage::Send, error)
                    .message("standard output cannot be written"))
            }
        }
    }

    /// Tells what the kernel dropped, when that was last told so long ago. What
    /// was cut is told of each.
    fn tell_losses(&mut self, again: Duration) {
        let now = self.cx.now();
        if self.told_at.is_some_and(|at| now - at < again) {
            return;
        }
        for (socket, told) in self.sockets.iter().zip(&mut self.told) {
            let lost = Lost {
                truncated: told.truncated,
                ..socket.lost()
            };
            for words in lost.since(*told, socket.room()) {
                self.face.note(words);
                self.told_at = Some(now);
            }
            *told = lost;
        }
    }

    fn story(&self, stack: &Stack) -> Story {
        let at = self.answer_to.as_ref().map_or(0, |(at, ..)| *at);
        let facts = self.sockets.get(at).map(|socket| socket.facts());
        let facts = facts.unwrap_or_default();
        let partner = self
            .answer_to
            .as_ref()
            .and_then(|(_, peer, _)| peer.clone());
        Story {
            endpoint: stack.endpoint.to_string(),
            stack: stack.to_string(),
            local: facts.local.map(|peer| peer.to_string()),
            peer: partner.or(facts.peer).map(|peer| peer.to_string()),
            received: self.received,
            sent: self.sent,
            lasted: self.cx.now() - self.began,
            ..Story::default()
        }
    }
}

/// A peer's name, for those that have one.
fn name(peer: &Peer) -> String {
    match peer.to_string() {
        name if name.is_empty() => "a socket without a name".to_owned(),
        name => name,
    }
}
