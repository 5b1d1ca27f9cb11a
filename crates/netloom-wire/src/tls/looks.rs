//! What a peer speaks, by the first bytes it sent.

/// Whether `first` begins as a TLS record does: a content type of RFC 8446 §5.1
/// (or RFC 6520) and a version 3.x. As much as is there must fit.
pub fn is_record(first: &[u8]) -> bool {
    let version = |at: usize, most: u8| first.get(at).is_none_or(|&byte| byte <= most);
    matches!(first.first(), Some(20..=24))
        && first.get(1).is_none_or(|&major| major == 3)
        && version(2, 4)
        // A record's length has at most 14 bits and a little for its cipher.
        && version(3, 0x48)
}

/// The protocol whose first words these are, if they are any that is known.
/// Both sides of a conversation are: a banner as well as a request.
///
/// ```
/// use netloom_wire::tls::looks_like;
///
/// assert_eq!(looks_like(b"SSH-2.0-OpenSSH_9.2p1"), Some("SSH"));
/// assert_eq!(looks_like(b"GET / HTTP/1.1\r\n"), Some("HTTP"));
/// assert_eq!(looks_like(b"\x16\x03\x01\x02\x00\x01"), Some("TLS"));
/// assert_eq!(looks_like(b"hello"), None);
/// ```
pub fn looks_like(first: &[u8]) -> Option<&'static str> {
    if first.len() >= 3 && is_record(first) {
        return Some("TLS");
    }
    binary(first).or_else(|| spoken(first))
}

/// Protocols whose first words are text.
fn spoken(first: &[u8]) -> Option<&'static str> {
    for (word, protocol) in OPENINGS {
        if first.starts_with(word.as_bytes()) {
            return Some(protocol);
        }
    }
    let line = first.split(|&byte| byte == b'\n').next().unwrap_or(first);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.starts_with(b"220 ") || line.starts_with(b"220-") {
        return Some(ready(first));
    }
    // A status line of Redis is as short as it can be; a mailbox introduces itself.
    if line.starts_with(b"+OK") {
        return Some(if line == b"+OK" { "Redis" } else { "POP3" });
    }
    if line.starts_with(b"-ERR") {
        return Some(
            if contains(line, b"unknown command") || contains(line, b"wrong number") {
                "Redis"
            } else {
                "POP3"
            },
        );
    }
    if request_line(line) {
        return Some("HTTP");
    }
    // A request to Redis: an array of so many strings.
    let array = line.strip_prefix(b"*")?;
    let rest = first.get(1 + array.len()..).unwrap_or_default();
    (!array.is_empty() && array.iter().all(u8::is_ascii_digit) && contains(rest, b"\n$"))
        .then_some("Redis")
}

/// What many protocols begin with and no other does. Longer before shorter.
const OPENINGS: &[(&str, &str)] = &[
    ("PRI * HTTP/2", "HTTP/2"),
    ("HTTP/", "HTTP"),
    // A server of HTTP/0.9, or one that answers nonsense so, says only the page.
    ("<!DOCTYPE HTML", "HTTP"),
    ("<!DOCTYPE html", "HTTP"),
    ("<!doctype html", "HTTP"),
    ("<html", "HTTP"),
    ("SSH-", "SSH"),
    ("RTSP/", "RTSP"),
    ("SIP/2.0", "SIP"),
    ("RFB 00", "VNC"),
    ("AMQP", "AMQP"),
    ("INFO {", "NATS"),
    ("@RSYNCD:", "rsync"),
    ("PROXY ", "the PROXY protocol"),
    ("\r\n\r\n\0\r\nQUIT\n", "the PROXY protocol"),
    ("<stream:stream", "XMPP"),
    ("<?xml", "XMPP"),
    ("* OK", "IMAP"),
    ("* PREAUTH", "IMAP"),
    ("* BYE", "IMAP"),
    ("EHLO ", "SMTP"),
    ("HELO ", "SMTP"),
    ("LHLO ", "LMTP"),
    ("+PONG", "Redis"),
    ("-NOAUTH", "Redis"),
    ("-DENIED", "Redis"),
    ("NICK ", "IRC"),
    ("CAP LS", "IRC"),
    ("\x13BitTorrent protocol", "BitTorrent"),
];

/// `220` greets for SMTP (RFC 5321 §4.2) and for FTP (RFC 959 §5.4).
fn ready(first: &[u8]) -> &'static str {
    let lower = first.to_ascii_lowercase();
    if contains(&lower, b"ftp") {
        "FTP"
    } else if contains(&lower, b"smtp") || contains(&lower, b"mail") {
        "SMTP"
    } else {
        "SMTP or FTP"
    }
}

/// A method in capitals, a target, and what there is of `HTTP/` (RFC 9112 §3).
fn request_line(line: &[u8]) -> bool {
    let mut words = line.split(|&byte| byte == b' ');
    let method = words.next().unwrap_or_default();
    let target = words.next();
    let known: &[&[u8]] = &[
        b"GET",
        b"HEAD",
        b"POST",
        b"PUT",
        b"DELETE",
        b"CONNECT",
        b"OPTIONS",
        b"TRACE",
        b"PATCH",
        b"PROPFIND",
    ];
    match words.next() {
        Some(version) => {
            method.iter().all(u8::is_ascii_uppercase)
                && !method.is_empty()
                && version.starts_with(b"HTTP/")
        }
        None => target.is_some() && known.contains(&method),
    }
}

/// Protocols whose first words are numbers.
fn binary(first: &[u8]) -> Option<&'static str> {
    let word = |at: usize| Some(u32::from_be_bytes(*first.get(at..)?.first_chunk()?));
    // MySQL: a packet's length, number 0, then version 10 with a name, or an error.
    if let [length, _, 0, 0, 10, digit, ..] = first
        && *length > 10
        && digit.is_ascii_digit()
    {
        return Some("MySQL");
    }
    if let [_, 0, 0, 0, 0xff, low, high, ..] = first
        && u16::from_le_bytes([*low, *high]) >= 1000
    {
        return Some("MySQL");
    }
    // PostgreSQL: a startup of version 3.0 or the request for TLS; an error; "who are you".
    if matches!(word(4), Some(0x0003_0000 | 80_877_103)) {
        return Some("PostgreSQL");
    }
    if first.first() == Some(&b'E') && word(1)? < 0x1000 && first.get(5) == Some(&b'S') {
        return Some("PostgreSQL");
    }
    // HTTP/2: a server's SETTINGS on stream 0 (RFC 9113 §3.4).
    if let [0, 0, length, 4, 0, 0, 0, 0, 0, ..] = first
        && length % 6 == 0
    {
        return Some("HTTP/2");
    }
    // MQTT: CONNECT and the protocol's name.
    if first.first() == Some(&0x10)
        && first.len() > 6
        && contains(&first[..first.len().min(12)], b"MQ")
    {
        return Some("MQTT");
    }
    // Telnet: IAC and WILL, WONT, DO or DONT (RFC 854).
    if let [0xff, 251..=254, ..] = first {
        return Some("Telnet");
    }
    // TLS before it was TLS: the ClientHello of SSL 2.0.
    if let [0x80..=0x8f, _, 1, 0 | 3, 0..=3, ..] = first {
        return Some("SSL 2.0");
    }
    None
}

fn contains(all: &[u8], part: &[u8]) -> bool {
    all.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn banners_and_requests_are_known() {
        let known: &[(&[u8], &str)] = &[
            (b"HTTP/1.1 400 Bad Request\r\n", "HTTP"),
            (b"BREW /pot HTTP/1.1\r\n", "HTTP"),
            (b"GET /", "HTTP"),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/2"),
            (b"\0\0\x12\x04\0\0\0\0\0\0\x03", "HTTP/2"),
            (b"220 mx.example.org ESMTP Postfix\r\n", "SMTP"),
            (b"220 (vsFTPd 3.0.3)\r\n", "FTP"),
            (b"220-\r\n220 ready\r\n", "SMTP or FTP"),
            (b"* OK [CAPABILITY IMAP4rev1] ready\r\n", "IMAP"),
            (b"+OK Dovecot ready.\r\n", "POP3"),
            (b"+OK\r\n", "Redis"),
            (b"-ERR unknown command '\x16\x03'\r\n", "Redis"),
            (b"*1\r\n$4\r\nPING\r\n", "Redis"),
            (b"\x4a\0\0\0\x0a8.0.36\0", "MySQL"),
            (b"\x17\0\0\0\xff\x10\x04Too many connections", "MySQL"),
            (b"\0\0\0\x08\x04\xd2\x16\x2f", "PostgreSQL"),
            (b"E\0\0\0\x90SFATAL\0", "PostgreSQL"),
            (b"\x10\x10\0\x04MQTT\x05\x02", "MQTT"),
            (b"\xff\xfd\x18\xff\xfd\x20", "Telnet"),
            (b"\x80\x2e\x01\x03\x01", "SSL 2.0"),
            (b"\x15\x03\x01\x00\x02\x02\x46", "TLS"),
        ];
        for (first, protocol) in known {
            assert_eq!(
                looks_like(first),
                Some(*protocol),
                "{}",
                first.escape_ascii()
            );
        }
        for unknown in [
            &b""[..],
            b"\0\0\0\0",
            b"220",
            b"*",
            b"Get / please",
            b"\x16\x03",
        ] {
            assert_eq!(looks_like(unknown), None, "{}", unknown.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_looked_at(first in proptest::collection::vec(any::<u8>(), 0..300)) {
            let seen = looks_like(&first);
            prop_assert_eq!(seen == Some("TLS"), first.len() >= 3 && is_record(&first));
        }

        #[test]
        fn a_record_is_tls_however_it_goes_on(
            kind in 20u8..=24, minor in 0u8..=4, length in 0u16..0x4800, body in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            let record = [&[kind, 3, minor][..], &length.to_be_bytes(), &body].concat();
            for cut in 3..record.len() {
                prop_assert_eq!(looks_like(&record[..cut]), Some("TLS"));
            }
        }

        #[test]
        fn a_known_opening_stays_known_when_more_comes(
            which in 0..OPENINGS.len(), more in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            let (word, protocol) = OPENINGS[which];
            prop_assert_eq!(looks_like(&[word.as_bytes(), &more].concat()), Some(protocol));
        }
    }
}
