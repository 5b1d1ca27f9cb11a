//! `listen`: wait for a client and talk, or serve a kind.

use clap::{Arg, ArgAction, ArgMatches, Command};
use netloom_app::{KINDS, ServiceKind};
use netloom_base::{Key, Settings, Value};
use netloom_host::{ServicePlan, Written};

use super::{Verb, examples};
use crate::connecting::{nobody_talks, with_record_flags, with_terminal_flags};
use crate::contract::Stop;
use crate::first_client::first_client;
use crate::flags::{settings, with_keys};
use crate::messages::{nobody_types, with_typing_flags};
use crate::serving::{plan, serve, with_serving_flags};
use crate::view::Face;

pub(super) struct Listen;

impl Verb for Listen {
    fn name(&self) -> &'static str {
        "listen"
    }

    fn command(&self) -> Command {
        let command = Command::new("listen")
            .about("wait for a client and talk: stdin goes there, what comes goes to stdout; or serve a kind")
            .arg(
                Arg::new("url")
                    .value_name("URL")
                    .required(true)
                    .action(ArgAction::Append)
                    .help("where, such as tcp://:7007 (loopback), tcp://*:7007, unix:/run/x.sock; port 0 is any free one"),
            )
            .arg(Arg::new("keep").long("keep").short('k').action(ArgAction::SetTrue).help("take the next client when one has left"))
            .after_help(examples(&[
                ("netloom listen tcp://:7007", "take one client, like nc -l"),
                ("netloom listen tcp://:7007 unix:/tmp/x.sock --echo", "an echo server on both"),
                (r"netloom listen tcp://:7008 --reply 'hello\r\n'", "answer everyone the same"),
                ("netloom listen tcp://:0 --time --print-config", "the file that does this"),
            ]));
        let command = with_terminal_flags(with_record_flags(with_typing_flags(command)));
        let command = with_serving_flags(command);
        KINDS.iter().fold(command, |command, kind| {
            let arg = Arg::new(kind.name())
                .long(kind.name())
                .help(kind.help())
                .help_heading("Kinds");
            let arg = match main_key(*kind) {
                Some(key) => arg.value_name(key.hint).allow_hyphen_values(true),
                None => arg.action(ArgAction::SetTrue),
            };
            with_keys(command.arg(arg.group("kind")), &other_keys(*kind), "Kinds")
        })
    }

    fn run(&self, matches: &ArgMatches, face: &Face) -> Result<(), Stop> {
        let urls = matches.get_many::<String>("url").into_iter().flatten();
        let urls: Vec<&str> = urls.map(String::as_str).collect();
        match KINDS.iter().find(|kind| is_given(**kind, matches)) {
            Some(kind) => {
                nobody_types(matches)?;
                nobody_talks(matches)?;
                serve(
                    &plan(service(*kind, &urls, matches), matches),
                    matches,
                    face,
                )
            }
            None => first_client(&urls, matches, face),
        }
    }
}

fn main_key(kind: &dyn ServiceKind) -> Option<Key> {
    let name = kind.main_key()?;
    kind.keys().iter().find(|key| key.name == name).copied()
}

fn other_keys(kind: &dyn ServiceKind) -> Vec<Key> {
    kind.keys()
        .iter()
        .filter(|key| Some(key.name) != kind.main_key() && !kind.has_verb())
        .copied()
        .collect()
}

fn is_given(kind: &dyn ServiceKind, matches: &ArgMatches) -> bool {
    match kind.main_key() {
        Some(_) => matches.contains_id(kind.name()),
        None => matches.get_flag(kind.name()),
    }
}

fn service(kind: &dyn ServiceKind, urls: &[&str], matches: &ArgMatches) -> ServicePlan {
    let mut chosen = Settings::new();
    if let (Some(key), Some(value)) = (
        main_key(kind),
        matches.try_get_one::<String>(kind.name()).ok().flatten(),
    ) {
        chosen.push(key.name, Value::from(value.as_str()), None);
    }
    // Another kind's flags are handed on too, so that this kind can refuse them.
    for known in KINDS {
        chosen.extend(settings(matches, &other_keys(*known)).iter().cloned());
    }
    ServicePlan {
        name: kind.name().to_owned(),
        kind: kind.name().into(),
        on: urls.iter().map(|url| Written::from(*url)).collect(),
        settings: chosen,
        kind_is_flag: true,
        ..ServicePlan::default()
    }
}
