//! `prove`: what takes long to show. A proof that holds is written, with its
//! date and machine, into `docs/book/src/proofs.md`.

mod chat;
mod idle;
mod lab;
mod soak;

use crate::Outcome;
use crate::bench::{machine_line, release_netloom};
use crate::options::Options;
use crate::run::root;
use std::fs;
use std::path::PathBuf;

const PAGE: &str = "docs/book/src/proofs.md";
const HEAD: &str = "# Proofs\n\nWhat takes long to show, and when it last held. \
                    `cargo xtask prove AREA` writes its own section.\n";

/// What a proof is given.
struct Proof {
    /// A binary to prove it with; without one it is built.
    netloom: Option<PathBuf>,
    minutes: f64,
}

impl Proof {
    fn netloom(&self) -> Outcome<PathBuf> {
        self.netloom.clone().map_or_else(release_netloom, Ok)
    }
}

/// Runs, and gives the text of its section.
type Run = fn(&Proof) -> Outcome<String>;

const PROOFS: &[(&str, Run)] = &[
    ("idle", idle::prove),
    ("lab", lab::prove),
    ("soak", soak::prove),
    ("chat", chat::prove),
];

pub(crate) fn verb(args: Vec<String>) -> Outcome {
    let mut options = Options::new(args);
    let minutes = options.value("--minutes")?.unwrap_or(10.0);
    let netloom = options.value::<PathBuf>("--netloom")?;
    let words = options.words()?;
    let names: Vec<&str> = PROOFS.iter().map(|(name, _)| *name).collect();
    let [name] = words.as_slice() else {
        return Err(format!("which area? {}", names.join(", ")));
    };
    let (_, run) = PROOFS
        .iter()
        .find(|(known, _)| known == name)
        .ok_or_else(|| format!("there is no area {name}: {}", names.join(", ")))?;
    let proof = Proof { netloom, minutes };
    let told = run(&proof)?;
    println!("{told}");
    let section = format!("## {name}\n\n{}\n\n{told}\n", machine_line());
    let path = root().join(PAGE);
    let page = fs::read_to_string(&path).unwrap_or_else(|_| HEAD.to_owned());
    fs::write(&path, with_section(&page, name, &section)).map_err(|e| format!("{PAGE}: {e}"))
}

/// The page with the section `name` replaced, or added at its end.
fn with_section(page: &str, name: &str, section: &str) -> String {
    let heading = format!("## {name}\n");
    let Some(from) = page.find(&heading) else {
        return format!("{}\n\n{section}", page.trim_end());
    };
    let after = from + heading.len();
    let to = page[after..]
        .find("\n## ")
        .map_or(page.len(), |next| after + next + 1);
    let rest = &page[to..];
    let gap = if rest.is_empty() { "" } else { "\n" };
    format!("{}{section}{gap}{rest}", &page[..from])
}

#[cfg(test)]
mod tests {
    use super::with_section;

    #[test]
    fn a_section_is_added_and_then_replaced() {
        let page = "# Proofs\n";
        let one = with_section(page, "idle", "## idle\n\nold\n");
        assert_eq!(one, "# Proofs\n\n## idle\n\nold\n");
        let two = with_section(&one, "raw", "## raw\n\nx\n");
        assert_eq!(
            with_section(&two, "idle", "## idle\n\nnew\n"),
            "# Proofs\n\n## idle\n\nnew\n\n## raw\n\nx\n"
        );
        assert_eq!(
            with_section(&two, "raw", "## raw\n\ny\n"),
            two.replace('x', "y")
        );
    }
}
