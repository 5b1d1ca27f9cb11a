//! The same place, spoken to in another protocol: what a person should have
//! written. Everything here is read from cards.

use std::sync::LazyLock;

use netloom_base::{Card, Endpoint, Role, Schemes, Stack};
use netloom_transport::proxy::Proxy;
use netloom_transport::tcp::Tcp;
use netloom_transport::tls::Tls;
use netloom_transport::{Layer, Transport};

use crate::registry::PROTOCOLS;

/// The words of the protocols here, and of what they are carried by.
fn schemes() -> &'static Schemes {
    static SCHEMES: LazyLock<Schemes> = LazyLock::new(|| {
        #[cfg(unix)]
        let local = Some(netloom_transport::unix::Unix.card());
        #[cfg(not(unix))]
        let local = None;
        let below = [Tcp.card(), Tls::default().card(), Proxy.card()];
        let spoken = PROTOCOLS.iter().map(|protocol| protocol.card());
        Schemes::new(below.into_iter().chain(local).chain(spoken))
    });
    &SCHEMES
}

/// What an endpoint means here; `None` where it stands on something else than
/// TCP, TLS and unix sockets.
pub(crate) fn stack(endpoint: &Endpoint) -> Option<Stack> {
    schemes().stack(endpoint, Role::Dial).ok()
}

fn is_protocol(card: &Card) -> bool {
    PROTOCOLS
        .iter()
        .any(|protocol| protocol.card().name == card.name)
}

/// The cards of the protocols that a name from `looks_like` may mean, such as
/// both of `SMTP or FTP`.
pub fn meant_by(name: &str) -> impl Iterator<Item = &'static Card> {
    let cards = PROTOCOLS.iter().map(|protocol| protocol.card());
    cards.filter(move |card| {
        let mut names = name.split(" or ");
        names.any(|name| name.eq_ignore_ascii_case(card.name))
    })
}

/// The protocol an endpoint names, if it names one.
pub fn card_of(endpoint: &Endpoint) -> Option<&'static Card> {
    let top = stack(endpoint)?.levels.first()?.card;
    is_protocol(top).then_some(top)
}

/// The endpoint for speaking `card`'s protocol at the same place, over the same
/// layers.
///
/// ```
/// use netloom_protocol::speaking::{meant_by, spoken};
///
/// let endpoint = "tls://mail.example.org:465,sni=mx".parse()?;
/// let card = meant_by("SMTP").next().unwrap();
/// let there = spoken(&endpoint, card).unwrap();
/// assert_eq!(there.to_string(), "smtps://mail.example.org:465,sni=mx");
/// # Ok::<(), netloom_base::EndpointError>(())
/// ```
pub fn spoken(endpoint: &Endpoint, card: &'static Card) -> Option<Endpoint> {
    let stack = stack(endpoint)?;
    let words: Vec<&str> = [card.name].into_iter().chain(beneath(&stack)).collect();
    written(endpoint, &stack, &words)
}

/// The endpoint for plain bytes at the same place, over the same layers.
pub fn plain(endpoint: &Endpoint) -> Option<Endpoint> {
    let stack = stack(endpoint)?;
    let words: Vec<&str> = beneath(&stack).collect();
    written(endpoint, &stack, &words)
}

/// The protocols whose port it is by default, with the endpoint that speaks each
/// there: `smtps://h` for `smtp://h:465`.
pub fn at_home_there(endpoint: &Endpoint) -> Vec<Endpoint> {
    let Some((stack, port)) =
        stack(endpoint).and_then(|stack| Some((stack.clone(), stack.port()?)))
    else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for protocol in PROTOCOLS {
        let card = protocol.card();
        for scheme in card
            .schemes
            .iter()
            .filter(|scheme| scheme.default_port == Some(port))
        {
            let words: Vec<&str> = [card.name]
                .into_iter()
                .chain(scheme.over.iter().copied())
                .collect();
            let own: Vec<&str> = stack.levels.iter().map(|level| level.card.name).collect();
            if words != own {
                found.extend(written(endpoint, &stack, &words));
            }
        }
    }
    found
}

/// The endpoint for the same conversation over TLS; where the protocol has no
/// such scheme, for TLS alone. `None` where there is TLS already.
pub fn over_tls(endpoint: &Endpoint) -> Option<Endpoint> {
    let stack =
        stack(endpoint).filter(|stack| !stack.encrypts() || is_protocol(stack.levels[0].card))?;
    let tls = Tls::default().card();
    if stack.levels.iter().any(|level| level.card.name == tls.name) {
        return None;
    }
    let below: Vec<&str> = [tls.name].into_iter().chain(beneath(&stack)).collect();
    let top = stack.levels[0].card;
    let same = |over: &[&str]| over == below;
    let has = is_protocol(top) && top.schemes.iter().any(|scheme| same(scheme.over));
    let mut words = below.clone();
    if has {
        words.insert(0, top.name);
    }
    written(endpoint, &stack, &words)
}

/// Whether a PROXY header comes first there.
pub fn has_header(endpoint: &Endpoint) -> bool {
    let header = Proxy.card().name;
    stack(endpoint).is_some_and(|stack| stack.levels.iter().any(|level| level.card.name == header))
}

/// The endpoint for the same conversation with a PROXY header before it, or
/// without one where there is one.
pub fn across_header(endpoint: &Endpoint) -> Option<Endpoint> {
    let stack = stack(endpoint)?;
    let header = Proxy.card().name;
    let own: Vec<&str> = stack.levels.iter().map(|level| level.card.name).collect();
    let (transport, above) = own.split_last()?;
    let mut words: Vec<&str> = above
        .iter()
        .copied()
        .filter(|word| *word != header)
        .collect();
    if words.len() == above.len() {
        words.push(header);
    }
    words.push(transport);
    written(endpoint, &stack, &words)
}

/// The names of the layers that carry a stack's protocol, top first.
fn beneath(stack: &Stack) -> impl Iterator<Item = &'static str> {
    let cards = stack.levels.iter().map(|level| level.card);
    cards
        .skip_while(|card| is_protocol(card))
        .map(|card| card.name)
}

/// The endpoint with these layers: as one scheme where one stands for them. What
/// the new layers do not have is left out.
fn written(endpoint: &Endpoint, stack: &Stack, words: &[&str]) -> Option<Endpoint> {
    let (top, below) = words.split_first()?;
    let (card, _) = schemes().find(top)?;
    let one = card.schemes.iter().find(|scheme| scheme.over == below);
    let scheme = one.map_or_else(|| words.join("+"), |scheme| scheme.name.to_owned());
    let endpoint = match stack.port() {
        Some(port) => endpoint.with_port(port),
        None => endpoint.clone(),
    };
    let with = |endpoint: &Endpoint| {
        let text = endpoint.to_string();
        let query = endpoint.query().map_or(0, |query| 1 + query.len());
        let path = endpoint.path().len() + query;
        let kept = if card.owns_path {
            text.len()
        } else {
            text.len() - path
        };
        let (_, rest) = text[..kept].split_once(':')?;
        let made: Endpoint = format!("{scheme}:{rest}").parse().ok()?;
        self::stack(&made).map(|_| made)
    };
    with(&endpoint).or_else(|| with(&endpoint.without_options()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there(endpoint: &str, name: &str) -> Option<String> {
        let card = meant_by(name).next().unwrap();
        Some(spoken(&endpoint.parse().unwrap(), card)?.to_string())
    }

    #[test]
    fn the_port_stays_and_the_words_change() {
        let cases = [
            ("tcp://h:22", "SSH", "ssh://h:22"),
            ("ssh://h", "SMTP", "smtp://h:22"),
            ("submission://h", "SSH", "ssh://h:587"),
            (
                "smtp://u@h:2525,device=lo",
                "FTP",
                "ftp://u@h:2525,device=lo",
            ),
            ("ftp://h/pub", "MQTT", "mqtt://h:21"),
            ("ftps://h/pub", "MQTT", "mqtts://h:990"),
            ("tls+unix:/run/x", "SMTP", "smtp+tls+unix:/run/x"),
            ("ssh://[::1]:25", "SMTP or FTP", "smtp://[::1]:25"),
        ];
        for (written, name, wanted) in cases {
            assert_eq!(there(written, name).as_deref(), Some(wanted), "{written}");
        }
        assert_eq!(there("exec:cat", "SSH"), None);
    }

    #[test]
    fn the_same_over_tls() {
        let cases = [
            ("smtp://h", Some("smtps://h:25")),
            ("tcp://h:443", Some("tls://h:443")),
            ("ssh://h:443", Some("tls://h:443")),
            ("unix:/run/x", Some("tls+unix:/run/x")),
            ("smtps://h", None),
            ("tls://h:1", None),
        ];
        for (written, wanted) in cases {
            let there = over_tls(&written.parse().unwrap()).map(|there| there.to_string());
            assert_eq!(there.as_deref(), wanted, "{written}");
        }
    }

    #[test]
    fn the_same_with_a_header_and_without() {
        let cases = [
            ("https://h/x", "http+tls+proxy+tcp://h:443/x", false),
            ("http+tls+proxy+tcp://h:443/x", "https://h:443/x", true),
            ("smtp://h", "smtp+proxy+tcp://h:25", false),
            ("proxy://h:25,version=1", "tcp://h:25", true),
        ];
        for (written, wanted, has) in cases {
            let written: Endpoint = written.parse().unwrap();
            let there = across_header(&written).map(|there| there.to_string());
            assert_eq!(
                (there.as_deref(), has_header(&written)),
                (Some(wanted), has)
            );
        }
    }

    #[test]
    fn a_port_may_be_at_home_elsewhere() {
        let there = |written: &str| {
            let all = at_home_there(&written.parse().unwrap());
            all.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(there("smtp://h:465"), ["smtps://h:465"]);
        assert_eq!(there("ssh://h:25"), ["smtp://h:25"]);
        assert!(there("ssh://h").is_empty());
        assert_eq!(
            plain(&"ssh://h".parse().unwrap()).unwrap().to_string(),
            "tcp://h:22"
        );
        assert_eq!(
            plain(&"smtps://h".parse().unwrap()).unwrap().to_string(),
            "tls://h:465"
        );
    }

    #[test]
    fn a_name_may_mean_two() {
        let names = |name| meant_by(name).map(|card| card.name).collect::<Vec<_>>();
        assert_eq!(names("SMTP or FTP"), ["smtp", "ftp"]);
        assert_eq!(names("SSH"), ["ssh"]);
        assert!(names("Redis").is_empty());
        assert_eq!(
            card_of(&"submission://h".parse().unwrap()).unwrap().name,
            "smtp"
        );
        assert!(card_of(&"tcp://h:1".parse().unwrap()).is_none());
    }
}
