//! The flags of a conversation in messages: how they are told apart on a
//! stream, and how bytes are typed and shown.

use clap::{ArgMatches, Command};
use netloom_base::{Code, Complaint, SettingError, Settings, settings};
use netloom_protocol::raw::Carriage;
use netloom_protocol::{Framing, keys};
use netloom_wire::coding::Coding;

use crate::contract::Stop;
use crate::flags::{bytes, settings, with_keys};

const HEADING: &str = "Messages";

settings! {
    /// How a person types and reads bytes.
    struct Typing {
        /// how a typed line says bytes: text (with \n \xNN …), utf8, hex, base64, json, msgpack (typed as JSON) [default: as the framing has it, else text]
        encode: Option<Coding>,
        /// how a received message is shown: the same words, or hexdump [default: as the framing has it, else text]
        decode: Option<Coding>,
        /// type hex and read a dump: short for --encode hex --decode hexdump
        hex: bool,
    }
}

/// How messages are told apart, typed and shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spoken {
    pub(crate) framing: Framing,
    /// The longest message in bytes.
    pub(crate) longest: usize,
    /// How a typed line says bytes; `None`: what is typed goes as it is.
    pub(crate) encode: Option<Coding>,
    /// How a message is shown; `None`: what comes is written as it is.
    pub(crate) decode: Option<Coding>,
}

/// Adds the flags of whoever carries messages.
pub(crate) fn with_carrying_flags(command: Command) -> Command {
    with_keys(command, &keys(), HEADING)
}

/// Adds the flags of whoever types and reads them.
pub(crate) fn with_typing_flags(command: Command) -> Command {
    with_keys(command, Typing::KEYS, HEADING)
}

/// Adds both.
pub(crate) fn with_message_flags(command: Command) -> Command {
    with_typing_flags(with_carrying_flags(command))
}

/// The settings of protocols that were given as flags.
pub(crate) fn carried(matches: &ArgMatches) -> Settings {
    settings(matches, &keys())
}

/// Refuses the flags for typing where nobody types.
pub(crate) fn nobody_types(matches: &ArgMatches) -> Result<(), Stop> {
    match settings(matches, Typing::KEYS).iter().next() {
        None => Ok(()),
        Some(setting) => Err(Stop::usage(format!(
            "--{} is for a conversation on this terminal, and here a kind answers",
            setting.key
        ))),
    }
}

/// How messages are spoken; `None` for a plain stream of bytes.
pub(crate) fn spoken(matches: &ArgMatches) -> Result<Option<Spoken>, Stop> {
    let (carried, typing) = (carried(matches), settings(matches, Typing::KEYS));
    if carried.is_empty() && typing.is_empty() {
        return Ok(None);
    }
    let mistaken = |errors| mistakes(errors, &[&carried, &typing]);
    let carriage = Carriage::read(&carried).map_err(mistaken)?;
    let typing = Typing::read(&typing).map_err(mistaken)?;
    let (encode, decode) = if typing.hex {
        (Some(Coding::Hex), Some(Coding::Hexdump))
    } else {
        (None, None)
    };
    let Some(framing) = carriage.framing() else {
        if carried.last("max-message").is_some() {
            let why = "--max-message is for messages: say with --framing how they are told apart";
            return Err(Stop::usage(why));
        }
        return Ok(Some(Spoken {
            framing: Framing::None,
            longest: carriage.longest(),
            encode: typing.encode.or(encode),
            decode: typing.decode.or(decode),
        }));
    };
    let own = match framing {
        Framing::Json => Coding::Json,
        Framing::MsgPack => Coding::MsgPack,
        _ => Coding::Text,
    };
    Ok(Some(Spoken {
        framing,
        longest: carriage.longest(),
        encode: typing.encode.or(encode).or(Some(own)),
        decode: typing.decode.or(decode).or(Some(own)),
    }))
}

/// The value of `--send` as bytes: one message.
pub(crate) fn sent(matches: &ArgMatches, spoken: Option<&Spoken>) -> Result<Option<Vec<u8>>, Stop> {
    let text = matches.get_one::<String>("send");
    let coding = spoken.and_then(|spoken| spoken.encode);
    let (Some(text), Some(coding)) = (text, coding) else {
        return bytes(matches, "send");
    };
    coding.read(text).map(Some).map_err(|error| {
        let complaint = Complaint::new(text, error.span.clone(), format!("--send: {error}"));
        Stop::mistakes(Code::PARSE_USAGE, &[complaint])
    })
}

/// Mistakes in flags' values, each with a caret under its value.
fn mistakes(errors: Vec<SettingError>, given: &[&Settings]) -> Stop {
    let complaints: Vec<Complaint> = errors
        .into_iter()
        .map(|error| {
            let flag = format!("--{}", error.key);
            let value = given.iter().find_map(|given| given.last(&error.key));
            let value = value.map_or_else(String::new, |setting| setting.value.to_string());
            let shown = format!("{flag} {value}");
            Complaint::new(&shown, flag.len() + 1..shown.len(), error.message)
                .suggest(error.suggestion)
        })
        .collect();
    Stop::mistakes(Code::PARSE_SETTING, &complaints)
}
