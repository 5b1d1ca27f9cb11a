//! The paths that code names: `crate::a::b`, `use super::{c, d::e}`.

use super::source::{Token, closing};

/// One path: its words, and where it starts.
#[derive(Debug, PartialEq)]
pub(super) struct Path<'a> {
    pub(super) words: Vec<&'a str>,
    pub(super) at: usize,
}

/// All paths that begin with `crate`, `self` or `super`, groups spread out.
pub(super) fn rooted<'a>(tokens: &[Token<'a>]) -> Vec<Path<'a>> {
    let mut found = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let inside = index > 0 && tokens[index - 1].text == "::";
        if matches!(token.text, "crate" | "self" | "super") && !inside {
            spread(tokens, index, &[], &mut found);
        }
    }
    found
}

/// The paths of every `use`, whatever they begin with, with the name each
/// brings: `use a::{b, c as d}` brings `a::b` as `b` and `a::c` as `d`.
pub(super) fn uses<'a>(tokens: &[Token<'a>]) -> Vec<(Path<'a>, &'a str)> {
    let mut found = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        if token.text == "use" {
            spread(tokens, index + 1, &[], &mut found);
        }
    }
    found
        .into_iter()
        .filter_map(|mut path| {
            let name = path.words.last().copied()?;
            // `a as b` was read as the words a, as, b.
            if let [.., "as", _] = path.words.as_slice() {
                path.words.truncate(path.words.len() - 2);
            }
            // `a::{self}` brings `a`.
            if name == "self" {
                path.words.pop();
                let name = path.words.last().copied()?;
                return Some((path, name));
            }
            Some((path, name))
        })
        .collect()
}

fn spread<'a>(tokens: &[Token<'a>], from: usize, before: &[&'a str], found: &mut Vec<Path<'a>>) {
    let Some(first) = tokens.get(from) else {
        return;
    };
    let mut words = before.to_vec();
    let mut at = from;
    while let Some(token) = tokens.get(at) {
        match token.text {
            "::" => {}
            "{" if at == from || tokens[at - 1].text == "::" => {
                let end = closing(tokens, at);
                let mut start = at + 1;
                let mut inner = start;
                while inner <= end && inner < tokens.len() {
                    match tokens[inner].text {
                        "{" => inner = closing(tokens, inner),
                        "," | "}" if inner == end || tokens[inner].text == "," => {
                            if inner > start {
                                spread(tokens, start, &words, found);
                            }
                            start = inner + 1;
                        }
                        _ => {}
                    }
                    inner += 1;
                }
                return;
            }
            word if is_word(word) && (at == from || joins(tokens, at)) => words.push(word),
            _ => break,
        }
        at += 1;
    }
    if words.len() > before.len() {
        found.push(Path {
            words,
            at: first.at,
        });
    }
}

/// Whether the word at `at` goes on the path: after `::`, or as part of
/// `as NAME`.
fn joins(tokens: &[Token], at: usize) -> bool {
    tokens[at - 1].text == "::" || tokens[at].text == "as" || tokens[at - 1].text == "as"
}

fn is_word(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
}

/// What a path means inside the module `module`: its words from the crate's
/// root.
pub(super) fn resolve<'a>(path: &Path<'a>, module: &[&'a str]) -> Vec<&'a str> {
    let mut words = path.words.as_slice();
    let mut base = match words.first() {
        Some(&"crate") => Vec::new(),
        _ => module.to_vec(),
    };
    while let Some((first, rest)) = words.split_first() {
        match *first {
            "super" => {
                base.pop();
            }
            "crate" | "self" => {}
            _ => break,
        }
        words = rest;
    }
    base.extend(words);
    base
}

#[cfg(test)]
mod tests {
    use super::{resolve, rooted, uses};
    use crate::tidy::source::tokens;

    fn found(code: &str) -> Vec<String> {
        rooted(&tokens(code))
            .iter()
            .map(|path| path.words.join("::"))
            .collect()
    }

    #[test]
    fn groups_are_spread_out() {
        assert_eq!(
            found("use crate::{a::B, c::{d, E as F}, g}; fn x() -> crate::h::I { super::j() }"),
            [
                "crate::a::B",
                "crate::c::d",
                "crate::c::E::as::F",
                "crate::g",
                "crate::h::I",
                "super::j",
            ]
        );
        assert_eq!(found("use std::io; let x = other::crate_name::y;"), [""; 0]);
    }

    #[test]
    fn a_path_ends_where_it_ends() {
        assert_eq!(found("match crate::a { b => c }"), ["crate::a"]);
        assert_eq!(found("crate::a as u8 + 1"), ["crate::a::as::u8"]);
        assert_eq!(found("use crate::a::*;"), ["crate::a"]);
        assert_eq!(
            found("pub(in crate::a) fn f(&self, x: u8)"),
            ["crate::a", "self"]
        );
    }

    #[test]
    fn uses_tell_the_name_they_bring() {
        let code = "pub use a::{b, c as d, self}; use crate::e::F;";
        let tokens = tokens(code);
        let brought: Vec<_> = uses(&tokens)
            .into_iter()
            .map(|(path, name)| (path.words.join("::"), name))
            .collect();
        let expected = [
            ("a::b", "b"),
            ("a::c", "d"),
            ("a", "a"),
            ("crate::e::F", "F"),
        ];
        assert_eq!(
            brought,
            expected.map(|(path, name)| (path.to_owned(), name))
        );
    }

    #[test]
    fn paths_are_resolved_from_their_module() {
        let tokens = tokens("super::super::ftp::x; self::y; crate::z");
        let resolved: Vec<_> = rooted(&tokens)
            .iter()
            .map(|path| resolve(path, &["http", "parse"]).join("::"))
            .collect();
        assert_eq!(resolved, ["ftp::x", "http::parse::y", "z"]);
    }
}
