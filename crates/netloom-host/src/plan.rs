//! What a process should do, before anybody has looked whether it can.

use std::fmt::{self, Write as _};
use std::ops::Range;

use netloom_base::{Complaint, Endpoint, Settings, Value};
use netloom_transport::cores::Sharing;

/// The services of one process, as somebody wrote them.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Threads that serve; `None`: as many as the machine has, one at first.
    pub threads: Option<usize>,
    /// How threads share what they serve, where somebody chose.
    pub runtime: Option<Sharing>,
    /// Where this process tells of itself: figures for Prometheus.
    pub admin: Vec<Written>,
    /// Proxies that have names, in order.
    pub proxies: Vec<ProxyPlan>,
    /// The services in order.
    pub services: Vec<ServicePlan>,
    /// The file it came from, if it came from one.
    pub source: Option<Source>,
}

/// A proxy, or several after each other, under one name.
#[derive(Debug, Clone, Default)]
pub struct ProxyPlan {
    /// The name, as `via=NAME` and `--via NAME` say it.
    pub name: String,
    /// What its table says.
    pub settings: Settings,
}

/// One service.
#[derive(Debug, Clone, Default)]
pub struct ServicePlan {
    /// Its name, unique in the plan.
    pub name: String,
    /// The kind: `echo`, `reply` …
    pub kind: Written,
    /// Where it listens. Each may be a set of ports.
    pub on: Vec<Written>,
    /// The settings of its kind.
    pub settings: Settings,
    /// Its limits.
    pub limits: Settings,
    /// Whether the kind was typed as a flag, `--KIND VALUE`, so that its main
    /// key has no flag of its own: complaints draw what was typed.
    pub kind_is_flag: bool,
}

/// A word and where it was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// The word.
    pub text: String,
    /// Where it stands in the file, in bytes, its quotes included.
    pub span: Option<Range<usize>>,
}

impl From<&str> for Written {
    fn from(text: &str) -> Self {
        Written {
            text: text.to_owned(),
            span: None,
        }
    }
}

/// A file's name and text, so that complaints can draw its lines.
#[derive(Debug, Clone)]
pub struct Source {
    /// The name as the person gave it.
    pub file: String,
    /// All of it.
    pub text: String,
}

impl Source {
    /// A complaint about a part of the file.
    pub fn complain(&self, span: Range<usize>, message: impl Into<String>) -> Complaint {
        Complaint::in_file(&self.file, &self.text, span, message)
    }

    /// Where `part` of the value written at `span` stands in the file. A value
    /// with escapes in it is pointed at as a whole.
    pub fn inside(&self, span: &Range<usize>, value: &str, part: &Range<usize>) -> Range<usize> {
        let inner = span.start + 1..span.end.saturating_sub(1);
        if self.text.get(inner.clone()) == Some(value) {
            inner.start + part.start..inner.start + part.end
        } else {
            span.clone()
        }
    }
}

/// Complaints in the order of the file's lines.
pub(crate) fn in_order(mut complaints: Vec<Complaint>) -> Vec<Complaint> {
    complaints.sort_by_key(|c| (c.place.as_ref().map(|place| place.line), c.span.start));
    complaints
}

/// The file that says the same, for `--print-config`.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(sharing) = self.runtime {
            writeln!(f, "runtime = \"{}\"\n", sharing.name())?;
        }
        if let Some(threads) = self.threads {
            writeln!(f, "threads = {threads}\n")?;
        }
        if !self.admin.is_empty() {
            let at: Vec<String> = self.admin.iter().map(|on| quoted(&on.text)).collect();
            writeln!(f, "admin = [{}]\n", at.join(", "))?;
        }
        for proxy in &self.proxies {
            writeln!(f, "[via.{}]", key(&proxy.name))?;
            for setting in proxy.settings.iter() {
                let value = without_passwords(&setting.value);
                writeln!(f, "{} = {}", key(&setting.key), toml_value(&value))?;
            }
            writeln!(f)?;
        }
        for (i, service) in self.services.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            writeln!(f, "[service.{}]", key(&service.name))?;
            writeln!(f, "kind = {}", quoted(&service.kind.text))?;
            let on: Vec<String> = service.on.iter().map(|on| quoted(&on.text)).collect();
            writeln!(f, "on = [{}]", on.join(", "))?;
            for setting in service.settings.iter() {
                writeln!(f, "{} = {}", key(&setting.key), toml_value(&setting.value))?;
            }
            if !service.limits.is_empty() {
                let limits: Vec<String> = service
                    .limits
                    .iter()
                    .map(|s| format!("{} = {}", key(&s.key), toml_value(&s.value)))
                    .collect();
                writeln!(f, "limits = {{ {} }}", limits.join(", "))?;
            }
        }
        Ok(())
    }
}

/// Addresses as they may be shown.
fn without_passwords(value: &Value) -> Value {
    match value {
        Value::Text(text) if text.contains('@') => match text.parse::<Endpoint>() {
            Ok(endpoint) => Value::Text(endpoint.to_string()),
            Err(_) => value.clone(),
        },
        Value::List(items) => Value::List(items.iter().map(without_passwords).collect()),
        other => other.clone(),
    }
}

fn key(name: &str) -> String {
    let bare = !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if bare { name.to_owned() } else { quoted(name) }
}

fn toml_value(value: &Value) -> String {
    match value {
        Value::Present => "true".to_owned(),
        Value::Bool(b) => b.to_string(),
        Value::Int(n) => n.to_string(),
        Value::Real(n) => format!("{n:?}"),
        Value::Text(text) => quoted(text),
        Value::Hidden(_) => quoted("(hidden)"),
        Value::List(items) => format!(
            "[{}]",
            items.iter().map(toml_value).collect::<Vec<_>>().join(", ")
        ),
    }
}

/// Text in quotes: literal ones when it has backslashes, as `reply` texts do.
fn quoted(text: &str) -> String {
    let plain = |c: char| !c.is_control();
    if text.contains('\\') && !text.contains('\'') && text.chars().all(plain) {
        return format!("'{text}'");
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => _ = write!(out, "\\u{:04x}", u32::from(c)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
