//! The flags of a replay.

use clap::{Arg, ArgAction, ArgMatches, Command};
use netloom_base::{Endpoint, Stack};

use super::Replay;
use crate::contract::{Stop, duration};

/// Adds them.
pub(crate) fn with_replay_flags(command: Command) -> Command {
    command
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
}

impl<'a> Replay<'a> {
    /// What the flags say.
    pub(crate) fn read(
        matches: &ArgMatches,
        file: &str,
        endpoint: &'a Endpoint,
        fits: &'a (dyn Fn(&Stack) -> Result<(), Stop> + Sync),
    ) -> Result<Self, Stop> {
        let text = |name: &str| matches.get_one::<String>(name).map_or("", String::as_str);
        let listens = matches.get_flag("listen");
        let speed = match text("speed").parse::<f64>() {
            Ok(speed) if (0.001..=1000.0).contains(&speed) => speed,
            _ => return Err(Stop::usage("--speed is a number from 0.001 to 1000")),
        };
        let side = matches.get_one::<String>("side");
        Ok(Replay {
            file: file.into(),
            endpoint,
            listens,
            theirs: side.map_or(listens, |side| side == "theirs"),
            speed: (!matches.get_flag("as-fast")).then_some(speed),
            patience: duration(matches, "patience")?.unwrap_or(super::PATIENCE),
            conn: matches.get_one::<u64>("conn").copied(),
            fits,
        })
    }
}
