//! A peer that speaks something else, or nothing.

use netloom_base::diagnosis::Verdict::{Confirmed, Likely, Possible, Refuted};
use netloom_base::failure::Fact;
use netloom_base::{Diagnosis, Endpoint, Failure, Stage};
use netloom_protocol::PROTOCOLS;
use netloom_transport::probe::State;
use netloom_transport::tls::codes;
use netloom_wire::tls::{alert_name, looks_like};

use super::second::{How, met};
use super::{Scene, refused};
use crate::rules::answers::Answers;
use crate::rules::draft::{Draft, netloom};

/// The server's socket, and who holds it, where that is on this host.
fn who(scene: &Scene<'_>, draft: Draft) -> Draft {
    let Some(at) = met(scene.failure) else {
        return draft;
    };
    let mut listeners = scene.answers.sockets.iter().flatten();
    match listeners.find(|entry| entry.listens_for(at)) {
        Some(entry) => draft.held(entry, scene.answers),
        None => draft,
    }
}

/// The same server in another scheme, without options.
fn plainly(scene: &Scene<'_>, scheme: &str) -> Option<Endpoint> {
    let written = scene.endpoint.as_ref()?;
    let port = written
        .port()
        .or_else(|| met(scene.failure).map(|at| at.port()))?;
    let blank: Endpoint = format!("{scheme}://:{port}").parse().ok()?;
    Some(blank.with_host(written.host().clone()))
}

pub(super) fn plain(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    if failure.code() != codes::PEER_SPEAKS_PLAIN {
        return None;
    }
    let scene = Scene::new(failure, answers);
    let first = failure.facts().iter().find_map(|fact| match fact {
        Fact::FirstBytes(bytes) => Some(&bytes[..]),
        _ => None,
    });
    let looks = looks_like(first.unwrap_or_default());
    let mut draft = who(&scene, scene.draft());
    if !scene.dialled() {
        draft = match looks {
            Some(protocol) => draft.cause(
                format!("the client speaks {protocol} without TLS"),
                Confirmed,
                "its first bytes are known",
            ),
            None => draft.cause(
                "the client does not speak TLS",
                Confirmed,
                "its first bytes are no TLS record",
            ),
        };
        return draft
            .advice(
                "have the client use TLS: https:// instead of http://, tls:// instead of tcp://",
            )
            .done();
    }
    draft = match looks {
        Some("TLS") => draft.cause(
            "an echo server answers, which sends back what it is sent",
            Confirmed,
            "a server never answers with a ClientHello",
        ),
        Some(protocol) => draft.cause(
            format!("the server speaks {protocol} without TLS on this port"),
            Confirmed,
            "its first bytes are known",
        ),
        None => draft.cause(
            "the server does not speak TLS on this port",
            Confirmed,
            "its first bytes are no TLS record",
        ),
    };
    // A protocol that is known here by this name has a scheme of its own.
    let scheme = looks.and_then(|protocol| {
        let mut schemes = PROTOCOLS.iter().flat_map(|known| known.card().schemes);
        schemes.find(|scheme| scheme.name.eq_ignore_ascii_case(protocol))
    });
    if let Some(scheme) = scheme
        && let Some(there) = plainly(&scene, scheme.name)
    {
        draft = draft.fix("speak it without TLS", netloom("explain", &there));
    }
    if let Some(there) = plainly(&scene, "tcp") {
        draft = draft.fix("talk without TLS", netloom("connect", &there));
    }
    // These begin in the clear and may then be asked to go over to TLS.
    let upgrade = match looks {
        Some("SMTP" | "SMTP or FTP") => Some("smtp"),
        Some("IMAP") => Some("imap"),
        Some("POP3") => Some("pop3"),
        Some("FTP") => Some("ftp"),
        Some("LMTP") => Some("lmtp"),
        Some("MySQL") => Some("mysql"),
        Some("PostgreSQL") => Some("postgres"),
        _ => None,
    };
    if let Some(protocol) = upgrade
        && let Some(look) = scene.s_client(&format!(" -starttls {protocol}"))
    {
        draft = draft.fix(
            "see whether it goes over to TLS when asked",
            format!("{look} | grep -E 'Protocol|Cipher' || true"),
        );
    }
    draft
        .advice("or dial the port on which it speaks TLS")
        .done()
}

/// Bytes that the server's program has not read, seen from this very host.
fn unread(scene: &Scene<'_>) -> Option<(u32, Option<u32>)> {
    let at = met(scene.failure)?;
    let mut sockets = scene.answers.sockets.iter().flatten();
    let waiting = sockets.find(|entry| {
        entry.local.port() == at.port()
            && matches!(entry.state, State::CloseWait | State::Established)
            && entry.unread() > 0
    })?;
    let holder = scene.answers.holder(waiting).map(|holder| holder.pid);
    Some((waiting.unread(), holder))
}

pub(super) fn timeout(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    if failure.code() != codes::TIMEOUT {
        return None;
    }
    let scene = Scene::new(failure, answers);
    let mut draft = who(&scene, scene.draft());
    let silent = !failure
        .facts()
        .iter()
        .any(|fact| matches!(fact, Fact::FirstBytes(_)));
    if let Some((bytes, pid)) = unread(&scene) {
        draft = draft.knows(
            format!("{bytes} bytes wait at the server's socket, unread"),
            "sock_diag",
        );
        draft = match pid {
            Some(pid) => draft.cause(
                format!("process {pid} accepted the connection and does not read from it"),
                Confirmed,
                "the hello lies unread in its socket",
            ),
            None => draft.cause(
                "no program has accepted the connection, or whoever did does not read from it",
                Confirmed,
                "the hello lies unread in the server's socket",
            ),
        };
    } else if let Some(what) = scene.agreed(&How::Small) {
        draft = draft.cause(
            "the hello of TLS 1.3 does not arrive, or the server or something before it cannot read it",
            Likely,
            &format!("with a small hello it agreed on {what}; that of TLS 1.3 has a post-quantum key, and needs two packets"),
        );
        if let Some(command) = scene.again(&[("min", None), ("max", Some("1.2"))]) {
            draft = draft.fix("speak TLS 1.2", command);
        }
    } else if silent {
        draft = draft
            .cause(
                "the server does not speak TLS on this port, and waits for other words",
                Likely,
                "it accepted the connection, and said nothing to a hello",
            )
            .cause("the server is overloaded or hangs", Possible, "")
            .cause(
                "large packets are lost on the way, small ones pass",
                if refused(scene.tried(&How::Small)) {
                    Refuted
                } else {
                    Possible
                },
                if refused(scene.tried(&How::Small)) {
                    "a small hello was not answered either"
                } else {
                    ""
                },
            );
    } else {
        draft = draft
            .cause(
                "the server stopped in the middle of the handshake",
                Likely,
                "it had begun to answer",
            )
            .cause(
                "large packets are lost on the way, small ones pass",
                Possible,
                "the server's certificates come in the largest ones",
            );
    }
    if let Some(there) = plainly(&scene, "tcp") {
        draft = draft.fix(
            "see whether it speaks without TLS",
            netloom("connect", &there),
        );
    }
    if let Some(look) = scene.s_client("") {
        draft = draft.fix(
            "see what another client gets",
            format!("timeout 5 {look} | grep -E 'Protocol|Cipher' || true"),
        );
    }
    draft
        .unchecked("what the server waits for", "its log, or the other end")
        .done()
}

pub(super) fn closed(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    if failure.code() != codes::CLOSED {
        return None;
    }
    let scene = Scene::new(failure, answers);
    let mut draft = who(&scene, scene.draft());
    if !scene.dialled() {
        return draft
            .cause(
                "the client gave up, or only looked whether the port is open",
                Likely,
                "it closed in the middle of the handshake",
            )
            .cause(
                "the client does not trust this certificate and says nothing",
                Possible,
                "",
            )
            .fix(
                "see how a handshake goes",
                scene
                    .endpoint
                    .as_ref()
                    .and_then(Endpoint::port)
                    .map_or_else(
                        || "openssl s_client -help".to_owned(),
                        |port| format!("openssl s_client -connect 127.0.0.1:{port} </dev/null"),
                    ),
            )
            .done();
    }
    if let Some(what) = scene.agreed(&How::Same) {
        draft = draft.cause(
            "the server was busy, or was being started or stopped",
            Likely,
            &format!("the same again was agreed on: {what}"),
        );
        if let Some(command) = scene.again(&[]) {
            draft = draft.fix("try again", command);
        }
    } else if let Some(what) = scene.agreed(&How::Small) {
        draft = draft.cause(
            "the server, or something before it, cannot read the hello of TLS 1.3",
            Confirmed,
            &format!(
                "it closed at the same hello again, and with one of TLS 1.2 it agreed on {what}"
            ),
        );
        if let Some(command) = scene.again(&[("min", None), ("max", Some("1.2"))]) {
            draft = draft.fix("speak TLS 1.2", command);
        }
    } else if let Some(what) = scene.agreed(&How::WithoutName) {
        let host = scene.host().unwrap_or_default();
        draft = draft.cause(
            format!("something on the way, or the server, closes where {host} is asked for"),
            Likely,
            &format!("without a name it agreed on {what}"),
        );
        if let Some(command) = scene.again(&[("sni", Some("off")), ("verify-name", Some(&host))]) {
            draft = draft.fix("ask for no name", command);
        }
    } else {
        let why = "it closed when it was greeted with TLS";
        draft = draft
            .cause("the server does not speak TLS on this port", Likely, why)
            .cause(
                "the server has no certificate, or crashed",
                Possible,
                "its log says so",
            )
            .cause(
                "the server, or something before it, does not let this client in",
                Possible,
                "",
            );
        if refused(scene.tried(&How::Small)) {
            draft = draft.cause(
                "the hello of TLS 1.3 upsets it",
                Refuted,
                "it closed at one of TLS 1.2 too",
            );
        }
    }
    if let Some(there) = plainly(&scene, "tcp") {
        draft = draft.fix(
            "see whether it speaks without TLS",
            netloom("connect", &there),
        );
    }
    draft
        .unchecked("why it closed", "its log, or the other end")
        .done()
}

pub(super) fn truncated(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    if failure.code() != codes::TRUNCATED {
        return None;
    }
    let scene = Scene::new(failure, answers);
    let mut draft = scene
        .draft()
        .cause(
            "the program at the other end closes without the goodbye of TLS",
            Likely,
            "many do; what came before it is whole where the protocol says its own length",
        )
        .cause(
            "the program at the other end crashed or was stopped",
            Possible,
            "",
        )
        .cause(
            "somebody on the way cut the connection",
            Possible,
            "that is what the goodbye would exclude",
        );
    if let Some(command) = scene.again(&[("strict-end", None)]) {
        draft = draft.fix("take it for the end", command);
    }
    draft
        .advice("in the server: shut TLS down before the socket (SSL_shutdown)")
        .unchecked(
            "whether all of it came",
            "the other end, or a length in the protocol",
        )
        .done()
}

/// What no other rule knows.
pub(super) fn other(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    if failure.code() != Stage::Tls.other() {
        return None;
    }
    let scene = Scene::new(failure, answers);
    let mut draft = who(&scene, scene.draft());
    draft = match scene.alert() {
        Some(80) => draft.cause(
            "the other end has a fault of its own",
            Likely,
            "internal_error is its word for that; its log says more",
        ),
        Some(49) => draft.cause(
            "the other end knows who this is, and does not let it in",
            Likely,
            "access_denied is its word for that",
        ),
        Some(10 | 47 | 50 | 51 | 20 | 22 | 109 | 110) => draft
            .cause(
                "the other end does not understand what it was sent",
                Likely,
                "that is what its alert says",
            )
            .cause("something on the way changes the bytes", Possible, ""),
        Some(115) => draft.cause(
            "the other end wants a pre-shared key, which Netloom does not speak",
            Likely,
            "its alert is about one",
        ),
        Some(alert) => draft.cause(
            format!(
                "the other end refused with {}",
                alert_name(alert).unwrap_or("an alert that has no name")
            ),
            Confirmed,
            "it sent that alert",
        ),
        None => draft
            .cause(
                "the two ends disagree about TLS itself",
                Possible,
                "the library says what it met",
            )
            .cause("something on the way changes the bytes", Possible, ""),
    };
    if scene.dialled()
        && let Some(look) = scene.s_client(" -state")
    {
        draft = draft.fix(
            "see how far another client gets",
            look.replace(
                " 2>/dev/null",
                " 2>&1 | grep -E 'SSL_connect|alert|Protocol' || true",
            ),
        );
    } else if let Some(port) = scene.endpoint.as_ref().and_then(Endpoint::port) {
        draft = draft.fix(
            "see how a handshake goes",
            format!("openssl s_client -connect 127.0.0.1:{port} </dev/null"),
        );
    }
    draft
        .unchecked("what the other end has against it", "its log")
        .done()
}
