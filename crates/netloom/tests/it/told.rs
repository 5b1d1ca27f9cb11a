//! Reading what `--json` told, and holding every line to the contract.

use serde_json::Value;

/// One line: an object with `kind` first and then `at`, in RFC 3339 with
/// microseconds.
pub(crate) fn line(line: &str) -> Value {
    let value: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e} in: {line}"));
    let kind = value["kind"].as_str().unwrap_or_default();
    let at = value["at"].as_str().unwrap_or_default();
    let begin = format!(r#"{{"kind":"{kind}","at":"{at}""#);
    assert!(!kind.is_empty() && line.starts_with(&begin), "{line}");
    let shape: String = at
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000000Z", "{line}");
    value
}

/// All lines of a finished output.
pub(crate) fn lines(stdout: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(stdout).expect("JSON is UTF-8");
    assert!(text.is_empty() || text.ends_with('\n'), "{text}");
    text.lines().map(line).collect()
}

/// A field that is text.
pub(crate) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name]
        .as_str()
        .unwrap_or_else(|| panic!("no `{name}` in {value}"))
}

/// The kinds in order.
pub(crate) fn kinds(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| text(line, "kind")).collect()
}

/// The last words of a verb: one of the three, once, at the end.
pub(crate) fn one_end(lines: &[Value]) -> &Value {
    let is_end = |kind: &&str| matches!(*kind, "story" | "diagnosis" | "done");
    let kinds = kinds(lines);
    assert_eq!(
        kinds.iter().filter(|kind| is_end(kind)).count(),
        1,
        "{kinds:?}"
    );
    let last = lines.last().unwrap();
    assert!(is_end(&text(last, "kind")), "{kinds:?}");
    last
}
