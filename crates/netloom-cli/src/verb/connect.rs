//! `connect`: open an endpoint and talk.

use std::io::IsTerminal;

use clap::{Arg, ArgMatches, Command};
use netloom_base::{Endpoint, Role};
use netloom_explain::story::begun;
use netloom_transport::net::complaint;

use super::{Verb, examples};
use crate::client::{converse_over, open_stream};
use crate::contract::{Stop, timeout, with_timeout};
use crate::datagrams::{self, gives_datagrams};
use crate::flags::bytes;
use crate::messages::{sent, spoken, with_message_flags};
use crate::talk::{Script, talk};
use crate::via;
use crate::view::{Face, now};
use crate::waiting::remarks;

pub(super) struct Connect;

impl Verb for Connect {
    fn name(&self) -> &'static str {
        "connect"
    }

    fn command(&self) -> Command {
        let command = Command::new("connect")
            .about("open an endpoint and talk: stdin goes there, what comes goes to stdout")
            .arg(
                Arg::new("url")
                    .value_name("URL")
                    .required(true)
                    .help("the endpoint, such as tcp://localhost:7007, unix:/run/x.sock, exec:cat"),
            )
            .arg(
                Arg::new("send")
                    .long("send")
                    .value_name("TEXT")
                    .allow_hyphen_values(true)
                    .help("send this instead of stdin; \\r \\n \\t \\0 \\\\ \\xNN are bytes"),
            )
            .arg(
                Arg::new("expect")
                    .long("expect")
                    .value_name("TEXT")
                    .allow_hyphen_values(true)
                    .help(
                        "end well once this was received, and fail when the peer ends without it",
                    ),
            )
            .after_help(examples(&[
                ("netloom connect tcp://localhost:7007", "talk to a server"),
                (
                    "netloom connect unix:/tmp/netloom-echo.sock < file > copy",
                    "a clean pipe, byte for byte",
                ),
                (
                    r"netloom connect :25 --expect '220 ' --timeout 5s",
                    "wait for a banner",
                ),
                (
                    r"netloom connect :7007 --send 'hi\n'",
                    "send one line and print the answer",
                ),
                ("netloom connect :7007 --framing len32", "talk in messages"),
            ]));
        let help = "give up when the whole conversation takes longer";
        with_timeout(via::with_via(with_message_flags(command)), help)
    }

    fn run(&self, matches: &ArgMatches, face: &Face) -> Result<(), Stop> {
        let url = matches.get_one::<String>("url").map_or("", String::as_str);
        let endpoint: Endpoint = url.parse().map_err(|error| complaint(&error))?;
        let spoken = spoken(matches)?;
        let send = sent(matches, spoken.as_ref())?;
        let expect = bytes(matches, "expect")?;
        if expect.as_ref().is_some_and(Vec::is_empty) {
            return Err(Stop::usage("--expect needs a text to wait for"));
        }
        let until_peer_ends = send.is_none() && std::io::stdin().is_terminal();
        let script = Script {
            send,
            expect,
            until_peer_ends,
            keep_stdout: false,
            spoken,
        };
        via::warn(matches, &[&endpoint], face);
        let overdue = matches.get_one::<String>("expect").map_or_else(
            || "the conversation did not end in time".to_owned(),
            |text| format!("`{text}` did not come in time"),
        );
        let limit = timeout(matches)?;
        if gives_datagrams(&endpoint, Role::Dial) {
            return datagrams::connect(&endpoint, script, (limit, &overdue), face);
        }
        let at = &endpoint;
        let ended = converse_over(via::net(matches), limit, &overdue, |cx| async move {
            let began = cx.now();
            let stack = cx.net().stack(at, Role::Dial)?;
            via::must_fit(matches, &stack)?;
            let conn = open_stream(&stack, &cx).await?;
            for remark in remarks(&conn) {
                face.note(remark);
            }
            let mut story = begun(&stack, &conn);
            let carried = talk(conn, script, face, &cx).await?;
            (story.received, story.sent, story.lasted) =
                (carried.back, carried.forth, cx.now() - began);
            face.record(&story, &story, now());
            Ok(())
        });
        ended.map_err(|stop| stop.at(at))
    }
}
