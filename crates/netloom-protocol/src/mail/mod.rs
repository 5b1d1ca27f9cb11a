//! Mail: SMTP (RFC 5321), for submission too (RFC 6409, RFC 8314).

pub mod codes;

use netloom_base::story::Told;
use netloom_base::{Address, Card, Failure, Kind, Opens, Scheme};
use netloom_transport::{BoxFuture, Conn, Cx, Peer};
use netloom_wire::reply::Reply;

use crate::greeting::{Greeted, Visit};
use crate::opening::Opening;
use crate::registry::Protocol;
use crate::replies::{ask, reply, told};
use crate::shown::{COLUMNS, shown};

#[cfg(test)]
mod tests;

/// The protocol behind `smtp://`, `smtps://` and `submission://`.
#[derive(Debug, Clone, Copy)]
pub struct Smtp;

static CARD: Card = Card {
    name: "smtp",
    summary: "mail handed on to a server",
    schemes: &[
        Scheme {
            name: "smtp",
            over: &["tcp"],
            default_port: Some(25),
        },
        Scheme {
            name: "smtps",
            over: &["tls", "tcp"],
            default_port: Some(465),
        },
        Scheme {
            name: "submission",
            over: &["tcp"],
            default_port: Some(587),
        },
    ],
    address: Address::HostPort,
    owns_path: false,
    owns_query: false,
    needs: Some(Kind::Stream),
    gives: Kind::Exchange,
    encrypts: false,
    rfcs: &["RFC 5321", "RFC 6409", "RFC 8314", "RFC 3207", "RFC 4954"],
    dial_keys: &[],
    bind_keys: &[],
    codes: codes::CODES,
    opens: Opens::Server,
};

impl Protocol for Smtp {
    fn card(&self) -> &'static Card {
        &CARD
    }

    /// Reads the banner, says EHLO, tells the extensions, and quits: no mail is
    /// handed over. `visit.send` is not said.
    fn greet<'a>(
        &'a self,
        conn: Conn,
        visit: Visit<'a>,
        cx: &'a Cx,
    ) -> BoxFuture<'a, Result<Greeted, Failure>> {
        Box::pin(async move {
            let opening = Opening::new(conn, "SMTP", cx);
            let told = greet(opening, visit.stack.encrypts()).await;
            let told = told.map_err(|failure| failure.at(&visit.stack.endpoint))?;
            Ok(Greeted { conn: None, told })
        })
    }
}

async fn greet(mut opening: Opening<'_>, encrypted: bool) -> Result<Vec<Told>, Failure> {
    let banner = reply(&mut opening).await?;
    if banner.kind() != 2 {
        return Err(refused(&opening, &banner, "banner"));
    }
    let ehlo = format!("EHLO {}", own_name(&opening));
    let mut answer = ask(&mut opening, &ehlo).await?;
    let extended = answer.kind() == 2;
    if answer.kind() == 5 {
        // RFC 5321 §3.2: a server of RFC 821 knows only HELO.
        answer = ask(&mut opening, &ehlo.replacen("EHLO", "HELO", 1)).await?;
    }
    if answer.kind() != 2 {
        return Err(match opening.other() {
            Some(_) => opening.wrong(),
            None => refused(&opening, &answer, "EHLO"),
        });
    }
    opening.recognise();
    let mut all = vec![Told::new("smtp", told(&banner), "banner")];
    if extended {
        all.extend(
            extensions(&answer, encrypted)
                .into_iter()
                .map(|text| Told::new("smtp", text, "EHLO")),
        );
    } else {
        all.push(Told::new("smtp", "knows no extensions: HELO only", "EHLO"));
    }
    // The server may have gone already: everything is known.
    let _ = ask(&mut opening, "QUIT").await;
    opening.end().await;
    Ok(all)
}

/// What the server can: what matters to a person first, the others by name.
fn extensions(answer: &Reply, encrypted: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let (mut starttls, mut ways, mut others) = (false, Vec::new(), Vec::new());
    for keyword in answer.keywords() {
        match (&*keyword.name, keyword.parameters.first()) {
            ("SIZE", Some(size)) if size != "0" => {
                let size = shown(size.as_bytes(), 20);
                lines.push(format!("takes messages of up to {size} bytes"));
            }
            ("SIZE", _) => lines.push("takes messages of any size".to_owned()),
            ("STARTTLS", _) => starttls = true,
            ("AUTH", _) => ways.extend(keyword.parameters),
            _ => others.push(keyword.name),
        }
    }
    if starttls {
        lines.push("STARTTLS is offered".to_owned());
    } else if !encrypted {
        lines.push("no STARTTLS: mail and passwords would go in the clear".to_owned());
    }
    // Some servers list them twice, once for clients of before RFC 2554.
    ways.sort();
    ways.dedup();
    let named = |names: &[String]| shown(names.join(", ").as_bytes(), COLUMNS);
    lines.push(match ways.as_slice() {
        [] => "no login".to_owned(),
        some => format!("logs in with {}", named(some)),
    });
    if !others.is_empty() {
        lines.push(format!("knows {}", named(&others)));
    }
    lines
}

fn refused(opening: &Opening<'_>, reply: &Reply, after: &'static str) -> Failure {
    let words = told(reply);
    let failure = opening.refused(format!("the server refuses: {words}"), words, after);
    if reply.kind() == 4 {
        failure.retry()
    } else {
        failure
    }
}

/// Who we are, as RFC 5321 §4.1.3 writes a host without a name: its address.
fn own_name(opening: &Opening<'_>) -> String {
    match opening.facts().local {
        Some(Peer::Ip(addr)) => match addr.ip().to_canonical() {
            std::net::IpAddr::V4(ip) => format!("[{ip}]"),
            std::net::IpAddr::V6(ip) => format!("[IPv6:{ip}]"),
        },
        _ => "[127.0.0.1]".to_owned(),
    }
}
