//! Figures as text that Prometheus reads (exposition format, version 0.0.4).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use netloom_protocol::{Figure, Measures};

/// What the text is, for whoever asks over HTTP.
pub(super) const TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Figures in families: the format wants the samples of one name together.
#[derive(Default)]
pub(super) struct Text {
    families: BTreeMap<&'static str, Family>,
}

struct Family {
    help: &'static str,
    sort: &'static str,
    samples: String,
}

impl Text {
    /// All of it.
    pub(super) fn finish(self) -> String {
        let mut text = String::new();
        for (name, family) in self.families {
            let Family {
                help,
                sort,
                samples,
            } = family;
            let _ = write!(
                text,
                "# HELP {name} {help}\n# TYPE {name} {sort}\n{samples}"
            );
        }
        text
    }

    /// A figure that only grows and is no whole number.
    pub(super) fn growing(&mut self, name: &'static str, help: &'static str, value: f64) {
        self.sample((name, help, "counter"), &[], &format!("{value:?}"));
    }

    fn sample(
        &mut self,
        (name, help, sort): (&'static str, &'static str, &'static str),
        labels: &[(&str, &str)],
        value: &str,
    ) {
        let family = self.families.entry(name).or_insert_with(|| Family {
            help,
            sort,
            samples: String::new(),
        });
        let out = &mut family.samples;
        out.push_str(name);
        for (i, (label, of)) in labels.iter().enumerate() {
            let _ = write!(out, "{}{label}=\"", if i == 0 { '{' } else { ',' });
            for c in of.chars() {
                match c {
                    '\\' => out.push_str("\\\\"),
                    '"' => out.push_str("\\\""),
                    '\n' => out.push_str("\\n"),
                    c => out.push(c),
                }
            }
            out.push('"');
        }
        if !labels.is_empty() {
            out.push('}');
        }
        let _ = writeln!(out, " {value}");
    }
}

impl Measures for Text {
    fn figure(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
        figure: Figure,
    ) {
        let (sort, value) = match figure {
            Figure::Counter(value) => ("counter", value.to_string()),
            Figure::Gauge(value) => ("gauge", format!("{value:?}")),
        };
        self.sample((name, help, sort), labels, &value);
    }
}

#[cfg(test)]
mod tests {
    use netloom_protocol::Labelled;

    use super::*;

    #[test]
    fn the_samples_of_a_name_stand_together_under_its_sentence() {
        let mut text = Text::default();
        text.gauge("b", "how much", &[], 0.5);
        text.counter("a_total", "how many", &[("service", "one")], 1);
        text.gauge("b", "how much", &[("core", "1")], 2.0);
        let mut two = Labelled {
            labels: &[("service", "two")],
            to: &mut text,
        };
        two.counter("a_total", "how many", &[("code", "recv.reset")], 3);
        let expected = "\
            # HELP a_total how many\n# TYPE a_total counter\n\
            a_total{service=\"one\"} 1\n\
            a_total{service=\"two\",code=\"recv.reset\"} 3\n\
            # HELP b how much\n# TYPE b gauge\n\
            b 0.5\nb{core=\"1\"} 2.0\n";
        assert_eq!(text.finish(), expected);
    }

    #[test]
    fn a_label_cannot_end_its_line() {
        let mut text = Text::default();
        text.counter("a_total", "how many", &[("name", "x\"} 1\n\\y")], 1);
        let samples = r#"a_total{name="x\"} 1\n\\y"} 1"#;
        assert!(text.finish().ends_with(&format!("{samples}\n")));
    }
}
