//! `explain`: what a code or an error means, and how a conversation goes.

use clap::{Arg, ArgMatches, Command};

use super::{Verb, examples};
use crate::contract::{Stop, duration, timeout, with_timeout};
use crate::explaining::{self, Language, Subject, Wanted, visit};
use crate::flags::bytes;
use crate::via::with_via;
use crate::view::Face;

pub(super) struct Explain;

/// Flags that only an endpoint can take.
const OF_ENDPOINTS: [&str; 5] = ["send", "expires-within", "report", "timeout", "via"];

impl Verb for Explain {
    fn name(&self) -> &'static str {
        "explain"
    }

    fn command(&self) -> Command {
        let flag = |name: &'static str, value: &'static str, help: &'static str| {
            Arg::new(name).long(name).value_name(value).help(help)
        };
        let command = Command::new("explain")
            .about("tell how a conversation goes and why it fails, or what a code or an error means")
            .arg(
                Arg::new("subject")
                    .value_name("SUBJECT")
                    .required(true)
                    .num_args(1..)
                    .help("a failure code, an errno, a TLS alert, an HTTP status, an answer of DNS, an ICMP type, or an endpoint"),
            )
            .arg(
                flag("send", "TEXT", "say this to the endpoint; \\r \\n \\t \\0 \\\\ \\xNN are bytes")
                    .allow_hyphen_values(true),
            )
            .arg(flag(
                "expires-within",
                "DURATION",
                "fail when a certificate expires within this time, such as 14d",
            ))
            .arg(flag("report", "FILE", "write a report without secrets to a file, to share it"))
            .arg(flag(
                "lang",
                "LANG",
                "the language of a code's page: en, zh [default: as LC_ALL, LC_MESSAGES or LANG say]",
            ))
            .after_help(examples(&[
                ("netloom explain example.org:443", "how a conversation with it goes"),
                ("netloom explain tls://example.org:443 --expires-within 14d", "fail before it expires"),
                ("netloom explain https://example.org/ --report report.md", "the same, to be shared"),
                ("netloom explain udp://10.0.0.2:514", "who takes datagrams there"),
                ("netloom explain udp://239.1.2.3:5000", "who is heard in a group"),
                ("netloom explain bind.in-use.listener", "what a failure's code means"),
                ("netloom explain ECONNRESET", "what an errno means; or an alert"),
            ]));
        let help = "give up when the whole conversation takes longer";
        with_timeout(with_via(command), help)
    }

    fn run(&self, matches: &ArgMatches, face: &Face) -> Result<(), Stop> {
        let words = matches.get_many::<String>("subject").into_iter().flatten();
        let words: Vec<&str> = words.map(String::as_str).collect();
        let language = language(matches)?;
        let subject = explaining::read(&words.join(" "))?;
        if !matches!(subject, Subject::Endpoint(_))
            && let Some(flag) = OF_ENDPOINTS.iter().find(|flag| matches.contains_id(flag))
        {
            return Err(Stop::usage(format!(
                "--{flag} needs an endpoint to explain"
            )));
        }
        match subject {
            Subject::Code(card) => explaining::page(card, language, face),
            Subject::Word(meaning) => face.answer(&meaning, &meaning.plain(face.width())),
            Subject::Endpoint(endpoint) => {
                let wanted = Wanted {
                    endpoint,
                    send: bytes(matches, "send")?,
                    expires_within: duration(matches, "expires-within")?,
                    timeout: timeout(matches)?,
                    report: matches.get_one::<String>("report").map(Into::into),
                    deep: matches.get_flag("deep"),
                    asking: crate::contract::asking(matches),
                };
                return visit(&wanted, matches, face);
            }
        }
        Ok(())
    }
}

/// The language that was asked for, or the one of this session.
fn language(matches: &ArgMatches) -> Result<Language, Stop> {
    let Some(name) = matches.get_one::<String>("lang") else {
        let set = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter();
        let set = set.filter_map(|name| std::env::var(name).ok());
        let first = set.filter(|value| !value.is_empty()).take(1).next();
        let named = first.and_then(|name| Language::named(&name));
        return Ok(named.unwrap_or(Language::English));
    };
    let known = Language::ALL.map(Language::tag).join(", ");
    let unknown = || {
        Stop::usage(format!(
            "no page is written in `{name}`; there are: {known}"
        ))
    };
    Language::named(name).ok_or_else(unknown)
}
