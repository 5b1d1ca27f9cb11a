//! What the pages must keep: links that lead somewhere, a book that lists all
//! its pages, and a README that says the same in both languages.

use super::Finding;
use super::files::File;
use std::path::Path;

const BOOK: &str = "docs/book/src/";
const READMES: [&str; 2] = ["README.md", "README.zh-CN.md"];
const CHANGELOG: &str = "CHANGELOG.md";

/// `exists` tells whether a path from the root is there.
pub(super) fn check(files: &[File], exists: &dyn Fn(&str) -> bool) -> Vec<Finding> {
    let pages: Vec<&File> = files.iter().filter(|file| file.is_page()).collect();
    let page = |path: &str| pages.iter().find(|page| page.path == path);
    let mut found = Vec::new();
    for needed in READMES.iter().chain(&[CHANGELOG]) {
        if page(needed).is_none() {
            found.push(Finding::new(needed, 0, "there is no such page".to_owned()));
        }
    }
    if let (Some(one), Some(other)) = (page(READMES[0]), page(READMES[1])) {
        found.extend(same(one, other));
    }
    for page in &pages {
        found.extend(dead_links(page, exists));
    }
    found.extend(unlisted(&pages));
    found.extend(not_in_the_catalogue(&pages));
    found
}

/// A page's text split: what is prose, what is code.
struct Parts<'a> {
    /// Line from 1, and the line.
    prose: Vec<(usize, &'a str)>,
    /// Each block with the line of its fence and its content.
    code: Vec<(usize, String)>,
}

fn parts(text: &str) -> Parts<'_> {
    let mut parts = Parts {
        prose: Vec::new(),
        code: Vec::new(),
    };
    let mut fence: Option<&str> = None;
    for (index, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        let marks = &trimmed[..trimmed.len() - trimmed.trim_start_matches('`').len()];
        match fence {
            None if marks.len() >= 3 => {
                fence = Some(marks);
                parts.code.push((index + 1, String::new()));
            }
            None => parts.prose.push((index + 1, line)),
            Some(open) if trimmed.trim_end() == open => fence = None,
            Some(_) => {
                if let Some((_, block)) = parts.code.last_mut() {
                    block.push_str(line);
                    block.push('\n');
                }
            }
        }
    }
    parts
}

fn same(one: &File, other: &File) -> Vec<Finding> {
    let (ours, theirs) = (parts(&one.text), parts(&other.text));
    let headings = |parts: &Parts| -> usize {
        let of_level = |line: &str| line.trim_start_matches('#').starts_with(' ');
        parts
            .prose
            .iter()
            .filter(|(_, line)| line.starts_with('#') && of_level(line))
            .count()
    };
    let mut found = Vec::new();
    let mut count = |what: &str, here: usize, there: usize| {
        if here != there {
            found.push(Finding::new(
                &other.path,
                0,
                format!("{there} {what}, {} has {here}", one.path),
            ));
        }
    };
    count("headings", headings(&ours), headings(&theirs));
    count("code blocks", ours.code.len(), theirs.code.len());
    for ((_, here), (line, there)) in ours.code.iter().zip(&theirs.code) {
        if here != there {
            found.push(Finding::new(
                &other.path,
                *line,
                format!("this code differs from {}", one.path),
            ));
        }
    }
    found
}

/// Targets of `[text](target)` and `[name]: target`, with their lines.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut links = Vec::new();
    for (number, line) in parts(text).prose {
        // What stands between backticks is no link: every second piece.
        for (index, piece) in line.split('`').enumerate() {
            if index % 2 == 0 || line.matches('`').count() % 2 == 1 {
                for (at, _) in piece.match_indices("](") {
                    let rest = &piece[at + 2..];
                    links.push((number, &rest[..rest.find(')').unwrap_or(rest.len())]));
                }
            }
        }
        // A link whose text is code: `[`text`](target)` splits before `](`.
        if let Some((name, target)) = line.split_once("]: ")
            && name.starts_with('[')
            && !name.starts_with("[^")
        {
            links.push((number, target));
        }
    }
    links
}

fn dead_links(page: &File, exists: &dyn Fn(&str) -> bool) -> Vec<Finding> {
    let dir = page.path.rsplit_once('/').map_or("", |(dir, _)| dir);
    links(&page.text)
        .into_iter()
        .filter_map(|(line, link)| {
            let target = link.split(['#', ' ']).next()?.trim_matches(['<', '>']);
            let elsewhere = target.is_empty() || target.contains(':');
            let here = join(dir, target);
            (!elsewhere && !here.is_some_and(|path| exists(&path))).then(|| {
                Finding::new(
                    &page.path,
                    line,
                    format!("the link to {target} leads nowhere"),
                )
            })
        })
        .collect()
}

/// `target` seen from `dir`, without `.` and `..`; nothing when it leaves the
/// project.
fn join(dir: &str, target: &str) -> Option<String> {
    let from = if target.starts_with('/') { "" } else { dir };
    let mut words: Vec<&str> = Vec::new();
    for word in from.split('/').chain(target.split('/')) {
        match word {
            "" | "." => {}
            ".." => drop(words.pop()?),
            word => words.push(word),
        }
    }
    Some(words.join("/"))
}

fn unlisted(pages: &[&File]) -> Vec<Finding> {
    let summary = format!("{BOOK}SUMMARY.md");
    let Some(list) = pages.iter().find(|page| page.path == summary) else {
        return Vec::new();
    };
    let listed: Vec<String> = links(&list.text)
        .into_iter()
        .filter_map(|(_, link)| join(BOOK.trim_end_matches('/'), link))
        .collect();
    pages
        .iter()
        .filter(|page| page.path.starts_with(BOOK) && page.path != summary)
        .filter(|page| !listed.contains(&page.path))
        .map(|page| {
            Finding::new(
                &page.path,
                0,
                "SUMMARY.md does not list this page".to_owned(),
            )
        })
        .collect()
}

/// Where the pages of failure codes stand, and the book's page that shows them.
const CODES: [(&str, &str); 2] = [
    (
        "crates/netloom-explain/pages/en/",
        "docs/book/src/catalogue.md",
    ),
    (
        "crates/netloom-explain/pages/zh/",
        "docs/book/src/catalogue.zh.md",
    ),
];

fn not_in_the_catalogue(pages: &[&File]) -> Vec<Finding> {
    let mut found = Vec::new();
    for (folder, catalogue) in CODES {
        let shown = pages.iter().find(|page| page.path == catalogue);
        let shown = shown.map_or("", |page| page.text.as_str());
        for page in pages.iter().filter(|page| page.path.starts_with(folder)) {
            if !shown.contains(&format!("{{{{#include ../../../{}}}}}", page.path)) {
                let message = format!("{catalogue} does not show this page");
                found.push(Finding::new(&page.path, 0, message));
            }
        }
    }
    found
}

/// Whether a path from `root` is there.
pub(super) fn exists_in(root: &Path) -> impl Fn(&str) -> bool {
    move |path| root.join(path).exists()
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::files::File;

    const CODE: &str = "```sh\ncargo build\n```\n";

    /// Findings for these pages, with a lawful rest.
    fn found(pages: &[(&str, &str)]) -> Vec<String> {
        let readme = format!("# A\n{CODE}[guide](docs/book/src/guide.md#top)\n");
        let readme_zh = format!("# 甲\n{CODE}");
        let lawful = [
            ("README.md", readme.as_str()),
            ("README.zh-CN.md", readme_zh.as_str()),
            ("CHANGELOG.md", "# Changes\n"),
            ("docs/book/src/SUMMARY.md", "- [guide](guide.md)\n"),
            (
                "docs/book/src/guide.md",
                "[up](../../../README.md) [out](https://example.org/x)\n",
            ),
        ];
        let mut files: Vec<File> = Vec::new();
        for (path, text) in pages.iter().chain(&lawful) {
            if files.iter().all(|file| file.path != *path) {
                files.push(File {
                    path: (*path).to_owned(),
                    text: (*text).to_owned(),
                });
            }
        }
        let paths: Vec<String> = files.iter().map(|file| file.path.clone()).collect();
        let exists = move |path: &str| paths.iter().any(|known| known == path);
        check(&files, &exists)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn the_page_of_a_code_is_in_the_catalogue() {
        let page = "crates/netloom-explain/pages/en/a.b.md";
        assert_eq!(
            found(&[(page, "# a.b\n")]),
            [format!(
                "{page}: docs/book/src/catalogue.md does not show this page"
            )]
        );
    }

    #[test]
    fn lawful_pages_have_no_findings() {
        assert_eq!(found(&[]), [""; 0]);
    }

    #[test]
    fn dead_links_are_found_and_code_is_not_read_for_links() {
        assert_eq!(
            found(&[(
                "docs/book/src/guide.md",
                "a\n[b](gone.md)\n```\n[c](gone.md)\n```\n`[d](gone.md)`"
            )]),
            ["docs/book/src/guide.md:2: the link to gone.md leads nowhere"]
        );
        for text in [
            "[`b`](gone.md)",
            "[b]: gone.md",
            "![b](../gone.png)",
            "[b](../../../../outside.md)",
            "`x` [b](gone.md) `y`",
        ] {
            assert_eq!(
                found(&[("docs/book/src/guide.md", text)]).len(),
                1,
                "{text}"
            );
        }
    }

    #[test]
    fn a_page_that_the_book_does_not_list() {
        assert_eq!(
            found(&[("docs/book/src/deep/lost.md", "")]),
            ["docs/book/src/deep/lost.md: SUMMARY.md does not list this page"]
        );
    }

    #[test]
    fn the_readmes_say_the_same() {
        assert_eq!(
            found(&[("README.zh-CN.md", "# 甲\n## 乙\n```sh\ncargo run\n```\n")]),
            [
                "README.zh-CN.md: 2 headings, README.md has 1",
                "README.zh-CN.md:3: this code differs from README.md",
            ]
        );
        assert_eq!(
            found(&[("README.zh-CN.md", "# 甲\n")]),
            ["README.zh-CN.md: 0 code blocks, README.md has 1"]
        );
    }

    #[test]
    fn pages_that_must_be_there() {
        let missing = check(&[], &|_| true);
        assert_eq!(missing.len(), 3);
    }
}
