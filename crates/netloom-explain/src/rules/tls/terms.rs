//! What the two sides have nothing of in common: versions, ciphers, protocols, names.

use netloom_base::diagnosis::Verdict::{Confirmed, Likely, Possible, Refuted};
use netloom_base::{Diagnosis, Failure};
use netloom_transport::tls::codes;
use netloom_wire::tls::{Reply, version_name};

use super::second::{End, How, cipher_words, group_words};
use super::{Scene, names};
use crate::rules::answers::Answers;
use crate::rules::draft::Draft;

/// What a server would go on with.
fn chose(end: Option<&End>) -> Option<(u16, u16, Option<u16>)> {
    match end? {
        End::Said(Reply::Chose {
            version,
            cipher,
            group,
        }) => Some((*version, *cipher, *group)),
        _ => None,
    }
}

/// For whoever answered: the client's offer stands in the facts.
fn answered(draft: Draft, what: &str) -> Draft {
    let draft = draft.cause(
        format!("the client offers no {what} that this server takes"),
        Likely,
        "both offers are above",
    );
    draft.advice("bring the client up to date, or widen what this server takes")
}

pub(super) fn version(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    if failure.code() != codes::NO_COMMON_VERSION {
        return None;
    }
    let scene = Scene::new(failure, answers);
    let mut draft = scene.draft();
    if !scene.dialled() {
        return answered(draft, "version of TLS").done();
    }
    for (how, option, limit) in [
        (How::Older, "min", "no older than TLS 1.3"),
        (How::Newer, "max", "no newer than TLS 1.2"),
    ] {
        if let Some(what) = scene.agreed(&how) {
            draft = draft.cause(
                format!("this end was told to speak {limit}, and the server is not so"),
                Confirmed,
                &format!("without that it agreed on {what}"),
            );
            if let Some(command) = scene.again(&[(option, None)]) {
                draft = draft.fix(format!("leave out {option}="), command);
            }
            return draft.done();
        }
    }
    let old = chose(scene.tried(&How::OldVersion));
    draft = if let Some((version, ..)) = old {
        let name = version_name(version).unwrap_or("an old version");
        let flag = if version <= 0x0301 {
            "-tls1"
        } else {
            "-tls1_1"
        };
        let draft = draft.cause(
                format!("the server is old: it speaks {name} at most, which anybody on the way can break (RFC 8996)"),
                Confirmed,
                "asked with an old hello it chose that version",
            );
        match scene.s_client(&format!(" {flag} -cipher ALL:@SECLEVEL=0")) {
            Some(look) => draft.fix(
                "look at it all the same",
                format!("{look} | grep -E 'Protocol|Cipher|subject'"),
            ),
            None => draft,
        }
    } else {
        let draft = draft.cause(
            "the server speaks only versions that this end does not",
            Likely,
            "its alert says so",
        );
        match scene.s_client("") {
            Some(look) => draft.fix(
                "see what another client gets",
                format!("{look} | grep -E 'Protocol|Cipher' || true"),
            ),
            None => draft,
        }
    };
    draft
        .advice("bring the server up to TLS 1.2 or 1.3; Netloom speaks no older one")
        .done()
}

pub(super) fn cipher(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    if failure.code() != codes::NO_COMMON_CIPHER {
        return None;
    }
    let scene = Scene::new(failure, answers);
    let mut draft = scene.draft();
    if !scene.dialled() {
        return answered(draft, "cipher, group or signature").done();
    }
    let newer = chose(scene.tried(&How::AnyGroup)).filter(|(version, ..)| *version >= 0x0304);
    let older = chose(scene.tried(&How::AnyCipher));
    draft = match (newer, older) {
        (Some((_, cipher, Some(group))), _) => draft.cause(
            format!(
                "the server wants the group {}, with {}",
                group_words(group),
                cipher_words(cipher)
            ),
            Confirmed,
            "asked with every group and cipher of TLS 1.3 it chose these",
        ),
        (Some((_, cipher, None)), _) => draft.cause(
            format!("the server wants {}", cipher_words(cipher)),
            Confirmed,
            "asked with every cipher of TLS 1.3 it chose this one",
        ),
        (None, Some((_, cipher, _))) => draft.cause(
            format!(
                "the server takes only old ciphers, {} for one",
                cipher_words(cipher)
            ),
            Confirmed,
            "asked with older ciphers it chose this one",
        ),
        (None, None) => draft
            .cause(
                "the server takes only ciphers, groups or signatures that this end does not offer",
                Likely,
                "its alert says so",
            )
            .cause(
                "the server refuses for a reason that has no word of its own",
                Possible,
                "handshake_failure is what servers say when they say no more",
            ),
    };
    if let Some((version, cipher, _)) = older.filter(|_| newer.is_none())
        && let Some(look) = scene.s_client(&format!(
            " -{} -cipher ALL:@SECLEVEL=0",
            if version >= 0x0303 {
                "tls1_2"
            } else {
                "tls1_1"
            }
        ))
    {
        let wanted = cipher_words(cipher);
        draft = draft.fix(
            format!("look at it with another client that has {wanted}"),
            format!("{look} | grep -E 'Protocol|Cipher|Server Temp'"),
        );
    } else if let Some(look) = scene.s_client("") {
        draft = draft.fix(
            "see what another client gets",
            format!("{look} | grep -E 'Protocol|Cipher|Server Temp' || true"),
        );
    }
    draft
        .advice("let the server offer ECDHE with AES-GCM or ChaCha20, over X25519 or P-256")
        .done()
}

pub(super) fn alpn(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    if failure.code() != codes::NO_COMMON_ALPN {
        return None;
    }
    let scene = Scene::new(failure, answers);
    let mut draft = scene.draft();
    if !scene.dialled() {
        return answered(draft, "application protocol").done();
    }
    let other = scene.agreed(&How::AnyAlpn);
    let named = other.and_then(|what| what.rsplit(", ").next());
    let named = named.filter(|last| {
        last.bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"/.-".contains(&b))
            && last.bytes().any(|b| b.is_ascii_lowercase())
            && !last.starts_with("x25519")
            && !last.starts_with("secp")
            && *last != "resumed"
    });
    let without = scene.agreed(&How::WithoutAlpn).is_some();
    draft = match named {
        Some(protocol) => draft.cause(
            format!("the server speaks {protocol}"),
            Confirmed,
            "offered every protocol that has a name, it chose this one",
        ),
        None if without => draft.cause(
            "the server speaks none of these protocols, or names no protocol",
            Confirmed,
            "without any it agreed",
        ),
        None => draft.cause(
            "the server speaks only protocols that were not offered",
            Likely,
            "its alert says so",
        ),
    };
    if let Some(protocol) = named
        && let Some(command) = scene.again(&[("alpn", Some(protocol))])
    {
        draft = draft.fix(format!("offer {protocol}"), command);
    }
    match scene.again(&[("alpn", None)]) {
        Some(command) if without => draft.fix("or ask for none", command).done(),
        Some(command) if named.is_none() => draft.fix("ask for none", command).done(),
        _ => draft.done(),
    }
}

pub(super) fn unknown_name(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    if failure.code() != codes::UNKNOWN_NAME {
        return None;
    }
    let scene = Scene::new(failure, answers);
    let host = scene.host().unwrap_or_default();
    let asked = scene
        .endpoint
        .as_ref()
        .and_then(|endpoint| Some(endpoint.options().last("sni")?.value.to_string()))
        .unwrap_or_else(|| host.clone());
    let without = scene.tried(&How::WithoutName);
    let mut draft = scene.draft().cause(
        format!("the server does not serve {asked}"),
        match without {
            Some(End::Agreed(_) | End::Failed { .. }) => Confirmed,
            _ => Likely,
        },
        "it refuses this name by its alert, and speaks TLS otherwise",
    );
    if matches!(
        without,
        Some(End::Failed {
            alert: Some(112),
            ..
        })
    ) {
        draft = draft.cause(
            "it takes anybody who asks for no name",
            Refuted,
            "it refused that too",
        );
    }
    draft = draft.cause(
        "the name leads to another server than was meant",
        Possible,
        "",
    );
    if let Some(End::Agreed(_)) = without
        && let Some(command) = scene.again(&[("sni", Some("off")), ("verify-name", Some(&asked))])
    {
        draft = draft.fix("ask for no name", command);
    }
    let listed = match without {
        Some(End::Failed { chain, .. }) => chain.first().and_then(|one| names(one).next()),
        _ => None,
    };
    if let Some(name) = listed
        && scene.agreed(&How::Named(name.to_owned())).is_some()
        && let Some(command) = scene.again(&[("sni", Some(name)), ("verify-name", None)])
    {
        draft = draft.fix(format!("as {name}, which was tried and works"), command);
    }
    if let Some(look) = scene.s_client("") {
        // With a name of its own s_client asks for the host's.
        let look = look.replace("-connect", "-noservername -connect");
        draft = draft.fix(
            "see whom it serves to those who ask for no name",
            format!("{look} | openssl x509 -noout -subject -ext subjectAltName || true"),
        );
    }
    draft
        .advice(format!("or have the server serve {asked}"))
        .done()
}
