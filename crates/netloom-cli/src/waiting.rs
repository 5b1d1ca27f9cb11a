//! Waiting until endpoints can be opened: each is tried again and again on its
//! own, and what failed last is what is told when the time is over.

use std::io::IsTerminal;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use netloom_base::endpoint::Host;
use netloom_base::failure::Fact;
use netloom_base::{Code, Failure, Fields, Kind, Moment, Record, Side, Stack, Stage};
use netloom_explain::awaited::group_of;
use netloom_explain::story::{Ear, knock};
use netloom_protocol::{Visit, spoken_on};
use netloom_transport::probe::Probe;
use netloom_transport::{Close, Conn, Cx};

use crate::contract::Stop;
use crate::view::Face;

/// The first pause between two attempts, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// How long something may be waited for before a person is told why.
const SILENT: Duration = Duration::from_secs(2);

/// One endpoint that is waited for.
pub(crate) struct Place {
    url: String,
    stack: Stack,
}

impl Place {
    pub(crate) fn new(url: String, stack: Stack) -> Self {
        Place { url, stack }
    }

    /// Opens it once within the time that is left. `None` when that was over
    /// before anything was known.
    async fn once(&self, left: Option<Duration>, cx: &Cx) -> Option<Result<Vec<String>, Failure>> {
        if group_of(&self.stack).is_some() {
            return self.hear(left, cx).await;
        }
        if self.stack.kind() == Kind::Datagram {
            return in_time(left, self.knock(left, cx), cx).await;
        }
        in_time(left, self.open(cx), cx).await
    }

    /// The same of whoever takes datagrams: it is there when nobody says that it
    /// is not.
    async fn knock(&self, left: Option<Duration>, cx: &Cx) -> Result<Vec<String>, Failure> {
        let knocked = knock(&self.stack, None, left, &Probe::new(), cx).await?;
        Ok(knocked.silence().into_iter().collect())
    }

    /// The same of a group, which is there when somebody speaks to it.
    async fn hear(&self, left: Option<Duration>, cx: &Cx) -> Option<Result<Vec<String>, Failure>> {
        let (probe, over) = (Probe::new(), left.map(|left| cx.now() + left));
        let mut ear = match in_time(left, Ear::join(&self.stack, &probe, cx), cx).await? {
            Ok(ear) => ear,
            Err(failure) => return Some(Err(failure)),
        };
        let left = over.map(|over| over.since(cx.now()));
        let heard = in_time(left, ear.first(&probe, cx), cx).await;
        Some(match heard {
            Some(heard) => heard.map(|heard| vec![heard.to_string()]),
            None => Err(ear.silent(&probe, cx).await),
        })
    }

    /// Opens it with every layer, and hears its protocol's first words where it
    /// names one. Gives what should be known of the way there.
    async fn open(&self, cx: &Cx) -> Result<Vec<String>, Failure> {
        let visit = Visit {
            stack: &self.stack,
            send: None,
            deep: false,
        };
        let Some(protocol) = spoken_on(&self.stack) else {
            let opened = cx.net().dial(&self.stack, cx).await?;
            let Ok(conn) = opened.stream() else {
                return Ok(Vec::new());
            };
            let learned = remarks(&conn);
            conn.close(Close::Orderly);
            return Ok(learned);
        };
        let conn = visit.dial_again(cx).await?;
        let learned = remarks(&conn);
        let greeted = protocol.greet(conn, visit, cx).await;
        let greeted = greeted.map_err(|failure| failure.at(&self.stack.endpoint))?;
        if let Some(conn) = greeted.conn {
            conn.close(Close::Orderly);
        }
        Ok(learned)
    }

    /// What is told when the first attempt had not ended when the time was over.
    async fn cut(&self, waited: Duration, cx: &Cx) -> Failure {
        let failure = Failure::new(Stage::Connect, Side::Path, Code::CONNECT_TIMEOUT)
            .at(&self.stack.endpoint)
            .fact(Fact::Waited(waited));
        // A name would have to be asked for again, and the time is over.
        let host = self.stack.endpoint.host();
        let known = match host {
            Host::Name(_) => None,
            _ => cx.net().resolve(host, cx).await.ok(),
        };
        let addr = known.and_then(|found| found.addresses.first().copied());
        match (addr, self.stack.port()) {
            (Some(ip), Some(port)) => failure.fact(Fact::Tried((ip, port).into())),
            _ => failure,
        }
    }
}

/// What comes of it, unless the time that is left passes first.
async fn in_time<T>(left: Option<Duration>, work: impl Future<Output = T>, cx: &Cx) -> Option<T> {
    match left {
        Some(left) => cx.timeout(left, work).await,
        None => Some(work.await),
    }
}

/// What a person should know of how a connection came about.
pub(crate) fn remarks(conn: &Conn) -> Vec<String> {
    let remarks = conn.learned().iter().filter(|fact| fact.is_remark());
    remarks.map(ToString::to_string).collect()
}

/// Waits until all can be opened.
pub(crate) async fn wait_for(
    places: Vec<Place>,
    within: Option<Duration>,
    face: &Face,
    cx: &Cx,
) -> Result<(), Stop> {
    let began = cx.now();
    let over = within.map(|d| began + d);
    let mut waits: Vec<_> = places
        .iter()
        .map(|place| Some(Box::pin(one(place, began, over, face, cx))))
        .collect();
    let mut failures = Vec::new();
    let all = std::future::poll_fn(|task| {
        for wait in &mut waits {
            if let Some(running) = wait
                && let Poll::Ready(ended) = Pin::new(running).poll(task)
            {
                *wait = None;
                failures.extend(ended.err());
            }
        }
        // What no waiting mends ends it for all.
        let hopeless = failures.iter().any(|f: &Failure| f.stage() == Stage::Parse);
        if hopeless || waits.iter().all(Option::is_none) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    });
    all.await;
    if failures.is_empty() {
        let took = (cx.now() - began).as_secs_f64();
        face.finished(&format!("all open after {took:.2} s"));
        Ok(())
    } else {
        Err(Stop::FailedEach(failures))
    }
}

/// Waits until one can be opened.
async fn one(
    place: &Place,
    began: Moment,
    over: Option<Moment>,
    face: &Face,
    cx: &Cx,
) -> Result<(), Failure> {
    let mut pause = PAUSE.0;
    let mut tries: u64 = 0;
    let mut last: Option<Failure> = None;
    let mut told = Telling::default();
    loop {
        tries += 1;
        let left = over.map(|over| over.since(cx.now()));
        let ended = place.once(left, cx).await;
        let waited = cx.now() - began;
        let failure = match (ended, last.take()) {
            (Some(Ok(learned)), _) => {
                for remark in learned {
                    face.note(remark);
                }
                let took = waited.as_secs_f64();
                face.reached(&Ready {
                    url: place.url.clone(),
                    took,
                    tries,
                });
                return Ok(());
            }
            (Some(Err(failure)), _) if failure.stage() == Stage::Parse => return Err(failure),
            (Some(Err(failure)), _) | (None, Some(failure)) => failure,
            (None, None) => return Err(place.cut(waited, cx).await),
        };
        let left = over.map_or(pause, |over| over.since(cx.now()));
        if left.is_zero() {
            let many = match tries {
                1 => "once".to_owned(),
                many => format!("{many} times"),
            };
            let many = format!("tried {many} in {:.1} s", waited.as_secs_f64());
            return Err(failure.fact(Fact::said(many, "wait")));
        }
        told.why(&failure, &place.url, waited, face);
        last = Some(failure);
        cx.sleep(pause.min(left)).await;
        pause = (pause * 2).min(PAUSE.1);
    }
}

/// Tells a person at a terminal what is waited for: when it takes long, and
/// again when the reason is another.
#[derive(Default)]
struct Telling(Option<Code>);

impl Telling {
    fn why(&mut self, failure: &Failure, url: &str, waited: Duration, face: &Face) {
        if waited < SILENT || self.0 == Some(failure.code()) || !std::io::stderr().is_terminal() {
            return;
        }
        self.0 = Some(failure.code());
        let (why, waited) = (failure.code().sentence(), waited.as_secs());
        face.say(&format!("waiting {url}: {why} ({waited} s)"));
    }
}

/// An endpoint that opened.
#[derive(Debug)]
pub(crate) struct Ready {
    url: String,
    /// In seconds.
    took: f64,
    tries: u64,
}

impl std::fmt::Display for Ready {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "open {} after {:.2} s", self.url, self.took)
    }
}

impl Record for Ready {
    fn kind(&self) -> &'static str {
        "open"
    }

    fn fields(&self, to: &mut dyn Fields) {
        to.text("endpoint", &self.url);
        to.real("took_s", self.took);
        to.number("tries", self.tries);
    }
}
