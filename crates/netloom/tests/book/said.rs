//! Whether what was said is what was wanted, where `…` stands for anything.

const ANYTHING: &str = "…";

/// Compares line by line; a line `…` is any number of lines.
pub(crate) fn agrees(wanted: &[String], said: &[String]) -> bool {
    match wanted.split_first() {
        None => said.is_empty(),
        Some((line, rest)) if line == ANYTHING => {
            (0..=said.len()).any(|skip| agrees(rest, &said[skip..]))
        }
        Some((line, rest)) => said
            .split_first()
            .is_some_and(|(first, others)| line_agrees(line, first) && agrees(rest, others)),
    }
}

fn line_agrees(wanted: &str, said: &str) -> bool {
    let mut parts = wanted.split(ANYTHING);
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = said.trim_end().strip_prefix(first) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[test]
fn dots_stand_for_anything() {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let good = |wanted: &str, said: &str| agrees(&lines(wanted), &lines(said));
    assert!(good("a\n…\nd", "a\nb\nc\nd") && good("a\n…", "a") && good("", ""));
    assert!(good("{\"at\":\"…\",\"n\":…}", "{\"at\":\"now\",\"n\":12}"));
    assert!(!good("a", "a\nb") && !good("a\nb", "a") && !good("a…c", "ab") && !good("ab", "abc"));
}
