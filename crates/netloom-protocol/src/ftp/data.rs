//! Whether a data connection gets through, in both passive modes: EPSV (RFC
//! 2428) and PASV (RFC 959). Each is tried once and closed again; no command
//! for a transfer is given.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use netloom_base::failure::Fact;
use netloom_base::story::Told;
use netloom_base::{Endpoint, Failure, Role, Side, Stage};
use netloom_transport::{Cx, Peer};
use netloom_wire::reply::{extended, passive};

use super::codes::DATA_UNREACHABLE;
use super::scope::Scope;
use super::tell;
use crate::greeting::Visit;
use crate::opening::Opening;
use crate::replies::{ask, told};

/// How long a data connection may take.
const DATA_TIMEOUT: Duration = Duration::from_secs(3);

/// One mode as it was tried.
struct Try {
    reply: u16,
    named: SocketAddr,
    peer: SocketAddr,
    /// How a dial of what was named ended, if it was dialled.
    reached: Option<Dialled>,
    /// How a dial of the same port at the control peer's address ended.
    beside: Option<Dialled>,
}

/// How a dial ended: how long it took, or why it failed.
type Dialled = Result<Duration, String>;

/// Tries both modes and tells how it went.
///
/// # Errors
/// `ftp.data-unreachable`, and what the control connection fails with.
pub(super) async fn tried(
    opening: &mut Opening<'_>,
    visit: Visit<'_>,
) -> Result<Vec<Told>, Failure> {
    let facts = opening.facts();
    let Some(Peer::Ip(peer)) = facts.peer else {
        let text = "data connections were not checked: the control connection has no address";
        return Ok(vec![tell(text, "getpeername")]);
    };
    let local = facts.local.as_ref().and_then(Peer::ip);
    let mut all = Vec::new();
    let mut tries = Vec::new();
    opening.renew();
    let reply = ask(opening, "EPSV").await?;
    match extended(reply.last()).filter(|_| reply.code() == 229) {
        Some(port) => {
            let named = at_port(peer, port);
            let reached = Some(dial(named, opening.cx()).await);
            tries.push(Try {
                reply: 229,
                named,
                peer,
                reached,
                beside: None,
            });
        }
        None => all.push(tell(format!("no EPSV: {}", told(&reply)), "EPSV")),
    }
    opening.renew();
    let reply = ask(opening, "PASV").await?;
    match passive(&reply.text()).filter(|_| reply.code() == 227) {
        Some(named) => {
            let named = SocketAddr::from(named);
            tries.push(try_named(named, peer, local, visit.deep, opening.cx()).await);
        }
        None => all.push(tell(format!("no PASV: {}", told(&reply)), "PASV")),
    }
    opening.renew();
    if let Some(bad) = tries.iter().find(|tried| tried.is_bad()) {
        return Err(opening.along(failure(bad, &tries)));
    }
    let lines = tries.iter().map(|tried| tell(tried.says(), tried.word()));
    Ok(lines.chain(all).collect())
}

/// A 227 may name any address; others than the endpoint's are dialled only when
/// that is allowed, or when both are on this host.
async fn try_named(
    named: SocketAddr,
    peer: SocketAddr,
    local: Option<IpAddr>,
    deep: bool,
    cx: &Cx,
) -> Try {
    let canonical = |ip: IpAddr| ip.to_canonical();
    let (ip, of_peer) = (canonical(named.ip()), canonical(peer.ip()));
    let own = |ip: IpAddr| ip.is_loopback() || local.is_some_and(|local| canonical(local) == ip);
    let may = ip == of_peer || deep || (own(ip) && own(of_peer));
    let mut tried = Try {
        reply: 227,
        named,
        peer,
        reached: None,
        beside: None,
    };
    if may && !ip.is_unspecified() {
        tried.reached = Some(dial(named, cx).await);
    }
    if tried.is_bad() && ip != of_peer {
        tried.beside = Some(dial(at_port(peer, named.port()), cx).await);
    }
    tried
}

/// The same address, its scope too, at another port.
fn at_port(mut addr: SocketAddr, port: u16) -> SocketAddr {
    addr.set_port(port);
    addr
}

async fn dial(addr: SocketAddr, cx: &Cx) -> Dialled {
    let began = cx.now();
    let dialled = async {
        let stack = cx.net().stack(&Endpoint::tcp(addr), Role::Dial)?;
        cx.net().dial(&stack, cx).await.map(drop)
    };
    match cx.timeout(DATA_TIMEOUT, dialled).await {
        Some(Ok(())) => Ok(cx.now() - began),
        Some(Err(failure)) => Err(failure.code().sentence().to_owned()),
        None => Err(format!("no answer came in {} s", DATA_TIMEOUT.as_secs())),
    }
}

impl Try {
    fn word(&self) -> &'static str {
        if self.reply == 229 { "EPSV" } else { "PASV" }
    }

    /// Whether data cannot get there, beyond doubt.
    fn is_bad(&self) -> bool {
        match &self.reached {
            Some(dialled) => dialled.is_err(),
            None => Scope::of(self.named.ip()).is_out_of_reach_from(Scope::of(self.peer.ip())),
        }
    }

    fn says(&self) -> String {
        let (word, named) = (self.word(), self.named);
        match &self.reached {
            Some(Ok(took)) => {
                format!(
                    "{word} works: a data connection to {named} in {:.1} ms",
                    took.as_secs_f64() * 1e3
                )
            }
            Some(Err(why)) => format!("{word} names {named}: {why}"),
            None => format!(
                "{word} names {named}, another address than {}: not dialled without --deep",
                self.peer.ip()
            ),
        }
    }

    fn fact(&self) -> Fact {
        Fact::DataPort {
            reply: self.reply,
            named: self.named,
            peer: self.peer,
            reached: self.reached.as_ref().map(Result::is_ok),
            beside: self.beside.as_ref().map(Result::is_ok),
        }
    }
}

fn failure(bad: &Try, tries: &[Try]) -> Failure {
    let message = format!(
        "reply {} names {} for data, which cannot be reached",
        bad.reply, bad.named
    );
    let mut failure = Failure::new(Stage::Greet, Side::Peer, DATA_UNREACHABLE).message(message);
    // The one that decides comes first.
    let others = tries.iter().filter(|tried| !std::ptr::eq(*tried, bad));
    for tried in [bad].into_iter().chain(others) {
        failure = failure.fact(tried.fact());
        let beside = at_port(tried.peer, tried.named.port());
        for (addr, dialled) in [(tried.named, &tried.reached), (beside, &tried.beside)] {
            let said = match dialled {
                Some(Ok(took)) => format!("{addr} answers in {:.1} ms", took.as_secs_f64() * 1e3),
                Some(Err(why)) => format!("{addr}: {why}"),
                None => continue,
            };
            failure = failure.fact(Fact::said(said, "connect"));
        }
    }
    failure
}
