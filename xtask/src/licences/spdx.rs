//! SPDX licence expressions: `(MIT OR Apache-2.0) AND Unicode-3.0`.

/// An expression, read.
#[derive(Debug, PartialEq)]
pub(super) enum Licence {
    One(String),
    Any(Vec<Licence>),
    All(Vec<Licence>),
}

impl Licence {
    /// Reads an expression; `/`, as old manifests have it, is `OR`. What comes
    /// after `WITH` only adds permissions and is dropped.
    pub(super) fn parse(expression: &str) -> Result<Self, String> {
        let spaced = expression
            .replace('(', " ( ")
            .replace(')', " ) ")
            .replace('/', " OR ");
        let mut words: Vec<&str> = spaced.split_whitespace().rev().collect();
        let licence = any(&mut words)?;
        match words.pop() {
            None => Ok(licence),
            Some(rest) => Err(format!("{rest:?} is one word too many")),
        }
    }

    /// Whether a choice of licences exists that are all `fine`.
    pub(super) fn allowed(&self, fine: &impl Fn(&str) -> bool) -> bool {
        match self {
            Self::One(name) => fine(name),
            Self::Any(list) => list.iter().any(|one| one.allowed(fine)),
            Self::All(list) => list.iter().all(|one| one.allowed(fine)),
        }
    }
}

/// `AND` binds tighter than `OR`. The words stand in reverse.
fn any(words: &mut Vec<&str>) -> Result<Licence, String> {
    let mut list = vec![all(words)?];
    while words.pop_if(|word| *word == "OR").is_some() {
        list.push(all(words)?);
    }
    Ok(one_or(list, Licence::Any))
}

fn all(words: &mut Vec<&str>) -> Result<Licence, String> {
    let mut list = vec![one(words)?];
    while words.pop_if(|word| *word == "AND").is_some() {
        list.push(one(words)?);
    }
    Ok(one_or(list, Licence::All))
}

fn one(words: &mut Vec<&str>) -> Result<Licence, String> {
    match words.pop() {
        Some("(") => {
            let inner = any(words)?;
            match words.pop() {
                Some(")") => Ok(inner),
                _ => Err("a parenthesis is not closed".to_owned()),
            }
        }
        Some(word) if !matches!(word, ")" | "OR" | "AND" | "WITH") => {
            if words.pop_if(|word| *word == "WITH").is_some() {
                words.pop().ok_or("WITH what?")?;
            }
            Ok(Licence::One(word.to_owned()))
        }
        other => Err(format!("a licence is missing before {other:?}")),
    }
}

fn one_or(mut list: Vec<Licence>, many: fn(Vec<Licence>) -> Licence) -> Licence {
    if list.len() == 1 {
        list.remove(0)
    } else {
        many(list)
    }
}

#[cfg(test)]
mod tests {
    use super::Licence;

    fn allowed(expression: &str) -> bool {
        let fine = |name: &str| matches!(name, "MIT" | "Apache-2.0" | "ISC");
        Licence::parse(expression).is_ok_and(|licence| licence.allowed(&fine))
    }

    #[test]
    fn one_good_choice_is_enough_for_or_and_none_may_be_bad_for_and() {
        for good in [
            "MIT",
            "MIT OR GPL-3.0",
            "GPL-3.0 OR MIT",
            "MIT/GPL-3.0",
            "ISC AND (Apache-2.0 OR OpenSSL)",
            "Apache-2.0 WITH LLVM-exception OR GPL-3.0",
        ] {
            assert!(allowed(good), "{good}");
        }
        for bad in [
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "ISC AND (OpenSSL OR SSLeay)",
            "GPL-3.0 AND MIT OR OpenSSL",
        ] {
            assert!(!allowed(bad), "{bad}");
        }
    }

    #[test]
    fn and_binds_tighter_than_or() {
        assert!(allowed("MIT OR GPL-3.0 AND OpenSSL"));
        assert!(!allowed("(MIT OR GPL-3.0) AND OpenSSL"));
    }

    #[test]
    fn what_is_no_expression_allows_nothing() {
        for broken in [
            "", "MIT OR", "(MIT", "MIT)", "MIT MIT", "OR MIT", "MIT WITH",
        ] {
            assert!(!allowed(broken), "{broken}");
            assert!(Licence::parse(broken).is_err(), "{broken}");
        }
    }
}
