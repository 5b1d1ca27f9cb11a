//! Saying again what one side of a recorded conversation said, when it said
//! it, and comparing what comes with what the other side said then.

mod flags;
mod line;
mod recorded;

use std::future::poll_fn;
use std::path::PathBuf;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use netloom_base::failure::Fact;
use netloom_base::{Code, Endpoint, Failure, Moment, Role, Side, Stack, Stage, Story};
use netloom_explain::story::begun;
use netloom_transport::{Batch, Conn, Cx, Datagrams, Opened};
use netloom_wire::escape::escape;

use crate::client::open_stream;
use crate::contract::Stop;
use crate::datagrams::gives_datagrams;
use crate::first_client::{bind, next};
use crate::view::{Face, now};
use crate::watch::Watch;
pub(crate) use flags::with_replay_flags;
use line::{Line, Socket};
use recorded::{Recorded, read};

/// How long to wait for what the recording says comes next, when nobody says.
const PATIENCE: Duration = Duration::from_secs(10);

/// How much of a difference is shown.
const SHOWN: usize = 32;

/// What to replay, and how.
pub(crate) struct Replay<'a> {
    pub(crate) file: PathBuf,
    pub(crate) endpoint: &'a Endpoint,
    /// Wait for a client instead of dialling.
    pub(crate) listens: bool,
    /// Say what whoever recorded it received.
    pub(crate) theirs: bool,
    /// How many times as fast as it was; `None`: without waiting.
    pub(crate) speed: Option<f64>,
    pub(crate) patience: Duration,
    pub(crate) conn: Option<u64>,
    pub(crate) fits: &'a (dyn Fn(&Stack) -> Result<(), Stop> + Sync),
}

impl Replay<'_> {
    pub(crate) async fn run(&self, face: &Face, cx: &Cx) -> Result<(), Stop> {
        let recorded = read(&self.file, self.conn)?;
        let role = if self.listens { Role::Bind } else { Role::Dial };
        if recorded.datagrams != gives_datagrams(self.endpoint, role) {
            let (was, is) = if recorded.datagrams {
                ("in datagrams", "a stream")
            } else {
                ("over a stream", "in datagrams")
            };
            return Err(Stop::usage(format!(
                "the conversation was {was}, and {} carries {is}",
                self.endpoint
            )));
        }
        if recorded.others > 0 {
            face.note(format!(
                "the recording has other conversations, {} in all: --conn N chooses one",
                recorded.others + 1
            ));
        }
        let watch = Watch::new(face, None, false, cx);
        let (line, mut story) = match (recorded.datagrams, self.listens) {
            (false, false) => self.dial(&watch, cx).await?,
            (false, true) => self.answer(&watch, face, cx).await?,
            (true, _) => self.datagrams(&watch, face, cx).await?,
        };
        let began = cx.now();
        let mut player = Player::new(line, recorded, self, cx);
        player.play().await?;
        (story.received, story.sent) = (player.heard.bytes, player.sent);
        story.lasted = cx.now() - began;
        face.record(&story, &story, now());
        let (sent, received) = (player.sent, player.heard.bytes);
        face.say(&format!(
            "as recorded: {sent} bytes sent, {received} received"
        ));
        Ok(())
    }

    async fn dial(&self, watch: &Watch, cx: &Cx) -> Result<(Line, Story), Stop> {
        let stack = cx.net().stack(self.endpoint, Role::Dial)?;
        (self.fits)(&stack)?;
        let conn = open_stream(&stack, cx).await?;
        let story = begun(&stack, &conn);
        let conn = watch.on(conn, &story.endpoint, &story.stack);
        Ok((Line::Stream(conn), story))
    }

    async fn answer(&self, watch: &Watch, face: &Face, cx: &Cx) -> Result<(Line, Story), Stop> {
        let url = self.endpoint.to_string();
        let mut doors = bind(&[&url], cx).await?;
        for door in &doors {
            face.listening(&door.stack.endpoint.to_string());
        }
        let (accepted, stack) = next(&mut doors).await?;
        let conn = accepted.attach()?;
        let greeted = cx.timeout(self.patience, cx.net().answer(&stack, conn, cx));
        let silent = || Failure::new(Stage::Greet, Side::Peer, Code::GREET_TIMEOUT);
        let conn = greeted.await.ok_or_else(silent)??.stream()?;
        let story = begun(&stack, &conn);
        let conn = watch.on(conn, &story.endpoint, &story.stack);
        Ok((Line::Stream(conn), story))
    }

    async fn datagrams(&self, watch: &Watch, face: &Face, cx: &Cx) -> Result<(Line, Story), Stop> {
        let role = if self.listens { Role::Bind } else { Role::Dial };
        let mut stack = cx.net().stack(self.endpoint, role)?;
        let socket = if self.listens {
            let mut found = None;
            for bound in cx.net().datagrams(&stack, cx).await? {
                if found.is_none()
                    && let Some(socket) = bound.socket()?
                {
                    stack.endpoint = bound.endpoint(); // with the real port
                    face.listening(&stack.endpoint.to_string());
                    found = Some(socket);
                }
            }
            found
        } else {
            match cx.net().dial(&stack, cx).await? {
                Opened::Datagrams(socket) => Some(socket),
                _ => None,
            }
        };
        let none = || complaint_of_none(self.endpoint);
        let socket: Box<dyn Datagrams> = socket.ok_or_else(none)?;
        let (facts, name) = (socket.facts(), stack.endpoint.to_string());
        let seen = watch.open(
            Conn::number(),
            &name,
            (&stack.to_string(), "datagram"),
            &facts,
        );
        let story = Story {
            endpoint: name,
            stack: stack.to_string(),
            local: facts.local.map(|peer| peer.to_string()),
            peer: facts.peer.map(|peer| peer.to_string()),
            ..Story::default()
        };
        let socket = Socket {
            batch: Batch::new(16, socket.room()),
            below: socket,
            taken: 0,
            peer: None,
            waits: self.listens,
            watch: watch.clone(),
            seen,
        };
        Ok((Line::Datagrams(Box::new(socket)), story))
    }
}

fn complaint_of_none(endpoint: &Endpoint) -> Stop {
    Stop::usage(format!("{endpoint} gives no datagrams"))
}

/// What was heard, beside what is to be heard.
#[derive(Debug, Default)]
struct Heard {
    wanted: Vec<u8>,
    /// Where each datagram of `wanted` ends.
    ends: Vec<usize>,
    bytes: u64,
    datagrams: usize,
    /// The first difference: where, what was recorded there and what came.
    differs: Option<(u64, Vec<u8>, Vec<u8>)>,
    ended: bool,
}

impl Heard {
    fn take_in(&mut self, came: &[u8], is_datagram: bool) {
        let (from, to) = if is_datagram {
            let at = self.datagrams;
            let from = at.checked_sub(1).map_or(0, |before| {
                self.ends.get(before).copied().unwrap_or(self.wanted.len())
            });
            (
                from,
                self.ends.get(at).copied().unwrap_or(self.wanted.len()),
            )
        } else {
            let from = (self.bytes as usize).min(self.wanted.len());
            (from, (from + came.len()).min(self.wanted.len()))
        };
        let wanted = &self.wanted[from..to];
        if wanted != came && self.differs.is_none() {
            let equal = wanted.iter().zip(came).take_while(|(a, b)| a == b).count();
            let some = |bytes: &[u8], more: &[u8]| {
                let rest = bytes.get(equal..).unwrap_or_default();
                rest.iter().chain(more).take(SHOWN).copied().collect()
            };
            let after = if is_datagram {
                &[][..]
            } else {
                &self.wanted[to..]
            };
            let at = if is_datagram {
                from
            } else {
                self.bytes as usize
            };
            self.differs = Some(((at + equal) as u64, some(wanted, after), some(came, &[])));
        }
        self.bytes += came.len() as u64;
        self.datagrams += 1;
    }
}

/// Plays one side.
struct Player<'a> {
    line: Line,
    recorded: Recorded,
    replay: &'a Replay<'a>,
    cx: &'a Cx,
    /// The next turn, and how much of it was said.
    turn: usize,
    said: usize,
    sent: u64,
    heard: Heard,
    /// How much must have been heard before the next turn: bytes, or datagrams.
    due: usize,
    /// When the recording's beginning would have been, so that the next turn is in time.
    began: Moment,
    /// When something last happened.
    last: Moment,
}

/// What happened.
enum Step {
    Heard,
    Said,
    /// It is time for the next turn.
    Time,
    Silence,
}

impl<'a> Player<'a> {
    fn new(line: Line, recorded: Recorded, replay: &'a Replay<'a>, cx: &'a Cx) -> Self {
        let mut heard = Heard::default();
        for turn in &recorded.turns {
            if turn.inbound != replay.theirs
                && let Some(bytes) = &turn.bytes
            {
                heard.wanted.extend_from_slice(bytes);
                heard.ends.push(heard.wanted.len());
            }
        }
        Player {
            line,
            recorded,
            replay,
            cx,
            turn: 0,
            said: 0,
            sent: 0,
            heard,
            due: 0,
            began: cx.now(),
            last: cx.now(),
        }
    }

    async fn play(&mut self) -> Result<(), Failure> {
        let theirs_ends = self
            .recorded
            .turns
            .iter()
            .any(|turn| turn.inbound != self.replay.theirs && turn.bytes.is_none());
        loop {
            self.pass_theirs();
            let over = self.turn == self.recorded.turns.len();
            let heard_all = self.has_heard();
            if over && heard_all && (self.heard.ended || !theirs_ends) {
                break;
            }
            if self.heard.ended && !heard_all {
                return Err(self.differs("the peer ended before it had said what was recorded"));
            }
            let time = (!over && heard_all).then(|| self.time());
            match self.step(time).await? {
                Step::Heard | Step::Said => self.last = self.cx.now(),
                Step::Time => self.late(),
                Step::Silence if over && heard_all => {
                    return Err(self.differs("the peer did not end, and did when it was recorded"));
                }
                Step::Silence => {
                    return Err(self.differs("what was recorded next did not come in time"));
                }
            }
        }
        if self.heard.differs.is_some() {
            return Err(self.differs("what came differs from the recording"));
        }
        poll_fn(|task| self.line.poll_end(task)).await
    }

    /// Goes over what the other side is to say until it is our turn.
    fn pass_theirs(&mut self) {
        while let Some(turn) = self.recorded.turns.get(self.turn)
            && turn.inbound != self.replay.theirs
        {
            self.due += match (&turn.bytes, self.recorded.datagrams) {
                (Some(_), true) => 1,
                (Some(bytes), false) => bytes.len(),
                (None, _) => 0,
            };
            self.turn += 1;
        }
    }

    fn has_heard(&self) -> bool {
        if self.recorded.datagrams {
            self.heard.datagrams >= self.due
        } else {
            self.heard.bytes >= self.due as u64
        }
    }

    /// When our next turn is due.
    fn time(&self) -> Moment {
        match (self.recorded.turns.get(self.turn), self.replay.speed) {
            (Some(turn), Some(speed)) => {
                let after = Duration::try_from_secs_f64(turn.at.as_secs_f64() / speed);
                self.began + after.unwrap_or(Duration::MAX) // a file may say anything
            }
            _ => self.began,
        }
    }

    /// Our turn comes later than it did: what follows keeps its distance.
    fn late(&mut self) {
        let late = self.cx.now().since(self.time());
        self.began = self.began + late;
    }

    /// The next thing that happens. Our turn is said when `time` has come.
    async fn step(&mut self, time: Option<Moment>) -> Result<Step, Failure> {
        let now = self.cx.now();
        let says = time.is_some_and(|time| time <= now);
        if says && self.said == 0 {
            self.late();
        }
        let silence = self.last + self.replay.patience;
        let until = time.filter(|time| *time > now);
        let cx = self.cx;
        tokio::select! {
            biased;
            step = poll_fn(|task| self.poll(task, says)) => step,
            () = cx.sleep(until.unwrap_or(silence) - now) => Ok(match until {
                Some(_) => Step::Time,
                None => Step::Silence,
            }),
        }
    }

    fn poll(&mut self, task: &mut Context<'_>, says: bool) -> Poll<Result<Step, Failure>> {
        let is_datagram = self.recorded.datagrams;
        if !self.heard.ended
            && let Poll::Ready(came) = self.line.poll_recv(task)
        {
            match came? {
                Some(came) => self.heard.take_in(&came, is_datagram),
                None => self.heard.ended = true,
            }
            return Poll::Ready(Ok(Step::Heard));
        }
        let turn = self.recorded.turns.get(self.turn).filter(|_| says);
        let Some(turn) = turn else {
            let _ = self.line.poll_flush(task)?;
            return Poll::Pending;
        };
        let whole = if let Some(bytes) = &turn.bytes {
            let sent = ready!(self.line.poll_send(task, &bytes[self.said..]))?;
            self.said += sent;
            self.sent += sent as u64;
            self.said == bytes.len()
        } else {
            ready!(self.line.poll_end(task))?;
            true
        };
        if whole {
            self.turn += 1;
            self.said = 0;
        }
        Poll::Ready(Ok(Step::Said))
    }

    /// The failure: it did not go as it was recorded.
    fn differs(&self, what: &str) -> Failure {
        let (heard, wanted) = (self.heard.bytes, self.heard.wanted.len());
        let failure = Failure::new(Stage::Recv, Side::Peer, Code::RECV_UNEXPECTED)
            .message(what)
            .fact(Fact::Moved {
                received: heard,
                sent: self.sent,
            })
            .fact(Fact::said(
                format!("{heard} bytes came of {wanted} that were recorded"),
                "the recording",
            ));
        match &self.heard.differs {
            None => failure,
            Some((at, recorded, came)) => failure.fact(Fact::said(
                format!(
                    "at byte {at} `{}` was recorded, and `{}` came",
                    escape(recorded),
                    escape(came)
                ),
                "the recording",
            )),
        }
    }
}
