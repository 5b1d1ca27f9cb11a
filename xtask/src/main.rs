//! The project's chores: `cargo xtask VERB`.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "chores run beside the product: they have no Cx, and a terminal is all they speak to"
)]

mod areas;
mod bench;
mod date;
mod floors;
mod fuzz;
mod interop;
mod lab;
mod layering;
mod licences;
mod metadata;
mod nginx;
mod options;
mod peers;
mod platforms;
mod prove;
mod run;
mod soak;
mod test;
mod tidy;

use std::process::ExitCode;

/// What a chore answers: nothing, or what went wrong in one line or more.
type Outcome<T = ()> = Result<T, String>;

type Verb = fn(Vec<String>) -> Outcome;

const VERBS: &[(&str, &str, Verb)] = &[
    ("test", "everything a change must pass", test::verb),
    ("tidy", "the house rules no compiler checks", tidy::verb),
    (
        "licences",
        "which licences we ship, and which floor imports which",
        licences::verb,
    ),
    (
        "install-peers",
        "[--check]: the programs tests and benchmarks talk to",
        peers::verb,
    ),
    (
        "bench",
        "NAME [--rounds N] [--load LOAD] [--only SERVER,…] [--netloom PATH]: figures beside the peers'",
        bench::verb,
    ),
    (
        "interop",
        "AREA… [--netloom PATH]: long talks with programs we did not write",
        interop::verb,
    ),
    (
        "prove",
        "idle|lab|soak|chat [--minutes N] [--netloom PATH]: what takes long to show; kept in docs/book/src/proofs.md",
        prove::verb,
    ),
    (
        "fuzz",
        "[TARGET] [--time SECONDS] [--seed N]: feed the parsers",
        fuzz::verb,
    ),
    (
        "platforms",
        "compile for aarch64, macOS and Windows, where no test runs",
        platforms::verb,
    ),
];

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let word = args.next().unwrap_or_default();
    let Some((name, _, verb)) = VERBS.iter().find(|(name, ..)| *name == word) else {
        for (name, help, _) in VERBS {
            eprintln!("cargo xtask {name:<14} {help}");
        }
        return ExitCode::from(2);
    };
    match verb(args.collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{name}: {problem}");
            ExitCode::FAILURE
        }
    }
}
