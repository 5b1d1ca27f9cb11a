//! The project's own files.

use std::fs;
use std::path::{Path, PathBuf};

/// Directories that hold what was made, not written.
const MADE: &[&str] = &[
    "target",
    ".git",
    "node_modules",
    "__pycache__",
    "fuzz/corpus",
    "fuzz/artifacts",
    "docs/book/book",
];

/// One text file: its path from the root with `/`, and its text.
pub(super) struct File {
    pub(super) path: String,
    pub(super) text: String,
}

impl File {
    pub(super) fn is_rust(&self) -> bool {
        has_extension(&self.path, "rs")
    }

    /// Whether it is Markdown.
    pub(super) fn is_page(&self) -> bool {
        has_extension(&self.path, "md")
    }

    /// The name after the last `/`.
    pub(super) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

/// All `.rs` and `.md` files, sorted by path.
pub(super) fn all(root: &Path) -> Vec<File> {
    let mut found = Vec::new();
    walk(root, root, &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn walk(root: &Path, dir: &Path, found: &mut Vec<File>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let full = entry.path();
        let path = relative(root, &full);
        let name = path.rsplit('/').next().unwrap_or_default();
        if full.is_dir() {
            if !MADE.iter().any(|made| path == *made || name == *made) {
                walk(root, &full, found);
            }
        } else if (has_extension(&path, "rs") || has_extension(&path, "md"))
            && let Ok(text) = fs::read_to_string(&full)
        {
            found.push(File { path, text });
        }
    }
}

fn has_extension(path: &str, wanted: &str) -> bool {
    Path::new(path).extension().is_some_and(|ext| ext == wanted)
}

fn relative(root: &Path, full: &Path) -> String {
    let path: PathBuf = full.strip_prefix(root).unwrap_or(full).to_path_buf();
    path.to_string_lossy().replace('\\', "/")
}
