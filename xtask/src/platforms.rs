//! `platforms`: the binary compiles for systems that no test runs on, without a
//! warning. Nothing is linked, so it takes no compiler for C.

use crate::metadata::{self, list, text};
use crate::options::Options;
use crate::run::{cargo, command, read, stream};
use crate::{Outcome, run};

const OTHERS: &[(&str, &str)] = &[
    ("Linux on aarch64", "aarch64-unknown-linux-gnu"),
    ("macOS", "aarch64-apple-darwin"),
    ("Windows", "x86_64-pc-windows-gnu"),
];

/// The one dependency that is written in C.
const IN_C: &str = "aws-lc-sys";

pub(crate) fn verb(args: Vec<String>) -> Outcome {
    Options::new(args).words()?;
    let links = links(IN_C)?;
    for (system, triple) in OTHERS {
        // A distribution's cargo, or a machine without a way to Rust's servers.
        if let Err(problem) = has_library(triple) {
            println!("{system} was not checked, its standard library is missing: {problem}");
            continue;
        }
        println!("{system}");
        stream(&mut check(triple, &links))?;
    }
    Ok(())
}

fn has_library(triple: &str) -> Outcome {
    if !run::is_installed("rustup") {
        return Err("there is no rustup".to_owned());
    }
    read(command("rustup").args(["target", "add", triple])).map(drop)
}

fn check(triple: &str, links: &str) -> std::process::Command {
    let mut cargo = cargo();
    cargo.env("RUSTFLAGS", "-Dwarnings").args([
        "check",
        "--package",
        "netloom",
        "--target",
        triple,
    ]);
    // What its build script would say after it compiled the C, without compiling it.
    for said in ["rustc-cfg=[\"universal\"]", "include=\"\""] {
        cargo.arg(format!("--config=target.{triple}.{links}.{said}"));
    }
    cargo
}

/// What a package links, by which cargo knows its build script.
fn links(package: &str) -> Outcome<String> {
    list(&metadata::all()?, "packages")
        .find(|found| text(found, "name") == package)
        .map(|found| text(found, "links").to_owned())
        .ok_or_else(|| format!("nothing depends on {package} any more"))
}
