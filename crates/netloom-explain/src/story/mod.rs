//! The story of one conversation: opened, greeted, and seen to its end.
//!
//! [`visit`] dials an endpoint as a client does, asks this host's kernel about
//! the very connection, lets the endpoint's protocol say its first words, and
//! watches who closes first. What it learns becomes the lines of a [`Story`];
//! what ends it early is a [`Failure`], with the steps that had gone well.

mod carried;
mod ending;
mod group;
mod knock;
mod proof;
#[cfg(test)]
mod tests;
mod watch;

use std::time::Duration;

use netloom_base::failure::{Fact, Spoken};
use netloom_base::story::Told;
use netloom_base::{Address, Failure, Kind, Moment, Stack, Story};
use netloom_protocol::{Greeted, Visit, ground, protocol_for};
use netloom_transport::conn::Peer;
use netloom_transport::probe::Probe;
use netloom_transport::{Close, Conn, Cx};

use watch::{Seen, watched};

pub use group::{Ear, GROUP_PATIENCE, Heard, hear};
pub use knock::{Knocked, knock};

/// How long the peer may take to close after this end did.
pub const CLOSE_PATIENCE: Duration = Duration::from_secs(1);

/// What a visit is for.
#[derive(Debug, Clone, Copy)]
pub struct Visiting<'a> {
    /// What is said to the peer; its protocol may say something of its own.
    pub send: Option<&'a [u8]>,
    /// Whether other hosts and ports than the endpoint's may be asked too.
    pub deep: bool,
    /// A certificate that expires within this time is a failure.
    pub expires_within: Option<Duration>,
    /// How long the peer may take to close after this end did.
    pub close_within: Duration,
    /// Whether this host's kernel may be asked about the connection.
    pub probe: bool,
}

impl Default for Visiting<'_> {
    fn default() -> Self {
        Visiting {
            send: None,
            deep: false,
            expires_within: None,
            close_within: CLOSE_PATIENCE,
            probe: true,
        }
    }
}

/// Visits what `stack` is dialled for, and tells how it went.
///
/// # Errors
/// What dialling and greeting fail with, and `tls.expires-soon`: with the
/// endpoint and the steps that led there.
pub async fn visit(
    stack: &Stack,
    visiting: Visiting<'_>,
    probe: &Probe,
    cx: &Cx,
) -> Result<Story, Failure> {
    let named = |failure: Failure| failure.at(&stack.endpoint);
    let began = cx.now();
    let opened = cx.net().dial(&ground(stack), cx).await.map_err(named)?;
    let conn = opened.stream().map_err(named)?;
    let open_at = cx.now();

    let mut story = begun(stack, &conn);
    let ends = conn.facts();
    let addr = |end: &Option<Peer>| end.as_ref().and_then(Peer::addr);
    let addresses = addr(&ends.local).zip(addr(&ends.peer));
    story.told.extend(conn.learned().iter().filter_map(remark));
    let chain = conn.learned().iter().find_map(|fact| match fact {
        Fact::Chain(chain) => Some(chain.clone()),
        _ => None,
    });

    let asked = cx.now();
    let mut about_tcp = None;
    let mut about_server = Vec::new();
    if visiting.probe {
        match (addresses, &ends.peer) {
            (Some((local, peer)), _) => {
                about_tcp = probe.tcp_info(cx, local, peer).await;
                about_server = carried::server(local, peer, Kind::Stream, probe, cx).await;
            }
            (None, Some(Peer::Named(name))) => {
                about_server = carried::unix_server(name, probe, cx).await;
            }
            (None, _) => {}
        }
    }
    // What the kernel was asked is no part of the conversation.
    let asking = cx.now() - asked;

    if let Some(within) = visiting.expires_within {
        let judged = proof::lasts(chain.as_deref(), within, cx.wall());
        if let Err(failure) = judged {
            let trail = conn.trail().to_vec();
            conn.close(Close::Orderly);
            return Err(named(failure.after(trail)));
        }
    }

    let trail = conn.trail().to_vec();
    let remarks: Vec<Fact> = conn
        .learned()
        .iter()
        .filter(|fact| fact.is_remark())
        .cloned()
        .collect();
    let (conn, seen) = watched(conn, cx);
    let visit = Visit {
        stack,
        send: visiting.send,
        deep: visiting.deep,
    };
    let greeted = match protocol_for(stack) {
        Some(protocol) => protocol.greet(conn, visit, cx).await,
        None => Ok(Greeted {
            conn: Some(conn),
            told: Vec::new(),
        }),
    };
    let led = |failure: Failure| {
        let known = !failure.trail().is_empty();
        named(if known {
            failure
        } else {
            failure.after(trail.clone())
        })
    };
    let Greeted { conn, told } = greeted.map_err(|failure| {
        let failure = led(failure);
        remarks.into_iter().fold(failure, Failure::fact)
    })?;

    if visiting.probe
        && let (Some((local, peer)), Some(_)) = (addresses, &conn)
    {
        // Now the kernel knows how long the greeting's round trips took.
        about_tcp = probe.tcp_info(cx, local, peer).await.or(about_tcp);
    }
    // This program's own standard streams are not ours to close.
    let own = stack.transport().card.address == Address::None;
    let patience = (!own).then_some(visiting.close_within);
    let ended = ending::end(conn, &seen, patience, cx);
    let ended = ended.await.map_err(led)?;

    story.told.extend(about_tcp.iter().flat_map(carried::tcp));
    story.told.extend(about_server);
    story.told.extend(
        chain
            .iter()
            .flat_map(|chain| proof::chain(chain, cx.wall())),
    );
    story.told.extend(told);
    let seen = seen.so_far();
    story.told.extend(first_byte(&seen, began, open_at, asking));
    story.told.push(ended);
    (story.received, story.sent) = (seen.received, seen.sent);
    story.lasted = (cx.now() - began).saturating_sub(asking);
    Ok(story)
}

/// What a story begins with: with whom, and how it came about.
pub fn begun(stack: &Stack, conn: &Conn) -> Story {
    let facts = conn.facts();
    Story {
        endpoint: stack.endpoint.to_string(),
        stack: stack.to_string(),
        local: facts.local.map(|peer| peer.to_string()),
        peer: facts.peer.map(|peer| peer.to_string()),
        steps: conn.trail().to_vec(),
        ..Story::default()
    }
}

/// What was noticed on the way, though it ended nothing.
fn remark(fact: &Fact) -> Option<Told> {
    let told = Told::new("note", fact.to_string(), fact.source().to_owned());
    match fact {
        Fact::Noted { code, .. } => Some(told.under(*code)),
        fact => fact.is_remark().then_some(told),
    }
}

fn first_byte(seen: &Seen, began: Moment, open_at: Moment, asking: Duration) -> Option<Told> {
    let at = seen.first_byte?;
    let whole = Spoken((at - began).saturating_sub(asking));
    let since_open = Spoken((at - open_at).saturating_sub(asking));
    let text =
        format!("first byte after {whole}, {since_open} of it since the connection was open");
    Some(Told::new("timing", text, "clock"))
}
