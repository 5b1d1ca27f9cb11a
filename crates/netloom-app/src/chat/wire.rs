//! The two forms of what is said: lines of text for people at a terminal, and
//! one JSON object for each message for programs.
//!
//! | text | JSON |
//! |---|---|
//! | `<anna> hello` | `{"chat":"say","room":"lobby","nick":"anna","text":"hello",…}` |
//! | `~ anna waves` | `{"chat":"me",…}` |
//! | `[anna] psst` | `{"chat":"msg","nick":"anna","to":"bo","text":"psst",…}` |
//! | `* bo is here now` | `{"chat":"join","nick":"bo","room":"lobby",…}` |
//! | `* …` the server says | `{"chat":"told","text":…}` |
//! | `! word: …` the server refuses | `{"chat":"refused","why":"word","text":…}` |
//!
//! A name has neither spaces nor brackets nor marks, and a text has no end of a
//! line in it, so nobody can say a line that looks as if another had.

use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value, json};

/// The bytes of one line or message, shared by all whom it is for.
pub(super) type Bytes = Arc<[u8]>;

/// What a line tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// Said to the room.
    Say,
    /// Done in the room, in words: `/me`.
    Me,
    /// Said to one member.
    Private { to: Arc<str> },
    /// Came into the room.
    Join,
    /// Left it; the text says why, unless it is empty.
    Leave,
    /// Has another name now.
    Nick { to: Arc<str> },
    /// Set the topic.
    Topic,
    /// Said by the server.
    Told,
    /// Refused by the server, with a word for programs.
    Refused { why: &'static str },
    /// Who one is, and where.
    Hello,
    /// Who is in a room.
    Who { nicks: Vec<Arc<str>>, more: usize },
    /// Which rooms there are, each with its members.
    Rooms { rooms: Vec<(Arc<str>, usize)> },
}

impl What {
    fn word(&self) -> &'static str {
        match self {
            What::Say => "say",
            What::Me => "me",
            What::Private { .. } => "msg",
            What::Join => "join",
            What::Leave => "leave",
            What::Nick { .. } => "nick",
            What::Topic => "topic",
            What::Told => "told",
            What::Refused { .. } => "refused",
            What::Hello => "hello",
            What::Who { .. } => "who",
            What::Rooms { .. } => "rooms",
        }
    }
}

/// One thing that is told, made once for all who hear it.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) what: What,
    /// Unique; empty for what only one member is told.
    pub(super) id: Box<str>,
    pub(super) room: Arc<str>,
    pub(super) nick: Arc<str>,
    pub(super) text: Box<str>,
    /// It was said before whoever reads it came.
    pub(super) earlier: bool,
    /// By which program it was said, and under which name there: what groups
    /// know a member by.
    pub(super) far: Option<Far>,
    as_text: OnceLock<Bytes>,
    as_json: OnceLock<Bytes>,
    as_datagram: OnceLock<Bytes>,
}

/// Whom a group knows a member by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Far {
    /// The program that speaks in the group, by the number it drew.
    pub(super) peer: Arc<str>,
    /// The member's name there.
    pub(super) nick: Arc<str>,
}

impl Line {
    pub(super) fn new(
        what: What,
        id: Box<str>,
        room: &Arc<str>,
        nick: &Arc<str>,
        text: impl Into<Box<str>>,
    ) -> Self {
        Line {
            what,
            id,
            room: room.clone(),
            nick: nick.clone(),
            text: text.into(),
            earlier: false,
            far: None,
            as_text: OnceLock::new(),
            as_json: OnceLock::new(),
            as_datagram: OnceLock::new(),
        }
    }

    /// The server says something to one member.
    pub(super) fn told(text: impl Into<Box<str>>) -> Arc<Self> {
        let nobody: Arc<str> = "".into();
        Arc::new(Line::new(What::Told, "".into(), &nobody, &nobody, text))
    }

    /// The server refuses something.
    pub(super) fn refused(why: &'static str, text: impl Into<Box<str>>) -> Arc<Self> {
        let (what, nobody): (_, Arc<str>) = (What::Refused { why }, "".into());
        Arc::new(Line::new(what, "".into(), &nobody, &nobody, text))
    }

    /// The same, for those who come later.
    pub(super) fn earlier(&self) -> Self {
        Line {
            earlier: true,
            ..Line::new(
                self.what.clone(),
                self.id.clone(),
                &self.room,
                &self.nick,
                self.text.clone(),
            )
        }
    }

    /// The form a member reads, with the end of the line.
    pub(super) fn form(&self, json: bool) -> &Bytes {
        if json {
            self.as_json.get_or_init(|| {
                let mut line = self.object().to_string();
                line.push('\n');
                line.into_bytes().into()
            })
        } else {
            self.as_text
                .get_or_init(|| self.words().into_bytes().into())
        }
    }

    /// The form that goes into a group, where everything names who said it.
    pub(super) fn datagram(&self) -> &Bytes {
        self.as_datagram.get_or_init(|| {
            let mut object = self.object();
            if let Some(Far { peer, nick }) = &self.far {
                object["peer"] = (**peer).into();
                object["nick"] = (**nick).into();
            }
            object.to_string().into_bytes().into()
        })
    }

    fn words(&self) -> String {
        let Line {
            nick, text, room, ..
        } = self;
        match &self.what {
            What::Say => format!("<{nick}> {text}\n"),
            What::Me => format!("~ {nick} {text}\n"),
            What::Private { .. } => format!("[{nick}] {text}\n"),
            What::Join => format!("* {nick} is here now\n"),
            What::Leave if text.is_empty() => format!("* {nick} left\n"),
            What::Leave => format!("* {nick} left: {text}\n"),
            What::Nick { to } => format!("* {nick} is called {to} now\n"),
            What::Topic => format!("* {nick} made the topic: {text}\n"),
            What::Told | What::Hello => format!("* {text}\n"),
            What::Refused { why } => format!("! {why}: {text}\n"),
            What::Who { nicks, more } => {
                let mut line = format!("* in {room}: {}", nicks.join(", "));
                if *more > 0 {
                    let _ = write!(line, " and {more} more");
                }
                line.push('\n');
                line
            }
            What::Rooms { rooms } => {
                let each = rooms
                    .iter()
                    .map(|(room, count)| format!("{room} ({count})"));
                format!("* rooms: {}\n", each.collect::<Vec<_>>().join(", "))
            }
        }
    }

    fn object(&self) -> Value {
        let mut map = Map::new();
        let mut put = |key: &str, value: Value| _ = map.insert(key.to_owned(), value);
        put("chat", self.what.word().into());
        for (key, value) in [
            ("id", &*self.id),
            ("room", &*self.room),
            ("nick", &*self.nick),
            ("text", &*self.text),
        ] {
            if !value.is_empty() {
                put(key, value.into());
            }
        }
        match &self.what {
            What::Private { to } | What::Nick { to } => put("to", (&**to).into()),
            What::Refused { why } => put("why", (*why).into()),
            What::Who { nicks, more } => {
                put(
                    "nicks",
                    nicks.iter().map(|nick| Value::from(&**nick)).collect(),
                );
                if *more > 0 {
                    put("more", (*more).into());
                }
            }
            What::Rooms { rooms } => {
                let each = rooms
                    .iter()
                    .map(|(room, count)| json!({"room": **room, "members": count}));
                put("rooms", each.collect());
            }
            _ => {}
        }
        if self.earlier {
            put("earlier", true.into());
        }
        Value::Object(map)
    }
}

/// What a member asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ask {
    Say(String),
    Me(String),
    Private {
        to: String,
        text: String,
    },
    Nick(String),
    Join(String),
    Who(Option<String>),
    Rooms,
    History,
    Topic(Option<String>),
    Quit(String),
    Help,
    /// Speak JSON from now on, or text.
    Speak {
        json: bool,
    },
    /// A sign of life.
    Here,
}

/// Why something that was typed is no question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Misread {
    pub(super) why: &'static str,
    pub(super) text: String,
}

/// What `/help` says.
pub(super) const HELP: &str = "a line is said to the room; /nick NAME, /join ROOM, /msg NAME TEXT, /me TEXT, /who [ROOM], /rooms, /topic [TEXT], /history, /json, /quit [WHY]; // begins a line with a slash";

/// Reads a typed line; `None` for an empty one.
pub(super) fn read_line(line: &str) -> Result<Option<Ask>, Misread> {
    let text = line.trim_end();
    if text.trim_start().is_empty() {
        return Ok(None);
    }
    let Some(command) = text.strip_prefix('/') else {
        return Ok(Some(Ask::Say(text.to_owned())));
    };
    if command.starts_with('/') {
        return Ok(Some(Ask::Say(command.to_owned())));
    }
    let (word, rest) = command.split_once(' ').unwrap_or((command, ""));
    let rest = rest.trim();
    let some = || (!rest.is_empty()).then(|| rest.to_owned());
    let needed = |usage: &str| {
        some().ok_or_else(|| Misread {
            why: "usage",
            text: usage.to_owned(),
        })
    };
    Ok(Some(match word {
        "nick" => Ask::Nick(needed("/nick NAME")?),
        "join" => Ask::Join(needed("/join ROOM")?),
        "me" => Ask::Me(needed("/me TEXT")?),
        "msg" => {
            let (to, text) = rest
                .split_once(' ')
                .ok_or_else(|| usage("/msg NAME TEXT"))?;
            Ask::Private {
                to: to.to_owned(),
                text: text.trim().to_owned(),
            }
        }
        "who" => Ask::Who(some()),
        "rooms" => Ask::Rooms,
        "history" => Ask::History,
        "topic" => Ask::Topic(some()),
        "quit" => Ask::Quit(rest.to_owned()),
        "help" => Ask::Help,
        "json" => Ask::Speak { json: true },
        "text" => Ask::Speak { json: false },
        "here" => Ask::Here,
        _ => {
            return Err(Misread {
                why: "no-such-command",
                text: format!("there is no /{word}; /help tells which there are"),
            });
        }
    }))
}

fn usage(text: &str) -> Misread {
    Misread {
        why: "usage",
        text: text.to_owned(),
    }
}

/// Reads a JSON message. How deep it may be is the parser's limit, how long the
/// carrier's.
pub(super) fn read_json(bytes: &[u8]) -> Result<Ask, Misread> {
    let object = object(bytes)?;
    let text = |key: &str| field(&object, key);
    let needed = |key: &str| {
        text(key).ok_or_else(|| usage(&format!("`{key}` is missing, and must be a text")))
    };
    Ok(match text("chat").as_deref() {
        Some("say") => Ask::Say(needed("text")?),
        Some("me") => Ask::Me(needed("text")?),
        Some("msg") => Ask::Private {
            to: needed("to")?,
            text: needed("text")?,
        },
        Some("nick") => Ask::Nick(text("to").map_or_else(|| needed("nick"), Ok)?),
        Some("join") => Ask::Join(needed("room")?),
        Some("who") => Ask::Who(text("room")),
        Some("rooms") => Ask::Rooms,
        Some("history") => Ask::History,
        Some("topic") => Ask::Topic(text("text")),
        Some("quit" | "leave") => Ask::Quit(text("text").unwrap_or_default()),
        Some("help") => Ask::Help,
        Some("text") => Ask::Speak { json: false },
        Some("json") => Ask::Speak { json: true },
        Some("here") => Ask::Here,
        _ => {
            return Err(usage(
                "`chat` says what it is: say, me, msg, nick, join, who, rooms, topic, history, quit",
            ));
        }
    })
}

/// An object out of a message that a stranger sent.
pub(super) fn object(bytes: &[u8]) -> Result<Map<String, Value>, Misread> {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(object)) => Ok(object),
        _ => Err(Misread {
            why: "not-json",
            text: "that is no JSON object".to_owned(),
        }),
    }
}

/// A text of an object, as it may be shown.
pub(super) fn field(object: &Map<String, Value>, key: &str) -> Option<String> {
    let text = object.get(key)?.as_str()?;
    Some(super::text::cleaned(text)).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(what: What, text: &str) -> Line {
        Line::new(what, "1f".into(), &"lobby".into(), &"anna".into(), text)
    }

    #[test]
    fn both_forms_say_the_same() {
        let forms = |what, text| {
            let line = line(what, text);
            let text = |json| String::from_utf8(line.form(json).to_vec()).unwrap();
            (text(false), text(true))
        };
        let (text, json) = forms(What::Say, "hello");
        assert_eq!(text, "<anna> hello\n");
        assert_eq!(
            serde_json::from_str::<Value>(&json).unwrap(),
            json!({"chat": "say", "id": "1f", "room": "lobby", "nick": "anna", "text": "hello"})
        );
        assert_eq!(forms(What::Me, "waves").0, "~ anna waves\n");
        assert_eq!(forms(What::Join, "").0, "* anna is here now\n");
        let (text, json) = forms(What::Private { to: "bo".into() }, "psst");
        assert_eq!(text, "[anna] psst\n");
        assert!(json.contains("\"to\":\"bo\""), "{json}");
    }

    #[test]
    fn commands_are_read() {
        let read = |text| read_line(text).unwrap().unwrap();
        assert_eq!(read("hello there  "), Ask::Say("hello there".into()));
        assert_eq!(read("//etc"), Ask::Say("/etc".into()));
        assert_eq!(read("/nick bo"), Ask::Nick("bo".into()));
        assert_eq!(
            read("/msg bo hi  you"),
            Ask::Private {
                to: "bo".into(),
                text: "hi  you".into()
            }
        );
        assert_eq!(read("/quit"), Ask::Quit(String::new()));
        assert_eq!(read_line("   "), Ok(None));
        assert_eq!(read_line("/fly").unwrap_err().why, "no-such-command");
        assert_eq!(read_line("/nick").unwrap_err().text, "/nick NAME");
        assert_eq!(read_line("/msg bo").unwrap_err().text, "/msg NAME TEXT");
    }

    #[test]
    fn json_is_read_and_its_bombs_are_refused() {
        let say = br#"{"chat":"say","text":"a\u001b[2Jb\nc"}"#;
        assert_eq!(read_json(say), Ok(Ask::Say("a[2Jbc".into())));
        let deep = format!("{{\"chat\":\"say\",\"text\":{}", "[".repeat(100_000));
        assert_eq!(read_json(deep.as_bytes()).unwrap_err().why, "not-json");
        for bad in [
            "[]",
            "7",
            "{\"chat\":7}",
            "{\"chat\":\"say\",\"text\":7}",
            "{}",
            "",
        ] {
            assert!(read_json(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn nobody_can_say_a_line_that_another_or_the_server_said(
            text in any::<String>(), nick in "[a-z0-9][a-z0-9._-]{0,8}",
        ) {
            let shown = super::super::text::cleaned(&text);
            let line = Line::new(What::Say, "".into(), &"r".into(), &nick.as_str().into(), shown);
            let form = String::from_utf8(line.form(false).to_vec()).unwrap();
            let head = format!("<{nick}> ");
            prop_assert!(form.starts_with(&head));
            prop_assert_eq!(form.matches('\n').count(), 1);
            let json: Value = serde_json::from_slice(line.form(true)).unwrap();
            prop_assert_eq!(json["nick"].as_str(), Some(nick.as_str()));
        }

        #[test]
        fn nothing_read_fails_otherwise_than_in_words(bytes in any::<Vec<u8>>(), text in any::<String>()) {
            let _ = read_json(&bytes);
            let _ = read_line(&text);
        }
    }
}
