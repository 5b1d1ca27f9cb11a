//! `test`: everything a change must pass, one step after another, with one
//! line of sums at the end.

use crate::lab::{self, Rights};
use crate::metadata::{self, list, text};
use crate::options::Options;
use crate::run::{cargo, in_ci, lines, stream};
use crate::{Outcome, fuzz, interop, licences, peers, platforms, tidy};
use std::time::Instant;

/// Seconds for each fuzz target.
const SMOKE: u64 = 10;

/// What property tests and fuzz targets draw their inputs from here: the same
/// for everyone, so that a change passes or fails by what it changes and not by
/// luck. Others are tried by `cargo test` and `cargo xtask fuzz`.
const SEED: u32 = 4711;

/// Tests that passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sums {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
}

type Step = fn(&mut Sums) -> Outcome;

const STEPS: &[(&str, Step)] = &[
    ("peers", |_| peers::verb(Vec::new())),
    ("format", |_| {
        stream(cargo().args(["fmt", "--all", "--check"]))
    }),
    ("clippy", |_| {
        stream(cargo().args([
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ]))
    }),
    ("tidy", |_| tidy::verb(Vec::new())),
    ("licences", |_| licences::verb(Vec::new())),
    ("tests", tests),
    ("lab without rights", lab_without_rights),
    ("features", features),
    ("platforms", |_| platforms::verb(Vec::new())),
    ("fuzz", |_| fuzz::smoke(SMOKE, SEED)),
];

pub(crate) fn verb(args: Vec<String>) -> Outcome {
    Options::new(args).words()?;
    let mut sums = Sums::default();
    let mut steps = STEPS.to_vec();
    if in_ci() {
        steps.push(("interop", |_| interop::changed()));
    }
    for (name, step) in steps {
        println!("── {name}");
        let begun = Instant::now();
        let mut counted = Sums::default();
        let outcome = step(&mut counted);
        if counted == Sums::default() {
            counted.passed = usize::from(outcome.is_ok());
        }
        if outcome.is_err() {
            counted.failed = counted.failed.max(1);
        }
        sums.passed += counted.passed;
        sums.failed += counted.failed;
        println!("── {name}: {:.1} s", begun.elapsed().as_secs_f64());
        if let Err(problem) = outcome {
            println!("{problem}");
            println!("the step {name} failed; the steps after it were not run");
            println!("{} passed, {} failed", sums.passed, sums.failed);
            return Err(format!("{name} failed"));
        }
    }
    println!("{} passed, {} failed", sums.passed, sums.failed);
    Ok(())
}

fn tests(sums: &mut Sums) -> Outcome {
    lines(
        cargo().env("PROPTEST_RNG_SEED", SEED.to_string()).args([
            "test",
            "--workspace",
            "--no-fail-fast",
        ]),
        |line| {
            println!("{line}");
            if let Some(more) = result(line) {
                sums.passed += more.passed;
                sums.failed += more.failed;
            }
        },
    )
}

/// The failure lab once more, as a user who may do nothing: what is said must
/// hold for them too.
fn lab_without_rights(sums: &mut Sums) -> Outcome {
    if !lab::is_root()? {
        println!("this user has no rights: the lab has just run so");
        return Ok(());
    }
    let (ran, ended) = lab::run(&lab::build()?, Rights::None, |line| println!("{line}"))?;
    *sums = ran.sums;
    println!(
        "{} situations without rights in {:.1} s, {}",
        ran.sums.passed + ran.sums.failed,
        ran.took.as_secs_f64(),
        ran.record.skips()
    );
    ended
}

/// Reads `test result: ok. 3 passed; 0 failed; …`.
pub(crate) fn result(line: &str) -> Option<Sums> {
    let rest = line.trim().strip_prefix("test result: ")?;
    let number = |what: &str| {
        let words: Vec<&str> = rest.split_whitespace().collect();
        words
            .windows(2)
            .find(|pair| pair[1].trim_end_matches(';') == what)?[0]
            .parse()
            .ok()
    };
    Some(Sums {
        passed: number("passed")?,
        failed: number("failed")?,
    })
}

/// The library without features, and with each one alone.
fn features(_: &mut Sums) -> Outcome {
    let metadata = metadata::own()?;
    let door = list(&metadata, "packages")
        .find(|package| text(package, "name") == "netloom")
        .ok_or("there is no package netloom")?;
    let check = |features: &[&str]| {
        stream(
            cargo()
                .args(["check", "--package", "netloom", "--no-default-features"])
                .args(features),
        )
    };
    check(&[])?;
    for name in door["features"]
        .as_object()
        .into_iter()
        .flat_map(|all| all.keys())
    {
        if name != "default" {
            println!("netloom with {name} alone");
            check(&["--features", name])?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Sums, result};

    #[test]
    fn results_of_cargo_test_are_read() {
        let line = "test result: FAILED. 12 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        let sums = Sums {
            passed: 12,
            failed: 3,
        };
        assert_eq!(result(line), Some(sums));
        assert_eq!(result("test a::result: ok ... ok"), None);
        assert_eq!(result("running 12 tests"), None);
    }
}
