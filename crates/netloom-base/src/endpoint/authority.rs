//! The part after `//`: user, host, ports, options, path, query.

use std::ops::Range;

use super::error::Wrong;
use super::host::{BARE_V6, Host, bracketed};
use super::parse::Reader;
use super::ports::Ports;
use super::{Endpoint, Spans, escape, options};
use crate::settings::Secret;

impl Reader<'_> {
    /// Reads all from `start`; layers and scheme are in `endpoint` already. At 0
    /// the text is a short form, whose port must be written.
    pub(super) fn authority(
        &mut self,
        mut endpoint: Endpoint,
        start: usize,
    ) -> Result<Endpoint, Wrong> {
        let text = self.text;
        let end = text[start..]
            .find(['/', '?', '#'])
            .map_or(text.len(), |i| start + i);
        let head_end = before_options(text, start, end);
        let host_start = self.user(&mut endpoint, start..head_end)?;
        self.plain(start, head_end)?;

        let head = &text[host_start..head_end];
        let host = host_start..host_start + host_length(head, host_start, start == 0)?;
        endpoint.host = Host::read(&text[host.clone()], host.start)?;
        let ports = (host.end + 1).min(head_end)..head_end;
        if ports.is_empty() && (start == 0 || host.end < head_end) {
            return Err(missing_port(host.end..head_end, start == 0));
        }
        if !ports.is_empty() {
            endpoint.ports = Ports::read(&text[ports.clone()], ports.start)?;
        }
        endpoint.options = options::in_authority(text, head_end, end)?;

        let question = text[end..].find('?').map(|i| end + i);
        let path = end..question.unwrap_or(text.len());
        let query = question.map_or(text.len(), |q| q + 1)..text.len();
        escape::check(&text[end..], end)?;
        text[path.clone()].clone_into(&mut endpoint.path);
        endpoint.query = question.map(|_| text[query.clone()].to_owned());
        endpoint.spans = Spans {
            host,
            ports,
            path,
            query,
            opaque: 0..0,
        };
        Ok(endpoint)
    }

    /// Reads what stands before `@` and says where the host begins.
    fn user(&mut self, endpoint: &mut Endpoint, head: Range<usize>) -> Result<usize, Wrong> {
        let text = self.text;
        self.certain = !text[head.start..].contains('@');
        let Some(at) = text[head.clone()].rfind('@').map(|i| head.start + i) else {
            return Ok(head.start);
        };
        let before = &text[head.start..at];
        if let Some(first) = before.find('@').map(|i| head.start + i) {
            let wrong = Wrong::new(
                first..first + 1,
                "an `@` in a user's name or password is written %40",
            );
            return Err(wrong.edit(first..at, text[first..at].replace('@', "%40")));
        }
        let (user, password) = match before.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (before, None),
        };
        if let Some(password) = password {
            self.hidden.push(at - password.len()..at);
        }
        // A second `@` may belong to an option or the path, but to a password as well.
        self.certain = text[head.start..].matches('@').count() == 1;
        if user.is_empty() && password.is_none() {
            return Err(Wrong::new(at..at + 1, "a user is missing before `@`").replace(""));
        }
        let user = escape::decode(user, head.start)?;
        endpoint.user = (!user.is_empty()).then_some(user);
        endpoint.password = match password {
            Some(password) => Some(Secret::new(escape::decode(password, at - password.len())?)),
            None => None,
        };
        Ok(at + 1)
    }

    /// Refuses blanks and a fragment from `start` on.
    fn plain(&self, start: usize, head_end: usize) -> Result<(), Wrong> {
        let rest = &self.text[start..];
        if let Some(blank) = rest.find(' ').map(|i| start + i) {
            let last = rest.rfind(' ').map_or(blank, |i| start + i);
            // In a host or port it came by mistake; further on it may be meant.
            let mut with = String::new();
            for (i, c) in self.text[blank..=last].char_indices() {
                match c {
                    ' ' if blank + i < head_end => {}
                    ' ' => with.push_str("%20"),
                    c => with.push(c),
                }
            }
            return Err(
                Wrong::new(blank..blank + 1, "a space is written %20").edit(blank..last + 1, with)
            );
        }
        if let Some(hash) = rest.find('#').map(|i| start + i) {
            let wrong = Wrong::new(
                hash..self.text.len(),
                "a fragment is not part of an endpoint; `#` itself is written %23",
            );
            return Err(wrong.replace(""));
        }
        Ok(())
    }
}

/// Where the options begin: at the first comma that can be none between ports.
fn before_options(text: &str, start: usize, end: usize) -> usize {
    let mut after_colon = false;
    let authority = &text.as_bytes()[start..end];
    for (i, byte) in authority.iter().enumerate() {
        after_colon |= *byte == b':';
        let digit = authority.get(i + 1).is_some_and(u8::is_ascii_digit);
        if *byte == b',' && !(after_colon && digit) {
            return start + i;
        }
    }
    end
}

/// How long the host at the beginning of `head` is, a bracket included.
fn host_length(head: &str, at: usize, short: bool) -> Result<usize, Wrong> {
    let span = at..at + head.len();
    if let Some(inside) = head.strip_prefix('[') {
        let Some(close) = head.find(']') else {
            let wrong = Wrong::new(at..at + 1, "this bracket is never closed");
            return Err(match bracketed(inside) {
                Some(closed) => wrong.edit(span, with_port(closed, short)),
                None => wrong,
            });
        };
        return match head.as_bytes().get(close + 1) {
            None | Some(b':') => Ok(close + 1),
            Some(_) => Err(Wrong::new(
                at + close + 1..span.end,
                "only a colon and ports follow the bracket",
            )),
        };
    }
    if let Some(closed) = bracketed(head) {
        return Err(Wrong::new(span, BARE_V6).replace(with_port(closed, short)));
    }
    let mut colons = head.match_indices(':').map(|(i, _)| i);
    let first = colons.next().unwrap_or(head.len());
    match colons.next() {
        None => Ok(first),
        Some(second) => Err(Wrong::new(
            at + second..at + second + 1,
            "one colon stands between a host and its ports",
        )),
    }
}

fn with_port(closed: String, short: bool) -> String {
    if short && closed.ends_with(']') {
        closed + ":PORT"
    } else {
        closed
    }
}

fn missing_port(colon: Range<usize>, short: bool) -> Wrong {
    if short {
        Wrong::new(
            colon,
            "a port is missing; `:80` alone is short for tcp://:80",
        )
        .replace(":PORT")
    } else {
        Wrong::new(colon, "a port is missing after this colon").replace("")
    }
}
