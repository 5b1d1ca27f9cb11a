//! `replay`: hold a recorded conversation again.

use clap::{Arg, ArgMatches, Command};
use netloom_base::Endpoint;
use netloom_transport::net::complaint;

use super::{Verb, examples};
use crate::client::converse_over;
use crate::contract::{Stop, timeout, with_timeout};
use crate::replaying::{Replay, with_replay_flags};
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
        with_timeout(via::with_via(with_replay_flags(command)), help)
    }

    fn run(&self, matches: &ArgMatches, face: &Face) -> Result<(), Stop> {
        let text = |name: &str| matches.get_one::<String>(name).map_or("", String::as_str);
        let endpoint: Endpoint = text("url").parse().map_err(|error| complaint(&error))?;
        let fits = |stack: &_| via::must_fit(matches, stack);
        let replay = Replay::read(matches, text("file"), &endpoint, &fits)?;
        via::warn(matches, &[&endpoint], face);
        let (overdue, limit) = ("the replay did not end in time", timeout(matches)?);
        let (net, replay) = (via::net(matches), &replay);
        let ended = converse_over(net, limit, overdue, |cx| async move {
            replay.run(face, &cx).await
        });
        ended.map_err(|stop| stop.at(&endpoint))
    }
}
