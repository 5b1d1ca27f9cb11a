//! Which rule of this host's firewall it is: only root may read the rules.

use netloom_base::diagnosis::{Cause, Evidence, Verdict};
use netloom_base::{Code, Diagnosis, Failure};
use netloom_transport::probe::FirewallRule;

use super::answers::Answers;
use super::{silence, target};

/// How many rules are named.
const MOST: usize = 3;

/// Whether a diagnosis would be better with the rules read.
pub(super) fn would_help(diagnosis: &Diagnosis, answers: &Answers) -> bool {
    let code = diagnosis.code;
    answers.user == Some(0)
        && [
            Code::CONNECT_DENIED_FIREWALL,
            Code::CONNECT_TIMEOUT,
            Code::LAN_MULTICAST_SILENT,
        ]
        .contains(&code)
}

/// Adds the rules that may have done it, where they were read.
pub(super) fn named(mut diagnosis: Diagnosis, failure: &Failure, answers: &Answers) -> Diagnosis {
    let silent = silence::waited(failure).filter(|silent| silent.listens);
    let addr = silent
        .map(|silent| silent.group)
        .or_else(|| target(failure));
    let (Some(rules), Some(addr)) = (&answers.firewall, addr) else {
        return diagnosis;
    };
    let denied = diagnosis.code == Code::CONNECT_DENIED_FIREWALL;
    // A packet to another host meets only the rules on the way out.
    let place = |rule: &&FirewallRule| {
        if silent.is_some() {
            return silence::comes_in(&rule.hook);
        }
        denied || matches!(rule.hook.as_str(), "" | "output" | "postrouting")
    };
    let exact: Vec<&FirewallRule> = rules
        .iter()
        .filter(place)
        .filter(|rule| names_port(&rule.rule, addr.port()))
        .collect();
    let wide = rules
        .iter()
        .filter(place)
        .filter(|rule| denied && !rule.rule.contains("dport"));
    let mut told: Vec<&FirewallRule> = exact.clone();
    told.extend(wide);
    told.truncate(MOST);
    if told.is_empty() {
        return diagnosis;
    }
    for rule in &told {
        let hook = if rule.hook.is_empty() {
            String::new()
        } else {
            format!(" ({})", rule.hook)
        };
        diagnosis.evidence.push(Evidence {
            fact: format!(
                "table {}, chain {}{hook}: {}",
                rule.table, rule.chain, rule.rule
            ),
            source: "nft".to_owned(),
        });
    }
    diagnosis
        .unchecked
        .retain(|unchecked| !unchecked.needs.contains("nft list ruleset"));
    if !denied && silent.is_none() && !exact.is_empty() {
        let cause = Cause {
            text: "a rule of this host drops the packets before they leave".to_owned(),
            verdict: Verdict::Likely,
            because: "it is about this very port".to_owned(),
        };
        diagnosis.causes.insert(0, cause);
    }
    diagnosis
}

/// Whether a rule is about this destination port: alone, in a range or in a set.
pub(super) fn names_port(rule: &str, port: u16) -> bool {
    let Some((_, after)) = rule.split_once("dport ") else {
        return false;
    };
    let ports = match after.strip_prefix('{') {
        Some(set) => set.split('}').next().unwrap_or_default(),
        None => after.split(' ').next().unwrap_or_default(),
    };
    ports.split(',').map(str::trim).any(|one| {
        let (from, to) = one.split_once('-').unwrap_or((one, one));
        match (from.parse::<u16>(), to.parse::<u16>()) {
            (Ok(from), Ok(to)) => (from..=to).contains(&port),
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::names_port;

    #[test]
    fn a_port_is_found_alone_in_a_range_and_in_a_set() {
        assert!(names_port("tcp dport 80 drop", 80));
        assert!(names_port(
            "tcp dport 80-90 counter packets 0 bytes 0 drop",
            85
        ));
        assert!(names_port("tcp dport { 22, 80-90 } reject", 90));
        assert!(!names_port("tcp dport { 22, 80-90 } reject", 91));
        assert!(!names_port("tcp dport 8080 drop", 80));
        assert!(!names_port("ip saddr 10.0.0.1 drop", 80));
    }
}
