//! `doctor`: what of this machine will get in the way.

use clap::{ArgMatches, Command};
use netloom_base::diagnosis::{Cause, Verdict};
use netloom_base::{Code, Diagnosis, Failure, Side, Stage};
use netloom_explain::diagnose;
use netloom_explain::doctor::{Check, Standing, examine, judge};
use netloom_transport::probe::Probe;

use super::{Verb, examples};
use crate::client::converse;
use crate::contract::Stop;
use crate::view::Face;

pub(super) struct Doctor;

impl Verb for Doctor {
    fn name(&self) -> &'static str {
        "doctor"
    }

    fn command(&self) -> Command {
        Command::new("doctor")
            .about(
                "look at this machine: rights, limits, network, IPv6, name servers, proxies, clock",
            )
            .after_help(examples(&[
                (
                    "netloom doctor",
                    "what will get in the way, and how to mend it",
                ),
                ("netloom doctor -q || echo mend it first", "in a script"),
                (
                    "netloom doctor --json",
                    "one record for each thing looked at",
                ),
            ]))
    }

    fn run(&self, _: &ArgMatches, face: &Face) -> Result<(), Stop> {
        converse(
            None,
            "the name servers did not answer in time",
            |cx| async move {
                let machine = examine(&Probe::new(), proxies(), &cx).await;
                let checks = judge(&machine);
                for check in &checks {
                    face.answer(check, &check.to_string());
                }
                let wrong: Vec<&Check> = checks
                    .iter()
                    .filter(|check| check.standing == Standing::Wrong)
                    .collect();
                if wrong.is_empty() {
                    face.done("nothing is wrong");
                    return Ok(());
                }
                Err(Stop::Diagnosed(vec![diagnosis(&wrong)]))
            },
        )
    }
}

/// What is wrong, as every verb that fails says it.
fn diagnosis(wrong: &[&Check]) -> Diagnosis {
    let about: Vec<&str> = wrong.iter().map(|check| check.about).collect();
    let failure = Failure::new(Stage::Create, Side::Os, Code::HOST_NOT_SOUND);
    let summary = format!("this machine will get in the way: {}", about.join(", "));
    let mut diagnosis = diagnose(&failure.message(summary));
    for check in wrong {
        diagnosis.causes.push(Cause {
            text: check.text.clone(),
            verdict: Verdict::Confirmed,
            because: check.source.to_owned(),
        });
        diagnosis.fixes.extend(check.fixes.iter().cloned());
    }
    diagnosis
}

/// The environment's proxies, without passwords.
fn proxies() -> Vec<(String, String)> {
    let known = ["http_proxy", "https_proxy", "all_proxy", "no_proxy"];
    let is_one = |name: &str| known.iter().any(|known| name.eq_ignore_ascii_case(known));
    let mut set: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, value)| is_one(name) && !value.is_empty())
        .map(|(name, value)| (name, masked(&value)))
        .collect();
    set.sort();
    set
}

/// `http://user:secret@host` as `http://***@host`.
fn masked(value: &str) -> String {
    match value.rsplit_once('@') {
        Some((before, host)) => {
            let scheme = before.find("://").map_or(0, |at| at + 3);
            format!("{}***@{host}", &before[..scheme])
        }
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::masked;

    #[test]
    fn a_proxys_password_is_not_told() {
        assert_eq!(masked("http://bob:pw@proxy:3128"), "http://***@proxy:3128");
        assert_eq!(masked("bob:p@w@proxy:3128"), "***@proxy:3128");
        assert_eq!(masked("http://proxy:3128"), "http://proxy:3128");
    }
}
