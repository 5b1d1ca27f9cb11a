//! The flags of a person's conversation.

use std::io::{IsTerminal, stdin};
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command};
use netloom_base::settings::{ByteSize, FromValue};
use netloom_base::{Code, Complaint, Value};
use netloom_transport::Cx;

use super::again::{Again, MOST};
use crate::contract::Stop;
use crate::editor::Options;
use crate::flags::bytes;
use crate::messages::{sent, spoken};
use crate::recording::{LARGEST, Recorder};
use crate::talk::Script;
use crate::view::Face;

/// Adds the flags for what a terminal shows and remembers.
pub(crate) fn with_terminal_flags(command: Command) -> Command {
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .action(ArgAction::SetTrue)
            .help(help)
            .help_heading("Terminal")
    };
    command
        .arg(flag(
            "raw-terminal",
            "let the peer's escape sequences through to the terminal",
        ))
        .arg(flag(
            "no-history",
            "neither read nor write the history of what was typed",
        ))
}

/// Adds the flags for recordings.
pub(crate) fn with_record_flags(command: Command) -> Command {
    command
        .arg(
            Arg::new("record")
                .long("record")
                .value_name("FILE")
                .help("write both directions with their times to this file, for `netloom replay`"),
        )
        .arg(
            Arg::new("record-limit")
                .long("record-limit")
                .value_name("SIZE")
                .help("end the recording after so many bytes of the file [default: 1GiB]"),
        )
}

/// Adds `--reconnect`.
pub(crate) fn with_reconnect(command: Command) -> Command {
    command.arg(
        Arg::new("reconnect")
            .long("reconnect")
            .value_name("N")
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("10")
            .value_parser(clap::value_parser!(u32).range(1..=1_000_000))
            .help("dial again when the conversation ends before stdin; N attempts in a row that come to nothing are the end [default: 10]"),
    )
}
const _: () = assert!(MOST == 10);

/// Refuses these flags where a kind answers.
pub(crate) fn nobody_talks(matches: &ArgMatches) -> Result<(), Stop> {
    let switched = ["raw-terminal", "no-history"].into_iter();
    let switched = switched.filter(|name| matches.get_flag(name));
    let valued = ["record", "record-limit"].into_iter();
    let valued = valued.filter(|name| matches.contains_id(name));
    match switched.chain(valued).next() {
        None => Ok(()),
        Some(flag) => Err(Stop::usage(format!(
            "--{flag} is for a conversation on this terminal, and here a kind answers"
        ))),
    }
}

/// What is said, and what is waited for.
pub(crate) fn script(matches: &ArgMatches, again: bool) -> Result<Script, Stop> {
    let spoken = spoken(matches)?;
    let send = sent(matches, spoken.as_ref())?;
    let expect = bytes(matches, "expect")?;
    if expect.as_ref().is_some_and(Vec::is_empty) {
        return Err(Stop::usage("--expect needs a text to wait for"));
    }
    let by_hand = send.is_none() && stdin().is_terminal();
    Ok(Script {
        send,
        expect,
        until_peer_ends: by_hand || again,
        keep_stdout: again,
        spoken,
        endpoint: None,
    })
}

/// How the terminal is to be.
pub(crate) fn terminal(matches: &ArgMatches, face: &Face) -> Options {
    Options {
        remember: !matches.get_flag("no-history"),
        raw: matches.get_flag("raw-terminal"),
        color: face.is_colored(),
    }
}

/// The attempts that `--reconnect` allows.
pub(crate) fn again(matches: &ArgMatches) -> Option<Again> {
    matches
        .get_one::<u32>("reconnect")
        .map(|most| Again::at_most(*most))
}

/// The file that a conversation is recorded in, and how large it may become.
pub(crate) fn recording(matches: &ArgMatches) -> Result<Option<(PathBuf, u64)>, Stop> {
    let limit = match matches.get_one::<String>("record-limit") {
        None => LARGEST,
        Some(text) => match ByteSize::from_value(&Value::from(text.as_str())) {
            Ok(ByteSize(limit)) => limit,
            Err(message) => {
                let shown = format!("--record-limit {text}");
                let complaint = Complaint::new(&shown, 15..shown.len(), message);
                return Err(Stop::mistakes(Code::PARSE_USAGE, &[complaint]));
            }
        },
    };
    let file = matches.get_one::<String>("record").map(PathBuf::from);
    if file.is_none() && matches.contains_id("record-limit") {
        return Err(Stop::usage("--record-limit is for --record FILE"));
    }
    Ok(file.map(|file| (file, limit)))
}

/// Begins it.
pub(crate) fn recorder(
    to: Option<&(PathBuf, u64)>,
    face: &Face,
    cx: &Cx,
) -> Result<Option<Recorder>, Stop> {
    to.map(|(file, limit)| Recorder::begin(file, *limit, face, cx))
        .transpose()
        .map_err(Stop::from)
}
