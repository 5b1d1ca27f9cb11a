//! What all answers mean together: addresses and their story, or a failure.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use netloom_base::failure::{Errno, Fact, Step};
use netloom_base::{Code, Failure, Moment, Side, Stage};

use super::Pace;
use super::config::Config;
use super::server::{Answer, Asked, Heard, Record};
use crate::cx::Cx;
use crate::net::Found;
use crate::race::Run;
use crate::sys::LookupError;

/// What was heard of one full name.
pub(super) struct Candidate {
    pub(super) name: String,
    /// `None` where the other family had addresses and this one was late.
    pub(super) four: Option<Asked>,
    pub(super) six: Option<Asked>,
    pub(super) took: Duration,
}

impl Candidate {
    fn families(&self) -> impl Iterator<Item = &Asked> {
        self.six.iter().chain(&self.four)
    }

    fn addresses(&self) -> Vec<IpAddr> {
        let mut all = Vec::new();
        for asked in self.families() {
            if let Answer::Addresses(some) = asked.answer() {
                all.extend(some);
            }
        }
        all
    }

    /// How long its addresses may be kept.
    fn ttl(&self) -> Option<Duration> {
        let found = self.families().filter(|asked| asked.found());
        found.filter_map(Asked::ttl).min()
    }

    pub(super) fn found(&self) -> bool {
        self.families().any(Asked::found)
    }

    /// Whether it has no address and a search domain may: nobody failed to answer.
    pub(super) fn may_exist_elsewhere(&self) -> bool {
        self.families()
            .all(|asked| matches!(asked.answer(), Answer::NoName | Answer::NoData))
    }

    /// Why it has no address.
    fn code(&self) -> Code {
        let says = |wanted: fn(&Answer) -> bool| self.families().any(|a| wanted(a.answer()));
        if says(|answer| *answer == Answer::NoName) {
            Code::RESOLVE_NO_SUCH_NAME
        } else if says(|answer| matches!(answer, Answer::Error(_))) {
            Code::RESOLVE_SERVER_FAILED
        } else if says(|answer| *answer == Answer::Silence) {
            Code::RESOLVE_TIMEOUT
        } else {
            Code::RESOLVE_NO_ADDRESS
        }
    }
}

/// What `getaddrinfo` said; no answer when it took too long.
pub(super) struct SystemSaid {
    pub(super) answer: Option<Result<Vec<IpAddr>, LookupError>>,
    pub(super) took: Duration,
}

impl SystemSaid {
    pub(super) fn found(&self) -> bool {
        matches!(self.answer, Some(Ok(_)))
    }
}

/// What is known of a name so far.
pub(super) struct Verdict<'a> {
    name: &'a str,
    began: Moment,
    pace: Pace,
    /// How long other programs wait for a silent server.
    timeout: Duration,
    candidates: Vec<Candidate>,
    system: Option<SystemSaid>,
    facts: Vec<Fact>,
}

impl<'a> Verdict<'a> {
    pub(super) fn new(name: &'a str, began: Moment, pace: Pace) -> Self {
        Verdict {
            name,
            began,
            pace,
            timeout: Duration::ZERO,
            candidates: Vec::new(),
            system: None,
            facts: Vec::new(),
        }
    }

    pub(super) fn time_left(&self, cx: &Cx) -> Duration {
        self.pace.limit.saturating_sub(cx.now() - self.began)
    }

    pub(super) fn unconfigured(&mut self, why: &str) {
        let what = format!("no name server could be asked: {why}");
        self.facts.push(Fact::said(what, "resolv.conf"));
    }

    pub(super) fn asking(&mut self, name: &str, config: &Config) {
        self.timeout = config.timeout;
        if !config.search.is_empty() && !name.ends_with('.') {
            let what = format!("`{name}` is looked for in {} too", config.search.join(", "));
            self.facts.push(Fact::said(what, "resolv.conf"));
        }
    }

    /// What DNS said; nothing when it was given up because the system knew.
    pub(super) fn heard(&mut self, candidates: Option<Vec<Candidate>>, cx: &Cx) {
        if let Some(candidates) = candidates {
            self.candidates = candidates;
        } else {
            let waited = (cx.now() - self.began).as_millis();
            let what = format!("no name server had answered after {waited} ms");
            self.facts
                .push(Fact::noted(Code::RESOLVE_SLOW, what, "dns"));
        }
    }

    /// What `getaddrinfo` said; nothing when it was given up because DNS knew.
    pub(super) fn system(&mut self, said: Option<SystemSaid>) {
        self.system = said;
    }

    pub(super) fn is_no_such_name(&self) -> bool {
        !self.candidates.iter().any(Candidate::found) && self.code() == Code::RESOLVE_NO_SUCH_NAME
    }

    /// Why DNS has no address: one that exists says more than one that does not.
    fn code(&self) -> Code {
        let codes: Vec<Code> = self.candidates.iter().map(Candidate::code).collect();
        match codes.last() {
            Some(&Code::RESOLVE_NO_SUCH_NAME) if codes.contains(&Code::RESOLVE_NO_ADDRESS) => {
                Code::RESOLVE_NO_ADDRESS
            }
            Some(last) => *last,
            None => match self.system.as_ref().map(|said| &said.answer) {
                None | Some(None) => Code::RESOLVE_TIMEOUT,
                Some(Some(Err(LookupError::NoName))) => Code::RESOLVE_NO_SUCH_NAME,
                Some(Some(Ok(_) | Err(LookupError::NoAddress))) => Code::RESOLVE_NO_ADDRESS,
                Some(Some(Err(LookupError::Again))) => Code::RESOLVE_SERVER_FAILED,
                Some(Some(Err(LookupError::Other(_)))) => Stage::Resolve.other(),
            },
        }
    }

    /// The addresses with their story, or the failure. Where the system was
    /// asked too and has an address, that is the one: it is what every other
    /// program on this host uses.
    pub(super) fn told(mut self, cx: &Cx) -> Result<Found, Failure> {
        let steps = self.steps();
        let notes: Vec<Fact> = self
            .candidates
            .iter()
            .filter_map(|c| self.slow(c))
            .collect();
        let from_dns: Option<Vec<IpAddr>> = self
            .candidates
            .iter()
            .map(Candidate::addresses)
            .find(|some| !some.is_empty());
        let from_system = match &self.system {
            Some(SystemSaid {
                answer: Some(Ok(some)),
                ..
            }) => Some(some.clone()),
            _ => None,
        };
        if let (Some(addresses), None) = (&from_dns, &from_system) {
            return Ok(Found {
                addresses: addresses.clone(),
                steps,
                facts: notes,
                ttl: self.candidates.iter().find_map(Candidate::ttl),
            });
        }
        let answers: Vec<Fact> = self.candidates.iter().flat_map(answers).collect();
        self.facts.splice(0..0, answers);
        self.facts.extend(notes);
        self.facts.extend(self.system.iter().map(system_fact));
        match from_system {
            Some(addresses) => Ok(Found {
                addresses,
                steps,
                facts: self.facts,
                ttl: None,
            }),
            None => Err(self.failure(steps, cx)),
        }
    }

    fn failure(self, steps: Vec<Step>, cx: &Cx) -> Failure {
        let code = self.code();
        let name = self.name;
        let (side, message) = match code {
            Code::RESOLVE_NO_SUCH_NAME => (Side::Us, format!("the name `{name}` does not exist")),
            Code::RESOLVE_NO_ADDRESS => (Side::Peer, format!("`{name}` exists without an address")),
            Code::RESOLVE_TIMEOUT => (Side::Path, format!("nobody answered for `{name}`")),
            Code::RESOLVE_SERVER_FAILED => (Side::Path, self.who_failed()),
            _ => (Side::Os, format!("no address for `{name}`")),
        };
        let mut failure = Failure::new(Stage::Resolve, side, code).message(message);
        if matches!(code, Code::RESOLVE_TIMEOUT | Code::RESOLVE_SERVER_FAILED) {
            failure = failure.retry();
        }
        if code == Code::RESOLVE_TIMEOUT {
            failure = failure.fact(Fact::Waited(cx.now() - self.began));
        }
        self.facts
            .into_iter()
            .fold(failure, Failure::fact)
            .after(steps)
    }

    fn who_failed(&self) -> String {
        for run in self.runs() {
            if let Some(Heard {
                answer: Answer::Error(error),
                ..
            }) = &run.result
            {
                let (who, name) = (run.who, self.name);
                return match Errno::named(error).and_then(Errno::name) {
                    Some("ECONNREFUSED") => {
                        format!("no name server listens on {who}, which was asked for `{name}`")
                    }
                    Some(errno) => {
                        format!("the name server {who} cannot be reached for `{name}`: {errno}")
                    }
                    None => format!("the name server {who} answered {error} for `{name}`"),
                };
            }
        }
        format!("the resolver could not answer for `{}`", self.name)
    }

    fn runs(&self) -> impl Iterator<Item = &Run<SocketAddr, Heard>> {
        let families = self.candidates.iter().flat_map(Candidate::families);
        families.flat_map(|asked| &asked.runs)
    }

    fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for candidate in &self.candidates {
            let name = candidate.name.trim_end_matches('.');
            for asked in candidate.families() {
                steps.extend(steps_of(name, asked));
            }
            steps.extend(late(candidate).map(|family| Step {
                stage: Stage::Resolve,
                to: format!("{name} {}", family.name()),
                failed: Some(Code::RESOLVE_SLOW),
                took: candidate.took,
            }));
        }
        steps.extend(self.system.iter().map(|said| Step {
            stage: Stage::Resolve,
            to: format!("{} through getaddrinfo", self.name),
            failed: match &said.answer {
                Some(Ok(_)) => None,
                Some(Err(LookupError::NoName)) => Some(Code::RESOLVE_NO_SUCH_NAME),
                Some(Err(LookupError::NoAddress)) => Some(Code::RESOLVE_NO_ADDRESS),
                Some(Err(LookupError::Again)) => Some(Code::RESOLVE_SERVER_FAILED),
                Some(Err(LookupError::Other(_))) => Some(Stage::Resolve.other()),
                None => Some(Code::RESOLVE_TIMEOUT),
            },
            took: said.took,
        }));
        steps
    }

    /// What is to be noted when an answer came, but only after a timeout's time.
    fn slow(&self, candidate: &Candidate) -> Option<Fact> {
        let mut told = Vec::new();
        for asked in candidate.families() {
            let (silent, answered): (Vec<_>, Vec<_>) = asked
                .runs
                .iter()
                .partition(|run| answer_of(run).is_none_or(|a| *a == Answer::Silence));
            let Some(answered) = answered.last().filter(|_| asked.took >= self.pace.delay) else {
                continue;
            };
            told.push(format!(
                "{} answered for {} after {} ms",
                answered.who,
                asked.record.name(),
                asked.took.as_millis()
            ));
            told.extend(
                silent
                    .iter()
                    .map(|run| format!("{} not within {} ms", run.who, run.took.as_millis())),
            );
        }
        told.extend(late(candidate).map(|family| {
            format!(
                "{} was not answered within {} ms and not waited for",
                family.name(),
                candidate.took.as_millis()
            )
        }));
        if told.is_empty() {
            return None;
        }
        let waits = self.timeout.as_secs();
        told.push(format!(
            "other programs on this system wait {waits} s for each question that is lost"
        ));
        Some(Fact::noted(Code::RESOLVE_SLOW, told.join("; "), "dns"))
    }
}

/// Every server that was asked one question about a name.
pub(super) fn steps_of<'a>(name: &'a str, asked: &'a Asked) -> impl Iterator<Item = Step> + 'a {
    let record = asked.record.name();
    asked.runs.iter().map(move |run| Step {
        stage: Stage::Resolve,
        to: format!("{name} {record} at {}{}", run.who, remembered(run)),
        failed: failed(run),
        took: run.took,
    })
}

/// A name that is never asked for.
pub(super) fn never(name: &str) -> Failure {
    Failure::new(Stage::Resolve, Side::Us, Code::RESOLVE_NO_SUCH_NAME)
        .message(format!("the name `{name}` does not exist"))
        .fact(Fact::said(
            "names that end in `.invalid` or `.onion` are not in DNS, and nobody was asked",
            "RFC 6761, RFC 7686",
        ))
}

/// The family that was given up because the other had addresses.
fn late(candidate: &Candidate) -> Option<Record> {
    match (&candidate.four, &candidate.six) {
        (None, _) => Some(Record::A),
        (_, None) => Some(Record::Aaaa),
        _ => None,
    }
}

fn answer_of(run: &Run<SocketAddr, Heard>) -> Option<&Answer> {
    run.result.as_ref().map(|heard| &heard.answer)
}

fn remembered(run: &Run<SocketAddr, Heard>) -> &'static str {
    match &run.result {
        Some(heard) if heard.remembered => ", remembered",
        _ => "",
    }
}

fn failed(run: &Run<SocketAddr, Heard>) -> Option<Code> {
    match answer_of(run) {
        Some(Answer::Addresses(_) | Answer::Services(_)) => None,
        Some(Answer::NoData) => Some(Code::RESOLVE_NO_ADDRESS),
        Some(Answer::NoName) => Some(Code::RESOLVE_NO_SUCH_NAME),
        Some(Answer::Error(_)) => Some(Code::RESOLVE_SERVER_FAILED),
        Some(Answer::Silence) | None => Some(Code::RESOLVE_TIMEOUT),
    }
}

/// Every answer as a fact.
fn answers(candidate: &Candidate) -> Vec<Fact> {
    candidate.families().flat_map(said_by).collect()
}

/// What each server answered to one question, as facts.
pub(super) fn said_by(asked: &Asked) -> impl Iterator<Item = Fact> + '_ {
    let fact = |asked: &Asked, run: &Run<SocketAddr, Heard>| Fact::Answered {
        server: run.who,
        asked: asked.record.name(),
        answer: match answer_of(run) {
            Some(Answer::Addresses(some)) if some.len() == 1 => "1 address".into(),
            Some(Answer::Addresses(some)) => format!("{} addresses", some.len()).into(),
            Some(Answer::Services(some)) if some.len() == 1 => "1 server".into(),
            Some(Answer::Services(some)) => format!("{} servers", some.len()).into(),
            Some(Answer::NoData) => format!("NOERROR without {}", asked.record.kind()).into(),
            Some(Answer::NoName) => "NXDOMAIN".into(),
            Some(Answer::Error(error)) => error.clone(),
            Some(Answer::Silence) | None => "nothing".into(),
        },
        took: run.took,
    };
    asked.runs.iter().map(move |run| fact(asked, run))
}

fn system_fact(said: &SystemSaid) -> Fact {
    let what = match &said.answer {
        Some(Ok(addresses)) => {
            let told: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            format!("getaddrinfo knows {}", told.join(", "))
        }
        Some(Err(LookupError::NoName)) => "getaddrinfo does not know the name either".to_owned(),
        Some(Err(LookupError::NoAddress)) => "getaddrinfo knows no address".to_owned(),
        Some(Err(LookupError::Again)) => "getaddrinfo got no answer".to_owned(),
        Some(Err(LookupError::Other(words))) => format!("getaddrinfo says: {words}"),
        None => format!(
            "getaddrinfo did not answer within {} ms",
            said.took.as_millis()
        ),
    };
    Fact::said(what, "getaddrinfo")
}
