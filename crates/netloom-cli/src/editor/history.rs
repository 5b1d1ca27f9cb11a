//! What was typed before, kept from one run to the next.
//!
//! The file has one entry on each line, oldest first, `\` and line ends in it
//! as `\\` and `\n`. It belongs to its user alone (0600) and is added to as
//! lines are typed, so that several programs can have it open.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// The most entries that are remembered.
const MOST: usize = 1000;

/// The most bytes that the file may have before the oldest half is dropped.
const MOST_BYTES: u64 = 256 * 1024;

#[derive(Debug, Default)]
pub(crate) struct History {
    entries: VecDeque<String>,
    file: Option<PathBuf>,
}

impl History {
    /// What `file` remembers; without one, nothing is kept.
    pub(crate) fn open(file: Option<PathBuf>) -> Self {
        let mut history = History::default();
        let Some(path) = file else {
            return history;
        };
        if let Ok(text) = read(&path) {
            for line in text.lines() {
                history.remember(decoded(line));
            }
            if text.len() as u64 > MOST_BYTES / 2 || text.lines().count() > MOST * 2 {
                let _ = history.rewrite(&path); // a longer file is no worse than that
            }
        }
        history.file = Some(path);
        history
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The entry of that number, the oldest first.
    pub(crate) fn get(&self, number: usize) -> Option<&str> {
        self.entries.get(number).map(String::as_str)
    }

    /// The newest entry before `number` that has `text` in it.
    pub(crate) fn search(&self, text: &str, before: usize) -> Option<usize> {
        let before = before.min(self.entries.len());
        (0..before)
            .rev()
            .find(|at| self.entries[*at].contains(text))
    }

    /// Remembers what was typed, here and in the file; not what begins with a
    /// space, nor the same twice in a row.
    pub(crate) fn add(&mut self, entry: &str) {
        let again = self.entries.back().is_some_and(|last| last == entry);
        if again || entry.trim().is_empty() || entry.starts_with(' ') {
            return;
        }
        self.remember(entry.to_owned());
        if let Some(path) = &self.file {
            // A history that cannot be kept keeps nobody from talking.
            let _ = append(path, entry);
        }
    }

    fn remember(&mut self, entry: String) {
        if self.entries.len() == MOST {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
    }

    /// The newer half, in a new file that takes the old one's place.
    fn rewrite(&self, path: &Path) -> io::Result<()> {
        let (mut text, mut kept) = (String::new(), 0);
        for entry in self.entries.iter().rev() {
            kept += entry.len() as u64 + 1;
            if kept > MOST_BYTES / 4 {
                break;
            }
            text.insert_str(0, &(encoded(entry) + "\n"));
        }
        let beside = path.with_extension(format!("{}.new", std::process::id()));
        let written = private().create_new(true).write(true).open(&beside);
        let written = written.and_then(|mut file| file.write_all(text.as_bytes()));
        let done = written.and_then(|()| fs::rename(&beside, path));
        if done.is_err() {
            let _ = fs::remove_file(&beside);
        }
        done
    }
}

/// The folder for what programs remember between runs (XDG Base Directory).
pub(crate) fn file() -> Option<PathBuf> {
    let absolute = |name: &str| {
        let path = PathBuf::from(std::env::var_os(name)?);
        path.is_absolute().then_some(path)
    };
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
    Some(state?.join("netloom/history"))
}

fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    // Whoever wrote more than we would has its beginning read.
    fs::File::open(path)?
        .take(MOST_BYTES * 4)
        .read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn append(path: &Path, entry: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        private_folder(folder)?;
    }
    let mut file = private().create(true).append(true).open(path)?;
    if file.metadata()?.len() < MOST_BYTES {
        file.write_all((encoded(entry) + "\n").as_bytes())?;
    }
    Ok(())
}

/// Opens files that only their user may read.
pub(crate) fn private() -> fs::OpenOptions {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "the mode is what changes it"))]
    let mut options = fs::OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn private_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

fn encoded(entry: &str) -> String {
    entry
        .replace('\\', "\\\\")
        .replace('\n', "\\n")
        .replace('\r', "\\r")
}

fn decoded(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (_, true) => match chars.next() {
                Some('n') => text.push('\n'),
                Some('r') => text.push('\r'),
                Some(other) => text.push(other),
                None => text.push('\\'),
            },
            (c, _) => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_remembered_and_found() {
        let mut history = History::default();
        for entry in ["GET /", "GET /", " secret", "", "QUIT", "get\nmore"] {
            history.add(entry);
        }
        assert_eq!(history.len(), 3);
        assert_eq!(history.search("GET", 9), Some(0));
        assert_eq!(history.search("e", 2), None);
        assert_eq!(history.search("e", 9), Some(2));
    }

    #[test]
    fn a_long_file_is_cut_to_its_newer_part() {
        let folder = std::env::temp_dir().join(format!("nl-history-{}", std::process::id()));
        let path = folder.join("netloom/history");
        let mut history = History::open(Some(path.clone()));
        for i in 0..3000 {
            history.add(&format!("{i} {}", "x".repeat(100)));
        }
        assert!(fs::metadata(&path).unwrap().len() <= MOST_BYTES + 200);
        let again = History::open(Some(path.clone()));
        assert!(again.len() <= MOST);
        assert!(fs::metadata(&path).unwrap().len() <= MOST_BYTES / 4);
        let newest = again.get(again.len() - 1).unwrap().to_owned();
        let once_more = History::open(Some(path.clone()));
        assert_eq!(once_more.get(once_more.len() - 1), Some(newest.as_str()));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(&path), 0o600);
            assert_eq!(mode(path.parent().unwrap()), 0o700);
        }
        fs::remove_dir_all(folder).unwrap();
    }

    proptest! {
        #[test]
        fn an_entry_comes_back_from_its_line(entry in any::<String>()) {
            let line = encoded(&entry);
            prop_assert!(!line.contains('\n'));
            prop_assert_eq!(decoded(&line), entry);
        }
    }
}
