//! Every code there is: those of the life cycle, and those that transports,
//! layers and protocols bring with their cards.

use netloom_base::CodeCard;
use netloom_base::failure::catalogue;
use netloom_protocol::PROTOCOLS;
use netloom_transport::{proxy, tls};

/// Every code, the life cycle's first. The code of a transport or layer is
/// listed here; a test looks whether one was forgotten.
pub fn codes() -> impl Iterator<Item = CodeCard> + Clone {
    let of_layers = tls::codes::CODES.iter().chain(proxy::codes::CODES);
    let of_protocols = PROTOCOLS.iter().flat_map(|protocol| protocol.card().codes);
    catalogue().chain(of_layers.chain(of_protocols).copied())
}

/// The card of one code.
pub fn card(code: &str) -> Option<CodeCard> {
    codes().find(|card| card.code == code)
}

/// Whether a code comes with a protocol that this build lacks.
#[cfg(test)]
pub(crate) fn comes_with_a_protocol(code: &str) -> bool {
    const WITH: &[(&str, &str)] = &[
        ("http.", "http"),
        ("greet.upgrade-refused", "websocket"),
        ("ftp.", "ftp"),
        ("smtp.", "mail"),
    ];
    let built = |name: &str| {
        PROTOCOLS
            .iter()
            .any(|protocol| protocol.card().name == name)
    };
    let with = WITH.iter().find(|(begin, _)| code.starts_with(begin));
    with.is_some_and(|(_, protocol)| !built(protocol))
}

#[cfg(test)]
mod tests {
    use netloom_transport::{Layer, Transport, exec, fd, stdio, tcp, unix};

    use super::*;

    #[test]
    fn no_card_is_forgotten_and_no_code_stands_twice() {
        let tls = tls::Tls::default();
        let cards = [
            tcp::Tcp.card(),
            unix::Unix.card(),
            stdio::Stdio.card(),
            exec::Exec.card(),
            fd::Fd.card(),
            tls.card(),
            proxy::Proxy.card(),
        ];
        for code in cards.iter().flat_map(|card| card.codes) {
            assert!(card(code.code).is_some(), "{} is not listed", code.code);
        }
        for (i, card) in codes().enumerate() {
            assert!(
                codes().take(i).all(|other| other.code != card.code),
                "{} stands twice",
                card.code
            );
        }
    }
}
