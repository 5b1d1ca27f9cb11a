//! `replay`: hold a recorded conversation again.

use clap::{Arg, ArgAction, ArgMatches, Command};
use netloom_base::Endpoint;
use netloom_transport::net::complaint;

use super::{Verb, examples};
use crate::client::converse_over;
use crate::contract::{Stop, duration, timeout, with_timeout};
use crate::replaying::{PATIENCE, Replay};
use crate::via;
use crate::view::Face;

pub(super) struct ReplayVerb;

impl Verb for ReplayVerb {
    fn name(&self) -> &'static str {
        "replay"
    }

    fn command(&self) -> Command {
        let command = Command::new("replay")
            .about(
                "say again what one side of a recorded conversation said, and compare the answers",
            )
            .arg(
                Arg::new("file")
                    .value_name("FILE")
                    .required(true)
                    .help("a recording, as `netloom connect --record FILE` makes it"),
            )
            .arg(
                Arg::new("url")
                    .value_name("URL")
                    .required(true)
                    .help("with whom; with --listen, where to wait for a client"),
            )
            .arg(
                Arg::new("listen")
                    .long("listen")
                    .action(ArgAction::SetTrue)
                    .help("wait for a client, and say what the server said"),
            )
            .arg(
                Arg::new("side")
                    .long("side")
                    .value_name("SIDE")
                    .value_parser(["ours", "theirs"])
                    .hide_possible_values(true)
                    .help("whose words to say: ours, theirs [default: ours; with --listen theirs]"),
            )
            .arg(
                Arg::new("speed")
                    .long("speed")
                    .value_name("N")
                    .default_value("1")
                    .help("so many times as fast as it was"),
            )
            .arg(
                Arg::new("as-fast")
                    .long("as-fast")
                    .action(ArgAction::SetTrue)
                    .conflicts_with("speed")
                    .help("wait for answers, and for nothing else"),
            )
            .arg(
                Arg::new("patience")
                    .long("patience")
                    .value_name("DURATION")
                    .help("how long to wait for what was recorded next [default: 10s]"),
            )
            .arg(
                Arg::new("conn")
                    .long("conn")
                    .value_name("N")
                    .value_parser(clap::value_parser!(u64))
                    .help("the conversation of this number, where the recording has several"),
            )
            .after_help(examples(&[
                (
                    "netloom connect :7007 --record talk.jsonl",
                    "make a recording",
                ),
                (
                    "netloom replay talk.jsonl tcp://:7007",
                    "say it again, at the same times",
                ),
                (
                    "netloom replay talk.jsonl tcp://:7007 --as-fast",
                    "without the pauses",
                ),
                (
                    "netloom replay talk.jsonl tcp://:7007 --listen",
                    "be the server that was recorded",
                ),
            ]));
        let help = "give up when the whole conversation takes longer";
        with_timeout(via::with_via(command), help)
    }

    fn run(&self, matches: &ArgMatches, face: &Face) -> Result<(), Stop> {
        let text = |name: &str| matches.get_one::<String>(name).map_or("", String::as_str);
        let endpoint: Endpoint = text("url").parse().map_err(|error| complaint(&error))?;
        let listens = matches.get_flag("listen");
        let speed = match text("speed").parse::<f64>() {
            Ok(speed) if (0.001..=1000.0).contains(&speed) => Some(speed),
            _ => return Err(Stop::usage("--speed is a number from 0.001 to 1000")),
        };
        let fits = |stack: &_| via::must_fit(matches, stack);
        let replay = Replay {
            file: text("file").into(),
            endpoint: &endpoint,
            listens,
            theirs: matches
                .get_one::<String>("side")
                .map_or(listens, |side| side == "theirs"),
            speed: speed.filter(|_| !matches.get_flag("as-fast")),
            patience: duration(matches, "patience")?.unwrap_or(PATIENCE),
            conn: matches.get_one::<u64>("conn").copied(),
            fits: &fits,
        };
        via::warn(matches, &[&endpoint], face);
        let (overdue, limit) = ("the replay did not end in time", timeout(matches)?);
        let (net, replay) = (via::net(matches), &replay);
        let ended = converse_over(net, limit, overdue, |cx| async move {
            replay.run(face, &cx).await
        });
        ended.map_err(|stop| stop.at(&endpoint))
    }
}
