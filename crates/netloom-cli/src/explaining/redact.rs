//! Taking secrets out of what is to be shared. In doubt, out: a report that
//! lacks a word is better than one that gives a password away.

use netloom_base::diagnosis::{Cause, Evidence, Fix, Unchecked};
use netloom_base::failure::Step;
use netloom_base::story::Told;
use netloom_base::{Diagnosis, Story};

const STARS: &str = "***";

/// Headers whose values are secrets.
const HEADERS: [&str; 7] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "x-api-key",
    "x-auth-token",
    "authentication-info",
];

/// Words after which a credential stands.
const BEFORE_CREDENTIALS: [&str; 3] = ["bearer", "basic", "digest"];

/// Where the folders of users stand.
const HOMES: [&str; 2] = ["/home/", "/Users/"];

/// The story without secrets.
pub(super) fn story(story: &Story) -> Story {
    Story {
        endpoint: text(&story.endpoint),
        stack: text(&story.stack),
        local: story.local.as_deref().map(text),
        peer: story.peer.as_deref().map(text),
        steps: steps(&story.steps),
        told: story
            .told
            .iter()
            .map(|told| Told {
                text: text(&told.text),
                source: text(&told.source).into(),
                ..told.clone()
            })
            .collect(),
        ..story.clone()
    }
}

/// The diagnosis without secrets.
pub(super) fn diagnosis(diagnosis: &Diagnosis) -> Diagnosis {
    Diagnosis {
        endpoint: diagnosis.endpoint.as_deref().map(text),
        summary: text(&diagnosis.summary),
        drawing: diagnosis.drawing.as_deref().map(text),
        steps: steps(&diagnosis.steps),
        evidence: each(&diagnosis.evidence, |evidence| Evidence {
            fact: text(&evidence.fact),
            source: text(&evidence.source),
        }),
        causes: each(&diagnosis.causes, |cause| Cause {
            text: text(&cause.text),
            because: text(&cause.because),
            ..cause.clone()
        }),
        fixes: each(&diagnosis.fixes, |fix| Fix {
            text: text(&fix.text),
            command: fix.command.as_deref().map(text),
        }),
        unchecked: each(&diagnosis.unchecked, |unchecked| Unchecked {
            what: text(&unchecked.what),
            needs: text(&unchecked.needs),
        }),
        ..diagnosis.clone()
    }
}

fn steps(steps: &[Step]) -> Vec<Step> {
    each(steps, |step| Step {
        to: text(&step.to),
        ..step.clone()
    })
}

fn each<T>(items: &[T], clean: impl Fn(&T) -> T) -> Vec<T> {
    items.iter().map(clean).collect()
}

/// A text without secrets.
pub(super) fn text(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for line in commands(text).split_inclusive('\n') {
        clean += &credentials(&headers(line));
    }
    let home = std::env::var("HOME").unwrap_or_default();
    homes(&clean, &home)
}

/// ``process 12 `program with arguments` `` keeps the program only.
fn commands(text: &str) -> String {
    let mut clean = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("process ") {
        let (before, after) = rest.split_at(at + "process ".len());
        clean += before;
        rest = after;
        let digits = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let Some(quoted) = after[digits..].strip_prefix(" `").filter(|_| digits > 0) else {
            continue;
        };
        let Some(end) = quoted.find('`') else {
            continue;
        };
        let mut words = quoted[..end].split(' ');
        let program = words.next().unwrap_or_default();
        let program = program.rsplit('/').next().unwrap_or_default();
        let more = if words.next().is_some() { " …" } else { "" };
        clean.extend([&after[..digits], " `", program, more, "`"]);
        rest = &quoted[end + 1..];
    }
    clean + rest
}

/// What stands after a secret header, to the end of the line or of what was
/// escaped as one.
fn headers(line: &str) -> String {
    let mut clean = String::new();
    let mut rest = line;
    loop {
        let lower = rest.to_ascii_lowercase();
        let found = HEADERS.iter().filter_map(|header| {
            let (at, _) = lower.match_indices(header).find(|(at, _)| {
                // Also as a key of JSON, in quotes.
                let rest = lower[at + header.len()..].trim_start_matches(['"', '\'', ' ']);
                rest.starts_with([':', '='])
            })?;
            let colon = lower[at..].find([':', '='])?;
            Some((at, at + colon + 1))
        });
        let Some((_, value)) = found.min() else {
            return clean + rest;
        };
        let end = ["\\r", "\\n", "\r", "\n"]
            .iter()
            .filter_map(|end| rest[value..].find(end))
            .min()
            .map_or(rest.len(), |end| value + end);
        clean += &rest[..value];
        clean += " ";
        clean += STARS;
        rest = &rest[end..];
    }
}

/// Words that are or hold credentials.
fn credentials(line: &str) -> String {
    let parts =
        |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '(' | ')' | '<' | '>' | '\\');
    let mut clean = String::new();
    let mut before = String::new();
    for piece in line.split_inclusive(parts) {
        let word = piece.trim_end_matches(parts);
        let end = &piece[word.len()..];
        let follows = BEFORE_CREDENTIALS.contains(&before.as_str());
        if follows && word.len() >= 6 {
            clean += STARS;
        } else {
            clean += &of_word(word);
        }
        clean += end;
        before = word.to_ascii_lowercase();
    }
    clean
}

/// A word that may be an address: without user, password, values of its query
/// and of its secret options, and without tokens in its path.
fn of_word(word: &str) -> String {
    let (begin, rest) = match word.find("://") {
        Some(at) => word.split_at(at + 3),
        None => ("", word),
    };
    let (address, query) = match rest.find('?') {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    };
    let in_url = !begin.is_empty();
    let authority = address.find(['/', ',']).unwrap_or(address.len());
    let (host, path) = address.split_at(authority);
    let host = match host.rfind('@') {
        // `@name` is an abstract unix socket, and nobody's secret.
        Some(at) if at > 0 && !host[..at].ends_with(':') || in_url => {
            format!("{STARS}{}", &host[host.rfind('@').unwrap_or(at)..])
        }
        _ => host.to_owned(),
    };
    let mut clean = format!("{begin}{host}{}", options(&tokens(path)));
    if let Some(query) = query {
        clean.push('?');
        clean += &values(query);
    }
    clean
}

/// The values of a query.
fn values(query: &str) -> String {
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        Some((key, _)) => format!("{key}={STARS}"),
        None if pair.is_empty() => String::new(),
        None => STARS.to_owned(),
    });
    pairs.collect::<Vec<_>>().join("&")
}

/// The values of options that are secret by name, and of environments.
fn options(text: &str) -> String {
    let parts = text.split(',').map(|part| match part.split_once('=') {
        Some((key, value)) if is_secret(key) => {
            // `env=KEY=VALUE` keeps the variable's name.
            let name = value
                .split_once('=')
                .filter(|_| key.eq_ignore_ascii_case("env"));
            let name = name.map_or_else(String::new, |(name, _)| format!("{name}="));
            format!("{key}={name}{STARS}")
        }
        _ => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join(",")
}

fn is_secret(key: &str) -> bool {
    let last = key.rsplit(['-', '_', '/']).next().unwrap_or_default();
    [
        "password",
        "passphrase",
        "passwd",
        "pass",
        "secret",
        "token",
        "env",
        "auth",
    ]
    .iter()
    .any(|word| last.eq_ignore_ascii_case(word))
}

/// Parts of a path that look as if a machine had made them up.
fn tokens(path: &str) -> String {
    let parts = path.split('/').map(|part| {
        let (name, rest) = part.split_at(part.find(',').unwrap_or(part.len()));
        let made_up =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '=' | '~' | ':' | '%');
        let count = |of: fn(&char) -> bool| name.chars().filter(of).count();
        let token = name.len() >= 20
            && name.chars().all(made_up)
            && count(char::is_ascii_digit) >= 3
            && count(char::is_ascii_alphabetic) >= 3
            && !name.contains("%2F");
        if token {
            format!("{STARS}{rest}")
        } else {
            part.to_owned()
        }
    });
    parts.collect::<Vec<_>>().join("/")
}

/// Home folders become `~`, also where their slashes are written `%2F`.
fn homes(text: &str, own: &str) -> String {
    let mut clean = text.to_owned();
    if own.len() > 1 {
        clean = clean
            .replace(own, "~")
            .replace(&own.replace('/', "%2F"), "~");
    }
    for home in HOMES
        .iter()
        .flat_map(|home| [(*home).to_owned(), home.replace('/', "%2F")])
    {
        while let Some(at) = clean.find(&home) {
            let name = &clean[at + home.len()..];
            let len = name.find(|c: char| !(c.is_alphanumeric() || matches!(c, '.' | '_' | '-')));
            let len = len.unwrap_or(name.len());
            clean.replace_range(at..at + home.len() + len, "~");
        }
    }
    for root in ["/root/", "%2Froot%2F"] {
        clean = clean.replace(root, &root.replace("/root", "~").replace("%2Froot", "~"));
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_and_what_explains_stays() {
        for (with, without) in [
            ("ftp://joe:s3cret@host:21/x", "ftp://***@host:21/x"),
            ("ftp://joe@host", "ftp://***@host"),
            ("joe:pw@host:80", "***@host:80"),
            ("unix:@abstract", "unix:@abstract"),
            ("https://h/a?token=abc&x=1", "https://h/a?token=***&x=***"),
            ("GET /a?abc HTTP/1.1", "GET /a?*** HTTP/1.1"),
            (
                "https://h/bot12345678:AAEhBPabcdefghijk/send",
                "https://h/***/send",
            ),
            ("tls://h:1,password=a,sni=b", "tls://h:1,password=***,sni=b"),
            ("exec:true,env=KEY=abc", "exec:true,env=KEY=***"),
            (
                "it said Authorization: Basic abc=\\r\\nServer: x",
                "it said Authorization: ***\\r\\nServer: x",
            ),
            ("Cookie: a=b; c=d", "Cookie: ***"),
            ("{\"x-api-key\": \"abc\"}", "{\"x-api-key\": ***"),
            (
                "no authorization was asked for",
                "no authorization was asked for",
            ),
            ("sent Bearer abcdefgh here", "sent Bearer *** here"),
            (
                "inode 3 is fd 7 of process 41 `/usr/sbin/nginx -g secret`",
                "inode 3 is fd 7 of process 41 `nginx …`",
            ),
            (
                "process 41 `nginx`, on this host",
                "process 41 `nginx`, on this host",
            ),
            (
                "/home/joe/x and %2Fhome%2Fjoe%2Fca.pem",
                "~/x and ~%2Fca.pem",
            ),
            ("ca=/root/ca.pem", "ca=~/ca.pem"),
            ("192.168.3.4:80 in 1.5 ms", "192.168.3.4:80 in 1.5 ms"),
            ("why? because", "why? because"),
        ] {
            assert_eq!(text_at("/nowhere", with), without);
        }
        assert_eq!(text_at("/srv/joe", "/srv/joe/x"), "~/x");
    }

    /// As [`text`], where the home folder is known.
    fn text_at(home: &str, text: &str) -> String {
        let clean: String = commands(text)
            .split_inclusive('\n')
            .map(|line| credentials(&headers(line)))
            .collect();
        homes(&clean, home)
    }
}
