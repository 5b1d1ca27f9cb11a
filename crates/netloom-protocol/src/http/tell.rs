//! What an answer tells, line by line.

use netloom_base::story::Told;
use netloom_wire::http::Length;

use super::exchange::Answer;

/// The longest part of a header that is told, in characters.
const LONGEST: usize = 160;

/// What is told of an answer, under the name `about`.
pub(crate) fn told(about: &'static str, answer: &Answer<'_>) -> Vec<Told> {
    let mut told = Vec::new();
    let mut tell = |text: String, source: &'static str| told.push(Told::new(about, text, source));
    for interim in &answer.interim {
        tell(
            format!("{} came first", clean(&interim.status_line())),
            "status line",
        );
    }
    tell(clean(&answer.head.status_line()), "status line");
    if let Some(server) = answer.header("server") {
        tell(
            format!("the server calls itself {}", clean(server)),
            "server",
        );
    }
    if let Some(challenge) = answer.header("www-authenticate") {
        let scheme = challenge.split([' ', ',']).next().unwrap_or_default();
        tell(
            format!("it asks for a login ({})", clean(scheme)),
            "www-authenticate",
        );
    }
    if let Some(content) = content(answer) {
        tell(content, "headers");
    }
    if let Some(hsts) = answer.header("strict-transport-security").and_then(hsts) {
        tell(hsts, "strict-transport-security");
    }
    for via in answer.head.headers.all("via") {
        tell(format!("it came through {}", clean(via)), "via");
    }
    for name in ["x-cache", "cf-cache-status", "proxy-status", "x-served-by"] {
        if let Some(value) = answer.header(name) {
            tell(format!("{name}: {}", clean(value)), "proxy header");
        }
    }
    if let Some(age) = answer.header("age").and_then(|age| age.parse::<u64>().ok()) {
        tell(format!("a cache kept it for {age} s"), "age");
    }
    if let Some(other) = answer.header("alt-svc").filter(|value| *value != "clear") {
        tell(format!("it is also served as {}", clean(other)), "alt-svc");
    }
    told
}

/// What is in the body, and how much.
fn content(answer: &Answer<'_>) -> Option<String> {
    if answer.status() == 101 {
        return None;
    }
    let size = match answer.length {
        Length::None => "no body".to_owned(),
        Length::Exactly(1) => "1 byte".to_owned(),
        Length::Exactly(n) => format!("{n} bytes"),
        Length::Chunked if answer.body.whole => {
            format!("{} bytes in chunks", answer.body.bytes.len())
        }
        Length::Chunked => "in chunks".to_owned(),
        Length::UntilClose if answer.body.whole => {
            format!("{} bytes, until it closed", answer.body.bytes.len())
        }
        Length::UntilClose => "until it closes".to_owned(),
    };
    let kind = answer.header("content-type").map(clean);
    let coding = answer.header("content-encoding").map(clean);
    let words: Vec<String> = kind.into_iter().chain(coding).chain([size]).collect();
    let cut = match (&answer.ended, answer.body.whole) {
        (Some(_), false) => format!(", of which {} came", answer.body.bytes.len()),
        _ => String::new(),
    };
    let broken = if answer.body.broken {
        ", with chunks that cannot be read"
    } else {
        ""
    };
    Some(format!("{}{cut}{broken}", words.join(", ")))
}

/// For how long browsers will use https only (RFC 6797 §6.1).
fn hsts(value: &str) -> Option<String> {
    let mut parts = value.split(';').map(str::trim);
    let age = parts.clone().find_map(|part| {
        let (name, age) = part.split_once('=')?;
        let age = age.trim().trim_matches('"').parse::<u64>().ok()?;
        name.trim().eq_ignore_ascii_case("max-age").then_some(age)
    })?;
    let below = parts.any(|part| part.eq_ignore_ascii_case("includesubdomains"));
    let whom = if below {
        ", for names below it too"
    } else {
        ""
    };
    Some(match age {
        0 => "browsers forget that they used https only".to_owned(),
        1..86_400 => format!("browsers use https only for {age} s{whom}"),
        age => format!("browsers use https only for {} days{whom}", age / 86_400),
    })
}

/// What came from the network, as it may stand on a terminal.
pub(crate) fn clean(text: &str) -> String {
    let harmless = |c: char| !c.is_control() && !('\u{200b}'..='\u{206f}').contains(&c);
    let shown: String = text
        .chars()
        .map(|c| if harmless(c) { c } else { '\u{fffd}' })
        .take(LONGEST)
        .collect();
    if text.chars().count() > LONGEST {
        shown + "…"
    } else {
        shown
    }
}
