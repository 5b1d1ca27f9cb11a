//! `fuzz`: libFuzzer targets, built on stable Rust.
//!
//! Without a target every one runs, for ten seconds unless `--time` says
//! otherwise. What a run finds that is new to it stays in `fuzz/corpus`; an
//! input that fails is left in `fuzz/artifacts`.

use crate::Outcome;
use crate::options::Options;
use crate::run::{cargo, command, read, root, stream};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// What `cargo fuzz` would pass, without the sanitizers that need nightly; the
/// least of it stands in fuzz/Cargo.toml, to type by hand.
const FLAGS: &[&str] = &[
    "--cfg",
    "fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
];

pub(crate) fn verb(args: Vec<String>) -> Outcome {
    let mut options = Options::new(args);
    let seconds = options.value("--time")?.unwrap_or(10);
    let words = options.words()?;
    let targets = build()?;
    if let Some(unknown) = words
        .iter()
        .find(|word| targets.iter().all(|(name, _)| name != *word))
    {
        let known: Vec<&str> = targets.iter().map(|(name, _)| name.as_str()).collect();
        return Err(format!(
            "there is no target {unknown}: {}",
            known.join(", ")
        ));
    }
    for (name, binary) in &targets {
        if words.is_empty() || words.contains(name) {
            feed(name, binary, seconds)?;
        }
    }
    Ok(())
}

/// Every target for so many seconds.
pub(crate) fn smoke(seconds: u64) -> Outcome {
    for (name, binary) in build()? {
        feed(&name, &binary, seconds)?;
    }
    Ok(())
}

/// Names and paths of all targets.
fn build() -> Outcome<Vec<(String, PathBuf)>> {
    let messages = read(
        cargo()
            .current_dir(root().join("fuzz"))
            .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}"))
            .args(["build", "--release", "--bins", "--target", &host()?])
            .arg("--message-format=json-render-diagnostics"),
    )?;
    let mut targets: Vec<(String, PathBuf)> = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|message| {
            let name = message["target"]["name"].as_str()?.to_owned();
            Some((name, PathBuf::from(message["executable"].as_str()?)))
        })
        .collect();
    targets.sort();
    if targets.is_empty() {
        return Err("fuzz/ has no targets".to_owned());
    }
    Ok(targets)
}

/// The triple we build for. Naming it keeps the flags off build scripts and
/// macros.
fn host() -> Outcome<String> {
    let told = read(command("rustc").arg("-vV"))?;
    told.lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .ok_or_else(|| "rustc does not tell its host".to_owned())
}

fn feed(name: &str, binary: &Path, seconds: u64) -> Outcome {
    let fuzz = root().join("fuzz");
    let (corpus, artifacts) = (
        fuzz.join("corpus").join(name),
        fuzz.join("artifacts").join(name),
    );
    for dir in [&corpus, &artifacts] {
        fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    }
    let mut run = command(binary);
    run.arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .args(["-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1"])
        .args(["-verbosity=0"])
        .arg(&corpus);
    // What libFuzzer finds goes into the first directory; seeds are read only.
    let seeds = fuzz.join("seeds").join(name);
    if seeds.is_dir() {
        run.arg(seeds);
    }
    println!("{name}: {seconds} s");
    stream(&mut run)
        .map_err(|problem| format!("{problem}; the input that failed is in fuzz/artifacts/{name}"))
}
