//! What a plain endpoint says, first or in answer to a few bytes.

use std::time::Duration;

use netloom_base::story::Told;
use netloom_base::{Address, Code, Failure};
use netloom_transport::{Conn, Cx};
use netloom_wire::tls::looks_like;

use crate::greeting::{Greeted, Visit};
use crate::opening::{GREET_TIMEOUT, Opening};
use crate::shown::{COLUMNS, shown};
use crate::speaking::{meant_by, over_tls, spoken};

/// How long a server may think about saying something first: most that do, do
/// so at once, and a server that waits is healthy.
const FIRST: Duration = Duration::from_secs(1);

/// The silence after which what was said is all.
const QUIET: Duration = Duration::from_millis(200);

/// How it ended.
enum Heard {
    /// Somebody spoke, and may go on.
    Something,
    /// Nobody spoke for so long.
    Nothing(Duration),
    /// The peer closed in order.
    End,
}

pub(super) async fn greet(conn: Conn, visit: Visit<'_>, cx: &Cx) -> Result<Greeted, Failure> {
    let mut conn = conn;
    // A program or a pipe that ends without a word has nothing to hide.
    let somebody =
        visit.stack.transport().card.address == Address::HostPort || conn.socket_mut().is_some();
    let mut opening = Opening::new(conn, "bytes", cx);
    let asked = visit.send.filter(|bytes| !bytes.is_empty());
    let mut told = Vec::new();
    if let Some(bytes) = asked {
        opening.say(bytes).await?;
        told.push(tell(
            format!("said {}: {}", count(bytes.len()), shown(bytes, COLUMNS)),
            "send",
        ));
    }
    let heard = hear(&mut opening, asked.is_some(), somebody, cx).await?;
    let first = opening.rest();
    if first.is_empty() {
        told.push(match (heard, asked) {
            (Heard::End, Some(_)) => tell("it closed without an answer", "recv"),
            (Heard::End, None) => tell("it ended without a word", "recv"),
            (Heard::Nothing(waited), Some(_)) => {
                tell(format!("no answer within {} s", waited.as_secs()), "recv")
            }
            _ => tell(
                format!("it says nothing first, within {} s", FIRST.as_secs()),
                "recv",
            ),
        });
    } else {
        if asked.is_some() && looks_like(first) == Some("TLS") {
            return Err(opening.wrong());
        }
        let order = if asked.is_some() {
            "answered"
        } else {
            "says first"
        };
        told.push(tell(
            format!("{order}, {}: {}", count(first.len()), line(first)),
            "recv",
        ));
        told.extend(speaks(first, visit));
        if matches!(heard, Heard::End) {
            told.push(tell("then it closed", "recv"));
        }
    }
    Ok(Greeted {
        conn: Some(opening.into_conn()),
        told,
    })
}

/// Reads until the peer is quiet, closes, or has had its time.
async fn hear(
    opening: &mut Opening<'_>,
    asked: bool,
    somebody: bool,
    cx: &Cx,
) -> Result<Heard, Failure> {
    let patience = if asked { GREET_TIMEOUT } else { FIRST };
    match cx.timeout(patience, opening.more()).await {
        None => return Ok(Heard::Nothing(patience)),
        Some(Ok(())) => {}
        // It may take what it was told and say nothing.
        Some(Err(failure))
            if (asked || !somebody)
                && failure.code() == Code::GREET_CLOSED
                && failure.errno().is_none() =>
        {
            return Ok(Heard::End);
        }
        Some(Err(failure)) if asked && failure.code() == Code::GREET_TIMEOUT => {
            return Ok(Heard::Nothing(patience));
        }
        Some(Err(failure)) => return Err(failure),
    }
    opening.recognise();
    loop {
        match cx.timeout(QUIET, opening.more()).await {
            None => return Ok(Heard::Something),
            Some(Ok(())) => {}
            // Its end or its reset: what came before is what counts.
            Some(Err(_)) => return Ok(Heard::End),
        }
    }
}

fn tell(text: impl Into<String>, source: &'static str) -> Told {
    Told::new("bytes", text, source)
}

fn count(n: usize) -> String {
    if n == 1 {
        "1 byte".to_owned()
    } else {
        format!("{n} bytes")
    }
}

/// The first line of text, or the beginning of what is none, as hexadecimal.
fn line(first: &[u8]) -> String {
    let end = first.iter().position(|&byte| byte == b'\n');
    let text = first[..end.unwrap_or(first.len())].trim_ascii_end();
    let printable = text
        .iter()
        .filter(|byte| matches!(byte, b' '..=b'~' | b'\t' | 0x80..))
        .count();
    if std::str::from_utf8(text).is_ok() && printable == text.len() {
        return shown(text, COLUMNS);
    }
    let most = COLUMNS / 3;
    let hex: Vec<String> = first
        .iter()
        .take(most)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let more = if first.len() > most { " …" } else { "" };
    format!("{}{more}", hex.join(" "))
}

/// What protocol it really is, and the endpoint that speaks it.
fn speaks(first: &[u8], visit: Visit<'_>) -> Option<Told> {
    let name = looks_like(first)?;
    let endpoint = &visit.stack.endpoint;
    let mut there: Vec<String> = meant_by(name)
        .filter_map(|card| spoken(endpoint, card))
        .map(|there| there.to_string())
        .collect();
    if name == "TLS" {
        there.extend(over_tls(endpoint).map(|there| there.to_string()));
    }
    let text = match there.as_slice() {
        [] => format!("that is {name}"),
        some => format!("that is {name}: {}", some.join(" or ")),
    };
    Some(tell(text, "first bytes"))
}
