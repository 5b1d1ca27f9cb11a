//! Opening endpoints and talking: one or several, once or again and again, on
//! a terminal or in a pipe.

mod again;
mod console;
mod flags;
mod hub;

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use netloom_base::failure::Fact;
use netloom_base::{Code, Endpoint, Failure, Role, Side, Stack, Stage, Story};
use netloom_explain::story::begun;
use netloom_transport::carry::Carried;
use netloom_transport::{Conn, Cx};
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;

pub(crate) use again::Again;
pub(crate) use console::{Console, Speaking};
pub(crate) use flags::{
    again, nobody_talks, recorder, recording, script, terminal, with_reconnect, with_record_flags,
    with_terminal_flags,
};
use hub::Hub;

use crate::client::open_stream;
use crate::contract::Stop;
use crate::desk::Desk;
use crate::editor::Options;
use crate::talk::{Script, talk};
use crate::view::{Face, now};
use crate::waiting::remarks;
use crate::watch::Watch;

/// What is to be opened, and how it is talked to.
pub(crate) struct Call<'a> {
    pub(crate) endpoints: &'a [Endpoint],
    pub(crate) script: Script,
    /// Dial again when a conversation ends before its time.
    pub(crate) again: Option<Again>,
    pub(crate) options: Options,
    pub(crate) watch: Watch,
    pub(crate) face: &'a Face,
    /// Whether flags fit what an endpoint became.
    pub(crate) fits: &'a (dyn Fn(&Stack) -> Result<(), Stop> + Sync),
}

/// A connection that is there, and what is known of it.
struct Opened {
    conn: Conn,
    story: Story,
}

/// One endpoint's place at the desk.
struct Seat<'a> {
    endpoint: &'a Endpoint,
    desk: Desk,
    /// Told when the person wants another connection.
    redial: Option<Arc<Notify>>,
    again: Option<Again>,
    script: Script,
}

impl Call<'_> {
    /// Holds all of it to the end.
    pub(crate) async fn hold(&self, cx: &Cx) -> Result<(), Stop> {
        let whole = match self.endpoints {
            [one] => self.hold_one(one, cx).await,
            several => self.hold_several(several, cx).await,
        };
        whole.and_then(|()| self.watch.finish())
    }

    async fn hold_one(&self, endpoint: &Endpoint, cx: &Cx) -> Result<(), Stop> {
        // Nobody needs a prompt before there is somebody to talk to.
        let first = match self.open(endpoint, cx).await {
            Err(stop) if self.again.is_none() || !may_pass(&stop) => return Err(stop),
            first => first,
        };
        let console = self.console(endpoint.to_string(), cx).await?;
        let seat = Seat {
            endpoint,
            desk: self.kept(self.desk(console.as_ref(), cx).await?, console.is_some()),
            redial: console.as_ref().map(Console::redial),
            again: self.again,
            script: self.script.clone(),
        };
        let work = async {
            let story = self.keep(seat, first, cx).await?;
            self.face.record(&story, &story, now());
            Ok(())
        };
        match console {
            None => work.await,
            Some(console) => console.beside(work).await,
        }
    }

    async fn hold_several(&self, endpoints: &[Endpoint], cx: &Cx) -> Result<(), Stop> {
        let console = self
            .console(format!("{} endpoints", endpoints.len()), cx)
            .await?;
        let desk = self.desk(console.as_ref(), cx).await?;
        let labels = endpoints.iter().map(Endpoint::to_string);
        let hub = Hub::new(labels, self.face.is_json());
        let voice = self.face.is_json().then(|| {
            let hub = hub.clone();
            Speaking::through(self.face, Box::new(move |line| hub.say(line)))
        });
        let by_hand = console.is_some();
        let parts = endpoints.iter().enumerate().map(|(number, endpoint)| {
            let desk = Desk::new(Box::new(hub.part(number)));
            let desk = if by_hand { desk.of_entries() } else { desk };
            let seat = Seat {
                endpoint,
                desk: self.kept(desk, by_hand),
                redial: console.as_ref().map(Console::redial),
                again: self.again,
                script: Script {
                    endpoint: Some(endpoint.to_string()),
                    keep_stdout: true,
                    ..self.script.clone()
                },
            };
            self.hold_part(seat, by_hand.then_some(&hub), cx)
        });
        let all = all_of(parts.collect());
        let work = async {
            tokio::select! {
                failure = hub.run(desk.clone()) => {
                    if failure.code() != Code::SEND_PEER_CLOSED {
                        let why = "standard input or output cannot be used";
                        return Err(failure.message(why).into());
                    }
                    // Whoever read our stdout has had enough, and that is their right.
                    self.face.reader_left();
                    Ok(())
                }
                ended = all => {
                    hub.finish(desk.clone()).await;
                    each(ended)
                }
            }
        };
        let ended = match console {
            None => work.await,
            Some(console) => console.beside(work).await,
        };
        drop(voice);
        ended?;
        self.face
            .finished(&format!("{} conversations ended", endpoints.len()));
        Ok(())
    }

    /// One of several. Why it failed is told at once, and explained at the end;
    /// whoever types to a `hub` is told of each that ends before them.
    async fn hold_part(&self, seat: Seat<'_>, hub: Option<&Hub>, cx: &Cx) -> Result<(), Stop> {
        let endpoint = seat.endpoint;
        let first = self.open(endpoint, cx).await;
        match self.keep(seat, first, cx).await {
            Ok(story) => {
                if self.face.is_verbose() {
                    self.face.say(&story.to_string());
                } else if hub.is_some_and(|hub| !hub.has_ended()) {
                    self.face.note(format!("{endpoint} has ended"));
                }
                Ok(())
            }
            Err(Stop::Failed(failure)) => {
                let failure = failure.at(endpoint);
                self.face.note(failure.to_string());
                Err(failure.into())
            }
            Err(stop) => Err(stop),
        }
    }

    async fn console(&self, name: String, cx: &Cx) -> Result<Option<Console>, Stop> {
        if self.script.send.is_some() {
            return Ok(None); // nobody types
        }
        Ok(Console::open(self.options, name, &self.watch, self.face, cx).await?)
    }

    async fn desk(&self, console: Option<&Console>, cx: &Cx) -> Result<Desk, Stop> {
        Ok(Console::desk_or_stdio(console, self.options, self.face, cx).await?)
    }

    /// The desk, for several connections where there may be several.
    fn kept(&self, desk: Desk, by_hand: bool) -> Desk {
        if by_hand || self.again.is_some() {
            desk.keeping()
        } else {
            desk
        }
    }

    async fn open(&self, endpoint: &Endpoint, cx: &Cx) -> Result<Opened, Stop> {
        let stack = cx.net().stack(endpoint, Role::Dial)?;
        (self.fits)(&stack)?;
        let conn = open_stream(&stack, cx).await?;
        for remark in remarks(&conn) {
            self.face.note(remark);
        }
        let story = begun(&stack, &conn);
        let conn = self.watch.on(conn, &story.endpoint, &story.stack);
        Ok(Opened { conn, story })
    }

    /// Talks over one connection after the other, until it is the end.
    async fn keep(
        &self,
        place: Seat<'_>,
        first: Result<Opened, Stop>,
        cx: &Cx,
    ) -> Result<Story, Stop> {
        let Seat {
            endpoint,
            desk,
            redial,
            mut again,
            script,
        } = place;
        let wanted = || async {
            match &redial {
                Some(redial) => redial.notified().await,
                None => std::future::pending().await,
            }
        };
        let (began, mut moved, mut next) = (cx.now(), (0, 0), Some(first));
        loop {
            let opened = match next.take() {
                Some(opened) => opened,
                None => self.open(endpoint, cx).await,
            };
            let since = cx.now();
            let (ended, asked) = match opened {
                Err(stop) => (Err(stop), false),
                Ok(Opened { conn, mut story }) => {
                    let (ended, asked) = tokio::select! {
                        biased;
                        ended = talk(conn, &desk, script.clone(), self.face, cx) => (ended, false),
                        () = wanted() => (Ok(Carried::default()), true),
                    };
                    let (received, sent) = bytes_of(&ended);
                    moved = (moved.0 + received, moved.1 + sent);
                    (story.received, story.sent) = moved;
                    story.lasted = cx.now() - began;
                    if received > 0 || cx.now() - since >= again::GOOD {
                        again.iter_mut().for_each(Again::reset);
                    }
                    (ended.map(|_| story).map_err(Stop::from), asked)
                }
            };
            let left = desk.rewind();
            if asked {
                shown(&desk).await;
                self.face
                    .note(format!("dialling {endpoint} again, as was asked"));
                continue;
            }
            let over = script.expect.is_some() || script.send.is_some() || self.face.is_closed();
            let why = match &ended {
                Ok(_) if again.is_none() || over || desk.is_done() => return ended,
                Err(stop) if again.is_none() || !may_pass(stop) => return ended,
                Ok(_) => "the peer ended the conversation".to_owned(),
                Err(Stop::Failed(failure)) => failure.summary(),
                Err(_) => return ended,
            };
            let Some((wait, which)) = again.as_mut().and_then(|again| again.next(cx)) else {
                return match (ended, left) {
                    (Ok(_), 1..) => Err(unsent(left)),
                    (ended, _) => ended,
                };
            };
            shown(&desk).await;
            let waits = match left {
                0 => String::new(),
                1 => "; 1 byte waits to be sent".to_owned(),
                n => format!("; {n} bytes wait to be sent"),
            };
            let seconds = wait.as_secs_f64();
            self.face.note(format!(
                "{endpoint}: {why}; dialling again in {seconds:.1} s ({which}){waits}"
            ));
            tokio::select! {
                () = cx.sleep(wait) => {}
                () = wanted() => {}
            }
        }
    }
}

/// What came stands before what is said about it.
async fn shown(desk: &Desk) {
    let _ = desk.clone().flush().await; // its failure is told by the next write
}

/// Bytes received and sent, however it ended.
fn bytes_of(ended: &Result<Carried, Failure>) -> (u64, u64) {
    let told = |fact: &Fact| match fact {
        Fact::Moved { received, sent } => Some((*received, *sent)),
        _ => None,
    };
    match ended {
        Ok(carried) => (carried.back, carried.forth),
        Err(failure) => failure.facts().iter().find_map(told).unwrap_or_default(),
    }
}

/// Whether another attempt may go better.
fn may_pass(stop: &Stop) -> bool {
    matches!(stop, Stop::Failed(failure) if failure.stage() != Stage::Parse)
}

fn unsent(bytes: usize) -> Stop {
    Failure::new(Stage::Send, Side::Peer, Code::SEND_PEER_CLOSED)
        .message(format!(
            "the peer ended every conversation, and {bytes} bytes were not sent"
        ))
        .into()
}

/// Waits for all of them.
async fn all_of<F: Future<Output = Result<(), Stop>>>(parts: Vec<F>) -> Vec<Result<(), Stop>> {
    let mut parts: Vec<Pin<Box<F>>> = parts.into_iter().map(Box::pin).collect();
    let mut ended: Vec<Option<Result<(), Stop>>> = parts.iter().map(|_| None).collect();
    poll_fn(|task| {
        for (part, ended) in parts.iter_mut().zip(&mut ended) {
            if ended.is_none()
                && let Poll::Ready(done) = part.as_mut().poll(task)
            {
                *ended = Some(done);
            }
        }
        if ended.iter().all(Option::is_some) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    ended.into_iter().flatten().collect()
}

/// What several came to: why each that failed did.
fn each(ended: Vec<Result<(), Stop>>) -> Result<(), Stop> {
    let mut failures = Vec::new();
    for stop in ended.into_iter().filter_map(Result::err) {
        match stop {
            Stop::Failed(failure) => failures.push(failure),
            other => return Err(other),
        }
    }
    if failures.is_empty() {
        Ok(())
    } else {
        Err(Stop::FailedEach(failures))
    }
}
