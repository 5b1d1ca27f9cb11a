//! `fuzz`: libFuzzer targets, built on stable Rust.
//!
//! Without a target every one runs, for ten seconds unless `--time` says
//! otherwise, and each run tries other inputs unless `--seed` says which. What
//! a run finds that is new to it stays in `fuzz/corpus`; an input that fails is
//! left in `fuzz/artifacts`.

use crate::Outcome;
use crate::areas::{changed, touches};
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

/// What targets that need a feature feed; CI runs those only when one of these
/// was touched, because such a feature is long to build.
const ROOMS: &[(&str, &[&str])] = &[(
    "tls",
    &[
        "crates/netloom-transport/src/tls/",
        "crates/netloom-wire/src/tls/",
        "fuzz/",
        "xtask/src/fuzz.rs",
        "Cargo.lock",
    ],
)];

struct Target {
    name: String,
    /// Features of fuzz/Cargo.toml.
    needs: Vec<String>,
}

pub(crate) fn verb(args: Vec<String>) -> Outcome {
    let mut options = Options::new(args);
    let seconds = options.value("--time")?.unwrap_or(10);
    let seed = options.value("--seed")?;
    let words = options.words()?;
    let mut targets = targets()?;
    if let Some(unknown) = words
        .iter()
        .find(|word| targets.iter().all(|target| target.name != **word))
    {
        let known: Vec<&str> = targets.iter().map(|target| &*target.name).collect();
        return Err(format!(
            "there is no target {unknown}: {}",
            known.join(", ")
        ));
    }
    targets.retain(|target| words.is_empty() || words.contains(&target.name));
    feed_all(&targets, seconds, seed)
}

/// Every target for so many seconds, always in the same way; those that are long
/// to build only when what they feed was touched, or nobody can tell.
pub(crate) fn smoke(seconds: u64, seed: u32) -> Outcome {
    let paths = changed();
    let touched = |feature: &String| {
        let rooms = ROOMS.iter().find(|(name, _)| name == feature);
        match (&paths, rooms) {
            (Some(paths), Some((_, rooms))) => touches(paths, rooms),
            _ => true,
        }
    };
    let (due, spared): (Vec<Target>, Vec<Target>) = targets()?
        .into_iter()
        .partition(|target| target.needs.iter().all(touched));
    for target in spared {
        println!("{}: what it feeds was not touched", target.name);
    }
    feed_all(&due, seconds, Some(seed))
}

fn feed_all(targets: &[Target], seconds: u64, seed: Option<u32>) -> Outcome {
    for (name, binary) in build(targets)? {
        feed(&name, &binary, seconds, seed)?;
    }
    Ok(())
}

/// All that fuzz/Cargo.toml lists.
fn targets() -> Outcome<Vec<Target>> {
    let told = read(cargo().current_dir(root().join("fuzz")).args([
        "metadata",
        "--no-deps",
        "--format-version=1",
    ]))?;
    let told: Value = serde_json::from_str(&told).map_err(|e| format!("cargo metadata: {e}"))?;
    let texts = |list: &Value| -> Vec<String> {
        let list = list.as_array().into_iter().flatten();
        list.filter_map(|text| Some(text.as_str()?.to_owned()))
            .collect()
    };
    let mut targets: Vec<Target> = told["packages"][0]["targets"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|target| texts(&target["kind"]).iter().any(|kind| kind == "bin"))
        .filter_map(|target| {
            Some(Target {
                name: target["name"].as_str()?.to_owned(),
                needs: texts(&target["required-features"]),
            })
        })
        .collect();
    targets.sort_by(|a, b| a.name.cmp(&b.name));
    if targets.is_empty() {
        return Err("fuzz/ has no targets".to_owned());
    }
    Ok(targets)
}

/// Builds them; their names and paths.
fn build(targets: &[Target]) -> Outcome<Vec<(String, PathBuf)>> {
    let mut cargo = cargo();
    cargo
        .current_dir(root().join("fuzz"))
        .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}"))
        .args(["build", "--release", "--target", &host()?])
        .arg("--message-format=json-render-diagnostics");
    for target in targets {
        cargo.args(["--bin", &target.name]);
        for feature in &target.needs {
            cargo.args(["--features", feature]);
        }
    }
    let mut found: Vec<(String, PathBuf)> = read(&mut cargo)?
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|message| {
            let name = message["target"]["name"].as_str()?.to_owned();
            Some((name, PathBuf::from(message["executable"].as_str()?)))
        })
        .collect();
    found.sort();
    Ok(found)
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

fn feed(name: &str, binary: &Path, seconds: u64, seed: Option<u32>) -> Outcome {
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
        // Zero leaves the choice to libFuzzer.
        .arg(format!("-seed={}", seed.unwrap_or(0)))
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
