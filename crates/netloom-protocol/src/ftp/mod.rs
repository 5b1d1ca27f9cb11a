//! FTP (RFC 959): who is there, and whether data would get through.

pub mod codes;
mod data;
mod scope;
#[cfg(test)]
mod tests;

use netloom_base::story::Told;
use netloom_base::{Address, Card, Code, Failure, Kind, Opens, Scheme, Side, Stage};
use netloom_transport::{BoxFuture, Conn, Cx};
use netloom_wire::reply::Reply;

use crate::greeting::{Greeted, Visit};
use crate::opening::Opening;
use crate::registry::Protocol;
use crate::replies::{ask, reply, told};
use crate::shown::{COLUMNS, shown};

pub use scope::Scope;

/// The protocol behind `ftp://` and `ftps://`.
#[derive(Debug, Clone, Copy)]
pub struct Ftp;

static CARD: Card = Card {
    name: "ftp",
    summary: "files by name",
    schemes: &[
        Scheme {
            name: "ftp",
            over: &["tcp"],
            default_port: Some(21),
        },
        Scheme {
            name: "ftps",
            over: &["tls", "tcp"],
            default_port: Some(990),
        },
    ],
    address: Address::HostPort,
    owns_path: true,
    owns_query: false,
    needs: Some(Kind::Stream),
    gives: Kind::Exchange,
    encrypts: false,
    rfcs: &["RFC 959", "RFC 1123", "RFC 2389", "RFC 2428", "RFC 4217"],
    dial_keys: &[],
    bind_keys: &[],
    codes: codes::CODES,
    opens: Opens::Server,
};

/// Who everybody may be (RFC 1635), and what stands for a password then.
const ANONYMOUS: (&str, &str) = ("anonymous", "netloom@");

impl Protocol for Ftp {
    fn card(&self) -> &'static Card {
        &CARD
    }

    /// Reads the banner, asks for the features, logs in as the endpoint's user or
    /// as `anonymous`, tries a data connection in both passive modes, and quits.
    /// No file is touched. `visit.send` is not said.
    fn greet<'a>(
        &'a self,
        conn: Conn,
        visit: Visit<'a>,
        cx: &'a Cx,
    ) -> BoxFuture<'a, Result<Greeted, Failure>> {
        Box::pin(async move {
            let opening = Opening::new(conn, "FTP", cx);
            let told = greet(opening, visit).await;
            let told = told.map_err(|failure| failure.at(&visit.stack.endpoint))?;
            Ok(Greeted { conn: None, told })
        })
    }
}

fn tell(text: impl Into<String>, source: &'static str) -> Told {
    Told::new("ftp", text, source)
}

async fn greet(mut opening: Opening<'_>, visit: Visit<'_>) -> Result<Vec<Told>, Failure> {
    let mut all = Vec::new();
    let mut banner = reply(&mut opening).await?;
    if banner.code() == 120 {
        all.push(tell(
            format!("is not ready yet: {}", told(&banner)),
            "banner",
        ));
        banner = reply(&mut opening).await?;
    }
    if banner.kind() != 2 {
        return Err(refused(&opening, &banner));
    }
    all.push(tell(told(&banner), "banner"));
    let features = ask(&mut opening, "FEAT").await?;
    let logged_in = log_in(&mut opening, visit, &mut all).await?;
    let at = all.len() - 1;
    all.insert(
        at,
        tell(says_features(&features, visit.stack.encrypts()), "FEAT"),
    );
    if logged_in {
        all.extend(data::tried(&mut opening, visit).await?);
    }
    // The server may have gone already: everything is known.
    let _ = ask(&mut opening, "QUIT").await;
    opening.end().await;
    Ok(all)
}

/// The features (RFC 2389), and whether the conversation could be encrypted
/// from here on (RFC 4217).
fn says_features(reply: &Reply, encrypted: bool) -> String {
    if reply.kind() != 2 {
        return format!("lists no features: {}", told(reply));
    }
    let count = reply.lines().len().saturating_sub(1);
    let lines = reply.lines().skip(1).take(count.saturating_sub(1));
    let names: Vec<String> = lines.map(|line| shown(line.trim_ascii(), 40)).collect();
    let offers_tls = names
        .iter()
        .any(|name| name.to_ascii_uppercase().starts_with("AUTH TLS"));
    let tls = match (offers_tls, encrypted) {
        (true, _) => "AUTH TLS is offered",
        (false, true) => "all of it over TLS",
        (false, false) => "AUTH TLS is not offered: passwords would go in the clear",
    };
    format!("{tls}; {}", shown(names.join(", ").as_bytes(), COLUMNS))
}

/// Logs in and tells how that went, in the last of `all`; whether it succeeded.
async fn log_in(
    opening: &mut Opening<'_>,
    visit: Visit<'_>,
    all: &mut Vec<Told>,
) -> Result<bool, Failure> {
    let endpoint = &visit.stack.endpoint;
    let (user, password) = match endpoint.user() {
        Some(user) => (
            user,
            endpoint
                .password()
                .map(netloom_base::settings::Secret::reveal),
        ),
        None => (ANONYMOUS.0, Some(ANONYMOUS.1)),
    };
    // What cannot stand in a line could be a command of its own.
    if [Some(user), password]
        .into_iter()
        .flatten()
        .any(|word| word.contains(char::is_control))
    {
        let failure = Failure::new(Stage::Parse, Side::Us, Code::PARSE_ENDPOINT);
        return Err(failure.message("FTP can say no user or password with a control character"));
    }
    let mut answer = ask(opening, &format!("USER {user}")).await?;
    // Whoever does not know USER and did not say what it is speaks SMTP.
    if matches!(answer.code(), 500 | 502 | 503)
        && opening.other().is_some_and(|other| other != "SMTP or FTP")
    {
        return Err(opening.wrong());
    }
    opening.recognise();
    let shown_user = shown(user.as_bytes(), 40);
    if answer.code() == 331 {
        let Some(password) = password else {
            let text =
                format!("asks for the password of {shown_user}: data connections were not checked");
            all.push(tell(text, "USER"));
            return Ok(false);
        };
        answer = ask(opening, &format!("PASS {password}")).await?;
    }
    let done = answer.kind() == 2;
    all.push(match (done, answer.code()) {
        (true, _) => tell(format!("logged in as {shown_user}"), "login"),
        (false, 421) => return Err(refused(opening, &answer)),
        (false, _) => tell(
            format!(
                "{shown_user} may not log in, data connections were not checked: {}",
                told(&answer)
            ),
            "login",
        ),
    });
    Ok(done)
}

fn refused(opening: &Opening<'_>, reply: &Reply) -> Failure {
    let words = told(reply);
    let failure = opening.refused(format!("the server refuses: {words}"), words, "banner");
    if reply.kind() == 4 {
        failure.retry()
    } else {
        failure
    }
}
