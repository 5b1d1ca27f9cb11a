//! A PROXY header that the server did not expect, or one that it did.
//!
//! From one end both look alike: the server closes, resets, or answers with a
//! complaint of its own protocol. So the same conversation is begun once more,
//! with the header where it was without, and without where it was with one.

use netloom_base::diagnosis::Verdict::Confirmed;
use netloom_base::{Code, Diagnosis, Endpoint, Failure, Role, Stage};
use netloom_protocol::speaking::{across_header, has_header};
use netloom_protocol::{Visit, ground, spoken_on};
use netloom_transport::proxy::codes::{HEADER_MISSING, HEADER_REFUSED};
use netloom_transport::tls::codes::{CLOSED, PEER_SPEAKS_PLAIN};
use netloom_transport::{Conn, Cx};

use super::ask::REDIAL;
use super::draft::{Draft, netloom};
use super::{Answers, Rule, reset_at_once};

pub(super) const RULES: &[Rule] = &[header];

/// Whether a server that reads a header as its own protocol, or its own protocol
/// as a header, may fail so.
fn may_be(failure: &Failure, endpoint: &Endpoint) -> bool {
    let ended = [Code::GREET_CLOSED, CLOSED].contains(&failure.code())
        || failure.code() == Stage::Tls.other() && failure.errno().is_some()
        || reset_at_once(failure);
    let answered = [
        Code::GREET_WRONG_PROTOCOL,
        Code::GREET_REFUSED,
        PEER_SPEAKS_PLAIN,
    ];
    let complained = answered.contains(&failure.code()) || failure.stage() == Stage::Tls;
    ended || (complained && has_header(endpoint))
}

/// Begins the conversation again on the other side of the question.
pub(super) async fn across(failure: &Failure, cx: &Cx, answers: &mut Answers) {
    let endpoint = failure
        .endpoint()
        .and_then(|url| url.parse::<Endpoint>().ok());
    let Some(endpoint) = endpoint.filter(|endpoint| may_be(failure, endpoint)) else {
        return;
    };
    let Some(there) = across_header(&endpoint) else {
        return;
    };
    if let Some(true) = cx.timeout(REDIAL, is_answered(&there, cx)).await {
        answers.across_header = Some(there);
    }
}

/// Whether TLS is agreed on there, or the protocol's opening words are answered.
async fn is_answered(there: &Endpoint, cx: &Cx) -> bool {
    let Ok(stack) = cx.net().stack(there, Role::Dial) else {
        return false;
    };
    let dialled = cx.net().dial(&ground(&stack), cx).await;
    let Ok(Ok(conn)) = dialled.map(netloom_transport::Opened::stream) else {
        return false;
    };
    greeted(conn, &stack, cx).await
}

async fn greeted(conn: Conn, stack: &netloom_base::Stack, cx: &Cx) -> bool {
    let visit = Visit {
        stack,
        send: None,
        deep: false,
    };
    match spoken_on(stack) {
        Some(protocol) => protocol.greet(conn, visit, cx).await.is_ok(),
        // Plain bytes say nothing; a handshake does.
        None => conn.encrypts(),
    }
}

fn header(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    let there = answers.across_header.as_ref()?;
    if has_header(there) {
        Draft::of(failure, HEADER_MISSING, "it wants a PROXY header first")
            .knows("the same with a PROXY header before it was answered", "second dial")
            .cause(
                "the server expects a balancer that says who its client is",
                Confirmed,
                "it answers with a PROXY header, and not without",
            )
            .fix("speak to it as a balancer does", netloom("explain", there))
            .advice("or go to the balancer before it, or to a port without `proxy_protocol` or `accept-proxy`")
            .done()
    } else {
        Draft::of(failure, HEADER_REFUSED, "it does not understand the PROXY header")
            .knows("the same without a PROXY header was answered", "second dial")
            .cause(
                "the server does not expect a PROXY header on that port",
                Confirmed,
                "it answers without one, and not with one",
            )
            .fix("send none", netloom("explain", there))
            .advice("or let the server expect it: `listen … proxy_protocol` in nginx, `bind … accept-proxy` in HAProxy")
            .done()
    }
}

#[cfg(test)]
mod tests {
    use netloom_base::Side;

    use super::*;

    fn told(url: &str, code: Code, there: &str) -> Diagnosis {
        let failure = Failure::new(code.stage(), Side::Peer, code).at(url);
        let answers = Answers {
            across_header: there.parse().ok(),
            ..Answers::default()
        };
        header(&failure, &answers).unwrap()
    }

    #[test]
    fn which_of_the_two_it_is_is_told_with_the_other_as_its_fix() {
        let wants = told("http://h/", Code::GREET_CLOSED, "http+proxy+tcp://h:80/");
        assert_eq!(wants.code, HEADER_MISSING);
        let command = wants.fixes[0].command.as_deref();
        assert_eq!(command, Some("netloom explain http+proxy+tcp://h:80/"));
        let refuses = told("http+proxy+tcp://h:80/", Code::GREET_CLOSED, "http://h/");
        assert_eq!(refuses.code, HEADER_REFUSED);
        assert_eq!(refuses.causes[0].verdict, Confirmed);
    }

    #[test]
    fn it_is_asked_only_where_it_may_be_so() {
        let ask = |url: &str, code: Code| {
            let failure = Failure::new(code.stage(), Side::Peer, code).at(url);
            may_be(&failure, &url.parse().unwrap())
        };
        assert!(ask("http://h", Code::GREET_CLOSED));
        assert!(ask("tls://h:1", CLOSED));
        assert!(!ask("http://h", Code::GREET_WRONG_PROTOCOL));
        assert!(!ask("tls://h:1", PEER_SPEAKS_PLAIN));
        assert!(ask("http+proxy+tcp://h:80", Code::GREET_WRONG_PROTOCOL));
        assert!(ask("tls+proxy+tcp://h:1", PEER_SPEAKS_PLAIN));
        assert!(!ask("http+proxy+tcp://h:80", Code::GREET_TIMEOUT));
    }
}
