//! The failure lab, run as this user and as one who may do nothing, and what
//! its situations have shown: see `record.rs` beside them.

use crate::Outcome;
use crate::run::{cargo, command, lines, read};
use crate::test::{Sums, result};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What is left of a user's rights: nothing.
const WITHOUT_RIGHTS: &[&str] = &[
    "setpriv",
    "--reuid",
    "65534",
    "--clear-groups",
    "--inh-caps=-all",
    "--bounding-set=-all",
];

/// Situations at once: each has a place of its own, and waits more than it computes.
const AT_ONCE: &str = "--test-threads=6";

/// As whom the lab runs.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Rights {
    /// As the user who started this.
    Own,
    /// As a user who may do nothing; only root can become one.
    None,
}

/// One run of the lab.
pub(crate) struct Ran {
    pub(crate) sums: Sums,
    pub(crate) took: Duration,
    pub(crate) record: Record,
}

/// Whether this is root.
pub(crate) fn is_root() -> Outcome<bool> {
    Ok(read(command("id").arg("-u"))?.trim() == "0")
}

/// Builds the lab, and says where it is.
pub(crate) fn build() -> Outcome<PathBuf> {
    let made = read(cargo().args([
        "test",
        "--quiet",
        "--package",
        "netloom-explain",
        "--test",
        "lab",
        "--no-run",
        "--message-format=json",
    ]))?;
    made.lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .ok_or_else(|| "cargo did not say where the lab is".to_owned())
}

/// Runs every situation, hands on each line it prints, and reads its record.
/// The second half says how it ended.
pub(crate) fn run(lab: &Path, rights: Rights, each: impl FnMut(&str)) -> Outcome<(Ran, Outcome)> {
    // The project's folder need not be open to everybody: a place of its own is.
    let folder = std::env::temp_dir().join(format!("netloom-lab-{}", std::process::id()));
    fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let ran = run_in(&folder, lab, rights, each);
    fs::remove_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    ran
}

fn run_in(
    folder: &Path,
    lab: &Path,
    rights: Rights,
    mut each: impl FnMut(&str),
) -> Outcome<(Ran, Outcome)> {
    let copy = folder.join("lab");
    fs::copy(lab, &copy).map_err(|e| format!("{}: {e}", lab.display()))?;
    let record = folder.join("record");
    let open = fs::create_dir(&record)
        .and_then(|()| fs::set_permissions(&record, fs::Permissions::from_mode(0o777)));
    open.map_err(|e| format!("{}: {e}", record.display()))?;

    let mut program = match rights {
        Rights::Own => command(&copy),
        Rights::None => {
            let mut program = command(WITHOUT_RIGHTS[0]);
            program.args(&WITHOUT_RIGHTS[1..]).arg(&copy);
            program
        }
    };
    program
        .arg(AT_ONCE)
        .current_dir(folder)
        .env("NETLOOM_LAB_RECORD", &record);
    let mut sums = Sums::default();
    let begun = Instant::now();
    let ended = lines(&mut program, |line| {
        each(line);
        if let Some(more) = result(line) {
            sums.passed += more.passed;
            sums.failed += more.failed;
        }
    });
    let took = begun.elapsed();
    let record = Record::read(&record)?;
    Ok((Ran { sums, took, record }, ended))
}

/// What was said of one failure.
#[derive(Debug, PartialEq)]
pub(crate) struct Told {
    pub(crate) situation: String,
    pub(crate) code: String,
    pub(crate) took: Duration,
    /// Whether somebody's silence had to be waited for.
    pub(crate) silence: bool,
}

/// What the situations of one run have shown.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Record {
    pub(crate) told: Vec<Told>,
    /// Situation and code of what was noted on the way.
    noted: BTreeSet<(String, String)>,
    /// Situation and endpoint of which nothing was said.
    pub(crate) quiet: BTreeSet<(String, String)>,
    /// Situation and why it was left out.
    pub(crate) skipped: BTreeSet<(String, String)>,
    /// Situations of a user who has root's rights in a namespace of their own.
    pub(crate) mapped: BTreeSet<String>,
    /// Code and situation, as the table of coverage has them.
    pub(crate) made: BTreeSet<(String, String)>,
}

impl Record {
    fn read(folder: &Path) -> Outcome<Record> {
        let mut record = Record::default();
        let problem = |e| format!("{}: {e}", folder.display());
        for entry in fs::read_dir(folder).map_err(problem)? {
            let text = fs::read_to_string(entry.map_err(problem)?.path()).map_err(problem)?;
            for line in text.lines() {
                record
                    .add(line)
                    .ok_or_else(|| format!("the lab's record has {line:?}"))?;
            }
        }
        Ok(record)
    }

    fn add(&mut self, line: &str) -> Option<()> {
        let fields: Vec<&str> = line.split('\t').collect();
        let [word, situation, what, rest @ ..] = &fields[..] else {
            return None;
        };
        let (situation, what) = ((*situation).to_owned(), (*what).to_owned());
        match (*word, rest) {
            ("told", [micros, waits]) => self.told.push(Told {
                situation,
                code: what,
                took: Duration::from_micros(micros.parse().ok()?),
                silence: *waits == "silence",
            }),
            ("noted", []) => drop(self.noted.insert((situation, what))),
            ("quiet", []) => drop(self.quiet.insert((situation, what))),
            ("skipped", []) => drop(self.skipped.insert((situation, what))),
            ("mapped", []) => drop(self.mapped.insert(situation)),
            ("made", []) => drop(self.made.insert((what, situation))),
            _ => return None,
        }
        Some(())
    }

    /// Whether the situation's failure was told under this code, or noted.
    pub(crate) fn has(&self, code: &str, situation: &str) -> bool {
        let told = |told: &Told| told.code == code && told.situation == situation;
        self.told.iter().any(told)
            || self
                .noted
                .contains(&(situation.to_owned(), code.to_owned()))
    }

    /// How many situations, and how many of them were left out.
    pub(crate) fn skips(&self) -> String {
        match self.skipped.len() {
            0 => "no situation was skipped".to_owned(),
            n => {
                let each = self.skipped.iter();
                let each = each.map(|(situation, why)| format!("\n  {situation}: {why}"));
                format!("{n} skipped:{}", each.collect::<String>())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Record, Told};
    use std::time::Duration;

    #[test]
    fn a_record_is_read_line_by_line() {
        let mut record = Record::default();
        for line in [
            "told\ttls::late\ttls.expired\t1500\tprompt",
            "noted\tresolve::slow\tresolve.slow",
            "quiet\thealthy::one\ttcp://h:1",
            "skipped\tgreet::ftp\tno python",
            "mapped\tnetwork::far\tuser namespace",
            "made\ttls::late\ttls.expired",
        ] {
            assert_eq!(record.add(line), Some(()), "{line}");
        }
        for line in ["", "told\ta\tb", "told\ta\tb\tx\tprompt", "heard\ta\tb"] {
            assert_eq!(record.add(line), None, "{line}");
        }
        let told = Told {
            situation: "tls::late".to_owned(),
            code: "tls.expired".to_owned(),
            took: Duration::from_micros(1500),
            silence: false,
        };
        assert_eq!(record.told, [told]);
        assert!(record.has("tls.expired", "tls::late"));
        assert!(record.mapped.contains("network::far"));
        assert!(record.has("resolve.slow", "resolve::slow"));
        assert!(!record.has("tls.expired", "resolve::slow"));
        assert_eq!(record.skips(), "1 skipped:\n  greet::ftp: no python");
    }
}
