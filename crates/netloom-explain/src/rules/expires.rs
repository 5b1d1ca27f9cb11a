//! A certificate that is good today and will not be soon.

use netloom_base::diagnosis::Verdict::{Likely, Possible};
use netloom_base::failure::Fact;
use netloom_base::{Diagnosis, Endpoint, Failure};
use netloom_transport::tls::codes;

use super::Rule;
use super::answers::Answers;
use super::draft::{Draft, netloom};

pub(super) const RULES: &[Rule] = &[soon];

fn soon(failure: &Failure, _: &Answers) -> Option<Diagnosis> {
    if failure.code() != codes::EXPIRES_SOON {
        return None;
    }
    let chain = failure.facts().iter().find_map(|fact| match fact {
        Fact::Chain(chain) => Some(chain.as_slice()),
        _ => None,
    })?;
    let first = chain
        .iter()
        .min_by_key(|certificate| certificate.not_after)?;
    let endpoint: Endpoint = failure.endpoint()?.parse().ok()?;
    let draft = Draft::of(failure, codes::EXPIRES_SOON, what(failure));
    let host = endpoint.host().to_string();
    let draft = if first.is_self_issued() {
        let subject = shell_words::quote(&format!("/CN={host}")).into_owned();
        let name = shell_words::quote(&format!("subjectAltName=DNS:{host}")).into_owned();
        draft
            .cause(
                "it was made by hand, and nothing renews it",
                Likely,
                "it signs itself",
            )
            .fix(
                "make another",
                format!(
                    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 \
                     -subj {subject} -addext {name} -keyout key.pem -out cert.pem"
                ),
            )
            .advice("give both files to the server, and cert.pem to whoever trusts it (ca=cert.pem)")
    } else {
        // Only a certificate for names is a server's own.
        let draft = if first.names.is_empty() {
            draft
                .cause(
                    "an authority between the server and a trusted one runs out",
                    Likely,
                    "it is for no name",
                )
                .advice("ask the authority for its newer chain, and give that to the server")
        } else {
            draft.cause("nothing has renewed it yet", Likely, "")
        };
        draft
            .cause("a renewal runs, and fails", Possible, "")
            .cause(
                "it was renewed, and the server still shows the old one",
                Possible,
                "",
            )
            .fix(
                "see whether the renewal works",
                "sudo certbot renew --dry-run",
            )
            .fix("or whether its timer runs", "systemctl list-timers")
            .advice("after a renewal the server must read it again: systemctl reload UNIT")
    };
    let within = asked(failure);
    let again = format!(
        "{} --expires-within {within}",
        netloom("explain", &endpoint)
    );
    // To cron a `%` is the end of the line.
    let daily = format!("0 7 * * * {again} >/dev/null").replace('%', "\\%");
    let mut diagnosis = draft
        .fix("look again", &again)
        .fix(
            "be told by cron, on days when it is time",
            format!(
                "(crontab -l; echo {}) | crontab -",
                shell_words::quote(&daily)
            ),
        )
        .done()?;
    // The limit is the person's own question.
    for evidence in &mut diagnosis.evidence {
        if evidence.fact.starts_with("expires-within ") {
            evidence.fact = format!("asked whether all last for {within}");
            "--expires-within".clone_into(&mut evidence.source);
        }
    }
    Some(diagnosis)
}

/// What the failure says, without the endpoint that every summary begins with.
fn what(failure: &Failure) -> String {
    let summary = failure.summary();
    let endpoint = failure.endpoint().unwrap_or_default();
    let own = summary
        .strip_prefix(endpoint)
        .and_then(|rest| rest.strip_prefix(": "));
    own.unwrap_or(&summary).to_owned()
}

/// The time that was asked about, as it is written after the flag.
fn asked(failure: &Failure) -> String {
    let said = failure.facts().iter().find_map(|fact| match fact {
        Fact::Limit { name, allows } if *name == "expires-within" => Some(*allows),
        _ => None,
    });
    match said {
        Some(seconds) if seconds % 86_400 == 0 => format!("{}d", seconds / 86_400),
        Some(seconds) if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        Some(seconds) => format!("{seconds}s"),
        None => "30d".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use netloom_base::failure::Certificate;
    use netloom_base::{Side, Stage, Timestamp};

    use super::*;

    fn failure(issuer: &str) -> Failure {
        let certificate = Certificate {
            subject: "CN=a.example".to_owned(),
            issuer: issuer.to_owned(),
            names: Vec::new(),
            not_before: Timestamp(0),
            not_after: Timestamp(86_400_000_000),
            sha256: [0; 32],
        };
        Failure::new(Stage::Tls, Side::Peer, codes::EXPIRES_SOON)
            .message("the certificate expires on 1970-01-02, 1 day left")
            .fact(Fact::Chain(vec![certificate]))
            .fact(Fact::Limit {
                name: "expires-within",
                allows: 14 * 86_400,
            })
            .at("tls://a.example:443")
    }

    #[test]
    fn the_renewal_is_looked_at_and_the_same_question_can_be_asked_again() {
        let diagnosis = soon(&failure("CN=authority"), &Answers::default()).unwrap();
        assert_eq!(
            diagnosis.summary,
            "tls://a.example:443: the certificate expires on 1970-01-02, 1 day left"
        );
        assert_eq!(diagnosis.causes[0].verdict, Likely);
        let commands: Vec<&str> = diagnosis
            .fixes
            .iter()
            .filter_map(|fix| fix.command.as_deref())
            .collect();
        assert!(
            commands.contains(&"sudo certbot renew --dry-run"),
            "{commands:?}"
        );
        let again = "netloom explain tls://a.example:443 --expires-within 14d";
        assert!(commands.contains(&again), "{commands:?}");
        assert!(
            commands.iter().any(|command| command.contains("crontab")),
            "{commands:?}"
        );
    }

    #[test]
    fn one_that_signs_itself_is_made_anew() {
        let diagnosis = soon(&failure("CN=a.example"), &Answers::default()).unwrap();
        assert_eq!(diagnosis.causes.len(), 1);
        let make = diagnosis.fixes[0].command.as_deref().unwrap_or_default();
        assert!(make.contains("-subj '/CN=a.example' "), "{make}");
        assert!(diagnosis.evidence.iter().any(|evidence| {
            evidence.fact == "asked whether all last for 14d"
                && evidence.source == "--expires-within"
        }));
        assert!(
            soon(
                &Failure::new(Stage::Tls, Side::Peer, codes::EXPIRED),
                &Answers::default()
            )
            .is_none()
        );
    }
}
