//! `tidy`: the house rules that no compiler checks.

mod files;
mod pages;
mod paths;
mod rooms;
mod rules;
mod source;

use crate::Outcome;
use crate::floors::Floors;
use crate::run::root;
use std::fmt;

/// One place that breaks a rule.
struct Finding {
    path: String,
    /// 0 when it is the whole file.
    line: usize,
    what: String,
}

impl Finding {
    fn new(path: &str, line: usize, what: String) -> Self {
        Self {
            path: path.to_owned(),
            line,
            what,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        write!(f, ": {}", self.what)
    }
}

pub(crate) fn verb(args: Vec<String>) -> Outcome {
    crate::options::Options::new(args).words()?;
    let root = root();
    let floors = Floors::load()?;
    let files = files::all(&root);
    let mut found = rooms::check(&files, &floors);
    for file in files.iter().filter(|file| file.is_rust()) {
        found.extend(rules::check(file));
    }
    found.extend(pages::check(&files, &pages::exists_in(&root)));
    if found.is_empty() {
        println!("{} files are tidy", files.len());
        return Ok(());
    }
    for finding in &found {
        println!("{finding}");
    }
    Err(format!("{} findings", found.len()))
}
