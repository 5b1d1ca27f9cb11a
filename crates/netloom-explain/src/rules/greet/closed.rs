//! Somebody took the connection and said nothing: it was closed, or it stays
//! silent, or it ends in the middle.

use netloom_base::diagnosis::Verdict::{Likely, Possible, Refuted};
use netloom_base::{Card, Code, Diagnosis, Failure, Opens, Stage};
use netloom_protocol::speaking::{at_home_there, over_tls, plain};
use netloom_protocol::ssh::Ssh;
use netloom_transport::probe::Holder;

use super::super::answers::Answers;
use super::super::draft::{Draft, sudo};
use super::super::{reached, reset_at_once};
use super::{is, scene};

/// Who holds the listener, where this host can see it.
fn holder<'a>(failure: &Failure, answers: &'a Answers) -> Option<&'a Holder> {
    let addr = reached(failure).filter(|addr| answers.is_local(addr.ip()))?;
    answers
        .listeners_for(addr)
        .find_map(|entry| answers.holder(entry))
}

fn is_here(failure: &Failure, answers: &Answers) -> bool {
    reached(failure).is_some_and(|addr| answers.is_local(addr.ip()))
}

/// Connected, then closed without a byte.
pub(super) fn closed(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    let at_once = reset_at_once(failure);
    if failure.code() != Code::GREET_CLOSED && !at_once {
        return None;
    }
    let (endpoint, card) = scene(failure);
    let was_reset = failure.errno().is_some();
    let what = if was_reset {
        "it took the connection and reset it without a byte"
    } else {
        "it took the connection and closed it without a byte"
    };
    let mut draft = Draft::of(failure, Code::GREET_CLOSED, what).listener(failure, answers);
    if at_once {
        draft = draft.knows(
            "the peer reset the connection (RST) as soon as it had taken it",
            "connect",
        );
    }
    let holder = holder(failure, answers);
    draft = if is(card, &Ssh) {
        ssh(draft, was_reset, holder)
    } else {
        any(draft, card, was_reset)
    };
    draft = match holder.and_then(|holder| holder.unit.as_deref()) {
        Some(unit) => {
            let unit = shell_words::quote(unit).into_owned();
            let command = format!("{}journalctl -u {unit} -n 20", sudo(answers));
            draft.fix("read what the server says about it", command)
        }
        None => draft.advice("read what the server's log says about this moment"),
    };
    if is(card, &Ssh) {
        let command = format!("{}sshd -T | grep -i maxstartups", sudo(answers));
        draft = if is_here(failure, answers) {
            draft.fix("see how many may begin at once", command)
        } else {
            draft.advice(
                "on the server, see how many may begin at once: sshd -T | grep -i maxstartups",
            )
        };
        draft = draft.advice(
            "on the server, see who is shut out: /etc/hosts.deny, fail2ban-client status sshd",
        );
    }
    if let Some(endpoint) = &endpoint {
        draft = draft.explain("try again", endpoint);
    }
    draft
        .unchecked("which of these it is", "the server's log")
        .done()
}

fn ssh(draft: Draft, was_reset: bool, holder: Option<&Holder>) -> Draft {
    let sshd = holder.map(|holder| holder.program.starts_with("sshd"));
    let forwarder = "a port forwarder or balancer took it, and nobody is behind it";
    let draft = match sshd {
        Some(false) => draft.cause(forwarder, Likely, "what listens there is no sshd"),
        _ => draft,
    };
    let draft = if was_reset {
        draft
            .cause(
                "a balancer or firewall resets what it has no server for",
                Possible,
                "it was a reset, and sshd closes in order",
            )
            .cause(
                "the sshd that took it crashed or was ended",
                Possible,
                "a process that ends with unread bytes resets",
            )
            .cause(
                "sshd refuses this address: hosts.deny, MaxStartups",
                Possible,
                "",
            )
    } else {
        draft
            .cause(
                "sshd refuses this address: hosts.deny or a ban",
                Possible,
                "sshd closes in order when a rule refuses a client",
            )
            .cause(
                "sshd has as many clients that have not logged in as MaxStartups allows",
                Possible,
                "older versions close without a word; newer ones say so",
            )
            .cause(
                "the sshd that took it crashed",
                Possible,
                "a child that ends before its first word looks the same",
            )
    };
    match sshd {
        Some(true) => draft.cause(forwarder, Refuted, "sshd itself listens there"),
        Some(false) => draft,
        None => draft.cause(forwarder, Possible, "that looks the same from this end"),
    }
}

fn any(draft: Draft, card: Option<&'static Card>, was_reset: bool) -> Draft {
    let draft = match card.map(|card| card.opens) {
        Some(Opens::Client) => draft.cause(
            "the server did not like our first words, and says nothing about it",
            Likely,
            "the client speaks first in this protocol",
        ),
        _ => draft,
    };
    let draft = draft.cause(
        "a port forwarder or balancer took it, and nobody is behind it",
        Possible,
        "it can take connections for a server that is down",
    );
    if was_reset {
        draft.cause(
            "the program that took it crashed or was ended",
            Possible,
            "a process that ends with unread bytes resets",
        )
    } else {
        draft.cause(
            "a rule of the server refuses this address",
            Possible,
            "servers close in order when they refuse",
        )
    }
}

/// Nobody said a word until the deadline, or not all of one.
pub(super) fn silent(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    if failure.code() != Code::GREET_TIMEOUT {
        return None;
    }
    let (Some(endpoint), Some(card)) = scene(failure) else {
        return None;
    };
    let begun = super::first_bytes(failure).is_some();
    let what = if begun {
        "it began to speak, and then said no more"
    } else {
        "it took the connection and says nothing"
    };
    let mut draft = Draft::of(failure, failure.code(), what).listener(failure, answers);
    let at_home = at_home_there(&endpoint);
    for there in &at_home {
        draft = draft
            .cause(
                format!(
                    "the port is that of {}, whose server waits for other words",
                    there.scheme()
                ),
                Likely,
                "that is its default port",
            )
            .explain(&format!("speak {}", there.scheme()), there);
    }
    if card.opens == Opens::Server && !begun {
        let verdict = if at_home.is_empty() { Likely } else { Possible };
        draft = draft.cause(
            "the server waits for the client: it speaks TLS, HTTP or the like",
            verdict,
            "where this protocol is spoken, the server speaks first",
        );
    }
    draft = draft.cause(
        "the server is too busy, hangs, or looks our address up first",
        Possible,
        "a slow name server can take longer than the greeting deadline",
    );
    if at_home.is_empty() {
        if let Some(there) = over_tls(&endpoint).filter(|_| answers.speaks_tls.is_none()) {
            draft = draft.explain("perhaps it wants TLS", &there);
        }
        if let Some(there) = plain(&endpoint) {
            draft = draft.explain("see what it says first", &there);
        }
    }
    draft
        .explain("try again", &endpoint)
        .unchecked("which protocol waits there", "a first word in it")
        .done()
}

/// It speaks the protocol, and ended in the midst of it.
pub(super) fn in_the_middle(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    if failure.code() != Stage::Greet.other() {
        return None;
    }
    let (Some(endpoint), Some(_)) = scene(failure) else {
        return None;
    };
    Draft::of(
        failure,
        failure.code(),
        "it ended in the middle of its greeting",
    )
    .listener(failure, answers)
    .cause(
        "the program that took it crashed or was ended",
        Possible,
        "a server that means it says goodbye",
    )
    .cause(
        "something on the way cut it",
        Possible,
        "that looks the same from this end",
    )
    .explain("try again", &endpoint)
    .unchecked("which of these it is", "the server's log")
    .done()
}
