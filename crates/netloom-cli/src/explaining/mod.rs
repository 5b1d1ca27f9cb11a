//! What `explain` is asked about, and how it answers: a page of the catalogue,
//! the meaning of another program's word, the story of a conversation.

mod redact;
mod report;

use std::cell::OnceCell;
use std::path::PathBuf;
use std::time::Duration;

use clap::ArgMatches;
use netloom_base::complaint::nearest;
use netloom_base::settings::FromValue;
use netloom_base::{
    CodeCard, Diagnosis, Endpoint, Failure, Fields, Kind, Record, Role, Stack, Stage, Story,
};
use netloom_explain::lore::{self, Meaning};
use netloom_explain::story::{
    CLOSE_PATIENCE, GROUP_PATIENCE, Visiting, hear, knock, visit as tell,
};
use netloom_explain::{Asking, catalogue, diagnose, pages, with_steps};
use netloom_transport::Cx;
use netloom_transport::net::complaint;
use netloom_transport::probe::Probe;

use crate::client::{converse_over, explained};
use crate::contract::Stop;
use crate::datagrams::is_group;
use crate::via;
use crate::view::Face;
use report::{Asked, Report};

pub(crate) use netloom_explain::pages::Language;

/// What is to be explained.
pub(crate) enum Subject {
    /// A code of the catalogue.
    Code(CodeCard),
    /// A word of another program.
    Word(Meaning),
    /// A conversation.
    Endpoint(Box<Endpoint>),
}

/// Reads what is to be explained: a code, a word, an endpoint, in this order.
pub(crate) fn read(text: &str) -> Result<Subject, Stop> {
    let text = text.trim();
    if let Some(card) = catalogue::card(text) {
        return Ok(Subject::Code(card));
    }
    if let Some(meaning) = lore::find(text) {
        return Ok(Subject::Word(meaning));
    }
    if text.contains(':') || text == "-" {
        let read = text.parse().map_err(|error| complaint(&error))?;
        return Ok(Subject::Endpoint(Box::new(read)));
    }
    Err(unknown(text))
}

/// Nothing of that name: the nearest code or word, or what an endpoint lacks.
fn unknown(text: &str) -> Stop {
    let codes = catalogue::codes().map(|card| card.code);
    let near = nearest(text, codes.clone());
    let room = text.split('.').next().unwrap_or_default();
    let is_room = |code: &str| code.split('.').next() == Some(room);
    if near.is_some() || (text.contains('.') && codes.clone().any(is_room)) {
        // Of a code that goes on, the first that begins so is the nearest.
        let begun = || codes.clone().find(|code| code.starts_with(text));
        let near = near.or_else(begun).map(|code| format!(", nearest: {code}"));
        return Stop::usage(format!(
            "no such code: `{text}`{}",
            near.unwrap_or_default()
        ));
    }
    let names: Vec<(&str, String)> = lore::names()
        .map(|name| (name, name.to_lowercase()))
        .collect();
    let word = nearest(text, names.iter().map(|(_, lower)| lower.as_str()));
    let word = word.and_then(|word| names.iter().find(|(_, lower)| lower == word));
    let word = word.map(|(name, _)| *name);
    let further = match word {
        Some(word) => format!(", nearest: {word}"),
        // It may be a host.
        None if !text.contains([' ', '/']) => {
            format!("; an endpoint has a port or a scheme: {text}:443, tls://{text}:443")
        }
        None => String::new(),
    };
    let kinds = "code, errno, TLS alert, HTTP status, DNS answer, ICMP type or endpoint";
    Stop::usage(format!("`{text}` is no {kinds}{further}"))
}

/// Shows a code's page.
pub(crate) fn page(card: CodeCard, language: Language, face: &Face) {
    let of = |language| pages::page(card, language);
    if let Some(page) = of(language).or_else(|| of(Language::English)) {
        return face.answer(&page, &page.plain(face.width()));
    }
    let CodeCard {
        code,
        sentence,
        stage,
    } = card;
    let plain = format!("{code}: {sentence}\n  stage     {stage}");
    face.answer(&Bare(card), &plain);
}

/// A code without a page.
#[derive(Debug)]
struct Bare(CodeCard);

impl Record for Bare {
    fn kind(&self) -> &'static str {
        "page"
    }

    fn fields(&self, to: &mut dyn Fields) {
        to.text("code", self.0.code);
        to.text("stage", self.0.stage.name());
        to.text("text", self.0.sentence);
    }
}

/// A conversation that is to be explained, and how.
pub(crate) struct Wanted {
    pub(crate) endpoint: Box<Endpoint>,
    pub(crate) send: Option<Vec<u8>>,
    pub(crate) expires_within: Option<Duration>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) report: Option<PathBuf>,
    pub(crate) deep: bool,
    /// How far a diagnosis may go; `None` when nobody may be asked.
    pub(crate) asking: Option<Asking>,
}

/// Holds the conversation, and tells its story or why it failed.
pub(crate) fn visit(wanted: &Wanted, matches: &ArgMatches, face: &Face) -> Result<(), Stop> {
    let report = match &wanted.report {
        Some(path) => Some(Report::at(path)?),
        None => None,
    };
    via::warn(matches, &[&wanted.endpoint], face);
    let story = OnceCell::new();
    let group = is_group(&wanted.endpoint);
    // A group is listened to, unless something is said to it first.
    let role = match wanted.send {
        None if group => Role::Bind,
        _ => Role::Dial,
    };
    let ended = converse_over(
        via::net(matches),
        // Who hears nothing in a group looks at it before leaving.
        wanted.timeout.filter(|_| !group),
        "the conversation was not over in time",
        |cx| {
            let story = &story;
            async move {
                let stack = cx.net().stack(&wanted.endpoint, role)?;
                via::must_fit(matches, &stack)?;
                if wanted.expires_within.is_some() && !stack.encrypts() {
                    let needs =
                        "--expires-within needs an endpoint with TLS, such as tls://HOST:443";
                    return Err(Stop::usage(needs));
                }
                let told = told(&stack, wanted, &cx).await?;
                let _ = story.set(told); // there is only one
                Ok(())
            }
        },
    );
    let failure = match ended {
        Ok(()) => None,
        Err(Stop::Failed(failure)) if failure.stage() != Stage::Parse => {
            Some(failure.at(&wanted.endpoint))
        }
        Err(stop) => return Err(stop),
    };
    let asked = Asked {
        command: command(wanted),
        width: face.width(),
    };
    if let Some(failure) = failure {
        let diagnosis = diagnosed(&failure, wanted.asking);
        if let Some(report) = report {
            report.write(&asked, &redact::diagnosis(&diagnosis))?;
        }
        return Err(Stop::Diagnosed(vec![diagnosis]));
    }
    let story: Story = story.into_inner().unwrap_or_default();
    if let Some(report) = report {
        report.write(&asked, &redact::story(&story))?;
    }
    face.answer(&story, &story.plain(face.width()));
    Ok(())
}

/// The story of a group, of one place that takes datagrams, or of a stream.
async fn told(stack: &Stack, wanted: &Wanted, cx: &Cx) -> Result<Story, Failure> {
    let (say, limit, probe) = (wanted.send.as_deref(), wanted.timeout, Probe::new());
    let may_ask = wanted.asking.is_some();
    if is_group(&wanted.endpoint) {
        let within = limit.unwrap_or(GROUP_PATIENCE);
        return hear(stack, say, within, &probe, cx).await;
    }
    if stack.kind() == Kind::Datagram {
        let knocked = knock(stack, say, limit, &probe, cx).await?;
        return Ok(knocked.story(stack, may_ask.then_some(&probe), cx).await);
    }
    let visiting = Visiting {
        send: say,
        deep: wanted.deep,
        expires_within: wanted.expires_within,
        close_within: limit.map_or(CLOSE_PATIENCE, |most| most.min(CLOSE_PATIENCE)),
        probe: may_ask,
    };
    tell(stack, visiting, &probe, cx).await
}

fn diagnosed(failure: &Failure, asking: Option<Asking>) -> Diagnosis {
    with_steps(match asking {
        Some(asking) => explained(failure, asking),
        None => diagnose(failure),
    })
}

/// What was asked, as it is typed; a text to send is not repeated.
fn command(wanted: &Wanted) -> String {
    let mut words = vec![
        "netloom explain".to_owned(),
        redact::text(&wanted.endpoint.to_string()),
    ];
    if let Some(send) = &wanted.send {
        words.push(format!("--send ({} bytes)", send.len()));
    }
    if let Some(within) = wanted.expires_within.and_then(|within| within.to_value()) {
        words.push(format!("--expires-within {within}"));
    }
    if wanted.deep {
        words.push("--deep".to_owned());
    }
    if wanted.asking.is_none() {
        words.push("--no-probe".to_owned());
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        match read(text) {
            Err(Stop::Failed(failure)) => failure.summary(),
            Err(_) => "another end".to_owned(),
            Ok(_) => "no mistake".to_owned(),
        }
    }

    #[test]
    fn subjects_are_read_in_their_order() {
        assert!(matches!(read("connect.self"), Ok(Subject::Code(_))));
        assert!(matches!(read("tls.expires-soon"), Ok(Subject::Code(_))));
        assert!(matches!(read("EPIPE"), Ok(Subject::Word(_))));
        assert!(matches!(read("TLS alert 48"), Ok(Subject::Word(_))));
        assert!(matches!(read("502"), Ok(Subject::Word(_))));
        assert!(matches!(read("localhost:502"), Ok(Subject::Endpoint(_))));
        assert!(matches!(read("unix:/run/x"), Ok(Subject::Endpoint(_))));
        assert!(matches!(read("-"), Ok(Subject::Endpoint(_))));
    }

    #[test]
    fn a_typo_gets_what_is_nearest() {
        for (typed, near) in [
            (
                "connect.selv",
                "no such code: `connect.selv`, nearest: connect.self",
            ),
            (
                "bind.in-use",
                "no such code: `bind.in-use`, nearest: bind.in-use.",
            ),
            ("ECONREFUSED", "nearest: ECONNREFUSED"),
            ("econnrest", "nearest: ECONNRESET"),
            ("NXDOMAN", "nearest: NXDOMAIN"),
            ("unknown_cas", "nearest: unknown_ca"),
            ("example.org", "tls://example.org:443"),
            ("gibberish", "`gibberish` is no code, "),
        ] {
            let said = message(typed);
            assert!(said.contains(near), "{typed}: {said}");
        }
    }
}
