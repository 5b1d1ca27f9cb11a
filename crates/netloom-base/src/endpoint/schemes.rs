//! The schemes a registry knows, and what an endpoint means with them.

use std::ops::Range;

use super::error::{EndpointError, Wrong};
use super::mask::{self, Mask};
use super::stack::{Level, Role, Stack};
use super::{Endpoint, Host, Word, options, parse};
use crate::card::{Address, Card, Kind, Scheme};
use crate::complaint::nearest;
use crate::settings::{Setting, Value};

/// The words a registry's cards add to the address language.
#[derive(Clone, Debug)]
pub struct Schemes {
    cards: Vec<&'static Card>,
}

/// A card and the word of the endpoint it came from.
struct Part<'e> {
    card: &'static Card,
    scheme: &'static Scheme,
    word: &'e Word,
}

impl Schemes {
    /// Reads the words of these cards. Of two cards with one word the first has it.
    pub fn new(cards: impl IntoIterator<Item = &'static Card>) -> Self {
        Schemes {
            cards: cards.into_iter().collect(),
        }
    }

    /// The cards, in the order given.
    pub fn cards(&self) -> &[&'static Card] {
        &self.cards
    }

    /// Every word that may stand before the colon, in the order of the cards.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.cards
            .iter()
            .flat_map(|card| card.schemes.iter().map(|scheme| scheme.name))
    }

    /// The card a word belongs to.
    pub fn find(&self, name: &str) -> Option<(&'static Card, &'static Scheme)> {
        let of = |card: &&'static Card| {
            Some((
                *card,
                card.schemes.iter().find(|scheme| scheme.name == name)?,
            ))
        };
        self.cards.iter().find_map(of)
    }

    /// Gives an endpoint its meaning: its layers down to the transport, each with
    /// the options it owns.
    ///
    /// # Errors
    ///
    /// One complaint, with the nearest valid form where there is one: about an
    /// unknown scheme or layer, a layer over one that does not carry it, an
    /// address of the wrong form, a missing port, a path or an option nobody owns.
    pub fn stack(&self, endpoint: &Endpoint, role: Role) -> Result<Stack, EndpointError> {
        let complain = |text: &str, wrong| parse::settled(mask::complain(text, wrong, Some(&[])));
        let mut endpoint = endpoint.clone();
        let known = self.expand(&endpoint, true).and_then(|parts| {
            check_address(&endpoint, &parts)?;
            let port = check_place(&endpoint, &parts, role)?;
            let cards: Vec<&'static Card> = parts.iter().map(|part| part.card).collect();
            Ok((cards, port))
        });
        let (cards, port) = known.map_err(|wrong| complain(endpoint.written(), wrong))?;
        if role == Role::Bind || !cards.iter().any(|card| card.owns_query) {
            query_to_options(&mut endpoint).map_err(|wrong| complain(endpoint.written(), wrong))?;
        }
        let levels = hand_out(&endpoint, &cards, role)
            .map_err(|wrong| complain(endpoint.written(), wrong))?;
        Ok(Stack {
            endpoint,
            role,
            levels,
            port,
        })
    }

    /// The layers, top first, each standing on the next.
    fn expand<'e>(&self, endpoint: &'e Endpoint, hints: bool) -> Result<Vec<Part<'e>>, Wrong> {
        let mut parts = Vec::new();
        for word in &endpoint.layers {
            let (card, scheme) = self.find(&word.text).ok_or_else(|| self.no_layer(word))?;
            if card.needs.is_none() {
                let wrong = Wrong::new(
                    word.span(),
                    format!("`{}` carries the others and stands last", word.text),
                );
                return Err(self.hint(wrong, endpoint, hints, || moved_down(endpoint, word)));
            }
            parts.push(Part { card, scheme, word });
            // An alias before another scheme leaves its own transport at home.
            let over = self.over(scheme, word)?;
            parts.extend(over.into_iter().filter(|part| part.card.needs.is_some()));
        }
        let word = &endpoint.scheme;
        let (card, scheme) = self
            .find(&word.text)
            .ok_or_else(|| self.no_scheme(endpoint))?;
        parts.push(Part { card, scheme, word });
        parts.extend(self.over(scheme, word)?);
        for (i, part) in parts.iter().enumerate() {
            self.check_footing(endpoint, part, parts.get(i + 1), hints)?;
        }
        Ok(parts)
    }

    fn over<'e>(&self, scheme: &Scheme, word: &'e Word) -> Result<Vec<Part<'e>>, Wrong> {
        let find = |name: &&'static str| {
            let missing = || {
                Wrong::new(
                    word.span(),
                    format!(
                        "`{}` stands on `{name}`, which is not built in",
                        scheme.name
                    ),
                )
            };
            self.find(name)
                .map(|(card, scheme)| Part { card, scheme, word })
                .ok_or_else(missing)
        };
        scheme.over.iter().map(find).collect()
    }

    /// Whether the layer below `part` gives what it needs.
    fn check_footing(
        &self,
        endpoint: &Endpoint,
        part: &Part,
        below: Option<&Part>,
        hints: bool,
    ) -> Result<(), Wrong> {
        let name = part.card.name;
        match (part.card.needs, below) {
            (None, None) => Ok(()),
            (None, Some(_)) => Err(Wrong::new(
                part.word.span(),
                format!("`{name}` carries the others and stands last"),
            )),
            (Some(needs), None) => {
                let wrong = Wrong::new(
                    part.word.span(),
                    format!("`{name}` stands on {needs}, and nothing is below it"),
                );
                let span = part.word.span();
                let under = || {
                    self.giving(needs)
                        .map(|below| (span.end..span.end, format!("+{below}")))
                        .collect()
                };
                Err(self.hint(wrong, endpoint, hints, under))
            }
            (Some(needs), Some(below)) if needs == below.card.gives => Ok(()),
            (Some(needs), Some(below)) => {
                let gives = below.card.gives;
                let message = format!(
                    "`{name}` stands on {needs}, and `{}` gives {gives}",
                    below.card.name
                );
                let wrong = Wrong::new(below.word.span(), message);
                let instead = || {
                    let own = part.scheme.over.iter().rev().copied();
                    let replaced = own
                        .chain(self.giving(needs))
                        .map(|below_it| (below.word.span(), below_it.to_owned()));
                    replaced.collect()
                };
                Err(self.hint(wrong, endpoint, hints, instead))
            }
        }
    }

    /// The words of what gives `kind`, transports first.
    fn giving(&self, kind: Kind) -> impl Iterator<Item = &'static str> + '_ {
        let words = move |transport: bool| {
            let fits = move |card: &&&'static Card| {
                card.gives == kind && card.needs.is_none() == transport
            };
            self.cards
                .iter()
                .filter(fits)
                .filter_map(|card| Some(card.schemes.first()?.name))
        };
        words(true).chain(words(false))
    }

    /// Suggests the first edit that gives an endpoint whose layers fit.
    fn hint(
        &self,
        wrong: Wrong,
        endpoint: &Endpoint,
        hints: bool,
        edits: impl FnOnce() -> Vec<(Range<usize>, String)>,
    ) -> Wrong {
        if !hints {
            return wrong;
        }
        let fits = |(part, with): &(Range<usize>, String)| {
            let text = &endpoint.written;
            let edited = format!("{}{with}{}", &text[..part.start], &text[part.end..]);
            let fits = |e: &Endpoint| {
                self.expand(e, false)
                    .is_ok_and(|parts| check_address(e, &parts).is_ok())
            };
            edited.parse().is_ok_and(|e| fits(&e))
        };
        match edits().into_iter().find(fits) {
            Some((part, with)) => wrong.edit(part, with),
            None => wrong,
        }
    }

    fn no_layer(&self, word: &Word) -> Wrong {
        let layers = self.cards.iter().filter(|card| card.needs.is_some());
        let names = layers.flat_map(|card| card.schemes.iter().map(|scheme| scheme.name));
        let wrong = Wrong::new(word.span(), format!("no layer is called `{}`", word.text));
        match nearest(&word.text, names) {
            Some(name) => wrong.replace(name),
            None => wrong,
        }
    }

    fn no_scheme(&self, endpoint: &Endpoint) -> Wrong {
        let word = &endpoint.scheme;
        let near = nearest(&word.text, self.names());
        let wrong = Wrong::new(word.span(), format!("no scheme is called `{}`", word.text));
        match (near, &endpoint.opaque) {
            (Some(name), _) => wrong.replace(name),
            // `host:http` and `host:80x` were meant as a host and a port.
            (None, Some(_)) if endpoint.layers.is_empty() => {
                let span = endpoint.spans.opaque.clone();
                Wrong::new(
                    span,
                    format!(
                        "a port is a number from 0 to 65535, and no scheme is called `{}`",
                        word.text
                    ),
                )
            }
            _ => wrong,
        }
    }
}

/// A transport moved from among the layers to the end, or left out.
fn moved_down(endpoint: &Endpoint, word: &Word) -> Vec<(Range<usize>, String)> {
    let start = word.span.start;
    let after = word.span.end + 1;
    let text = &endpoint.written;
    let rest = &text[after..endpoint.scheme.span.end];
    vec![
        (
            start..endpoint.scheme.span.end,
            format!("{rest}+{}", word.text),
        ),
        (start..after, String::new()),
    ]
}

/// The scheme's own part; those after it are what it stands on.
fn scheme_part<'p, 'e>(endpoint: &Endpoint, parts: &'p [Part<'e>]) -> Option<&'p Part<'e>> {
    parts
        .iter()
        .find(|part| std::ptr::eq(part.word, &raw const endpoint.scheme))
}

/// Whether the address has the form its scheme asks for.
fn check_address(endpoint: &Endpoint, parts: &[Part]) -> Result<(), Wrong> {
    let Some(part) = scheme_part(endpoint, parts) else {
        return Ok(());
    };
    let text = &endpoint.written;
    let name = &endpoint.scheme.text;
    let colon = endpoint.scheme.span.end;
    let span = colon..text.len();
    match (part.card.address, &endpoint.opaque) {
        (Address::None, _) if name == "-" => Ok(()),
        (Address::None, _) => Err(Wrong::new(span, format!("nothing stands after `{name}`"))),
        (_, None) if name == "-" => Err(Wrong::new(0..text.len(), "`-` has no address")),
        (Address::Opaque, Some(opaque)) if opaque.is_empty() => Err(Wrong::new(
            span,
            format!("a text is missing after `{name}:`"),
        )),
        (Address::Opaque, Some(_)) | (Address::HostPort | Address::Host, None) => Ok(()),
        (Address::Opaque, None) => {
            let slashes = colon + 1..colon + 3;
            let wrong = Wrong::new(slashes, format!("`{name}:` is written without `//`"));
            Err(if text.len() > colon + 3 {
                wrong.replace("")
            } else {
                wrong
            })
        }
        (Address::HostPort | Address::Host, Some(_)) => {
            let rest = &text[colon + 1..];
            let slashes = rest.len() - rest.trim_start_matches('/').len();
            let wrong = Wrong::new(
                colon..colon + 1 + slashes,
                format!("`{name}` is written with `//`"),
            );
            Err(wrong.replace("://"))
        }
    }
}

/// Checks host, port and path, and says which port is in use.
fn check_place(endpoint: &Endpoint, parts: &[Part], role: Role) -> Result<Option<u16>, Wrong> {
    let spans = &endpoint.spans;
    let address = scheme_part(endpoint, parts).map(|part| part.card.address);
    if role == Role::Dial && endpoint.host == Host::Any {
        let wrong = Wrong::new(
            spans.host.clone(),
            "every interface can be listened on, not dialled",
        );
        return Err(wrong.replace(""));
    }
    if !endpoint.path.is_empty() && !parts.iter().any(|part| part.card.owns_path) {
        let name = &endpoint.scheme.text;
        // `ca=etc/x.pem`: the path was to be a part of the value before it.
        let ends_here = |s: &Setting| s.span.as_ref().is_some_and(|o| o.end == spans.path.start);
        let cut = endpoint.options.iter().find(|s| ends_here(s));
        if cut.is_some_and(|s| s.value != Value::Present) && endpoint.path.len() > 1 {
            let message =
                format!("`{name}` has no path, and a value ends at `/`: write %2F for it");
            let whole = endpoint.path.replace('/', "%2F");
            return Err(Wrong::new(spans.path.clone(), message).replace(whole));
        }
        return Err(Wrong::new(spans.path.clone(), format!("`{name}` has no path")).replace(""));
    }
    let several = endpoint.ports.len() > 1;
    match address {
        Some(Address::HostPort) if several => {
            let first = endpoint.ports.iter().next().unwrap_or_default();
            Err(Wrong::new(spans.ports.clone(), "one port is needed here")
                .replace(first.to_string()))
        }
        Some(Address::HostPort) => match endpoint.port().or_else(|| default_port(parts)) {
            Some(0) if role == Role::Dial => Err(Wrong::new(
                spans.ports.clone(),
                "port 0 means any free port, it can be listened on, not dialled",
            )),
            Some(port) => Ok(Some(port)),
            None => {
                let end = spans.host.end;
                let (message, form) = match role {
                    Role::Dial => ("a port is missing", ":PORT"),
                    Role::Bind => ("a port is missing; `:0` is any free one", ":0"),
                };
                Err(Wrong::new(end..end, message).replace(form))
            }
        },
        Some(Address::Host) if !endpoint.ports.is_empty() => {
            let name = &endpoint.scheme.text;
            Err(
                Wrong::new(spans.ports.clone(), format!("`{name}` has no ports"))
                    .edit(spans.host.end..spans.ports.end, ""),
            )
        }
        _ => Ok(None),
    }
}

/// The default port of the one word that stands for these layers, however they
/// were written: 443 for `http+tls+tcp` as for `https`. Of two such words the one
/// that was written counts: 587 for `submission`, which is `smtp+tcp` too.
fn default_port(parts: &[Part]) -> Option<u16> {
    let (top, below) = parts.split_first()?;
    let same = |scheme: &&Scheme| {
        scheme
            .over
            .iter()
            .eq(below.iter().map(|part| &part.scheme.name))
    };
    let written = Some(top.scheme).filter(same);
    written
        .or_else(|| top.card.schemes.iter().find(same))?
        .default_port
}

/// Reads the query as options.
fn query_to_options(endpoint: &mut Endpoint) -> Result<(), Wrong> {
    if endpoint.query.is_none() {
        return Ok(());
    }
    let span = endpoint.spans.query.clone();
    let read = options::in_query(&endpoint.written, span.clone())?;
    let mask = Mask::new(&endpoint.written, options::hidden(&read));
    let placed = |s: &Setting| Setting {
        span: s.span.as_ref().map(|span| mask.place(span)),
        ..s.clone()
    };
    endpoint.options.extend(read.iter().map(placed));
    endpoint.query = None;
    endpoint.spans.query = mask.place(&span);
    endpoint.written = mask.into_text();
    Ok(())
}

/// Gives each option to the top-most layer that owns it.
fn hand_out(endpoint: &Endpoint, cards: &[&'static Card], role: Role) -> Result<Vec<Level>, Wrong> {
    let mut left = endpoint.options.clone();
    let level = |card: &&'static Card| Level {
        card,
        settings: left.take(role.keys(card)),
    };
    let levels: Vec<Level> = cards.iter().map(level).collect();
    match left.iter().next() {
        None => Ok(levels),
        Some(unknown) => Err(no_option(unknown, cards, role)),
    }
}

fn no_option(setting: &Setting, cards: &[&'static Card], role: Role) -> Wrong {
    let key = &setting.key;
    let span = setting.span.clone().unwrap_or_default();
    let span = span.start..span.end.min(span.start + key.len());
    let looked: Vec<String> = cards
        .iter()
        .map(|card| format!("`{}`", card.name))
        .collect();
    let elsewhere = |card: &&&Card| role.other().keys(card).iter().any(|k| k.name == *key);
    if let Some(card) = cards.iter().find(elsewhere) {
        let message = format!(
            "`{key}` is an option of `{}` when {}, not when {role}",
            card.name,
            role.other()
        );
        return Wrong::new(span, message);
    }
    let (last, others) = looked
        .split_last()
        .map_or((String::new(), &[][..]), |(last, others)| {
            (last.clone(), others)
        });
    let names = if others.is_empty() {
        last
    } else {
        format!("{} and {last}", others.join(", "))
    };
    let have = if others.is_empty() { "has" } else { "have" };
    let wrong = Wrong::new(
        span,
        format!("{names} {have} no option `{key}` when {role}"),
    );
    let keys = cards
        .iter()
        .flat_map(|card| role.keys(card))
        .map(|k| k.name);
    match nearest(key, keys) {
        Some(name) => wrong.replace(name),
        None => wrong,
    }
}
