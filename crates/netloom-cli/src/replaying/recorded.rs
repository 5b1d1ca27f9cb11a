//! Reading a recording.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::time::Duration;

use netloom_base::{Code, Failure, Side, Stage};
use netloom_wire::coding::Coding;
use serde_json::Value;

use crate::recording::{LARGEST, VERSION};

/// The longest line of a recording: what one read brings, in base64, and more.
const LONGEST_LINE: u64 = 4 << 20;

/// What one side did, and when after the beginning of its conversation.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) at: Duration,
    /// Whether whoever recorded it received it.
    pub(super) inbound: bool,
    /// The bytes; `None` for the end of that side.
    pub(super) bytes: Option<Vec<u8>>,
}

/// One conversation of a recording.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    pub(super) turns: Vec<Turn>,
    pub(super) datagrams: bool,
    /// How many others the recording has.
    pub(super) others: usize,
}

/// Reads the conversation of that number, or the first.
pub(super) fn read(path: &Path, wanted: Option<u64>) -> Result<Recorded, Failure> {
    let name = path.display();
    let unreadable = |error| {
        let failure = Failure::from_io(Stage::Parse, error);
        failure.message(format!("{name} cannot be read"))
    };
    let file = File::open(path).map_err(unreadable)?;
    parse(&name.to_string(), file, wanted)
}

/// The same of what is read from `file`, which is called `name`.
fn parse(name: &str, file: impl Read, wanted: Option<u64>) -> Result<Recorded, Failure> {
    let unreadable = |error| {
        let failure = Failure::from_io(Stage::Parse, error);
        failure.message(format!("{name} cannot be read"))
    };
    let mut lines = BufReader::new(file.take(LARGEST + 1));
    let (mut recorded, mut conn, mut began) = (Recorded::default(), wanted, None);
    let mut read = 0;
    for number in 1.. {
        let mut line = Vec::new();
        let mut limited = (&mut lines).take(LONGEST_LINE);
        read += limited.read_until(b'\n', &mut line).map_err(unreadable)? as u64;
        if line.is_empty() {
            break;
        }
        let wrong = |what: &str| mistaken(format!("{name}, line {number}: {what}"));
        if read > LARGEST {
            return Err(wrong("a recording may have 1 GiB"));
        }
        // A program that was killed leaves half a line.
        if !line.ends_with(b"\n") && line.len() as u64 == LONGEST_LINE {
            return Err(wrong("this line is too long"));
        }
        let Ok(record) = serde_json::from_slice::<Value>(&line) else {
            if line.ends_with(b"\n") {
                return Err(wrong("this is no record: `connect --record` writes them"));
            }
            break;
        };
        let text = |name: &str| record.get(name).and_then(Value::as_str);
        let kind = text("kind").unwrap_or_default();
        if number == 1 {
            let version = record.get("version").and_then(Value::as_u64);
            match (kind, version) {
                ("recording", Some(VERSION)) => continue,
                ("recording", _) => return Err(wrong("this form of recording is not known here")),
                _ => return Err(wrong("this is no recording: `connect --record` makes one")),
            }
        }
        let Some(own) = record.get("conn").and_then(Value::as_u64) else {
            continue;
        };
        let after = record.get("after_s").and_then(Value::as_f64);
        let after = after.and_then(|after| Duration::try_from_secs_f64(after).ok());
        let Some(after) = after else {
            return Err(wrong("it does not say when: after_s"));
        };
        if *conn.get_or_insert(own) != own {
            recorded.others += usize::from(kind == "opened");
            continue;
        }
        let at = after.saturating_sub(*began.get_or_insert(after));
        let inbound = match text("dir") {
            Some("in") => true,
            Some("out") => false,
            _ if matches!(kind, "data" | "end") => {
                return Err(wrong("it does not say in which direction: dir"));
            }
            _ => false,
        };
        let bytes = match kind {
            "opened" => {
                recorded.datagrams = text("by") == Some("datagram");
                continue;
            }
            "data" => Some(bytes(&record).ok_or_else(|| wrong("its bytes cannot be read"))?),
            "end" => None,
            _ => continue, // later forms may say more
        };
        recorded.turns.push(Turn { at, inbound, bytes });
    }
    if began.is_none() {
        let which = wanted.map_or_else(String::new, |conn| format!(" {conn}"));
        return Err(mistaken(format!("{name} has no conversation{which}")));
    }
    Ok(recorded)
}

fn bytes(record: &Value) -> Option<Vec<u8>> {
    match (record.get("text"), record.get("base64")) {
        (Some(Value::String(text)), None) => Some(text.clone().into_bytes()),
        (None, Some(Value::String(text))) => Coding::Base64.read(text).ok(),
        _ => None,
    }
}

fn mistaken(message: String) -> Failure {
    Failure::new(Stage::Parse, Side::Us, Code::PARSE_USAGE).message(message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEAD: &str = "{\"kind\":\"recording\",\"version\":1}\n";

    #[test]
    fn half_a_line_at_the_end_is_what_a_killed_program_leaves() {
        let text = format!(
            "{HEAD}{}\n{}\n{}",
            r#"{"kind":"opened","after_s":1,"conn":4,"by":"stream"}"#,
            r#"{"kind":"data","after_s":1.5,"conn":4,"dir":"out","text":"hi"}"#,
            r#"{"kind":"data","after_s":1.7,"conn":4,"di"#,
        );
        let recorded = parse("it", text.as_bytes(), None).unwrap();
        let turn = Turn {
            at: Duration::from_millis(500),
            inbound: false,
            bytes: Some(b"hi".to_vec()),
        };
        assert_eq!(recorded.turns, [turn]);
    }

    proptest! {
        #[test]
        fn anything_is_read_or_refused(
            lines in proptest::collection::vec(
                prop_oneof![
                    "[ -~]{0,40}",
                    ("(data|end|opened|x)", any::<f64>(), 0u8..3, "(in|out|up)", "[ -~]{0,9}").prop_map(
                        |(kind, after, conn, dir, text)| format!(
                            r#"{{"kind":"{kind}","after_s":{after:?},"conn":{conn},"dir":"{dir}","base64":{text:?}}}"#,
                        ),
                    ),
                ],
                0..8,
            ),
        ) {
            let text = format!("{HEAD}{}", lines.join("\n"));
            let _ = parse("it", text.as_bytes(), None);
        }
    }
}
