//! `explain`: what a failure code means.

use clap::{Arg, ArgMatches, Command};
use netloom_base::complaint::nearest;
use netloom_base::failure::catalogue;
use netloom_base::{CodeCard, Fields, Record};
use netloom_protocol::PROTOCOLS;

use super::{Verb, examples};
use crate::contract::Stop;
use crate::view::{Face, now};

pub(super) struct Explain;

impl Verb for Explain {
    fn name(&self) -> &'static str {
        "explain"
    }

    fn command(&self) -> Command {
        Command::new("explain")
            .about("say what a failure code means")
            .arg(
                Arg::new("code")
                    .value_name("CODE")
                    .required(true)
                    .help("the code, such as connect.refused.no-listener"),
            )
            .after_help(examples(&[(
                "netloom explain bind.in-use.listener",
                "what it means",
            )]))
    }

    fn run(&self, matches: &ArgMatches, face: &Face) -> Result<(), Stop> {
        let asked = matches.get_one::<String>("code").map_or("", String::as_str);
        let of_protocols = PROTOCOLS.iter().flat_map(|protocol| protocol.card().codes);
        let cards = catalogue().chain(of_protocols.copied());
        let Some(card) = cards.clone().find(|card| card.code == asked) else {
            let near = nearest(asked, cards.map(|card| card.code))
                .map(|code| format!(", nearest: {code}"));
            return Err(Stop::usage(format!(
                "no such code: `{asked}`{}",
                near.unwrap_or_default()
            )));
        };
        if face.is_json() {
            face.record(&Page(card), "", now());
        } else {
            face.page(&format!(
                "{}: {}\n  stage     {}",
                card.code, card.sentence, card.stage
            ));
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Page(CodeCard);

impl Record for Page {
    fn kind(&self) -> &'static str {
        "page"
    }

    fn fields(&self, to: &mut dyn Fields) {
        to.text("code", self.0.code);
        to.text("stage", self.0.stage.name());
        to.text("text", self.0.sentence);
    }
}
