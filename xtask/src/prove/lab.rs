//! `prove lab`: every situation of the failure lab, as root and without rights.
//! Each code of its table must be what was said, and soon enough.

use super::Proof;
use crate::Outcome;
use crate::lab::{self, Ran, Record, Rights, Told};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

/// What the median may be where no silence must be waited for.
const MEDIAN: Duration = Duration::from_millis(300);
/// What the slowest may take: three seconds of asking, and the putting in words.
const WORST: Duration = Duration::from_millis(3500);
/// How many situations at least must be healthy ones.
const HEALTHY: usize = 20;

pub(super) fn prove(_: &Proof) -> Outcome<String> {
    let program = lab::build()?;
    let as_whom: &[(&str, Rights)] = if lab::is_root()? {
        &[("as root", Rights::Own), ("without rights", Rights::None)]
    } else {
        &[("without rights", Rights::Own)]
    };
    let mut told = Vec::new();
    let mut runs = Vec::new();
    for (name, rights) in as_whom {
        println!("── the lab {name}");
        let (ran, ended) = lab::run(&program, *rights, |line| {
            if !line.ends_with("... ok") {
                println!("{line}");
            }
        })?;
        ended?;
        told.push(judged(name, &ran)?);
        runs.push((*name, ran.record));
    }
    println!("{}", table(&runs));
    Ok(told.join("\n\n"))
}

/// The figures of one run; an error where they are not good enough.
fn judged(name: &str, ran: &Ran) -> Outcome<String> {
    let record = &ran.record;
    let own: Vec<_> = record
        .made
        .iter()
        .filter(|(_, at)| !is_elsewhere(at))
        .collect();
    let wrong: Vec<String> = own
        .iter()
        .filter(|(code, at)| !record.has(code, at) && !is_skipped(record, at))
        .map(|(code, at)| format!("{at} did not say {code}"))
        .collect();
    if !wrong.is_empty() {
        return Err(format!("{name}: {}", wrong.join("; ")));
    }
    let quiet: BTreeSet<&str> = record.quiet.iter().map(|(at, _)| at.as_str()).collect();
    if quiet.len() < HEALTHY {
        return Err(format!("{name}: only {} healthy situations", quiet.len()));
    }
    let ran_here = || own.iter().filter(|(_, at)| !is_skipped(record, at));
    let codes: BTreeSet<&str> = ran_here().map(|(code, _)| code.as_str()).collect();
    let situations: BTreeSet<&str> = ran_here().map(|(_, at)| at.as_str()).collect();
    let prompt = times(record, |told| !told.silence);
    let all = times(record, |_| true);
    let (median, worst) = (middle(&prompt), prompt.last().copied().unwrap_or_default());
    let worst_of_all = all.last().copied().unwrap_or_default();
    if median > MEDIAN || worst_of_all > WORST {
        return Err(format!(
            "{name}: the median is {}, the slowest {}",
            ms(median),
            ms(worst_of_all)
        ));
    }
    // What needs a network of its own is made by whoever owns it.
    let mapped = match record.mapped.len() {
        0 => String::new(),
        n => format!(" ({n} in a user namespace, with root's rights over its network alone)"),
    };
    Ok(format!(
        "{} tests {name}{mapped} in {:.0} s, {}: {} codes by {} situations, all told right; {} healthy \
         situations at {} endpoints, nothing told. {} diagnoses: {} that wait for no silence, \
         median {}, slowest {}; slowest of all {}.",
        ran.sums.passed,
        ran.took.as_secs_f64(),
        record.skips(),
        codes.len(),
        situations.len(),
        quiet.len(),
        record.quiet.len(),
        all.len(),
        prompt.len(),
        ms(median),
        ms(worst),
        ms(worst_of_all),
    ))
}

/// Whether another test program makes the situation, with the whole of Netloom.
fn is_elsewhere(situation: &str) -> bool {
    situation.starts_with("it::")
}

fn is_skipped(record: &Record, situation: &str) -> bool {
    record.skipped.iter().any(|(at, _)| at == situation)
}

fn times(record: &Record, which: impl Fn(&Told) -> bool) -> Vec<Duration> {
    let mut times: Vec<Duration> = record
        .told
        .iter()
        .filter(|told| which(told))
        .map(|told| told.took)
        .collect();
    times.sort();
    times
}

fn middle(sorted: &[Duration]) -> Duration {
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

fn ms(took: Duration) -> String {
    format!("{:.1} ms", took.as_secs_f64() * 1e3)
}

/// Code, situation, and in which of the runs it was told.
fn table(runs: &[(&str, Record)]) -> String {
    let rows: BTreeSet<_> = runs.iter().flat_map(|(_, record)| &record.made).collect();
    let width = rows.iter().map(|(code, _)| code.len()).max().unwrap_or(0);
    let longest = rows.iter().map(|(_, at)| at.len()).max().unwrap_or(0);
    let mut text = format!("{:width$}  {:longest$}  told", "code", "situation");
    for (code, at) in rows {
        let told: Vec<&str> = runs
            .iter()
            .filter(|(_, record)| record.has(code, at))
            .map(|(name, record)| {
                let mapped = record.mapped.contains(at);
                if mapped { "in a user namespace" } else { *name }
            })
            .collect();
        let told = match (is_elsewhere(at), told.is_empty()) {
            (true, _) => "by the tests of the program".to_owned(),
            (false, true) => "skipped".to_owned(),
            (false, false) => told.join(", "),
        };
        let _ = write!(text, "\n{code:width$}  {at:longest$}  {told}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{HEALTHY, judged, middle, ms};
    use crate::lab::{Ran, Record, Told};
    use crate::test::Sums;
    use std::time::Duration;

    /// A run in which one code was told, so late, and so many were healthy.
    fn ran(code: &str, late: u64, silence: bool, healthy: usize) -> Ran {
        let mut record = Record::default();
        record.told.push(Told {
            situation: "a::b".to_owned(),
            code: code.to_owned(),
            took: Duration::from_millis(late),
            silence,
        });
        record
            .made
            .insert(("tls.expired".to_owned(), "a::b".to_owned()));
        for n in 0..healthy {
            record
                .quiet
                .insert((format!("healthy::{n}"), "tcp://h:1".to_owned()));
        }
        Ran {
            sums: Sums::default(),
            took: Duration::ZERO,
            record,
        }
    }

    #[test]
    fn a_code_not_told_one_told_late_and_too_few_healthy_ones_are_no_proof() {
        let problem = |ran: &Ran| judged("as root", ran).unwrap_err();
        assert!(judged("as root", &ran("tls.expired", 20, false, HEALTHY)).is_ok());
        assert!(judged("as root", &ran("tls.expired", 3000, true, HEALTHY)).is_ok());
        let other = problem(&ran("tls.closed", 20, false, HEALTHY));
        assert_eq!(other, "as root: a::b did not say tls.expired");
        let late = problem(&ran("tls.expired", 301, false, HEALTHY));
        assert!(late.contains("the median is 301.0 ms"), "{late}");
        let late = problem(&ran("tls.expired", 3501, true, HEALTHY));
        assert!(late.contains("the slowest 3501.0 ms"), "{late}");
        let few = problem(&ran("tls.expired", 20, false, HEALTHY - 1));
        assert!(few.contains("only 19 healthy"), "{few}");
    }

    #[test]
    fn a_situation_left_out_is_told_and_not_counted() {
        let mut ran = ran("tls.closed", 20, false, HEALTHY);
        let skipped = ("a::b".to_owned(), "no openssl".to_owned());
        ran.record.skipped.insert(skipped);
        let told = judged("as root", &ran).unwrap();
        assert!(told.contains("1 skipped:\n  a::b: no openssl"), "{told}");
        assert!(told.contains("0 codes"), "{told}");
    }

    #[test]
    fn the_middle_of_few_and_of_none() {
        let times = [1, 5, 900].map(Duration::from_millis);
        assert_eq!(ms(middle(&times)), "5.0 ms");
        assert_eq!(middle(&[]), Duration::ZERO);
    }
}
