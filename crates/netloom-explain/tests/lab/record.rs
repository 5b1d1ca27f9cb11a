//! What a run of the lab has shown, kept line by line for `cargo xtask prove lab`.
//!
//! Each process writes a file of its own into the folder that
//! [`FOLDER`] names; without it nothing is kept. A line is a word, the
//! situation, and what the word needs, with tabs between them:
//!
//! ```text
//! told     SITUATION  CODE  MICROSECONDS  prompt|silence
//! noted    SITUATION  CODE            (without a failure, or after a long look)
//! quiet    SITUATION  ENDPOINT
//! skipped  SITUATION  WHY
//! mapped   SITUATION  WHERE           (with the rights of root, over nothing but that)
//! made     SITUATION  CODE            (a row of the table of coverage)
//! ```

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use netloom_base::{Code, Diagnosis};

/// The variable with the folder to write to.
const FOLDER: &str = "NETLOOM_LAB_RECORD";

/// The variable with the situation that a process was started for.
pub(crate) const SITUATION: &str = "NETLOOM_LAB_SITUATION";

/// What can only be told after somebody has been silent for a while: who is
/// asked again says nothing again.
const SILENT: &[&str] = &[
    "connect.denied.local-firewall",
    "connect.timeout.dropped",
    "connect.unreachable.neighbour",
    "greet.timeout",
    "smtp.port-blocked",
    "tls.timeout",
];

/// What was said of a failure, and how long that took.
pub(crate) fn told(diagnosis: &Diagnosis, took: Duration) {
    let code = diagnosis.code.name();
    let waits = if SILENT.contains(&code) {
        "silence"
    } else {
        "prompt"
    };
    line("told", &[code, &took.as_micros().to_string(), waits]);
}

/// A code was told in a conversation that went well, or of a failure that was
/// looked into for longer than a person waits.
pub(crate) fn noted(code: Code) {
    line("noted", &[code.name()]);
}

/// Nothing was said, and rightly so.
pub(crate) fn quiet(endpoint: &str) {
    line("quiet", &[endpoint]);
}

/// A situation was left out.
pub(crate) fn skipped(why: &str) {
    line("skipped", &[why]);
}

/// A user without rights has those of root in a namespace of their own.
pub(crate) fn mapped(situation: &str) {
    line_of("mapped", situation, &["user namespace"]);
}

/// A row of the table of coverage.
pub(crate) fn made(situation: &str, code: &str) {
    line_of("made", situation, &[code]);
}

fn line(word: &str, fields: &[&str]) {
    let own = std::thread::current().name().unwrap_or("?").to_owned();
    let situation = std::env::var(SITUATION).unwrap_or(own);
    line_of(word, &situation, fields);
}

/// This process's file; nothing where no record is kept.
static FILE: LazyLock<Option<Mutex<File>>> = LazyLock::new(|| {
    let folder = PathBuf::from(std::env::var_os(FOLDER)?);
    let path = folder.join(std::process::id().to_string());
    let file = File::options().append(true).create(true).open(&path);
    let file = file.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Some(Mutex::new(file))
});

/// Opens the file early, for a situation that leaves no descriptor for it.
pub(crate) fn open() {
    LazyLock::force(&FILE);
}

fn line_of(word: &str, situation: &str, fields: &[&str]) {
    let Some(file) = &*FILE else {
        return;
    };
    let text = format!("{word}\t{situation}\t{}\n", fields.join("\t"));
    file.lock().unwrap().write_all(text.as_bytes()).unwrap();
}
