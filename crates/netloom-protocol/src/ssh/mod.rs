//! SSH (RFC 4253): who is there, and what they can.

use netloom_base::story::Told;
use netloom_base::{Address, Card, Failure, Kind, Opens, Scheme};
use netloom_transport::{BoxFuture, Conn, Cx};
use netloom_wire::ssh::{self, Identification, KexInit};

use crate::greeting::{Greeted, Visit};
use crate::opening::Opening;
use crate::registry::Protocol;
use crate::shown::{COLUMNS, shown};

#[cfg(test)]
mod tests;

/// The protocol behind `ssh://`.
#[derive(Debug, Clone, Copy)]
pub struct Ssh;

static CARD: Card = Card {
    name: "ssh",
    summary: "a shell, files and many streams, encrypted",
    schemes: &[Scheme {
        name: "ssh",
        over: &["tcp"],
        default_port: Some(22),
    }],
    address: Address::HostPort,
    owns_path: false,
    owns_query: false,
    needs: Some(Kind::Stream),
    gives: Kind::Mux,
    encrypts: true,
    rfcs: &["RFC 4253", "RFC 4251"],
    dial_keys: &[],
    bind_keys: &[],
    codes: &[],
    opens: Opens::Server,
};

/// What servers say instead of their identification when they refuse: OpenSSH's
/// `Not allowed at this time` and `Exceeded MaxStartups`, and their like.
const REFUSALS: &[&str] = &[
    "not allowed",
    "exceeded",
    "too many",
    "denied",
    "refused",
    "blocked",
    "not permitted",
    "maximum",
];

impl Protocol for Ssh {
    fn card(&self) -> &'static Card {
        &CARD
    }

    /// Reads the identification and the lists of the server, says ours, and ends
    /// it before keys are agreed on. `visit.send` is not said: no stream is open.
    fn greet<'a>(
        &'a self,
        conn: Conn,
        visit: Visit<'a>,
        cx: &'a Cx,
    ) -> BoxFuture<'a, Result<Greeted, Failure>> {
        Box::pin(async move {
            let opening = Opening::new(conn, "SSH", cx);
            let told = greet(opening).await;
            let told = told.map_err(|failure| failure.at(&visit.stack.endpoint))?;
            Ok(Greeted { conn: None, told })
        })
    }
}

async fn greet(mut opening: Opening<'_>) -> Result<Vec<Told>, Failure> {
    let (server, before) = identification(&mut opening).await?;
    opening.recognise();
    let mut told = Vec::new();
    let mut tell = |text: String, source: &'static str| told.push(Told::new("ssh", text, source));
    for line in &before {
        tell(
            format!("says first: {}", shown(line, COLUMNS)),
            "before the identification",
        );
    }
    let comments = server.comments.as_deref().map(|text| format!(" ({text})"));
    tell(
        format!(
            "{}{}, SSH {}",
            server.software,
            comments.unwrap_or_default(),
            server.version
        ),
        "identification",
    );
    if !server.speaks_2() {
        tell(
            "speaks SSH 1 only, which is broken: nobody should use it".to_owned(),
            "identification",
        );
        opening.end().await;
        return Ok(told);
    }
    let software = concat!("netloom_", env!("CARGO_PKG_VERSION"));
    if let Some(own) = Identification::new("2.0", software, None) {
        opening.say(&own.to_bytes()).await?;
    }
    let lists = lists(&mut opening).await?;
    tell(format!("host keys {}", listed(&lists.host_keys)), "KEXINIT");
    let safe: Vec<&str> = lists.post_quantum().collect();
    let quantum = match safe.first() {
        Some(first) => format!("post-quantum with {first}"),
        None => "none of them post-quantum".to_owned(),
    };
    // A marker for an extension is no way to agree on keys (RFC 8308, strict kex).
    let kex = lists.key_exchanges.iter();
    let kex: Vec<&str> = kex
        .map(String::as_str)
        .filter(|name| !is_marker(name))
        .collect();
    tell(
        format!("{} key exchanges, {quantum}: {}", kex.len(), listed(&kex)),
        "KEXINIT",
    );
    tell(format!("ciphers {}", listed(&lists.ciphers[1])), "KEXINIT");
    let squeezed: Vec<&str> = lists.compressions[1]
        .iter()
        .map(String::as_str)
        .filter(|name| *name != "none")
        .collect();
    tell(
        match squeezed.as_slice() {
            [] => "no compression".to_owned(),
            some => format!("compression {}", listed(some)),
        },
        "KEXINIT",
    );
    let bye = ssh::packet(&ssh::disconnect(ssh::BY_APPLICATION, "only looking"));
    // The server may have gone already: everything is known.
    let _ = opening.say(&bye).await;
    opening.end().await;
    Ok(told)
}

/// The widest that a list is shown, in characters: real ones fit.
const WIDEST: usize = 1000;

fn listed<S: AsRef<str>>(names: &[S]) -> String {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    shown(names.join(", ").as_bytes(), WIDEST)
}

fn is_marker(name: &str) -> bool {
    name.starts_with("ext-info-") || name.starts_with("kex-strict-")
}

/// The server's identification, and the lines before it (RFC 4253 §4.2).
async fn identification(
    opening: &mut Opening<'_>,
) -> Result<(Identification, Vec<Vec<u8>>), Failure> {
    let mut before: Vec<Vec<u8>> = Vec::new();
    loop {
        let line = match opening.line().await {
            Ok(line) => line,
            // It said why it does not want us, and left.
            Err(failure) => return Err(refused(opening, &before).unwrap_or(failure)),
        };
        match Identification::read(&line) {
            Ok(Some(read)) => return Ok((read, before)),
            Ok(None) if opening.other().is_none() && before.len() < ssh::MAX_BEFORE => {}
            Ok(None) | Err(_) => return Err(opening.wrong()),
        }
        before.push(line);
    }
}

/// A refusal in words, if that is what the server said before it closed.
fn refused(opening: &Opening<'_>, before: &[Vec<u8>]) -> Option<Failure> {
    let lines = before.iter().map(Vec::as_slice).chain([opening.rest()]);
    let mut said = lines.map(|line| String::from_utf8_lossy(line).to_lowercase());
    let at = said.position(|line| REFUSALS.iter().any(|words| line.contains(words)))?;
    let line = before.get(at).map_or(opening.rest(), Vec::as_slice);
    let words = shown(line.trim_ascii(), COLUMNS);
    Some(opening.refused(
        format!("the server refuses: {words}"),
        words,
        "before the identification",
    ))
}

/// The server's first packet that says something of itself.
async fn lists(opening: &mut Opening<'_>) -> Result<KexInit, Failure> {
    loop {
        let (payload, used) = loop {
            match ssh::payload(opening.rest()) {
                Ok(Some((payload, used))) => break (payload.to_vec(), used),
                Ok(None) => opening.more().await?,
                Err(_) => return Err(opening.wrong()),
            }
        };
        opening.bytes(used).await?;
        match payload.first() {
            Some(&ssh::IGNORE | &ssh::DEBUG) => {}
            Some(&ssh::DISCONNECT) => {
                let (reason, words) =
                    ssh::read_disconnect(&payload).map_err(|_| opening.wrong())?;
                let words = shown(&words, COLUMNS);
                let message = format!("the server refuses: {words}");
                let said = format!("SSH_MSG_DISCONNECT, reason {reason}: {words}");
                return Err(opening.refused(message, said, "first packet"));
            }
            _ => return KexInit::read(&payload).map_err(|_| opening.wrong()),
        }
    }
}
