//! From keys to flags, and from flags to settings.

use clap::{Arg, ArgAction, ArgMatches, Command};
use netloom_base::{Code, Complaint, Key, Settings, Value};

use crate::contract::Stop;

/// Adds a flag for every key.
pub(crate) fn with_keys(command: Command, keys: &[Key], heading: &'static str) -> Command {
    keys.iter().fold(command, |command, key| {
        command.arg(flag(key).help_heading(heading))
    })
}

fn flag(key: &Key) -> Arg {
    let default = (key.default)()
        .filter(|_| !key.hint.is_empty())
        .map(|default| format!(" [default: {default}]"));
    let arg = Arg::new(key.name).long(key.name).help(format!(
        "{}{}",
        key.help,
        default.unwrap_or_default()
    ));
    match (key.hint, key.many) {
        ("", _) => arg.action(ArgAction::SetTrue),
        (hint, true) => arg
            .value_name(hint)
            .action(ArgAction::Append)
            .allow_hyphen_values(true),
        (hint, false) => arg.value_name(hint).allow_hyphen_values(true),
    }
}

/// The settings that were given as flags.
pub(crate) fn settings(matches: &ArgMatches, keys: &[Key]) -> Settings {
    let mut settings = Settings::new();
    for key in keys {
        if key.hint.is_empty() {
            if matches.get_flag(key.name) {
                settings.push(key.name, Value::Bool(true), None);
            }
        } else if let Some(values) = matches.get_many::<String>(key.name) {
            for value in values {
                // A number is one in the file too.
                let number = value.parse().ok().filter(|_| key.hint == "N");
                let read = number.map_or_else(|| Value::from(value.as_str()), Value::Int);
                settings.push(key.name, read, None);
            }
        }
    }
    settings
}

/// A flag's text as bytes, or a complaint with a caret under the wrong escape.
pub(crate) fn bytes(matches: &ArgMatches, flag: &str) -> Result<Option<Vec<u8>>, Stop> {
    let Some(text) = matches.get_one::<String>(flag) else {
        return Ok(None);
    };
    netloom_wire::escape::unescape(text)
        .map(Some)
        .map_err(|error| {
            let complaint = Complaint::new(text, error.span.clone(), format!("--{flag}: {error}"));
            Stop::mistakes(Code::PARSE_USAGE, &[complaint])
        })
}
