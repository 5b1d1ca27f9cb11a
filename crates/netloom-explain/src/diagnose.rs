//! From a failure to a diagnosis.

use netloom_base::diagnosis::Evidence;
use netloom_base::failure::{Fact, Step};
use netloom_base::{Code, Complaint, Diagnosis, Failure, Stage};

/// Puts a failure into words. Nothing is asked of the host or the network:
/// the diagnosis holds what the failure knew.
pub fn diagnose(failure: &Failure) -> Diagnosis {
    let mut drawing = None;
    let mut evidence = Vec::new();
    // A step that is the failure itself is not told twice, nor what a name
    // server answered.
    let asked = failure
        .facts()
        .iter()
        .any(|fact| matches!(fact, Fact::Answered { .. }));
    let failed = failure.trail().iter().filter(|step| step.failed.is_some());
    let steps: Vec<&Step> = failed
        .filter(|step| !says_the_summary(step, failure))
        .filter(|step| step.stage != Stage::Resolve || !asked)
        .collect();
    for fact in failure.facts() {
        match fact {
            Fact::Errno(_) | Fact::NoIcmp => {} // told beside the stage, or by the rules
            Fact::Tried(addr) if steps.iter().any(|step| step.to == addr.to_string()) => {}
            Fact::Complaint(complaint) => drawing = Some(drawn(complaint)),
            other => evidence.push(Evidence {
                fact: in_words(other),
                source: source(other, failure.stage()).to_owned(),
            }),
        }
    }
    evidence.extend(steps.into_iter().map(|step| Evidence {
        fact: step.to_string(),
        source: step.stage.name().to_owned(),
    }));
    Diagnosis {
        code: failure.code(),
        service: None,
        stage: failure.stage(),
        endpoint: failure.endpoint().map(str::to_owned),
        summary: failure.summary(),
        errno: failure.errno().map(|errno| errno.to_string()),
        drawing,
        steps: failure.trail().to_vec(),
        evidence,
        causes: Vec::new(),
        fixes: Vec::new(),
        unchecked: Vec::new(),
    }
}

/// The same, with the steps that had gone well as evidence: for whoever asked
/// how a conversation goes, they are half of the answer.
pub fn with_steps(mut diagnosis: Diagnosis) -> Diagnosis {
    let well = diagnosis.steps.iter().filter(|step| step.failed.is_none());
    let mut evidence: Vec<Evidence> = well
        .map(|step| Evidence {
            fact: step.to_string(),
            source: step.stage.name().to_owned(),
        })
        .filter(|step| !diagnosis.evidence.contains(step))
        .collect();
    evidence.append(&mut diagnosis.evidence);
    diagnosis.evidence = evidence;
    diagnosis
}

/// Whether the step is the failure itself, at the very endpoint it names.
fn says_the_summary(step: &Step, failure: &Failure) -> bool {
    let endpoint = failure.endpoint().unwrap_or_default();
    step.failed == Some(failure.code()) && endpoint.ends_with(&step.to)
}

/// A fact in words. The names of alerts stand on the floor of bytes, which the
/// floor of words does not know.
fn in_words(fact: &Fact) -> String {
    match fact {
        Fact::Alert(number) => match netloom_wire::tls::alert_name(*number) {
            Some(name) => format!("{fact}, {name}"),
            None => fact.to_string(),
        },
        other => other.to_string(),
    }
}

/// Where a fact is known from; what was tried, was tried in that stage.
fn source(fact: &Fact, stage: Stage) -> &str {
    match fact {
        Fact::Tried(_) => stage.name(),
        other => other.source(),
    }
}

/// Puts what a person wrote wrong into words, one diagnosis for each mistake.
pub fn mistakes(code: Code, complaints: &[Complaint]) -> Vec<Diagnosis> {
    let told = |complaint: &Complaint| {
        let place = complaint
            .place
            .as_ref()
            .map(|place| format!("{}:{}: ", place.file, place.line));
        Diagnosis {
            code,
            service: None,
            stage: Stage::Parse,
            endpoint: None,
            summary: format!("{}{}", place.unwrap_or_default(), complaint.message),
            errno: None,
            drawing: Some(drawn(complaint)),
            steps: Vec::new(),
            evidence: Vec::new(),
            causes: Vec::new(),
            fixes: Vec::new(),
            unchecked: Vec::new(),
        }
    };
    complaints.iter().map(told).collect()
}

fn drawn(complaint: &Complaint) -> String {
    match &complaint.suggestion {
        Some(suggestion) => format!("{}\n  nearest: {suggestion}", complaint.caret()),
        None => complaint.caret(),
    }
}

#[cfg(test)]
mod tests {
    use netloom_base::{Endpoint, Side};

    use super::*;

    #[test]
    fn what_was_typed_is_drawn_and_not_repeated_as_evidence() {
        let error = "tcp://:99999".parse::<Endpoint>().unwrap_err();
        let failure = Failure::new(Stage::Parse, Side::Us, Code::PARSE_ENDPOINT)
            .message(error.complaint().message.clone())
            .fact(Fact::Complaint(Box::new(error.complaint().clone())));
        let diagnosis = diagnose(&failure);
        assert!(diagnosis.evidence.is_empty());
        let text = diagnosis.to_string();
        assert!(text.starts_with("error[parse.endpoint]: "), "{text}");
        assert!(text.contains("\n  tcp://:99999\n         ^^^^^"), "{text}");
    }

    #[test]
    fn an_alert_is_told_by_its_name() {
        let failure = |number| {
            let stage = Stage::Tls;
            Failure::new(stage, Side::Peer, stage.other()).fact(Fact::Alert(number))
        };
        let told = |number| diagnose(&failure(number)).evidence[0].fact.clone();
        assert_eq!(told(48), "the peer sent the TLS alert 48, unknown_ca");
        assert_eq!(told(255), "the peer sent the TLS alert 255");
    }

    #[test]
    fn the_stage_line_tells_what_went_well_before() {
        let step = |stage, failed| Step {
            stage,
            to: "127.0.0.1:1".to_owned(),
            failed,
            took: std::time::Duration::from_micros(120),
        };
        let failure = Failure::new(Stage::Connect, Side::Peer, Code::CONNECT_REFUSED)
            .at("tcp://localhost:1")
            .after([
                step(Stage::Resolve, None),
                step(Stage::Connect, Some(Code::CONNECT_REFUSED)),
            ]);
        let text = diagnose(&failure).to_string();
        assert!(
            text.contains("\n  stage     resolve ok · connect failed\n"),
            "{text}"
        );
        assert!(
            text.contains("127.0.0.1:1: nothing listens on that port after 120 µs"),
            "{text}"
        );
    }
}
