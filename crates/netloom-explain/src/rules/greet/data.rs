//! Where FTP's data should go, and cannot.

use std::net::SocketAddr;

use netloom_base::diagnosis::Verdict::{Confirmed, Likely, Possible};
use netloom_base::failure::Fact;
use netloom_base::{Diagnosis, Endpoint, Failure};
use netloom_protocol::ftp::Scope;
use netloom_protocol::ftp::codes::DATA_UNREACHABLE;

use super::super::answers::Answers;
use super::super::draft::Draft;
use super::scene;

/// One passive mode as it was tried.
#[derive(Clone, Copy)]
struct Port {
    reply: u16,
    named: SocketAddr,
    peer: SocketAddr,
    reached: Option<bool>,
    beside: Option<bool>,
}

/// What was tried; the one that decides comes first.
fn ports(failure: &Failure) -> impl Iterator<Item = Port> {
    failure.facts().iter().filter_map(|fact| match *fact {
        Fact::DataPort {
            reply,
            named,
            peer,
            reached,
            beside,
        } => Some(Port {
            reply,
            named,
            peer,
            reached,
            beside,
        }),
        _ => None,
    })
}

pub(super) fn unreachable(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    if failure.code() != DATA_UNREACHABLE {
        return None;
    }
    let (endpoint, _) = scene(failure);
    let bad = ports(failure).next()?;
    let (named, peer) = (bad.named.ip().to_canonical(), bad.peer.ip().to_canonical());
    let (scope, far) = (Scope::of(named), Scope::of(peer));
    let port = bad.named.port();
    let what = format!(
        "reply {} names {} for data, which cannot be reached",
        bad.reply, bad.named
    );
    let mut draft = Draft::of(failure, failure.code(), what).listener(failure, answers);
    draft = draft.knows(
        format!("the control connection is with {}", bad.peer),
        "getpeername",
    );
    if named == peer {
        draft = draft
            .cause(
                format!("a firewall lets nobody in to the ports for data, such as {port}"),
                Likely,
                "it is the very address of the control connection",
            )
            .cause("the server names a port that it does not listen on", Possible, "a refusal looks so")
            .advice("open the server's range of passive ports in its firewall: pasv_min_port and pasv_max_port of vsftpd");
    } else {
        draft = draft.knows(
            format!("{named} is {scope}, {peer} is {far}"),
            "address blocks",
        );
        let inner = "the server names an address of its own network: it does not know the one it is reached by";
        draft = match bad.beside {
            Some(true) => draft.cause(
                inner,
                Confirmed,
                &format!("port {port} answers at {peer}, where it was meant"),
            ),
            _ => draft
                .cause(
                    inner,
                    Likely,
                    "it differs from the address of the control connection",
                )
                .cause(
                    "a firewall lets nobody in to the ports for data",
                    Possible,
                    "nobody answers on that port at either address",
                ),
        };
        draft = draft
            .advice(format!("tell the server its address: pasv_address={peer} (vsftpd), MasqueradeAddress {peer} (proftpd)"));
        draft = client_ways(draft, endpoint.as_ref(), failure, bad);
    }
    if bad.reached.is_none() {
        draft = draft.unchecked(format!("whether {} answers after all", bad.named), "--deep");
    }
    draft.done()
}

/// What a client can do about it, without the server's help.
fn client_ways(draft: Draft, endpoint: Option<&Endpoint>, failure: &Failure, bad: Port) -> Draft {
    let Some(endpoint) = endpoint else {
        return draft;
    };
    let url = endpoint.without_options().to_string();
    let url = if endpoint.path().is_empty() {
        format!("{url}/")
    } else {
        url
    };
    let url = shell_words::quote(&url).into_owned();
    let extended = ports(failure).any(|port| port.reply == 229 && port.reached == Some(true));
    let draft = if extended {
        draft.fix(
            "use EPSV, which works, as curl does",
            format!("curl -sS {url}"),
        )
    } else {
        draft
    };
    if bad.beside == Some(true) {
        let command = format!("curl -sS --disable-epsv --ftp-skip-pasv-ip {url}");
        draft.fix("or use the address of the control connection", command)
    } else {
        draft
    }
}
