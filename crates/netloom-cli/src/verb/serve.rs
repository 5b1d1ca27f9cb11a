//! `serve KIND`: any kind on any endpoints.

use clap::{Arg, ArgAction, ArgMatches, Command};
use netloom_app::{KINDS, kind};
use netloom_host::{ServicePlan, Written};

use super::{Verb, examples};
use crate::contract::Stop;
use crate::flags::{settings, with_keys};
use crate::serving::{plan, serve, with_serving_flags};
use crate::view::Face;

pub(super) struct Serve;

impl Verb for Serve {
    fn name(&self) -> &'static str {
        "serve"
    }

    fn command(&self) -> Command {
        let top = Command::new("serve")
            .about("serve a kind on any endpoints, until it is stopped")
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommand_value_name("KIND")
            .subcommand_help_heading("Kinds")
            .disable_help_subcommand(true)
            .after_help(examples(&[
                (
                    "netloom serve echo --on tcp://:7007 --on unix:/tmp/x.sock",
                    "one service, two endpoints",
                ),
                (
                    r"netloom serve reply --on :7008 --text 'hello\r\n'",
                    "answer everyone the same",
                ),
                (
                    "netloom serve echo --on tcp://*:7007 --max-conns 100 --idle 5m",
                    "open to the network, with limits",
                ),
            ]));
        KINDS.iter().fold(top, |top, kind| {
            let command = Command::new(kind.name()).about(kind.help()).arg(
                Arg::new("on")
                    .long("on")
                    .value_name("URL")
                    .required(true)
                    .action(ArgAction::Append)
                    .help("where, such as tcp://:7007 (loopback), tcp://*:7007, unix:/run/x.sock"),
            );
            let command = with_keys(command, kind.keys(), "Options of the kind");
            top.subcommand(with_serving_flags(command))
        })
    }

    fn run(&self, matches: &ArgMatches, face: &Face) -> Result<(), Stop> {
        let Some((name, matches)) = matches.subcommand() else {
            return Ok(());
        };
        let Some(kind) = kind(name) else {
            return Ok(());
        };
        let urls = matches.get_many::<String>("on").into_iter().flatten();
        let service = ServicePlan {
            name: name.to_owned(),
            kind: name.into(),
            on: urls.map(|url| Written::from(url.as_str())).collect(),
            settings: settings(matches, kind.keys()),
            ..ServicePlan::default()
        };
        serve(&plan(service, matches), matches, face)
    }
}
