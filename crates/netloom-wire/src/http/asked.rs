//! Reading the head of a request.

use httparse::{EMPTY_HEADER, Request, Status};

use super::head::{HeadError, Headers, LONGEST_HEAD, MOST_HEADERS};

/// The request line and the headers of a request (RFC 9112 §3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The method as it was written: methods are case-sensitive.
    pub method: String,
    /// The target as it was written.
    pub target: String,
    /// The number after `HTTP/1.`: 0 or 1.
    pub minor: u8,
    /// The headers, as they came.
    pub headers: Headers,
}

impl Asked {
    /// Reads a head, and says how many bytes it has. `None` while it has not
    /// come whole.
    ///
    /// # Errors
    /// What is no head, is too long, or could be understood in two ways.
    pub fn read(bytes: &[u8]) -> Result<Option<(Asked, usize)>, HeadError> {
        let seen = &bytes[..bytes.len().min(LONGEST_HEAD)];
        let mut headers = [EMPTY_HEADER; MOST_HEADERS];
        let mut request = Request::new(&mut headers);
        match request.parse(seen) {
            Ok(Status::Complete(length)) => {
                let asked = Asked {
                    method: request.method.unwrap_or_default().to_owned(),
                    target: request.path.unwrap_or_default().to_owned(),
                    minor: request.version.unwrap_or_default(),
                    headers: Headers::of(request.headers),
                };
                Ok(Some((asked, length)))
            }
            Ok(Status::Partial) if bytes.len() >= LONGEST_HEAD => Err(HeadError::TooLong),
            Ok(Status::Partial) => Ok(None),
            Err(error) => Err(HeadError::of(error)),
        }
    }

    /// The host that is asked, without its port (RFC 9110 §7.2). `None` where
    /// there is none, or more than one.
    pub fn host(&self) -> Option<&str> {
        let mut hosts = self.headers.all("host");
        let host = hosts.next().filter(|_| hosts.next().is_none())?;
        match host.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => Some(name),
            _ => Some(host),
        }
    }

    /// Whether another request may follow on the connection (RFC 9112 §9.3).
    pub fn keeps_open(&self) -> bool {
        if self.minor == 0 {
            self.headers.lists("connection", "keep-alive")
        } else {
            !self.headers.lists("connection", "close")
        }
    }

    /// Whether a body follows the head (RFC 9112 §6).
    pub fn has_body(&self) -> bool {
        let is_some = |length: &str| length.trim() != "0";
        self.headers.get("transfer-encoding").is_some()
            || self.headers.all("content-length").any(is_some)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Asked {
        let (asked, length) = Asked::read(text.as_bytes()).unwrap().unwrap();
        assert_eq!(length, text.len());
        asked
    }

    #[test]
    fn a_head_is_read_once_it_is_whole() {
        let text = "GET /metrics?a=b HTTP/1.1\r\nHost: [::1]:9901\r\nAccept: */*\r\n\r\n";
        for end in 0..text.len() {
            assert_eq!(Asked::read(&text.as_bytes()[..end]), Ok(None), "{end}");
        }
        let asked = read(text);
        assert_eq!(
            (&*asked.method, &*asked.target, asked.minor),
            ("GET", "/metrics?a=b", 1)
        );
        assert_eq!(asked.host(), Some("[::1]"));
        assert!(asked.keeps_open() && !asked.has_body());
    }

    #[test]
    fn hosts_are_told_without_their_ports() {
        let host = |line: &str| {
            read(&format!("GET / HTTP/1.1\r\n{line}\r\n"))
                .host()
                .map(str::to_owned)
        };
        assert_eq!(host("Host: a.example:80\r\n").as_deref(), Some("a.example"));
        assert_eq!(host("Host: a.example\r\n").as_deref(), Some("a.example"));
        assert_eq!(host("Host: [::1]\r\n").as_deref(), Some("[::1]"));
        assert_eq!(host("Host: a\r\nHost: b\r\n"), None, "two are none");
        assert_eq!(host(""), None);
    }

    #[test]
    fn what_could_be_understood_in_two_ways_is_refused() {
        for text in [
            "GET  / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
            "GET / HTTP/2.0\r\n\r\n",
            "\x16\x03\x01\x02\x00\x01",
        ] {
            assert!(Asked::read(text.as_bytes()).is_err(), "{text:?}");
        }
        let endless = [
            b"GET / HTTP/1.1\r\nA: ".as_slice(),
            &vec![b'x'; LONGEST_HEAD],
        ]
        .concat();
        assert_eq!(Asked::read(&endless), Err(HeadError::TooLong));
    }

    #[test]
    fn connections_stay_as_the_version_and_the_client_say() {
        assert!(!read("GET / HTTP/1.0\r\n\r\n").keeps_open());
        assert!(read("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keeps_open());
        assert!(!read("GET / HTTP/1.1\r\nConnection: x, close\r\n\r\n").keeps_open());
        assert!(read("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n").has_body());
        assert!(!read("GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n").has_body());
    }

    proptest! {
        #[test]
        fn nothing_a_peer_sends_is_read_beyond_its_end(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(Some((_, length))) = Asked::read(&bytes) {
                prop_assert!(length <= bytes.len());
            }
        }
    }
}
