//! What a change touched, and which areas that concerns.

use crate::run::{command, read};

/// Paths changed against the parent commit and not yet committed; nothing
/// when there is no parent to ask (a first commit, a shallow clone).
pub(crate) fn changed() -> Option<Vec<String>> {
    let lines = |args: &[&str]| {
        read(command("git").args(args))
            .ok()
            .map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
    };
    let mut paths = lines(&["diff", "--name-only", "HEAD~1"])?;
    paths.extend(lines(&["ls-files", "--others", "--exclude-standard"])?);
    Some(paths)
}

/// Whether any of `paths` is in one of `rooms`, which are folders or files.
pub(crate) fn touches(paths: &[String], rooms: &[&str]) -> bool {
    paths
        .iter()
        .any(|path| rooms.iter().any(|room| path.starts_with(room)))
}

#[cfg(test)]
mod tests {
    use super::touches;

    #[test]
    fn a_path_inside_a_room_touches_it() {
        let paths = ["crates/netloom-protocol/src/raw/mod.rs".to_owned()];
        assert!(touches(
            &paths,
            &["docs/", "crates/netloom-protocol/src/raw/"]
        ));
        assert!(!touches(&paths, &["crates/netloom-protocol/src/http/"]));
        assert!(!touches(&[], &["crates/"]));
    }
}
