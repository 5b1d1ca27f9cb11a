//! Waiting for a client and talking to it: `listen` without a kind, like `nc -l`.

use std::io::{IsTerminal, stdin};

use clap::ArgMatches;
use netloom_base::{Code, EndpointSet, Failure, Kind, Limits, Role, Side, Stack, Stage, Story};
use netloom_explain::story::begun;
use netloom_transport::net::complaint;
use netloom_transport::{Accepted, Conn, Cx, Listener};

use crate::client::converse;
use crate::connecting::{Console, recorder, recording, terminal};
use crate::contract::{Stop, timeout};
use crate::datagrams;
use crate::desk::Desk;
use crate::messages::spoken;
use crate::serving::limits;
use crate::talk::{Script, talk};
use crate::view::{Face, now};
use crate::watch::Watch;

/// Takes clients one at a time and talks to each.
pub(crate) fn first_client(urls: &[&str], matches: &ArgMatches, face: &Face) -> Result<(), Stop> {
    if matches.get_flag("print-config") {
        return Err(Stop::usage(
            "--print-config needs a kind, such as --echo: a file cannot hold a conversation on a terminal",
        ));
    }
    let limits = Limits::read(&limits(matches)).map_err(|errors| {
        Stop::usage(
            errors
                .iter()
                .map(|error| format!("--{}: {error}", error.key))
                .collect::<Vec<_>>()
                .join("; "),
        )
    })?;
    let keep = matches.get_flag("keep");
    let spoken = spoken(matches)?;
    let limit = timeout(matches)?;
    if datagrams::all_give_datagrams(urls) {
        let by = datagrams::Talk {
            script: Script::default(),
            options: terminal(matches, face),
            record: recording(matches)?,
        };
        return datagrams::listen(urls, keep, by, limit, face);
    }
    let (options, record) = (terminal(matches, face), recording(matches)?);
    converse(limit, "no client came and went in time", |cx| async move {
        let mut doors = bind(urls, &cx).await?;
        for door in &doors {
            face.listening(&door.stack.endpoint.to_string());
        }
        let watch = Watch::new(face, recorder(record.as_ref(), face, &cx)?, false, &cx);
        let (accepted, stack) = next(&mut doors).await?;
        let (conn, name) = (accepted.attach()?, stack.endpoint.to_string());
        let console = Console::open(options, name, &watch, face, &cx).await?;
        let desk = Console::desk_or_stdio(console.as_ref(), options, face, &cx).await?;
        let talker = Talker {
            limits: &limits,
            script: Script {
                until_peer_ends: stdin().is_terminal(),
                keep_stdout: keep,
                spoken,
                ..Script::default()
            },
            desk,
            watch: watch.clone(),
            face,
        };
        let work = talker.take((conn, stack), doors, keep, &cx);
        match console {
            None => work.await?,
            Some(console) => console.beside(work).await?,
        }
        watch.finish()
    })
}

/// Who talks to those who come.
struct Talker<'a> {
    limits: &'a Limits,
    script: Script,
    desk: Desk,
    watch: Watch,
    face: &'a Face,
}

impl Talker<'_> {
    /// Takes the first and, if others are to follow, those one at a time.
    async fn take(
        &self,
        first: (Conn, Stack),
        mut doors: Vec<Door>,
        keep: bool,
        cx: &Cx,
    ) -> Result<(), Stop> {
        let (face, mut came) = (self.face, Some(first));
        loop {
            let (conn, stack) = if let Some(first) = came.take() {
                first
            } else {
                let (accepted, stack) = next(&mut doors).await?;
                (accepted.attach()?, stack)
            };
            if !keep {
                doors.clear(); // whoever comes now is refused, not left waiting
            }
            if face.is_verbose() {
                let peer = conn
                    .facts()
                    .peer
                    .map_or_else(String::new, |peer| format!(" from {peer}"));
                face.say(&format!("conn {} opened{peer}", conn.id()));
            }
            match self.hold(conn, &stack, cx).await {
                Ok(story) => {
                    face.record(&story, &story, now());
                    if !keep || face.is_closed() {
                        return Ok(());
                    }
                }
                Err(failure) if keep => face.diagnosis(&netloom_explain::diagnose(&failure)),
                Err(failure) => return Err(failure.into()),
            }
        }
    }

    async fn hold(&self, conn: Conn, stack: &Stack, cx: &Cx) -> Result<Story, Failure> {
        let greeted = cx
            .timeout(self.limits.greet_timeout, cx.net().answer(stack, conn, cx))
            .await;
        let silent = || Failure::new(Stage::Greet, Side::Peer, Code::GREET_TIMEOUT);
        let conn = greeted.ok_or_else(silent)??.stream()?;
        let began = cx.now();
        let mut story = begun(stack, &conn);
        let conn = self.watch.on(conn, &story.endpoint, &story.stack);
        let carried = talk(conn, &self.desk, self.script.clone(), self.face, cx).await?;
        (story.received, story.sent) = (carried.back, carried.forth);
        story.lasted = cx.now() - began;
        Ok(story)
    }
}

/// Where clients come in.
pub(crate) struct Door {
    listener: Box<dyn Listener>,
    pub(crate) stack: Stack,
}

/// Listens at all of them.
pub(crate) async fn bind(urls: &[&str], cx: &Cx) -> Result<Vec<Door>, Failure> {
    let mut doors = Vec::new();
    for url in urls {
        let set: EndpointSet = url.parse().map_err(|error| complaint(&error))?;
        for endpoint in set.iter() {
            let stack = cx.net().stack(&endpoint, Role::Bind)?;
            stack
                .require(Kind::Stream)
                .map_err(|error| complaint(&error))?;
            for bound in cx.net().bind(&stack, cx).await? {
                if let Some(listener) = bound.listener()? {
                    let mut stack = stack.clone();
                    stack.endpoint = bound.endpoint(); // with the real port
                    doors.push(Door { listener, stack });
                }
            }
        }
    }
    Ok(doors)
}

/// The first client at any of the doors.
pub(crate) async fn next(doors: &mut [Door]) -> Result<(Accepted, Stack), Failure> {
    let mut waiting: Vec<_> = doors
        .iter_mut()
        .map(|door| (door.listener.accept(), &door.stack))
        .collect();
    std::future::poll_fn(|task| {
        for (accept, stack) in &mut waiting {
            if let std::task::Poll::Ready(result) = accept.as_mut().poll(task) {
                return std::task::Poll::Ready(result.map(|accepted| (accepted, (*stack).clone())));
            }
        }
        std::task::Poll::Pending
    })
    .await
}
