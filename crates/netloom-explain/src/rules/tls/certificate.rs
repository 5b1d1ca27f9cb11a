//! Certificates that are out of their time, or for somebody else.

use netloom_base::diagnosis::Verdict::{Confirmed, Likely, Possible, Refuted};
use netloom_base::failure::Certificate;
use netloom_base::{Diagnosis, Failure, Side, Timestamp};
use netloom_transport::tls::codes;

use super::second::{End, How};
use super::{Scene, names, refused};
use crate::rules::answers::Answers;

/// No clock that is right says a day before this one, on which this was written.
const EARLIEST: Timestamp = Timestamp(1_793_491_200_000_000); // 2026-11-01

/// How far this host's clock can be trusted, and why.
enum Clock {
    Right(&'static str),
    Behind(&'static str),
    Unknown(&'static str),
}

impl Clock {
    fn of(answers: &Answers) -> Self {
        match (answers.now, answers.clock) {
            (Some(now), _) if now < EARLIEST => {
                Clock::Behind("it says a day before this program was written")
            }
            (_, Some(clock)) if clock.synchronised => {
                Clock::Right("the kernel says that its clock is synchronised")
            }
            (_, Some(_)) => Clock::Unknown("the kernel does not know of anybody who keeps it"),
            (_, None) => Clock::Unknown(""),
        }
    }

    fn told(&self) -> Option<&'static str> {
        match self {
            Clock::Right(_) => Some("this host's clock is synchronised"),
            Clock::Behind(_) | Clock::Unknown("") => None,
            Clock::Unknown(_) => Some("this host's clock is not known to be synchronised"),
        }
    }
}

fn day(at: Timestamp) -> String {
    let (year, month, day) = at.date();
    format!("{year:04}-{month:02}-{day:02}")
}

fn called(certificate: &Certificate) -> String {
    match (
        certificate.subject.as_str(),
        certificate.names.first().map(String::as_str),
    ) {
        ("", Some(name)) => name.to_owned(),
        ("", None) => "a certificate without a name".to_owned(),
        (subject, _) => subject.to_owned(),
    }
}

/// The peer looked at the certificate of this end, and did not take it.
pub(super) fn refused_ours(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    let scene = Scene::new(failure, answers);
    let alert = scene.alert().filter(|alert| (41..=48).contains(alert))?;
    let own = scene.chain().first()?;
    if failure.side() != Side::Us {
        return None;
    }
    let code = failure.code();
    let (cause, verdict, because) = if code == codes::EXPIRED {
        (
            format!("this end's certificate expired on {}", day(own.not_after)),
            Confirmed,
            "the peer says so, and its date agrees",
        )
    } else if code == codes::NOT_YET_VALID {
        (
            format!(
                "this end's certificate counts from {} on",
                day(own.not_before)
            ),
            Confirmed,
            "the peer refused it, and by this host's clock its time has not come",
        )
    } else if code == codes::SELF_SIGNED {
        (
            "this end's certificate is signed by nobody but itself, and the peer does not know it"
                .to_owned(),
            Confirmed,
            "the peer knows no issuer, and the certificate names itself",
        )
    } else if code == codes::UNTRUSTED_ISSUER {
        (
            format!(
                "the peer does not trust {}, or a certificate between was not sent",
                own.issuer
            ),
            Likely,
            "it says that it does not know the issuer",
        )
    } else if alert == 44 {
        (
            "this end's certificate was revoked".to_owned(),
            Likely,
            "the peer says so",
        )
    } else {
        (
            "the peer wants another certificate: for another name, another use, or another kind of key".to_owned(),
            Possible,
            "its alert says no more",
        )
    };
    let mut draft = scene.draft().cause(cause, verdict, because);
    if scene.dialled() {
        if let Some(command) =
            scene.again(&[("cert", Some("client.pem")), ("key", Some("client.key"))])
        {
            draft = draft.fix("show another one", command);
        }
    } else {
        // A server's own name is what its clients must trust.
        if matches!(code, c if c == codes::SELF_SIGNED || c == codes::UNTRUSTED_ISSUER) {
            draft = draft.advice(
                "have the client trust it: the option ca=FILE of netloom, --cacert FILE of curl",
            );
        }
        if let Some(endpoint) =
            scene.with(&[("cert", Some("fullchain.pem")), ("key", Some("key.pem"))])
        {
            draft = draft.fix(
                "or serve one that it takes",
                crate::rules::draft::netloom("listen", &endpoint),
            );
        }
    }
    draft
        .unchecked(
            "what exactly the peer has against it",
            "the log of the other end",
        )
        .done()
}

pub(super) fn expired(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    if failure.code() != codes::EXPIRED {
        return None;
    }
    let scene = Scene::new(failure, answers);
    let clock = Clock::of(answers);
    let over = |one: &&Certificate| answers.now.is_some_and(|now| one.not_after < now);
    let which = scene.chain().iter().find(over).or(scene.chain().first());
    let what = match which {
        Some(one) if scene.chain().first() != Some(one) => format!(
            "the certificate of {} between the server's and a trusted one expired on {}",
            called(one),
            day(one.not_after)
        ),
        Some(one) => format!(
            "the certificate of {} ran out on {} and was not renewed",
            called(one),
            day(one.not_after)
        ),
        None => "the certificate ran out and was not renewed".to_owned(),
    };
    let ahead = "this host's clock is ahead";
    let mut draft = scene.draft();
    if let Some(told) = clock.told() {
        draft = draft.knows(told, "adjtimex");
    }
    draft = match clock {
        Clock::Right(why) => draft.cause(what, Confirmed, why).cause(ahead, Refuted, why),
        Clock::Behind(why) => draft
            .cause(
                what,
                Confirmed,
                "its time is over even by a clock that is behind",
            )
            .cause(ahead, Refuted, why),
        Clock::Unknown(why) => draft
            .cause(what, Likely, "that is what the date says")
            .cause(ahead, Possible, why)
            .fix("see whether this host's clock is right", "date -u"),
    };
    if let Some(look) = scene.s_client("") {
        draft = draft.fix(
            "see the dates",
            format!("{look} | openssl x509 -noout -subject -dates"),
        );
    }
    draft
        .advice(
            "renew it where the server runs, then have the server load it: certbot renew, for one",
        )
        .done()
}

pub(super) fn not_yet_valid(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    if failure.code() != codes::NOT_YET_VALID {
        return None;
    }
    let scene = Scene::new(failure, answers);
    let clock = Clock::of(answers);
    let behind = "this host's clock is behind";
    let early = match scene.chain().first() {
        Some(one) => format!(
            "the certificate of {} was made for {} and later, or by a clock that is ahead",
            called(one),
            day(one.not_before)
        ),
        None => "the certificate was made for later".to_owned(),
    };
    let mut draft = scene.draft();
    if let Some(told) = clock.told() {
        draft = draft.knows(told, "adjtimex");
    }
    draft = match clock {
        Clock::Right(why) => draft
            .cause(early, Confirmed, why)
            .cause(behind, Refuted, why),
        Clock::Behind(why) => draft.cause(behind, Confirmed, why).cause(
            early,
            Refuted,
            "by a clock that is right its time has come, as far as this host can tell",
        ),
        Clock::Unknown(why) => draft
            .cause(early, Possible, "")
            .cause(behind, Possible, why),
    };
    draft = draft.fix("see whether this host's clock is right", "date -u");
    if let Some(look) = scene.s_client("") {
        draft = draft.fix(
            "see the dates",
            format!("{look} | openssl x509 -noout -subject -dates"),
        );
    }
    draft
        .advice("set the clock that is wrong; a certificate of a clock that was ahead must be made anew")
        .done()
}

pub(super) fn name_mismatch(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    if failure.code() != codes::NAME_MISMATCH {
        return None;
    }
    let scene = Scene::new(failure, answers);
    let chain = scene.chain();
    let first = chain.first()?;
    let host = scene.host().unwrap_or_default();
    let listed = names(first).next();
    let address = host.parse::<std::net::IpAddr>().is_ok() && !scene.asked_for_name();
    let mut draft = scene.draft();
    let without = scene.tried(&How::WithoutName);
    let by_default = match without {
        Some(End::Failed { chain: other, .. }) if !other.is_empty() => {
            Some(other.first().map(|one| one.sha256) == Some(first.sha256))
        }
        _ => None,
    };
    draft = if let Some(End::Agreed(_)) = without {
        draft.cause(
            "the server gives the right certificate only to those who ask for no name",
            Confirmed,
            "a second try without a name was agreed on",
        )
    } else if address {
        draft.cause(
            "the server was dialled by its address, and its certificate is for names",
            Confirmed,
            "the certificate lists no such address",
        )
    } else if by_default == Some(true) {
        draft
            .cause(
                format!("the server has no certificate for {host}, and shows the one it shows to everybody"),
                Likely,
                "without a name it shows the same one",
            )
            .cause("the name leads to another server than was meant", Possible, "")
    } else {
        let draft = draft.cause(
            format!("its certificate was not made for {host}"),
            Likely,
            "the certificate lists other names",
        );
        let draft = draft.cause(
            "the name leads to another server than was meant",
            Possible,
            "",
        );
        if by_default == Some(false) {
            draft.cause(
                "the server shows the certificate it shows to everybody",
                Refuted,
                "without a name it shows another one",
            )
        } else {
            draft
        }
    };
    if let Some(End::Agreed(_)) = without
        && let Some(command) = scene.again(&[("sni", Some("off")), ("verify-name", Some(&host))])
    {
        draft = draft.fix("ask for no name", command);
    }
    if let Some(name) = listed {
        let works = scene.agreed(&How::Named(name.to_owned())).is_some();
        let text = if works {
            format!("as {name}, which was tried and works")
        } else {
            format!("as {name}, if that is who was meant")
        };
        // What was tried in vain is no fix.
        let vain = refused(scene.tried(&How::Named(name.to_owned())));
        if !vain && let Some(command) = scene.again(&[("sni", Some(name)), ("verify-name", None)]) {
            draft = draft.fix(text, command);
        }
        if let Some(there) = scene
            .endpoint
            .as_ref()
            .and_then(|endpoint| Some(endpoint.with_host(name.parse().ok()?)))
        {
            draft = draft.fix(
                "or where that name leads",
                crate::rules::draft::netloom("explain", &there),
            );
        }
    } else if let Some(command) = first
        .names
        .first()
        .filter(|name| name.parse::<std::net::IpAddr>().is_ok())
        .and_then(|ip| scene.again(&[("verify-name", Some(ip))]))
    {
        draft = draft.fix("check it for that address", command);
    }
    if let Some(look) = scene.s_client("") {
        draft = draft.fix(
            "see all its names",
            format!("{look} | openssl x509 -noout -ext subjectAltName"),
        );
    }
    draft
        .advice(format!("or have a certificate made that lists {host}"))
        .done()
}
