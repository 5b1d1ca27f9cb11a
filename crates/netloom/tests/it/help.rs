//! What people read before they begin: help, examples, manuals, completions.

use std::process::Command;

use crate::program::{Program, run};

/// The path to every command that has help of its own.
fn commands() -> Vec<Vec<String>> {
    let mut paths = vec![Vec::new()];
    for verb in netloom_cli::command().get_subcommands() {
        paths.push(vec![verb.get_name().to_owned()]);
        for kind in verb.get_subcommands() {
            paths.push(vec![verb.get_name().to_owned(), kind.get_name().to_owned()]);
        }
    }
    assert!(paths.len() > 7, "{paths:?}");
    paths
}

fn help(path: &[String]) -> String {
    let ended = run(path.iter().map(String::as_str).chain(["--help"]), b"");
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (Some(0), ""),
        "{path:?}"
    );
    ended.text()
}

#[test]
fn help_stays_as_it_is() {
    for path in commands() {
        let mut name = vec!["help"];
        name.extend(path.iter().map(String::as_str));
        insta::assert_snapshot!(name.join("_"), help(&path));
    }
}

#[test]
fn short_help_and_long_help_are_the_same_and_every_flag_is_explained() {
    for path in commands() {
        let words = path.iter().map(String::as_str);
        let short = run(words.chain(["-h"]), b"").text();
        assert_eq!(short, help(&path), "{path:?}");
    }
    for verb in netloom_cli::command().get_subcommands() {
        for arg in verb.get_arguments() {
            assert!(
                arg.get_help().is_some(),
                "{} {}",
                verb.get_name(),
                arg.get_id()
            );
        }
    }
}

/// The commands under `Examples:`, without what they are for.
fn examples(help: &str) -> Vec<String> {
    let Some((_, examples)) = help.split_once("Examples:\n") else {
        return Vec::new();
    };
    let command = |line: &str| line.trim().split("   ").next().unwrap().to_owned();
    examples.lines().map(command).collect()
}

/// The words of the netloom command in a shell line, without redirections and
/// what it is piped into.
fn words(line: &str) -> Vec<String> {
    let line = line
        .strip_prefix("source <(")
        .map_or(line, |inner| inner.trim_end_matches(')'));
    let all = shell_words::split(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    let words: Vec<String> = all
        .into_iter()
        .take_while(|w| !matches!(w.as_str(), "|" | "||" | "&&" | "<" | ">"))
        .collect();
    assert_eq!(words[0], "netloom", "{line}");
    words
}

#[test]
fn every_example_can_be_typed() {
    let mut seen = 0;
    for path in commands() {
        let examples = examples(&help(&path));
        // A kind's page is its flags; the verb above it has the examples.
        assert!(
            path.len() == 2 || !examples.is_empty(),
            "{path:?} has no example"
        );
        for line in examples {
            seen += 1;
            let words = words(&line);
            let matches = netloom_cli::command().try_get_matches_from(&words);
            let matches = matches.unwrap_or_else(|error| panic!("{line}: {error}"));
            let (verb, matches) = matches.subcommand().unwrap();
            if matches.try_contains_id("print-config").is_ok() && line.contains("--echo")
                || verb == "serve"
            {
                let ended = run(
                    words[1..]
                        .iter()
                        .map(String::as_str)
                        .chain(["--print-config"]),
                    b"",
                );
                assert_eq!(ended.code, Some(0), "{line}: {ended:?}");
            }
            if let Ok(Some(urls)) = matches.try_get_many::<String>("url") {
                for url in urls {
                    url.parse::<netloom_base::EndpointSet>()
                        .unwrap_or_else(|e| panic!("{line}: {e}"));
                }
            }
        }
    }
    assert!(seen > 10, "only {seen} examples were found");
}

#[test]
fn completions_are_scripts_that_name_every_verb() {
    for shell in ["bash", "zsh", "fish"] {
        let ended = run(["completions", shell], b"");
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let script = ended.text();
        for verb in netloom_cli::command().get_subcommands() {
            assert!(
                script.contains(verb.get_name()),
                "{shell}: {}",
                verb.get_name()
            );
        }
    }
    let script = format!(
        "source <({} completions bash) && complete -p netloom",
        env!("CARGO_BIN_EXE_netloom")
    );
    let ended = Program::start(Command::new("bash").args(["-c", &script])).end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.text().contains("_netloom"), "{ended:?}");
}

#[test]
fn every_verb_has_a_manual_page() {
    let top = run(["man"], b"").text();
    assert!(top.contains(".TH netloom 1"), "{top}");
    for verb in netloom_cli::command().get_subcommands() {
        let name = verb.get_name();
        let ended = run(["man", name], b"");
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{name}");
        let page = ended.text();
        assert!(page.contains(&format!(".TH netloom-{name} 1")), "{page}");
        assert!(page.contains(".SH OPTIONS"), "{name}");
    }
}
