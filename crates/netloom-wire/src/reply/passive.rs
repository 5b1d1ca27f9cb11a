//! Where an FTP server waits for the data connection.

use std::net::{Ipv4Addr, SocketAddrV4};

/// The address in a reply 227 (RFC 959 §4.1.2). The parentheses may be missing,
/// and the numbers are looked for wherever they stand (RFC 1123 §4.1.2.6).
///
/// ```
/// use netloom_wire::reply::passive;
///
/// let said = b"Entering Passive Mode (192,0,2,7,200,13).";
/// assert_eq!(passive(said), Some("192.0.2.7:51213".parse()?));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
pub fn passive(text: &[u8]) -> Option<SocketAddrV4> {
    let starts = (0..text.len())
        .filter(|&at| text[at].is_ascii_digit() && (at == 0 || !text[at - 1].is_ascii_digit()));
    starts.map(|at| &text[at..]).find_map(six)
}

/// Six numbers of one byte, commas and perhaps spaces between them.
fn six(mut text: &[u8]) -> Option<SocketAddrV4> {
    let mut numbers = [0; 6];
    for (i, number) in numbers.iter_mut().enumerate() {
        if i > 0 {
            text = text.trim_ascii_start().strip_prefix(b",")?;
            text = text.trim_ascii_start();
        }
        let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (word, rest) = text.split_at(digits);
        *number = std::str::from_utf8(word).ok()?.parse::<u8>().ok()?;
        text = rest;
    }
    let [a, b, c, d, high, low] = numbers;
    let port = u16::from_be_bytes([high, low]);
    (port != 0).then(|| SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), port))
}

/// The numbers of a reply 227, and of the command PORT.
pub fn passive_text(address: SocketAddrV4) -> String {
    let [a, b, c, d] = address.ip().octets();
    let [high, low] = address.port().to_be_bytes();
    format!("{a},{b},{c},{d},{high},{low}")
}

/// The port in a reply 229 (RFC 2428 §3): `(|||6446|)`, where any printable
/// character may stand for the bar.
///
/// ```
/// assert_eq!(netloom_wire::reply::extended(b"Extended passive (|||6446|)"), Some(6446));
/// ```
pub fn extended(text: &[u8]) -> Option<u16> {
    let opens = (0..text.len()).filter(|&at| text[at] == b'(');
    opens.map(|at| &text[at + 1..]).find_map(|rest| {
        let bar = *rest
            .first()
            .filter(|bar| bar.is_ascii_graphic() && !bar.is_ascii_digit())?;
        // Before the port stand the family and the address, which servers leave empty.
        let mut parts = rest.split(|&byte| byte == bar).skip(3);
        let (port, after) = (parts.next()?, parts.next()?);
        let digits = port.iter().all(u8::is_ascii_digit) && after.starts_with(b")");
        let port = digits.then(|| std::str::from_utf8(port).ok()?.parse().ok())??;
        (port != 0).then_some(port)
    })
}

/// What a reply 229 says of its port.
pub fn extended_text(port: u16) -> String {
    format!("(|||{port}|)")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn forms_that_servers_use_are_read() {
        let forms: &[&[u8]] = &[
            b"Entering Passive Mode (127,0,0,1,4,1)",
            b"Entering Passive Mode. 127,0,0,1,4,1",
            b"=127,0,0,1,4,1",
            b"Passive 2 mode ( 127, 0, 0, 1, 4, 1 )",
            b"127,0,0,1,4,1",
        ];
        for form in forms {
            let found = passive(form).map(|address| address.to_string());
            assert_eq!(
                found.as_deref(),
                Some("127.0.0.1:1025"),
                "{}",
                form.escape_ascii()
            );
        }
        for none in [
            &b""[..],
            b"(127,0,0,1,4)",
            b"(256,0,0,1,4,1)",
            b"(1,2,3,4,0,0)",
            b"1 2 3 4 5 6",
        ] {
            assert_eq!(passive(none), None, "{}", none.escape_ascii());
        }
        assert_eq!(extended(b"(!!!80!)"), Some(80));
        assert_eq!(extended(b"(|1|192.0.2.1|80|)"), Some(80));
        for none in [
            &b""[..],
            b"(|||)",
            b"(|||0|)",
            b"(|||99999|)",
            b"|||80|",
            b"(|||80)",
            b"(|||+8|)",
        ] {
            assert_eq!(extended(none), None, "{}", none.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn what_is_built_is_read(ip: [u8; 4], port in 1u16.., before in "[a-z (]{0,20}", after in "[).]{0,3}") {
            let address = SocketAddrV4::new(Ipv4Addr::from(ip), port);
            let said = format!("{before}{}{after}", passive_text(address));
            prop_assert_eq!(passive(said.as_bytes()), Some(address));
            let said = format!("{before}{}{after}", extended_text(port));
            prop_assert_eq!(extended(said.as_bytes()), Some(port));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[(|0-9, )]{0,40}") {
            if let Some(address) = passive(text.as_bytes()) {
                prop_assert_eq!(passive(passive_text(address).as_bytes()), Some(address));
            }
            prop_assert_ne!(extended(text.as_bytes()), Some(0));
        }
    }
}
