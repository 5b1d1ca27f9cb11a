//! From a plan to services that can be started, or everything that is wrong.

use std::ops::Range;
use std::sync::Arc;

use netloom_app::{KINDS, ServiceKind, kind};
use netloom_base::complaint::nearest;
use netloom_base::failure::Fact;
use netloom_base::{
    Complaint, EndpointSet, Failure, Key, Limits, Role, SettingError, Settings, Stack, Value,
};
use netloom_protocol::{Answering, Offer, answering, keys as protocol_keys, misread};
use netloom_transport::Net;

use crate::plan::{Plan, ServicePlan, Source, Written, in_order};

/// A service that can be started.
pub struct Prepared {
    /// Its name.
    pub name: Arc<str>,
    /// Its kind's name.
    pub kind: &'static str,
    /// What it gives.
    pub offer: Offer,
    /// Where it listens, and what answers there.
    pub on: Vec<Place>,
    /// Its limits.
    pub limits: Limits,
}

/// One address of a service.
pub struct Place {
    /// Where it is.
    pub stack: Stack,
    /// What answers there.
    pub answering: Answering,
    /// Where it leads, when what comes is carried on.
    pub leads_to: Option<String>,
}

impl Place {
    /// What answers `offer` on `stack`, or why nothing can.
    pub(crate) fn of(
        stack: Stack,
        offer: &Offer,
        carried: &Settings,
    ) -> Result<Self, Vec<SettingError>> {
        Ok(Place {
            answering: answering(&stack, offer, carried)?,
            leads_to: offer.leads_to(),
            stack,
        })
    }
}

/// Gives every word of the plan its meaning. All mistakes come at once.
pub fn check(plan: &Plan, net: &dyn Net) -> Result<Vec<Prepared>, Vec<Complaint>> {
    let mut checker = Checker {
        source: plan.source.as_ref(),
        net,
        complaints: Vec::new(),
    };
    let prepared: Vec<Prepared> = plan
        .services
        .iter()
        .filter_map(|service| checker.service(service))
        .collect();
    if checker.complaints.is_empty() {
        Ok(prepared)
    } else {
        Err(in_order(checker.complaints))
    }
}

struct Checker<'a> {
    source: Option<&'a Source>,
    net: &'a dyn Net,
    complaints: Vec<Complaint>,
}

impl Checker<'_> {
    fn service(&mut self, service: &ServicePlan) -> Option<Prepared> {
        // What a protocol reads is not the kind's: `framing`, `max-message`.
        let mut own = service.settings.clone();
        let carried = own.take(&protocol_keys());
        let offer = self.offer(service, &own);
        let limits = self.limits(service);
        let sets: Vec<(&Written, Vec<Stack>)> =
            service.on.iter().map(|on| (on, self.stacks(on))).collect();
        let Some((kind, offer)) = offer else {
            self.settings(&misread(&carried), service);
            return None;
        };
        let mut on = Vec::new();
        let mut misset = Vec::new();
        for (written, stacks) in sets {
            let of = stacks.len();
            for (nth, stack) in stacks.into_iter().enumerate() {
                let offer = match offer.nth(nth, of) {
                    Ok(offer) => offer,
                    Err(message) => {
                        self.refuse(written, format!("`{}`: {message}", kind.name()));
                        break; // the others of the set fail alike
                    }
                };
                match Place::of(stack, &offer, &carried) {
                    Ok(place) => on.push(place),
                    Err(errors) => {
                        for error in errors {
                            if error.key == "on" {
                                self.refused(written, kind, error);
                            } else if !misset.contains(&error) {
                                misset.push(error); // once for all addresses
                            }
                        }
                    }
                }
            }
        }
        self.settings(&misset, service);
        Some(Prepared {
            name: service.name.as_str().into(),
            kind: kind.name(),
            offer,
            on,
            limits: limits?,
        })
    }

    fn limits(&mut self, service: &ServicePlan) -> Option<Limits> {
        let read = Limits::read(&service.limits).and_then(|limits| match limits.max_conns {
            Some(0) => {
                let span = service
                    .limits
                    .last("max-conns")
                    .and_then(|s| s.span.clone());
                let message = "a service for no connection at all serves nobody: 1 is the least";
                Err(vec![SettingError::new("max-conns", span, message)])
            }
            _ => Ok(limits),
        });
        read.map_err(|errors| self.settings(&errors, service)).ok()
    }

    fn offer(
        &mut self,
        service: &ServicePlan,
        own: &Settings,
    ) -> Option<(&'static dyn ServiceKind, Offer)> {
        let name = &service.kind.text;
        let Some(kind) = kind(name) else {
            let names = KINDS.iter().map(|kind| kind.name());
            let suggestion = nearest(name, names.clone()).map(str::to_owned);
            let known: Vec<&str> = names.collect();
            let message = format!("no such kind: `{name}`; there are {}", known.join(", "));
            let complaint = self
                .at(&service.kind, &(0..name.len()), message)
                .suggest(suggestion);
            self.complaints.push(complaint);
            return None;
        };
        match kind.build(own, self.net) {
            Ok(offer) => Some((kind, offer)),
            Err(mut errors) => {
                let unknown = |error: &&mut SettingError| {
                    error.suggestion.is_none() && own.last(&error.key).is_some()
                };
                for error in errors.iter_mut().filter(unknown) {
                    if kind.keys().iter().all(|key| key.name != error.key) {
                        let names: Vec<&str> = protocol_keys().iter().map(|k| k.name).collect();
                        error.suggestion = nearest(&error.key, names).map(str::to_owned);
                    }
                }
                self.settings(&errors, service);
                None
            }
        }
    }

    fn stacks(&mut self, on: &Written) -> Vec<Stack> {
        let set: EndpointSet = match on.text.parse() {
            Ok(set) => set,
            Err(error) => {
                let error: netloom_base::EndpointError = error;
                self.inner(on, error.complaint());
                return Vec::new();
            }
        };
        let mut stacks = Vec::new();
        for endpoint in set.iter() {
            match self.net.stack(&endpoint, Role::Bind) {
                Ok(stack) => stacks.push(stack),
                Err(failure) => {
                    self.failure(on, &failure);
                    break; // the others of the set fail alike
                }
            }
        }
        stacks
    }

    fn failure(&mut self, on: &Written, failure: &Failure) {
        let drawn = failure.facts().iter().find_map(|fact| {
            if let Fact::Complaint(c) = fact {
                Some(c)
            } else {
                None
            }
        });
        match drawn {
            Some(complaint) => self.inner(on, complaint),
            None => self.refuse(on, failure.summary()),
        }
    }

    /// A complaint about a part of a word becomes one about a part of the file.
    fn inner(&mut self, on: &Written, inner: &Complaint) {
        let span = if inner.text == on.text {
            inner.span.clone()
        } else {
            0..on.text.len()
        };
        let complaint = self
            .at(on, &span, inner.message.clone())
            .suggest(inner.suggestion.clone());
        self.complaints.push(complaint);
    }

    fn refuse(&mut self, on: &Written, message: String) {
        let complaint = self.at(on, &(0..on.text.len()), message);
        self.complaints.push(complaint);
    }

    /// What a kind says of an address, once for all addresses of a set.
    fn refused(&mut self, on: &Written, kind: &dyn ServiceKind, error: SettingError) {
        let message = format!("`{}`: {}", kind.name(), error.message);
        let complaint = self
            .at(on, &(0..on.text.len()), message)
            .suggest(error.suggestion);
        if !self.complaints.contains(&complaint) {
            self.complaints.push(complaint);
        }
    }

    fn at(&self, word: &Written, part: &Range<usize>, message: String) -> Complaint {
        match (self.source, &word.span) {
            (Some(source), Some(span)) => {
                source.complain(source.inside(span, &word.text, part), message)
            }
            _ => Complaint::new(&word.text, part.clone(), message),
        }
    }

    fn settings(&mut self, errors: &[SettingError], service: &ServicePlan) {
        for error in errors {
            let complaint = match (self.source, &error.span) {
                (Some(source), Some(span)) => {
                    let span = of_several(source, span, error).unwrap_or_else(|| span.clone());
                    source.complain(span, error.message.clone())
                }
                (Some(source), None) => {
                    let span = service.kind.span.clone().unwrap_or(0..0);
                    source.complain(
                        span,
                        format!("{} in [service.{}]", error.message, service.name),
                    )
                }
                (None, _) => as_flag(error, service),
            };
            self.complaints
                .push(complaint.suggest(error.suggestion.clone()));
        }
    }
}

/// Where the value that an error is about stands in the file, when it is one of
/// a list that stands at `span`.
fn of_several(source: &Source, span: &Range<usize>, error: &SettingError) -> Option<Range<usize>> {
    let value = error.value.as_deref()?;
    let at = span.start + source.text.get(span.clone())?.find(value)?;
    let part = error.part.clone().unwrap_or(0..value.len());
    Some(at + part.start..at + part.end)
}

/// A complaint about a choice that came from a flag: what is wrong of its value
/// is pointed at, or the flag itself where it has none.
fn as_flag(error: &SettingError, service: &ServicePlan) -> Complaint {
    let chosen = [&service.settings, &service.limits]
        .into_iter()
        .find_map(|s| s.last(&error.key));
    let kind = kind(&service.kind.text);
    let is_main = kind.is_some_and(|kind| kind.main_key() == Some(&error.key));
    let flag = if service.kind_is_flag && is_main {
        format!("--{}", service.kind.text)
    } else {
        format!("--{}", error.key)
    };
    let has = |keys: &[Key]| keys.iter().any(|key| key.name == error.key);
    let foreign = KINDS.iter().any(|kind| has(kind.keys()))
        && kind.is_some_and(|kind| !has(kind.keys()))
        && !has(&protocol_keys());
    let message = if foreign {
        format!("`{}` has no {flag}", service.kind.text)
    } else {
        error.message.clone()
    };
    if let Some(value) = &error.value {
        let part = error.part.clone().unwrap_or(0..value.len());
        return Complaint::new(value, part, message);
    }
    match chosen.map(|setting| &setting.value) {
        None | Some(Value::Present | Value::Bool(_)) => {
            Complaint::new(&flag, 0..flag.len(), message)
        }
        Some(value) => {
            let (value, at) = (value.to_string(), flag.len() + 1);
            let part = error.part.clone().unwrap_or(0..value.len());
            let text = format!("{flag} {value}");
            Complaint::new(&text, at + part.start..at + part.end, message)
        }
    }
}
