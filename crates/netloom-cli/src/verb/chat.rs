//! `chat`: take part in a chat.

use clap::{Arg, ArgMatches, Command};
use netloom_app::chat::bad_name;
use netloom_base::{Code, Complaint, Endpoint};
use netloom_transport::net::complaint;

use super::{Verb, examples};
use crate::chatting::{Wishes, chat};
use crate::contract::Stop;
use crate::via;
use crate::view::Face;

pub(super) struct Chat;

impl Verb for Chat {
    fn name(&self) -> &'static str {
        "chat"
    }

    fn command(&self) -> Command {
        let wish = |name: &'static str, hint: &'static str, help: &'static str| {
            Arg::new(name).long(name).value_name(hint).help(help)
        };
        let command = Command::new("chat")
            .about("take part in a chat: lines typed are said, what others say goes to stdout")
            .arg(
                Arg::new("url")
                    .value_name("URL")
                    .required(true)
                    .help("a server, such as tcp://localhost:7020, or a group that needs none, such as udp://239.1.2.3:5000"),
            )
            .arg(wish("nick", "NAME", "the name to be called by"))
            .arg(wish("room", "ROOM", "the room to be in"))
            .after_help(examples(&[
                ("netloom chat tcp://localhost:7020 --nick anna", "talk; /help tells what else can be done"),
                ("netloom chat udp://239.1.2.3:5000", "a group, where no server is needed"),
                ("netloom chat :7020 --nick cron < report", "say the lines of a file"),
                ("netloom chat :7020 --json --room builds", "read what is said as JSON Lines"),
            ]));
        via::with_via(command)
    }

    fn run(&self, matches: &ArgMatches, face: &Face) -> Result<(), Stop> {
        let url = matches.get_one::<String>("url").map_or("", String::as_str);
        let endpoint: Endpoint = url.parse().map_err(|error| complaint(&error))?;
        via::warn(matches, &[&endpoint], face);
        let wishes = Wishes {
            nick: name(matches, "nick")?,
            room: name(matches, "room")?,
        };
        chat(&endpoint, &wishes, via::net(matches), face)
    }
}

fn name(matches: &ArgMatches, flag: &str) -> Result<Option<String>, Stop> {
    let Some(name) = matches.get_one::<String>(flag) else {
        return Ok(None);
    };
    match bad_name(name) {
        None => Ok(Some(name.clone())),
        Some(why) => {
            let shown = format!("--{flag} {name}");
            let complaint = Complaint::new(&shown, flag.len() + 3..shown.len(), why);
            Err(Stop::mistakes(Code::PARSE_USAGE, &[complaint]))
        }
    }
}
