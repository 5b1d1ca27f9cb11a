//! Why something failed: data first, the same for every face.
//!
//! The explain floor makes a [`Diagnosis`] from a failure and its evidence;
//! here is only its shape and its plain text.

use std::fmt;

use crate::event::{Fields, Record};
use crate::failure::{Code, Stage, Step};

/// Why a conversation failed.
///
/// `Display` writes the plain form, without colour:
///
/// ```text
/// error[connect.refused.no-listener]: tcp://127.0.0.1:1: nothing listens on that port
///   stage     parse ok · connect failed (ECONNREFUSED)
///   evidence  tried 127.0.0.1:1                                    (connect)
///   cause     no program listens there                             likely
///   fix       start one:  netloom listen tcp://127.0.0.1:1 --echo
///   more      netloom explain connect.refused.no-listener
/// ```
#[derive(Debug, Clone)]
pub struct Diagnosis {
    /// The stable code.
    pub code: Code,
    /// The service it happened to; none in a verb that talks.
    pub service: Option<String>,
    /// The stage that failed.
    pub stage: Stage,
    /// With whom, as it was written.
    pub endpoint: Option<String>,
    /// What could not be done, in one sentence.
    pub summary: String,
    /// The kernel's answer, by name.
    pub errno: Option<String>,
    /// What a person wrote, drawn with a caret under the wrong part.
    pub drawing: Option<String>,
    /// The steps before it.
    pub steps: Vec<Step>,
    /// What is known, each with its source.
    pub evidence: Vec<Evidence>,
    /// Why it may have happened, most likely first.
    pub causes: Vec<Cause>,
    /// What to do, best first.
    pub fixes: Vec<Fix>,
    /// What could not be looked at, and what that needs.
    pub unchecked: Vec<Unchecked>,
}

/// One thing known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The fact.
    pub fact: String,
    /// The system call, file or program that said it.
    pub source: String,
}

/// One possible cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// The cause.
    pub text: String,
    /// How sure that is.
    pub verdict: Verdict,
    /// What decided it; empty when nothing did.
    pub because: String,
}

/// How sure a cause is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The evidence excludes the others.
    Confirmed,
    /// Nothing speaks against it and something for it.
    Likely,
    /// It happens.
    Possible,
    /// The evidence excludes it.
    Refuted,
}

impl Verdict {
    /// The verdict's word.
    pub const fn name(self) -> &'static str {
        match self {
            Verdict::Confirmed => "confirmed",
            Verdict::Likely => "likely",
            Verdict::Possible => "possible",
            Verdict::Refuted => "refuted",
        }
    }
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    /// What it does.
    pub text: String,
    /// A command that can be pasted.
    pub command: Option<String>,
}

/// One thing that could not be checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unchecked {
    /// What.
    pub what: String,
    /// What it needs: a capability, root, the other end.
    pub needs: String,
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error[{}]: {}", self.code, self.summary)?;
        if let Some(service) = &self.service {
            write!(f, " ({service})")?;
        }
        if let Some(drawing) = &self.drawing {
            write!(f, "\n{drawing}")?;
        }
        let failed = match &self.errno {
            Some(errno) => format!("{} failed ({errno})", self.stage),
            None => format!("{} failed", self.stage),
        };
        if self.stage != Stage::Parse {
            let well = self.steps.iter().filter(|step| step.failed.is_none());
            // What the kernel refused was read and made before.
            let implied = match &self.errno {
                Some(_) => self.stage.implies(),
                None => &[],
            };
            let implied = implied.iter().copied();
            let mut passed: Vec<Stage> = implied.chain(well.map(|step| step.stage)).collect();
            passed.retain(|stage| *stage != self.stage);
            passed.sort_unstable();
            passed.dedup();
            let passed: Vec<&str> = passed.iter().map(|stage| stage.name()).collect();
            let passed = passed
                .iter()
                .fold(String::new(), |line, stage| line + stage + " ok · ");
            write!(f, "\n  stage     {passed}{failed}")?;
        }
        block(
            f,
            "evidence",
            self.evidence
                .iter()
                .map(|e| (e.fact.as_str(), format!("({})", e.source))),
        )?;
        block(
            f,
            "cause",
            self.causes
                .iter()
                .map(|c| (c.text.as_str(), c.verdict.name().to_owned())),
        )?;
        block(
            f,
            "fix",
            self.fixes.iter().map(|fix| match &fix.command {
                Some(command) => (fix.text.as_str(), command.clone()),
                None => (fix.text.as_str(), String::new()),
            }),
        )?;
        block(
            f,
            "unchecked",
            self.unchecked
                .iter()
                .map(|u| (u.what.as_str(), format!("(needs {})", u.needs))),
        )?;
        if self.stage != Stage::Parse {
            write!(f, "\n  more      netloom explain {}", self.code)?;
        }
        Ok(())
    }
}

/// Rows of a left column and an aligned right one under one heading.
fn block<'a>(
    f: &mut fmt::Formatter<'_>,
    heading: &str,
    rows: impl Iterator<Item = (&'a str, String)> + Clone,
) -> fmt::Result {
    const WIDEST: usize = 56;
    let width = rows
        .clone()
        .map(|(left, _)| left.chars().count())
        .filter(|w| *w <= WIDEST)
        .max()
        .unwrap_or(0);
    for (i, (left, right)) in rows.enumerate() {
        let heading = if i == 0 { heading } else { "" };
        let row = format!("  {heading:<9} {left:<width$}  {right}");
        write!(f, "\n{}", row.trim_end())?;
    }
    Ok(())
}

impl Record for Diagnosis {
    fn kind(&self) -> &'static str {
        "diagnosis"
    }

    fn fields(&self, to: &mut dyn Fields) {
        if let Some(service) = &self.service {
            to.text("service", service);
        }
        to.text("code", self.code.name());
        to.text("stage", self.stage.name());
        if let Some(endpoint) = &self.endpoint {
            to.text("endpoint", endpoint);
        }
        to.text("summary", &self.summary);
        if let Some(errno) = &self.errno {
            to.text("errno", errno);
        }
        if let Some(drawing) = &self.drawing {
            to.text("drawing", drawing);
        }
        to.records("steps", &records(&self.steps));
        to.records("evidence", &records(&self.evidence));
        to.records("causes", &records(&self.causes));
        to.records("fixes", &records(&self.fixes));
        to.records("unchecked", &records(&self.unchecked));
    }
}

fn records<T: Record>(items: &[T]) -> Vec<&dyn Record> {
    items.iter().map(|item| item as &dyn Record).collect()
}

impl Record for Evidence {
    fn kind(&self) -> &'static str {
        "evidence"
    }

    fn fields(&self, to: &mut dyn Fields) {
        to.text("fact", &self.fact);
        to.text("source", &self.source);
    }
}

impl Record for Cause {
    fn kind(&self) -> &'static str {
        "cause"
    }

    fn fields(&self, to: &mut dyn Fields) {
        to.text("text", &self.text);
        to.text("verdict", self.verdict.name());
        to.text("because", &self.because);
    }
}

impl Record for Fix {
    fn kind(&self) -> &'static str {
        "fix"
    }

    fn fields(&self, to: &mut dyn Fields) {
        to.text("text", &self.text);
        if let Some(command) = &self.command {
            to.text("command", command);
        }
    }
}

impl Record for Unchecked {
    fn kind(&self) -> &'static str {
        "unchecked"
    }

    fn fields(&self, to: &mut dyn Fields) {
        to.text("what", &self.what);
        to.text("needs", &self.needs);
    }
}
