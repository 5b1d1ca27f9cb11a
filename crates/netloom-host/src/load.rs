//! Reading a plan from TOML, with every mistake told at once.
//!
//! ```toml
//! threads = 2                       # optional
//! admin = "tcp://:9901"             # optional: figures for Prometheus at /metrics
//!
//! [service.hello]                   # one table for each service
//! kind = "reply"                    # what it does: netloom serve --help
//! on = ["tcp://:7008", "unix:/tmp/hello.sock"]
//! text = 'hello\r\n'                # the settings of its kind
//! limits = { max-conns = 100, idle = "5m" }
//!
//! [via.office]                      # a proxy, called so in `via=office`
//! url = "socks5://proxy.example:1080"
//! ```

use std::ops::Range;

use netloom_base::complaint::nearest;
use netloom_base::settings::Setting;
use netloom_base::{Complaint, Settings, Value};
use netloom_transport::Net;
use netloom_transport::cores::Sharing;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::check::{Prepared, check};
use crate::plan::{Plan, ProxyPlan, ServicePlan, Source, Written, in_order};
use crate::ways;

/// Files larger than this are refused: they are not written by people.
const LARGEST: usize = 1 << 20;

const TOP_KEYS: [&str; 5] = ["threads", "runtime", "admin", "via", "service"];

/// Reads the text of `file`, or says everything that cannot be read in it.
pub fn load(file: &str, text: &str) -> Result<Plan, Vec<Complaint>> {
    let (plan, complaints) = read(file, text);
    if complaints.is_empty() {
        Ok(plan)
    } else {
        Err(in_order(complaints))
    }
}

/// Reads the text of `file` and gives every word its meaning. What can be read
/// is checked, so that all mistakes, of both sorts, come in one answer.
pub fn load_and_check(
    file: &str,
    text: &str,
    net: &dyn Net,
) -> Result<(Plan, Vec<Prepared>), Vec<Complaint>> {
    let (plan, mut complaints) = read(file, text);
    match check(&plan, net) {
        Ok(prepared) if complaints.is_empty() => return Ok((plan, prepared)),
        Ok(_) => {}
        Err(more) => complaints.extend(more),
    }
    Err(in_order(complaints))
}

/// Reads the proxies that the text of `file` names, and nothing else of it.
pub fn load_proxies(file: &str, text: &str) -> Result<Vec<ProxyPlan>, Vec<Complaint>> {
    let source = Source {
        file: file.to_owned(),
        text: text.to_owned(),
    };
    let (table, mut reader) = Reader::begin(&source);
    let named = table.get_ref().get("via");
    let proxies = named.map_or_else(Vec::new, |named| reader.proxies(named));
    if reader.complaints.is_empty() {
        Ok(proxies)
    } else {
        Err(in_order(reader.complaints))
    }
}

/// What can be read, and what cannot. A service in which a word is missing is
/// left out: what it lacks would be complained of again.
fn read(file: &str, text: &str) -> (Plan, Vec<Complaint>) {
    if text.len() > LARGEST {
        let complaint = Complaint::new(
            file,
            0..file.len(),
            format!("the file is larger than {LARGEST} bytes"),
        );
        return (Plan::default(), vec![complaint]);
    }
    let source = Source {
        file: file.to_owned(),
        text: text.to_owned(),
    };
    let (table, mut reader) = Reader::begin(&source);
    let mut plan = reader.plan(table.get_ref());
    let Reader {
        complaints,
        incomplete,
        ..
    } = reader;
    plan.services
        .retain(|service| !incomplete.contains(&service.name));
    plan.source = Some(source);
    (plan, complaints)
}

struct Reader<'a> {
    source: &'a Source,
    complaints: Vec<Complaint>,
    /// The services of which a word is missing or could not be read.
    incomplete: Vec<String>,
}

impl<'a> Reader<'a> {
    /// What stands in the text, and a reader that has complained of its syntax.
    fn begin(source: &'a Source) -> (Spanned<DeTable<'a>>, Self) {
        let (table, syntax) = DeTable::parse_recoverable(&source.text);
        let mut reader = Reader {
            source,
            complaints: Vec::new(),
            incomplete: Vec::new(),
        };
        for error in syntax {
            let span = error.span().unwrap_or(0..0);
            reader.complain(span, error.message().to_lowercase());
        }
        (table, reader)
    }

    fn complain(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.complaints.push(self.source.complain(span, message));
    }

    fn plan(&mut self, table: &DeTable<'_>) -> Plan {
        let mut plan = Plan::default();
        for (key, value) in table {
            match (&**key.get_ref(), value.get_ref()) {
                ("threads", DeValue::Integer(n)) => match n.as_str().parse::<usize>() {
                    Ok(n) if (1..=1024).contains(&n) => plan.threads = Some(n),
                    _ => self.complain(
                        value.span(),
                        "a number of threads from 1 to 1024 is expected",
                    ),
                },
                ("threads", _) => self.complain(value.span(), "a number of threads is expected"),
                ("runtime", DeValue::String(name)) => {
                    plan.runtime = Sharing::ALL.into_iter().find(|way| way.name() == name);
                    if plan.runtime.is_none() {
                        self.complain(value.span(), "`cores` or `stealing` is expected");
                    }
                }
                ("runtime", _) => self.complain(value.span(), "`cores` or `stealing` is expected"),
                ("admin", _) => plan.admin = self.endpoints(value),
                ("via", _) => plan.proxies = self.proxies(value),
                ("service", DeValue::Table(services)) => {
                    for (name, service) in as_written(services) {
                        match service.get_ref() {
                            DeValue::Table(body) => plan.services.push(self.service(name, body)),
                            _ => self
                                .complain(service.span(), "a service is a table: [service.NAME]"),
                        }
                    }
                }
                ("service", _) => {
                    self.complain(value.span(), "services are tables: [service.NAME]");
                }
                (other, _) => {
                    let complaint = self
                        .source
                        .complain(key.span(), format!("no such key: `{other}`"));
                    self.complaints
                        .push(complaint.suggest(nearest(other, TOP_KEYS).map(str::to_owned)));
                }
            }
        }
        if plan.services.is_empty() && self.complaints.is_empty() {
            self.complain(
                0..0,
                "there is no service: write a [service.NAME] table with `kind` and `on`",
            );
        }
        plan
    }

    /// `[via.NAME]` tables.
    fn proxies(&mut self, named: &Spanned<DeValue<'_>>) -> Vec<ProxyPlan> {
        let DeValue::Table(tables) = named.get_ref() else {
            self.complain(named.span(), "proxies are tables: [via.NAME]");
            return Vec::new();
        };
        let mut proxies = Vec::new();
        for (name, table) in as_written(tables) {
            let DeValue::Table(body) = table.get_ref() else {
                self.complain(table.span(), "a proxy is a table: [via.NAME]");
                continue;
            };
            let entries = as_written(body);
            let read = entries.map(|(key, value)| self.setting(key, value));
            let read: Vec<Option<Setting>> = read.collect();
            // What is not there was complained of already.
            let Some(settings) = read.into_iter().collect::<Option<Settings>>() else {
                continue;
            };
            for error in ways::endpoints(&settings).err().unwrap_or_default() {
                let span = error.span.clone().unwrap_or_else(|| name.span());
                let complaint = self.source.complain(span, error.message);
                self.complaints.push(complaint.suggest(error.suggestion));
            }
            proxies.push(ProxyPlan {
                name: name.get_ref().to_string(),
                settings,
            });
        }
        proxies
    }

    fn service(
        &mut self,
        name: &Spanned<std::borrow::Cow<'_, str>>,
        body: &DeTable<'_>,
    ) -> ServicePlan {
        let mut service = ServicePlan {
            name: name.get_ref().to_string(),
            ..ServicePlan::default()
        };
        if name.get_ref().is_empty() || name.get_ref().chars().any(char::is_control) {
            self.complain(name.span(), "a service's name is printable text");
        }
        for (key, value) in as_written(body) {
            match (&**key.get_ref(), value.get_ref()) {
                ("kind", DeValue::String(kind)) => {
                    service.kind = Written {
                        text: kind.to_string(),
                        span: Some(value.span()),
                    };
                }
                ("kind", _) => self.complain(value.span(), "the name of a kind is expected"),
                ("on", _) => service.on.extend(self.endpoints(value)),
                ("limits", DeValue::Table(limits)) => {
                    for (key, value) in as_written(limits) {
                        match self.setting(key, value) {
                            Some(setting) => service.limits.extend([setting]),
                            None => self.incomplete.push(service.name.clone()),
                        }
                    }
                }
                ("limits", _) => self.complain(
                    value.span(),
                    "limits are a table: limits = { max-conns = 100 }",
                ),
                _ => match self.setting(key, value) {
                    Some(setting) => service.settings.extend([setting]),
                    None => self.incomplete.push(service.name.clone()),
                },
            }
        }
        if service.kind.span.is_none() {
            self.incomplete.push(service.name.clone());
        }
        if service.kind.text.is_empty() && !body.contains_key("kind") {
            self.complain(
                name.span(),
                format!("`kind` is missing in [service.{}]", service.name),
            );
        }
        if service.on.is_empty() && !body.contains_key("on") {
            self.complain(
                name.span(),
                format!("`on` is missing in [service.{}]", service.name),
            );
        }
        service
    }

    fn endpoints(&mut self, value: &Spanned<DeValue<'_>>) -> Vec<Written> {
        match value.get_ref() {
            DeValue::String(_) => self.endpoint(value).into_iter().collect(),
            DeValue::Array(list) => list.iter().filter_map(|item| self.endpoint(item)).collect(),
            _ => {
                let expected = "an endpoint or a list of endpoints is expected";
                self.complain(value.span(), expected);
                Vec::new()
            }
        }
    }

    fn endpoint(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Written> {
        if let DeValue::String(text) = value.get_ref() {
            return Some(Written {
                text: text.to_string(),
                span: Some(value.span()),
            });
        }
        self.complain(value.span(), "an endpoint in quotes is expected");
        None
    }

    /// A key and its value. The span is the value's, or the key's where the
    /// key itself may be unknown; errors of either point at the line.
    fn setting(
        &mut self,
        key: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) -> Option<Setting> {
        let read = self.value(value)?;
        let mut one = Settings::new();
        one.push(
            key.get_ref(),
            read,
            Some(key.span().start..value.span().end),
        );
        one.iter().next().cloned()
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Value> {
        Some(match value.get_ref() {
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Boolean(b) => Value::Bool(*b),
            DeValue::Integer(n) => {
                if let Ok(n) = i64::from_str_radix(n.as_str(), n.radix()) {
                    Value::Int(n)
                } else {
                    self.complain(value.span(), "the number does not fit 64 bits");
                    return None;
                }
            }
            DeValue::Float(n) => {
                if let Ok(n) = n.as_str().parse::<f64>() {
                    Value::Real(n)
                } else {
                    self.complain(value.span(), "this is not a number");
                    return None;
                }
            }
            DeValue::Array(items) => {
                Value::List(items.iter().filter_map(|item| self.value(item)).collect())
            }
            DeValue::Datetime(_) | DeValue::Table(_) => {
                self.complain(
                    value.span(),
                    "text, a number, true, false or a list is expected",
                );
                return None;
            }
        })
    }
}

/// The entries as they stand in the file: a table sorts them by name.
fn as_written<'a, 'i>(
    table: &'a DeTable<'i>,
) -> impl Iterator<
    Item = (
        &'a Spanned<std::borrow::Cow<'i, str>>,
        &'a Spanned<DeValue<'i>>,
    ),
> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries.into_iter()
}
