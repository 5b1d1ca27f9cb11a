//! What one Rust file must keep: its length, its name, no stub, no sleep in a
//! test, unsafe only where it lives and with its reason.

use super::Finding;
use super::files::File;
use super::source::{Source, Token, line_of, tokens};

/// Lines of a file, and of a verb's file.
const FILE: usize = 600;
const VERB: usize = 120;
const VERBS: &str = "crates/netloom-cli/src/verb/";
/// Names that say nothing.
const EMPTY_NAMES: &[&str] = &[
    "util", "utils", "common", "helper", "helpers", "manager", "managers",
];

pub(super) fn check(file: &File) -> Vec<Finding> {
    let source = Source::read(&file.text);
    let all = tokens(&source.code);
    let at = |token: &Token, what: &str| {
        Finding::new(&file.path, line_of(&file.text, token.at), what.to_owned())
    };
    let mut found = Vec::new();
    found.extend(length(file));
    found.extend(names(file, &all));
    for stub in stubs(&all) {
        found.push(at(&stub, "a stub: finish it or leave it out"));
    }
    let tests = if is_test(&file.path) {
        &source.code
    } else {
        &source.tests
    };
    for sleep in sleeps(&tokens(tests)) {
        found.push(at(&sleep, "a test sleeps: wait for what it waits for"));
    }
    for token in all.iter().filter(|token| token.text == "unsafe") {
        if !may_be_unsafe(&file.path) {
            found.push(at(
                token,
                "unsafe belongs into a sys.rs of netloom-transport",
            ));
        }
        if !has_reason(&file.text, &all, token) {
            found.push(at(token, "unsafe without a // SAFETY: comment above"));
        }
    }
    found
}

fn length(file: &File) -> Option<Finding> {
    let lines = file.text.lines().count();
    let most = if file.path.starts_with(VERBS) {
        VERB
    } else {
        FILE
    };
    (lines > most).then(|| {
        Finding::new(
            &file.path,
            0,
            format!("{lines} lines, {most} at most: make it a folder"),
        )
    })
}

fn names(file: &File, all: &[Token]) -> Vec<Finding> {
    let mut found = Vec::new();
    let says_nothing = |name: &str| {
        name.split(['_', '-', '.'])
            .any(|w| EMPTY_NAMES.contains(&w))
    };
    for part in file.path.trim_end_matches(".rs").split('/') {
        if says_nothing(part) {
            found.push(Finding::new(
                &file.path,
                0,
                format!("the name {part} does not say what is inside"),
            ));
        }
    }
    for pair in all.windows(2) {
        if pair[0].text == "mod" && says_nothing(pair[1].text) {
            found.push(Finding::new(
                &file.path,
                line_of(&file.text, pair[1].at),
                format!("the name {} does not say what is inside", pair[1].text),
            ));
        }
    }
    found
}

fn stubs<'a>(all: &[Token<'a>]) -> Vec<Token<'a>> {
    all.windows(3)
        .filter(|w| {
            matches!(w[0].text, "todo" | "unimplemented") && w[1].text == "!"
                || w[0].text == "#" && w[1].text == "[" && w[2].text == "ignore"
        })
        .map(|w| w[0])
        .collect()
}

/// Calls of a function `sleep`, by its path or by its name. The method of a
/// `Cx`, whatever its variable is called, is let be: a simulated clock passes
/// it. A definition is no call.
fn sleeps<'a>(all: &[Token<'a>]) -> Vec<Token<'a>> {
    all.windows(3)
        .filter(|w| {
            matches!(w[1].text, "sleep" | "sleep_until" | "sleep_ms")
                && w[2].text == "("
                && !matches!(w[0].text, "fn" | ".")
        })
        .map(|w| w[1])
        .collect()
}

fn is_test(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("/tests.rs")
}

/// Only transport's `sys.rs` files ship unsafe code; the floor's programs are
/// bare on purpose and ship nowhere.
fn may_be_unsafe(path: &str) -> bool {
    path.starts_with("crates/netloom-transport/src/") && path.ends_with("/sys.rs")
        || path.starts_with("benches/floor/")
}

/// Whether a `// SAFETY:` comment stands above the statement of this `unsafe`.
/// An `unsafe fn` or `unsafe trait` asks something of its caller; its reason
/// is a `# Safety` section, which clippy wants.
fn has_reason(text: &str, all: &[Token], token: &Token) -> bool {
    let after = all.iter().find(|other| other.at > token.at);
    if after.is_some_and(|after| matches!(after.text, "fn" | "trait")) {
        return true;
    }
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let mut line = line_of(text, token.at) - 1;
    // Up to the start of the statement, then through the comment above it.
    while line > 0 && !lines[line - 1].starts_with("//") && goes_on(lines[line - 1]) {
        line -= 1;
    }
    lines[..line]
        .iter()
        .rev()
        .take_while(|above| above.starts_with("//") || above.starts_with("#["))
        .any(|above| above.starts_with("// SAFETY:"))
}

/// Whether the statement that this line is of is not at its end.
fn goes_on(line: &str) -> bool {
    !line.is_empty() && !line.ends_with([';', '{', '}', ','])
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::files::File;

    const SYS: &str = "crates/netloom-transport/src/tcp/sys.rs";

    fn found(path: &str, text: &str) -> Vec<String> {
        let file = File {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        let found = check(&file);
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn files_and_verbs_end() {
        assert_eq!(found("crates/x/src/a.rs", &"\n".repeat(600)), [""; 0]);
        assert_eq!(
            found("crates/x/src/a.rs", &"\n".repeat(601)),
            ["crates/x/src/a.rs: 601 lines, 600 at most: make it a folder"]
        );
        let verb = "crates/netloom-cli/src/verb/get.rs";
        assert_eq!(found(verb, &"\n".repeat(120)), [""; 0]);
        assert_eq!(found(verb, &"\n".repeat(121)).len(), 1);
    }

    #[test]
    fn names_that_say_nothing() {
        assert_eq!(found("crates/x/src/utils.rs", "").len(), 1);
        assert_eq!(found("crates/x/tests/common/mod.rs", "").len(), 1);
        assert_eq!(found("crates/x/src/conn_manager.rs", "").len(), 1);
        assert_eq!(found("crates/x/src/a.rs", "\nmod helpers;").len(), 1);
        assert_eq!(found("crates/x/src/commonmark.rs", "mod utility;"), [""; 0]);
    }

    #[test]
    fn stubs() {
        let stub = ["to", "do!()"].concat();
        assert_eq!(
            found("crates/x/src/a.rs", &format!("fn f() {{\n {stub} }}")),
            ["crates/x/src/a.rs:2: a stub: finish it or leave it out"]
        );
        assert_eq!(found("crates/x/src/a.rs", "unimplemented!()").len(), 1);
        assert_eq!(
            found("crates/x/src/a.rs", "#[ignore = \"x\"] fn f() {}").len(),
            1
        );
        assert_eq!(
            found("crates/x/src/a.rs", "// todo!()\nfn todo() {}"),
            [""; 0]
        );
    }

    #[test]
    fn sleeps_in_tests() {
        let test = "#[cfg(test)] mod tests {\n fn t() { thread::sleep(d); } }";
        assert_eq!(
            found("crates/x/src/a.rs", test),
            ["crates/x/src/a.rs:2: a test sleeps: wait for what it waits for"]
        );
        assert_eq!(
            found("crates/x/tests/it.rs", "tokio::time::sleep(d).await").len(),
            1
        );
        assert_eq!(found("crates/x/tests/it.rs", "{ sleep(d) }").len(), 1);
        assert_eq!(
            found(
                "crates/x/tests/it.rs",
                "cx.sleep(d); sim.host(h).sleep(d); fn sleep() {}"
            ),
            [""; 0]
        );
        assert_eq!(
            found("crates/x/src/a.rs", "fn f() { thread::sleep(d); }"),
            [""; 0]
        );
    }

    #[test]
    fn unsafe_has_a_place_and_a_reason() {
        let told =
            "fn f() {\n    // SAFETY: it is\n    // so.\n    let a =\n        unsafe { b() };\n}";
        assert_eq!(found(SYS, told), [""; 0]);
        assert_eq!(
            found("crates/x/src/a.rs", told),
            ["crates/x/src/a.rs:5: unsafe belongs into a sys.rs of netloom-transport"]
        );
        assert_eq!(
            found(SYS, "fn f() {\n    // it is so\n    unsafe { b() }\n}"),
            [format!(
                "{SYS}:3: unsafe without a // SAFETY: comment above"
            )]
        );
        let second = "// SAFETY: so\nlet a = unsafe { b() };\nlet c = unsafe { d() };";
        assert_eq!(found(SYS, second).len(), 1);
        assert_eq!(
            found(SYS, "#![allow(unsafe_code)]\n// unsafe { }\n\"unsafe\";"),
            [""; 0]
        );
        assert_eq!(found(SYS, "pub unsafe fn f() {}"), [""; 0]);
    }
}
