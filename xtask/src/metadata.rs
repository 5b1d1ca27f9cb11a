//! What `cargo metadata` says of the workspace and all it depends on.

use crate::Outcome;
use crate::run::{cargo, read};
use serde_json::Value;
use std::path::PathBuf;

/// The packages, the graph and the target directory.
pub(crate) fn all() -> Outcome<Value> {
    load(&["--all-features"])
}

/// The workspace's own packages only: fast, and needs no network.
pub(crate) fn own() -> Outcome<Value> {
    load(&["--no-deps"])
}

fn load(args: &[&str]) -> Outcome<Value> {
    let text = read(
        cargo()
            .args(["metadata", "--format-version", "1"])
            .args(args),
    )?;
    serde_json::from_str(&text).map_err(|e| format!("cargo metadata: {e}"))
}

/// The list at `key`, empty when there is none.
pub(crate) fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

/// The text at `key`, empty when there is none.
pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// Builds `--release` binaries and gives their paths in the order of `names`.
pub(crate) fn release_binaries(package: &str, names: &[&str]) -> Outcome<Vec<PathBuf>> {
    let messages = read(
        cargo()
            .args(["build", "--release", "--package", package])
            .args(names.iter().flat_map(|name| ["--bin", name]))
            .arg("--message-format=json-render-diagnostics"),
    )?;
    let built: Vec<Value> = messages
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    names
        .iter()
        .map(|name| {
            built
                .iter()
                .filter(|message| message["target"]["name"] == *name)
                .find_map(|message| message["executable"].as_str())
                .map(PathBuf::from)
                .ok_or_else(|| format!("cargo built no {name}"))
        })
        .collect()
}
