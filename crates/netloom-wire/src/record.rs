//! Records as JSON Lines: `kind` first, then `at`, then the fields in order.

use netloom_base::{Fields, Record, Timestamp};

use crate::coding::Coding;

/// One record as one line, without its newline.
pub fn line(record: &(impl Record + ?Sized), at: Timestamp) -> String {
    let mut json = Json::default();
    json.text("kind", record.kind());
    json.text("at", &at.to_string());
    record.fields(&mut json);
    json.done()
}

#[derive(Default)]
struct Json(String);

impl Json {
    fn name(&mut self, name: &str) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        self.string(name);
        self.0.push(':');
    }

    fn string(&mut self, text: &str) {
        // Text always has a JSON form.
        self.0.push_str(&serde_json::Value::from(text).to_string());
    }

    fn done(mut self) -> String {
        if self.0.is_empty() {
            self.0.push('{');
        }
        self.0.push('}');
        self.0
    }
}

impl Fields for Json {
    fn text(&mut self, name: &'static str, value: &str) {
        self.name(name);
        self.string(value);
    }

    fn number(&mut self, name: &'static str, value: u64) {
        self.name(name);
        self.0.push_str(&value.to_string());
    }

    fn real(&mut self, name: &'static str, value: f64) {
        self.name(name);
        self.0.push_str(&serde_json::Value::from(value).to_string());
    }

    fn flag(&mut self, name: &'static str, value: bool) {
        self.name(name);
        self.0.push_str(if value { "true" } else { "false" });
    }

    fn texts(&mut self, name: &'static str, values: &[String]) {
        self.name(name);
        self.0
            .push_str(&serde_json::Value::from(values.to_vec()).to_string());
    }

    fn records(&mut self, name: &'static str, records: &[&dyn Record]) {
        self.name(name);
        self.0.push('[');
        for (i, record) in records.iter().enumerate() {
            if i > 0 {
                self.0.push(',');
            }
            let mut inner = Json::default();
            record.fields(&mut inner);
            self.0.push_str(&inner.done());
        }
        self.0.push(']');
    }

    fn bytes(&mut self, value: &[u8]) {
        let printable = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
        match std::str::from_utf8(value) {
            Ok(text) if text.chars().all(printable) => self.text("text", text),
            _ => self.text("base64", &Coding::Base64.show(value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Data(&'static [u8]);

    impl Record for Data {
        fn kind(&self) -> &'static str {
            "data"
        }

        fn fields(&self, to: &mut dyn Fields) {
            to.number("conn", 3);
            to.bytes(self.0);
            to.records("more", &[&Empty]);
        }
    }

    #[derive(Debug)]
    struct Empty;

    impl Record for Empty {
        fn kind(&self) -> &'static str {
            "empty"
        }

        fn fields(&self, _: &mut dyn Fields) {}
    }

    #[test]
    fn bytes_are_text_or_base64() {
        let at = Timestamp(0);
        let text = line(&Data(b"a \"b\"\n"), at);
        assert_eq!(
            text,
            r#"{"kind":"data","at":"1970-01-01T00:00:00.000000Z","conn":3,"text":"a \"b\"\n","more":[{}]}"#
        );
        assert!(line(&Data(b"\xff\x00"), at).contains(r#""base64":"/wA=""#));
    }
}
