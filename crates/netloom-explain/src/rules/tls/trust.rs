//! Certificates that nobody trusted signed, and those that were asked for.

use netloom_base::diagnosis::Verdict::{Confirmed, Likely, Possible};
use netloom_base::failure::Fact;
use netloom_base::{Diagnosis, Failure};
use netloom_transport::tls::codes;

use super::Scene;
use crate::rules::answers::Answers;
use crate::rules::draft::{Draft, sudo};

/// What an intercepting proxy looks like from here.
const PROXY: &str = "a proxy or virus scanner on the way signs in the server's place";

fn proxy(draft: Draft) -> Draft {
    draft.cause(PROXY, Possible, "it looks the same from this end")
}

/// The certificate the server shows, put into a file, and trusted from there.
fn fetched(scene: &Scene<'_>, mut draft: Draft) -> Draft {
    if let Some(look) = scene.s_client("") {
        draft = draft.fix(
            "fetch what it shows",
            format!("{look} | openssl x509 > server.pem"),
        );
        draft = draft.fix(
            "compare with what its owner says",
            "openssl x509 -in server.pem -noout -fingerprint -sha256",
        );
    }
    match scene.again(&[("ca", Some("server.pem"))]) {
        Some(command) => draft.fix("then trust it", command),
        None => draft,
    }
}

pub(super) fn self_signed(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    if failure.code() != codes::SELF_SIGNED {
        return None;
    }
    let scene = Scene::new(failure, answers);
    let draft = scene.draft().cause(
        "the server made its certificate itself, and nobody here was told to trust it",
        Likely,
        "it names itself as its issuer, as those made by hand or by a program do",
    );
    fetched(&scene, proxy(draft))
        .unchecked("whether it is really the server's own", "its owner")
        .done()
}

pub(super) fn untrusted_issuer(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    if failure.code() != codes::UNTRUSTED_ISSUER {
        return None;
    }
    let scene = Scene::new(failure, answers);
    let issuer = scene
        .chain()
        .last()
        .map_or("its issuer", |one| one.issuer.as_str());
    let mut draft = scene.draft();
    if scene.said("rustls-native-certs").is_some() {
        return draft
            .cause(
                "this host trusts no authority at all",
                Confirmed,
                "the store of trusted authorities is empty or cannot be read",
            )
            .fix(
                "install the store",
                format!("{}apt-get install ca-certificates", sudo(answers)),
            )
            .done();
    }
    draft = match scene.said("chain") {
        Some(said) if said.contains("another key") => draft
            .cause(
                format!("{issuer} was made anew, and this host still trusts the old one"),
                Possible,
                "an authority of the same name is trusted here, with another key",
            )
            .cause(
                "somebody pretends to be that authority",
                Possible,
                "that looks the same from this end",
            ),
        Some(said) if said.contains("not sent") => draft
            .cause(
                format!("{issuer} is a private authority, and this host was not told to trust it"),
                Likely,
                "no trusted authority has its name",
            )
            .cause(
                "the server leaves out a certificate between its own and a trusted one",
                Possible,
                "the chain ends before a root",
            ),
        _ => draft.cause(
            format!("{issuer} is a private authority, and this host was not told to trust it"),
            Likely,
            "it signs itself, and is not in this host's store",
        ),
    };
    draft = proxy(draft);
    let whole = scene.chain().len() > 1;
    if whole
        && let Some(look) = scene.s_client(" -showcerts")
        && let Some(command) = scene.again(&[("ca", Some("chain.pem"))])
    {
        draft = draft
            .fix(
                "fetch the whole chain",
                format!("{look} | sed -n '/BEGIN CERT/,/END CERT/p' > chain.pem"),
            )
            .fix(
                "compare its last certificate with what its owner says",
                "openssl crl2pkcs7 -nocrl -certfile chain.pem | openssl pkcs7 -print_certs -noout",
            )
            .fix("then trust it", command);
    } else {
        draft = fetched(&scene, draft);
    }
    draft
        .unchecked("whether it is really the server's authority", "its owner")
        .done()
}

pub(super) fn missing_intermediate(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    if failure.code() != codes::MISSING_INTERMEDIATE {
        return None;
    }
    let scene = Scene::new(failure, answers);
    let issuer = scene
        .chain()
        .first()
        .map_or("its issuer", |one| one.issuer.as_str());
    let place = failure.facts().iter().find_map(|fact| match fact {
        Fact::IssuerAt(place) => Some(place.as_str()),
        _ => None,
    });
    let (verdict, because) = match place {
        Some(_) => (
            Likely,
            "the certificate says where its issuer's can be fetched, as those of public authorities do",
        ),
        None => (
            Likely,
            "an authority of the same organisation is trusted here",
        ),
    };
    let mut draft = scene
        .draft()
        .cause(
            format!("the server sends its certificate without the one of {issuer}"),
            verdict,
            because,
        )
        .cause(
            format!("{issuer} is an authority of its own that this host does not trust"),
            Possible,
            "",
        );
    draft = draft.advice(
        "on the server: serve the whole chain, fullchain.pem instead of cert.pem, and load it",
    );
    // It goes into a shell: only what is plainly an address on the web.
    let plain = |place: &&str| {
        place.starts_with("http://")
            && place.is_ascii()
            && place.len() < 512
            && !place.contains(char::is_control)
    };
    if let Some(place) = place.filter(plain)
        && let Some(command) = scene.again(&[("ca", Some("issuer.pem"))])
    {
        draft = draft
            .fix(
                "fetch the missing one",
                format!("curl -sS -o issuer.der {}", shell_words::quote(place)),
            )
            .fix(
                "as PEM",
                "openssl x509 -inform DER -in issuer.der -out issuer.pem || openssl x509 -in issuer.der -out issuer.pem",
            )
            .fix("then trust it here", command)
            .unchecked(format!("what lies at {place}"), "a fetch from another host");
    }
    if let Some(look) = scene.s_client(" -showcerts") {
        draft = draft.fix(
            "see what it sends",
            format!("{look} | grep -E '^ +[0-9]+ s:|^ +i:'"),
        );
    }
    draft.done()
}

pub(super) fn client_certificate(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    if failure.code() != codes::CLIENT_CERTIFICATE_REQUIRED {
        return None;
    }
    let scene = Scene::new(failure, answers);
    let draft = scene.draft();
    if !scene.dialled() && scene.alert().is_none() {
        return draft
            .cause(
                "the client has no certificate, or was not told to show it",
                Confirmed,
                "it was asked for one and showed none",
            )
            .advice("on the client: curl --cert FILE --key FILE, or the options cert= and key= of netloom")
            .advice("or let clients decline: client-auth=request")
            .done();
    }
    let shown = scene
        .endpoint
        .as_ref()
        .is_some_and(|endpoint| endpoint.options().last("cert").is_some());
    let asked = scene.said("CertificateRequest").is_some();
    let mut draft = match (shown, scene.alert()) {
        (true, _) => draft.cause(
            "the certificate that was shown is not one that the server takes",
            Likely,
            "it still says that it needs one",
        ),
        (false, Some(41 | 116)) => draft.cause(
            "the server takes only clients that show a certificate",
            Confirmed,
            "its alert says so",
        ),
        (false, _) => draft.cause(
            "the server takes only clients that show a certificate",
            if asked { Likely } else { Possible },
            "it asked for one, got none, and refused; TLS 1.2 has no word for why",
        ),
    };
    if let Some(command) = scene.again(&[("cert", Some("client.pem")), ("key", Some("client.key"))])
    {
        draft = draft.fix("show one", command);
    }
    draft = draft.fix(
        "to get one: a key, and a request for its authority",
        "openssl req -new -newkey rsa:2048 -nodes -subj /CN=client -keyout client.key -out client.csr",
    );
    if let Some(look) = scene.s_client("") {
        draft = draft.fix(
            "see whose it takes",
            format!("{look} | sed -n '/^Acceptable client/,/^---/p'"),
        );
    }
    draft.done()
}
