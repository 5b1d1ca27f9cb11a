//! The contract of every verb, in one place: what goes where, and how it ends.
//!
//! - stdout carries what was asked for, or JSON Lines with `--json`; all speech
//!   goes to stderr, and with `--json` stderr stays empty.
//! - Exit 0: done. 1: a diagnosis. 2: usage or configuration. 130: interrupted.
//! - A closed stdout pipe ends quietly.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};
use netloom_base::settings::FromValue;
use netloom_base::{Code, Complaint, Diagnosis, Endpoint, Failure, Side, Stage, Value};
use netloom_explain::{Answers, Asking, diagnose, mistakes, rules};

use crate::client::explained;
use crate::verb;
use crate::view::Face;

/// Why a verb did not end with "done".
pub(crate) enum Stop {
    /// Something failed, and this is why.
    Diagnosed(Vec<Diagnosis>),
    /// Something failed; why is asked when the verb has let go of everything.
    Failed(Failure),
    /// Several things failed, each for its own reason.
    FailedEach(Vec<Failure>),
    /// The person asked for the end before it came.
    Interrupted,
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Stop::Failed(failure)
    }
}

impl Stop {
    /// What a person wrote cannot be read.
    pub(crate) fn mistakes(code: Code, complaints: &[Complaint]) -> Self {
        Stop::Diagnosed(mistakes(code, complaints))
    }

    /// Names the endpoint, where none was named and it was not the words that failed.
    pub(crate) fn at(self, endpoint: &Endpoint) -> Self {
        match self {
            Stop::Failed(failure) if failure.stage() != Stage::Parse => {
                Stop::Failed(failure.at(endpoint))
            }
            stop => stop,
        }
    }

    /// A flag's value cannot be read.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Failure::new(Stage::Parse, Side::Us, Code::PARSE_USAGE)
            .message(message)
            .into()
    }
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let argv: Vec<OsString> = std::env::args_os().collect();
    let json = argv
        .iter()
        .take_while(|arg| *arg != "--")
        .any(|arg| arg == "--json");
    let typed = argv.get(1).and_then(|word| word.to_str());
    let matches = match verb::command_for(typed).try_get_matches_from(&argv) {
        Ok(matches) => matches,
        Err(error) => return refused(&error, json),
    };
    let Some((name, matches)) = matches.subcommand() else {
        return ExitCode::from(2);
    };
    let Some(verb) = verb::find(name) else {
        return ExitCode::from(2);
    };
    let face = Face::new(matches);
    let unwritten = |()| {
        face.unwritten()
            .map_or(Ok(()), |failure| Err(failure.into()))
    };
    let result = match verb.run(matches, &face).and_then(unwritten) {
        Err(Stop::Failed(failure)) => Err(Stop::FailedEach(vec![failure])),
        result => result,
    };
    let result = match (result, asking(matches)) {
        (Err(Stop::FailedEach(failures)), Some(asking)) => {
            let why = |failure: &Failure| match failure.stage() {
                // What a person wrote wrong says itself what is wrong.
                Stage::Parse => diagnose(failure),
                _ => explained(failure, asking),
            };
            Err(Stop::Diagnosed(failures.iter().map(why).collect()))
        }
        (result, _) => result,
    };
    end(&face, result)
}

fn end(face: &Face, result: Result<(), Stop>) -> ExitCode {
    match result {
        Err(Stop::Failed(failure)) => end(face, Err(Stop::FailedEach(vec![failure]))),
        Err(Stop::FailedEach(failures)) => {
            // Nothing is asked; what may be said without is.
            let said = |failure: &Failure| match failure.stage() {
                Stage::Parse => diagnose(failure),
                _ => rules::diagnose(failure, &Answers::default()),
            };
            let diagnoses = failures.iter().map(said).collect();
            end(face, Err(Stop::Diagnosed(diagnoses)))
        }
        Ok(()) => ExitCode::SUCCESS,
        Err(Stop::Interrupted) => {
            // A person knows what they pressed; a program reads how it ended.
            if face.is_json() {
                let failure = Failure::new(Stage::Close, Side::Us, Code::STOPPED);
                face.diagnosis(&diagnose(
                    &failure.message("the conversation was interrupted"),
                ));
            }
            ExitCode::from(130)
        }
        Err(Stop::Diagnosed(diagnoses)) => {
            let usage = diagnoses
                .iter()
                .all(|diagnosis| diagnosis.stage == Stage::Parse);
            for diagnosis in &diagnoses {
                face.diagnosis(diagnosis);
            }
            ExitCode::from(if usage { 2 } else { 1 })
        }
    }
}

/// What the parser of the command line could not take, or answered itself.
fn refused(error: &clap::Error, json: bool) -> ExitCode {
    if !error.use_stderr() || !json {
        // Help and versions go to stdout, mistakes to stderr; a closed pipe is nobody's mistake.
        let _ = error.print();
        return if error.use_stderr() {
            ExitCode::from(2)
        } else {
            ExitCode::SUCCESS
        };
    }
    let text = error.to_string();
    let first = text.trim_start_matches("error: ").split("\n\n").next();
    let words: Vec<&str> = first.unwrap_or_default().split_whitespace().collect();
    end(&Face::json(), Err(Stop::usage(words.join(" "))))
}

/// Adds the flags that every verb has, and with it every kind below it.
pub(crate) fn with_common_flags(command: Command) -> Command {
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .action(ArgAction::SetTrue)
            .help(help)
            .help_heading("Output")
            .global(true)
    };
    command
        .arg(flag(
            "json",
            "write JSON Lines to stdout, and nothing to stderr",
        ))
        .arg(flag("quiet", "say nothing but what fails").short('q'))
        .arg(
            flag(
                "verbose",
                "say more: the stack, every step, every connection",
            )
            .short('v')
            .action(ArgAction::Count),
        )
        .arg(flag(
            "no-probe",
            "after a failure ask neither the kernel nor the address again",
        ))
        .arg(flag(
            "deep",
            "to explain more, ask other hosts and ports too, and take longer",
        ))
        .arg(
            Arg::new("color")
                .long("color")
                .value_name("WHEN")
                .value_parser(["auto", "always", "never"])
                .default_value("auto")
                .hide_possible_values(true)
                .help("colour what is said: auto, always, never (NO_COLOR is heeded)")
                .help_heading("Output")
                .global(true),
        )
}

/// How far a diagnosis may go, by the flags; `None` when nobody may be asked.
pub(crate) fn asking(matches: &ArgMatches) -> Option<Asking> {
    match (matches.get_flag("no-probe"), matches.get_flag("deep")) {
        (true, _) => None,
        (false, true) => Some(Asking::deeply()),
        (false, false) => Some(Asking::default()),
    }
}

/// Adds `--timeout` with the meaning it has for this kind of verb.
pub(crate) fn with_timeout(command: Command, help: &'static str) -> Command {
    command.arg(
        Arg::new("timeout")
            .long("timeout")
            .value_name("DURATION")
            .help(help),
    )
}

/// The value of `--timeout`.
pub(crate) fn timeout(matches: &ArgMatches) -> Result<Option<Duration>, Stop> {
    duration(matches, "timeout")
}

/// The value of a flag that is a duration.
pub(crate) fn duration(matches: &ArgMatches, flag: &str) -> Result<Option<Duration>, Stop> {
    let Some(text) = matches.get_one::<String>(flag) else {
        return Ok(None);
    };
    match Duration::from_value(&Value::from(text.as_str())) {
        Ok(d) => Ok(Some(d)),
        Err(message) => {
            let shown = format!("--{flag} {text}");
            let complaint = Complaint::new(&shown, flag.len() + 3..shown.len(), message);
            Err(Stop::mistakes(Code::PARSE_USAGE, &[complaint]))
        }
    }
}
