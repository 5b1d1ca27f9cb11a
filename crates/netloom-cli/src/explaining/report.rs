//! A report that can be shared: what was asked, on what system, what came of
//! it in words and as data, without secrets.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use netloom_base::{Diagnosis, Failure, Record, Stage, Story};

use super::redact;
use crate::contract::Stop;
use crate::view::{json_line, now};

/// The first line, by which a report of ours is known.
const TITLE: &str = "# Netloom report";

const HEAD: &str = "\
Taken out, and written as `***` or `~`: passwords and users, the values of queries, tokens,
`authorization` and `cookie`, what other programs were started with, and home folders.
Left in, because nothing can be explained without them: host names, also this host's, and
addresses, also private ones. What a server said is here too: read it before you share it.
";

/// Where a report goes.
pub(super) struct Report<'a>(&'a Path);

/// What was asked.
pub(super) struct Asked {
    /// The command line, without secrets.
    pub(super) command: String,
    /// The columns of what is told in words.
    pub(super) width: usize,
}

/// What can be reported.
pub(super) trait Told: Record {
    /// In words.
    fn words(&self, width: usize) -> String;
}

impl Told for Story {
    fn words(&self, width: usize) -> String {
        self.plain(width)
    }
}

impl Told for Diagnosis {
    fn words(&self, _: usize) -> String {
        self.to_string()
    }
}

impl<'a> Report<'a> {
    /// Looks whether a report may be written there, before anything is asked.
    pub(super) fn at(path: &'a Path) -> Result<Self, Stop> {
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.map_or(Ok(()), |folder| fs::read_dir(folder).map(drop));
        match folder.and_then(|()| may_replace(path)) {
            Ok(_) => Ok(Report(path)),
            Err(error) => Err(unwritten(path, error)),
        }
    }

    /// Writes it, whole or not at all.
    pub(super) fn write(&self, asked: &Asked, told: &impl Told) -> Result<(), Stop> {
        let text = text(asked, told);
        let written = put(self.0, &text);
        written.map_err(|error| unwritten(self.0, error))
    }
}

fn unwritten(path: &Path, error: io::Error) -> Stop {
    let path = path.display();
    if error.kind() == io::ErrorKind::AlreadyExists {
        return Stop::usage(format!(
            "--report {path}: a file is there that is no report of ours"
        ));
    }
    Failure::from_io(Stage::Create, error)
        .message(format!("the report {path} cannot be written"))
        .into()
}

/// Whether a report of ours is there. Anything else is left as it is.
fn may_replace(path: &Path) -> io::Result<bool> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let mut begin = [0; TITLE.len()];
    let ours = file.metadata()?.is_file() && file.read_exact(&mut begin).is_ok();
    if ours && begin == *TITLE.as_bytes() {
        Ok(true)
    } else {
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

/// Beside it under another name, for this user only, and then in its place.
fn put(path: &Path, text: &str) -> io::Result<()> {
    let mut name = path
        .file_name()
        .ok_or(io::ErrorKind::InvalidInput)?
        .to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = Part(path.with_file_name(name));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&part.0)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    if may_replace(path)? {
        return fs::rename(&part.0, path);
    }
    // A second name is only given where there is none: what came there since stays.
    match fs::hard_link(&part.0, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => fs::rename(&part.0, path),
        linked => linked,
    }
}

/// A file that is removed when it is not needed any more.
struct Part(PathBuf);

impl Drop for Part {
    fn drop(&mut self) {
        // After a rename there is none.
        let _ = fs::remove_file(&self.0);
    }
}

fn text(asked: &Asked, told: &impl Told) -> String {
    let words = told.words(asked.width);
    let data = json_line(told, now());
    let mut text = format!("{TITLE}\n\n{HEAD}\n");
    for (name, value) in [
        ("asked", format!("`{}`", asked.command)),
        ("at", now().to_string()),
        ("netloom", env!("CARGO_PKG_VERSION").to_owned()),
        ("system", redact::text(&system())),
    ] {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "- {name}: {value}");
    }
    let _ = write!(
        text,
        "\n## In words\n\n{}\n## As data\n\n{}",
        fenced("text", &words),
        fenced("json", &data)
    );
    text
}

/// A block whose fence is longer than any in it.
fn fenced(language: &str, text: &str) -> String {
    let runs = text.split(|c| c != '`').map(str::len);
    let fence = "`".repeat(runs.max().unwrap_or(0).max(2) + 1);
    format!("{fence}{language}\n{text}\n{fence}\n")
}

/// The kernel, the processor and the system, as far as they say who they are.
fn system() -> String {
    let line = |path: &str| fs::read_to_string(path).map(|text| text.trim().to_owned());
    let kernel = match (
        line("/proc/sys/kernel/ostype"),
        line("/proc/sys/kernel/osrelease"),
    ) {
        (Ok(name), Ok(release)) => format!("{name} {release}"),
        _ => std::env::consts::OS.to_owned(),
    };
    let release = line("/etc/os-release").unwrap_or_default();
    let pretty = release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let pretty = pretty
        .map(|name| format!(", {}", name.trim_matches('"')))
        .unwrap_or_default();
    format!("{kernel}, {}{pretty}", std::env::consts::ARCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("netloom-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Folder(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn report(path: &Path) -> Result<(), Stop> {
        let asked = Asked {
            command: "netloom explain tcp://h:1".to_owned(),
            width: 80,
        };
        Report::at(path)?.write(&asked, &Story::default())
    }

    #[test]
    fn a_report_is_written_whole_and_again_and_never_over_something_else() {
        let folder = Folder::new("report");
        let path = folder.0.join("report.md");
        for _ in 0..2 {
            assert!(report(&path).is_ok());
            let text = fs::read_to_string(&path).unwrap();
            assert!(
                text.starts_with(TITLE) && text.contains("\n```json\n{\"kind\":\"story\""),
                "{text}"
            );
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        let other = folder.0.join("other.md");
        fs::write(&other, "# Diary").unwrap();
        assert!(
            matches!(report(&other), Err(Stop::Failed(failure)) if failure.stage() == Stage::Parse)
        );
        assert_eq!(fs::read_to_string(&other).unwrap(), "# Diary");
        assert!(matches!(report(&folder.0), Err(Stop::Failed(_))));
        assert!(Report::at(&folder.0.join("no").join("folder")).is_err());
        assert_eq!(
            fs::read_dir(&folder.0).unwrap().count(),
            2,
            "a part was left over"
        );
    }

    #[test]
    fn no_text_closes_its_own_fence() {
        assert_eq!(fenced("text", "a"), "```text\na\n```\n");
        assert_eq!(fenced("text", "```"), "````text\n```\n````\n");
    }
}
