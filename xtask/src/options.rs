//! `--name value` options and the plain words between them.

use crate::Outcome;
use std::str::FromStr;

/// The arguments of one chore, taken out one by one; what is left over is an
/// error.
pub(crate) struct Options(Vec<String>);

impl Options {
    pub(crate) fn new(args: Vec<String>) -> Self {
        Self(args)
    }

    /// Whether `--name` is there.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let at = self.0.iter().position(|arg| arg == name);
        if let Some(at) = at {
            self.0.remove(at);
        }
        at.is_some()
    }

    /// The value after `--name`, or after `--name=`.
    pub(crate) fn value<T: FromStr>(&mut self, name: &str) -> Outcome<Option<T>> {
        let Some(at) = self
            .0
            .iter()
            .position(|arg| arg.strip_prefix(name).is_some_and(starts_value))
        else {
            return Ok(None);
        };
        let word = self.0.remove(at);
        let value = match word.split_once('=') {
            Some((_, value)) => value.to_owned(),
            None if at < self.0.len() => self.0.remove(at),
            None => return Err(format!("{name} takes a value")),
        };
        value
            .parse()
            .map(Some)
            .map_err(|_| format!("{name} does not take {value:?}"))
    }

    /// The plain words; anything else that is left is unknown.
    pub(crate) fn words(self) -> Outcome<Vec<String>> {
        match self.0.iter().find(|arg| arg.starts_with('-')) {
            Some(unknown) => Err(format!("unknown option {unknown}")),
            None => Ok(self.0),
        }
    }
}

fn starts_value(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with('=')
}

#[cfg(test)]
mod tests {
    use super::Options;

    fn options(line: &str) -> Options {
        Options::new(line.split_whitespace().map(str::to_owned).collect())
    }

    #[test]
    fn values_and_flags_are_taken_out_and_words_stay() {
        let mut given = options("echo --rounds 9 --check --only=c,tokio more");
        assert_eq!(given.value("--rounds"), Ok(Some(9)));
        assert_eq!(given.value("--only"), Ok(Some("c,tokio".to_owned())));
        assert!(given.flag("--check"));
        assert!(!given.flag("--check"));
        assert_eq!(
            given.words(),
            Ok(vec!["echo".to_owned(), "more".to_owned()])
        );
    }

    #[test]
    fn what_nobody_took_is_refused() {
        assert_eq!(
            options("echo --round 9").words(),
            Err("unknown option --round".to_owned())
        );
        assert_eq!(
            options("--rounds").value::<u32>("--rounds"),
            Err("--rounds takes a value".to_owned())
        );
        assert!(options("--rounds x").value::<u32>("--rounds").is_err());
    }
}
