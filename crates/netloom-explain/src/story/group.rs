//! The story of a group: where it is joined, and who is heard there first; or
//! what was said to it, and who answered. Whom one knocks at is listened to in
//! the same way.

use std::fmt;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use netloom_base::failure::{Fact, Spoken};
use netloom_base::story::Told;
use netloom_base::{Code, Failure, Moment, Side, Stack, Stage, Story};
use netloom_transport::datagrams::send;
use netloom_transport::probe::Probe;
use netloom_transport::{Batch, Cx, Datagrams, Opened, Outgoing, Peer};

use crate::awaited::Awaited;

/// How long somebody in a group, or an answer to what was said, is waited for,
/// unless a limit is given.
pub const GROUP_PATIENCE: Duration = Duration::from_secs(5);

/// How many datagrams are received at once: the first of them is told of.
const SLOTS: usize = 4;

/// An ear in a group, or for one peer's answer.
pub struct Ear {
    sockets: Vec<Box<dyn Datagrams>>,
    awaited: Option<Awaited>,
    learned: Vec<Fact>,
    began: Moment,
    sent: u64,
}

/// Who was heard first.
#[derive(Debug)]
pub struct Heard {
    from: Peer,
    bytes: usize,
    /// The interface it came in by, where the kernel says so.
    by: Option<String>,
    after: Duration,
}

impl Ear {
    /// Joins the group that `stack` is bound to.
    ///
    /// # Errors
    /// As binding.
    pub async fn join(stack: &Stack, probe: &Probe, cx: &Cx) -> Result<Self, Failure> {
        let began = cx.now();
        let (mut sockets, mut learned) = (Vec::new(), Vec::new());
        for bound in cx.net().datagrams(stack, cx).await? {
            learned.extend_from_slice(bound.learned());
            sockets.extend(bound.socket()?);
        }
        Ok(Ear {
            sockets,
            awaited: Awaited::at(stack, true, probe, cx).await,
            learned,
            began,
            sent: 0,
        })
    }

    /// Says something to whom `stack` is dialled for.
    ///
    /// # Errors
    /// As dialling and sending.
    pub async fn ask(stack: &Stack, text: &[u8], probe: &Probe, cx: &Cx) -> Result<Self, Failure> {
        let began = cx.now();
        let Opened::Datagrams(mut socket) = cx.net().dial(stack, cx).await? else {
            return Err(no_datagrams());
        };
        let awaited = Awaited::at(stack, false, probe, cx).await;
        send(&mut *socket, &[Outgoing::connected(text)]).await?;
        Ok(Ear {
            learned: socket.learned().to_vec(),
            sockets: vec![socket],
            awaited,
            began,
            sent: text.len() as u64,
        })
    }

    /// Waits for whoever is heard first.
    ///
    /// # Errors
    /// What the network says of what was sent.
    pub async fn first(&mut self, probe: &Probe, cx: &Cx) -> Result<Heard, Failure> {
        let room = self.sockets.iter().map(|socket| socket.room()).max();
        let mut batch = Batch::new(SLOTS, room.unwrap_or(1));
        let sockets = &mut self.sockets;
        let (from, bytes, by) = loop {
            let came = poll_fn(|task| {
                for socket in sockets.iter_mut() {
                    if let Poll::Ready(came) = socket.poll_recv(task, &mut batch) {
                        return Poll::Ready(came);
                    }
                }
                Poll::Pending
            });
            came.await?;
            if let Some((of, bytes)) = batch.iter().next() {
                let whole = of.truncated_from.unwrap_or(bytes.len());
                break (of.from.clone(), whole, of.interface);
            }
        };
        let after = cx.now() - self.began;
        let known = match by {
            Some(_) => probe.interfaces(cx).await,
            None => None,
        };
        let mut known = known.into_iter().flatten();
        let by = known.find(|interface| Some(interface.index) == by);
        Ok(Heard {
            from,
            bytes,
            by: by.map(|interface| interface.name),
            after,
        })
    }

    /// What it is when nobody was heard until now.
    pub async fn silent(&self, probe: &Probe, cx: &Cx) -> Failure {
        let words = if self.sent == 0 {
            "no datagram came in time"
        } else {
            "nobody answered in time"
        };
        let silent = Failure::new(Stage::Recv, Side::Peer, Code::RECV_TIMEOUT)
            .message(words)
            .fact(Fact::Waited(cx.now() - self.began))
            .fact(Fact::Moved {
                received: 0,
                sent: self.sent,
            });
        match &self.awaited {
            Some(group) => group.told(silent, probe, cx).await,
            None => silent,
        }
    }

    /// This end and the other, as far as there are such.
    pub(super) fn ends(&self) -> (Option<Peer>, Option<Peer>) {
        let facts = self.sockets.first().map(|socket| socket.facts());
        let facts = facts.unwrap_or_default();
        // Before it spoke, its socket had no address yet.
        let unbound = |local: &Peer| matches!(local, Peer::Ip(addr) if addr.port() == 0);
        (facts.local.filter(|local| !unbound(local)), facts.peer)
    }

    /// What a story of it begins with; what was noticed stands under `about`.
    pub(super) fn story(&self, stack: &Stack, about: &'static str, cx: &Cx) -> Story {
        let learned = self
            .learned
            .iter()
            .map(|fact| Told::new(about, fact.to_string(), fact.source().to_owned()));
        let (local, peer) = self.ends();
        Story {
            endpoint: stack.endpoint.to_string(),
            stack: stack.to_string(),
            local: local.map(|local| local.to_string()),
            peer: peer.map(|peer| peer.to_string()),
            told: learned.collect(),
            sent: self.sent,
            lasted: cx.now() - self.began,
            ..Story::default()
        }
    }
}

impl Heard {
    /// Ends a story with what was heard.
    pub(super) fn tell(&self, story: &mut Story) {
        story.peer = Some(self.from.to_string());
        story.received = self.bytes as u64;
        let what = Told::new("heard", self.to_string(), "recvmsg");
        story.told.push(what);
    }
}

fn no_datagrams() -> Failure {
    Failure::new(Stage::Parse, Side::Us, Code::PARSE_ENDPOINT)
        .message("datagrams are needed, and this gives a stream")
}

impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let many = if self.bytes == 1 { "byte" } else { "bytes" };
        write!(f, "{} {many} from {}", self.bytes, self.from)?;
        if let Some(by) = &self.by {
            write!(f, " by {by}")?;
        }
        write!(f, " after {}", Spoken(self.after))
    }
}

/// Waits in a group until somebody speaks; with `say`, says that and waits for
/// an answer. `stack` is to be bound, or with `say` dialled.
///
/// # Errors
/// What joining and sending fail with; when `within` is over, that nothing was
/// heard, with what the kernel knows of the group.
pub async fn hear(
    stack: &Stack,
    say: Option<&[u8]>,
    within: Duration,
    probe: &Probe,
    cx: &Cx,
) -> Result<Story, Failure> {
    let named = |failure: Failure| failure.at(&stack.endpoint);
    let opening = async {
        match say {
            Some(text) => Ear::ask(stack, text, probe, cx).await,
            None => Ear::join(stack, probe, cx).await,
        }
    };
    let began = cx.now();
    let Some(ear) = cx.timeout(within, opening).await else {
        let late = Failure::new(Stage::Join, Side::Os, Code::RECV_TIMEOUT);
        let late = late.message("no interface could be used for the group in time");
        return Err(named(late.fact(Fact::Waited(within))));
    };
    let mut ear = ear.map_err(named)?;
    let left = within.saturating_sub(cx.now() - began);
    match cx.timeout(left, ear.first(probe, cx)).await {
        Some(heard) => {
            let mut story = ear.story(stack, "group", cx);
            heard.map_err(named)?.tell(&mut story);
            Ok(story)
        }
        None => Err(ear.silent(probe, cx).await),
    }
}
