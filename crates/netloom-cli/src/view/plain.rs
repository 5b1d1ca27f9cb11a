//! Events as lines a person reads.

use netloom_base::Event;

/// The line for an event; `None` when this face does not show it.
pub(super) fn event(event: &Event, quiet: bool, verbose: bool, hints: bool) -> Option<String> {
    let of = |service: &str| {
        if service.is_empty() {
            String::new()
        } else {
            format!(" ({service})")
        }
    };
    let text = match event {
        Event::Failed {
            service,
            conn: None,
            failure,
        } => {
            return Some(format!(
                "error[{}]: {}{}",
                failure.code(),
                failure.summary(),
                of(service)
            ));
        }
        _ if quiet => return None,
        Event::Listening {
            service,
            endpoint,
            to,
            tool,
        } if hints => {
            let tool = tool
                .as_ref()
                .map_or_else(String::new, |tool| format!("   or   {tool}"));
            format!(
                "listening {endpoint}{}\n  try     netloom connect {endpoint}{tool}",
                leading(service, to.as_deref())
            )
        }
        Event::Listening {
            service,
            endpoint,
            to,
            ..
        } => format!("listening {endpoint}{}", leading(service, to.as_deref())),
        Event::Refused {
            service,
            count,
            limit,
        } => format!("refused {count} connections by {limit}{}", of(service)),
        Event::Lost(count) => format!("note: {count} events were not shown"),
        Event::Note(record) => {
            let mut line = Line::default();
            record.fields(&mut line);
            let whose = of(&line.service);
            match record.in_words() {
                Some(words) => format!("{words}{whose}"),
                None => format!("{}: {}{whose}", record.kind(), line.text),
            }
        }
        _ if !verbose => return None,
        Event::Opened {
            service,
            conn,
            peer,
        } => format!("conn {conn} opened from {peer}{}", of(service)),
        Event::Closed {
            service,
            conn,
            received,
            sent,
            lasted,
        } => format!(
            "conn {conn} closed after {:.3} s: {received} bytes received, {sent} sent{}",
            lasted.as_secs_f64(),
            of(service)
        ),
        Event::Failed {
            service,
            conn: Some(conn),
            failure,
        } => format!("conn {conn} failed: {failure}{}", of(service)),
        _ => return None,
    };
    Some(text)
}

/// Whose an address is, and where it leads.
fn leading(service: &str, to: Option<&str>) -> String {
    match (service, to) {
        ("", None) => String::new(),
        ("", Some(to)) => format!(" (to {to})"),
        (service, None) => format!(" ({service})"),
        (service, Some(to)) => format!(" ({service} to {to})"),
    }
}

/// A record's fields in one line; a text is shown alone, the rest with names,
/// and whose it is comes last, as in every line.
#[derive(Default)]
struct Line {
    text: String,
    service: String,
}

impl Line {
    fn put(&mut self, text: &str) {
        if !self.text.is_empty() {
            self.text.push_str(", ");
        }
        self.text.push_str(text);
    }
}

impl netloom_base::Fields for Line {
    fn text(&mut self, name: &'static str, value: &str) {
        match name {
            "text" => self.put(value),
            "service" => value.clone_into(&mut self.service),
            _ => self.put(&format!("{name} {value}")),
        }
    }

    fn number(&mut self, name: &'static str, value: u64) {
        self.put(&format!("{name} {value}"));
    }

    fn real(&mut self, name: &'static str, value: f64) {
        self.put(&format!("{name} {value}"));
    }

    fn flag(&mut self, name: &'static str, value: bool) {
        self.put(&format!("{name} {value}"));
    }

    fn texts(&mut self, name: &'static str, values: &[String]) {
        self.put(&format!("{name} {}", values.join(" ")));
    }

    fn records(&mut self, name: &'static str, records: &[&dyn netloom_base::Record]) {
        self.put(&format!("{} {name}", records.len()));
    }

    fn bytes(&mut self, value: &[u8]) {
        self.put(&value.escape_ascii().to_string());
    }
}
