//! HTTP statuses that are about the network between (RFC 9110 §15, RFC 6585):
//! proxies, gateways, hosts and connections, not what a page says.

use netloom_base::Stage::Greet;

use super::{Meaning, Row, after};

pub(super) fn find(text: &str) -> Option<Meaning> {
    let number = after(
        text,
        &["http status", "http", "status", "http/1.1", "http/2"],
    );
    let number = number.unwrap_or(text);
    // `HTTP 502 Bad Gateway` is read as well.
    let number = number.split(' ').next().unwrap_or_default();
    let row = ROWS
        .iter()
        .find(|row| row.name.split(' ').next() == Some(number))?;
    let reason = row.name.split_once(' ').map_or("", |(_, reason)| reason);
    let read = if number == "511" {
        "RFC 6585 §6"
    } else {
        "RFC 9110 §15"
    };
    Some(row.meaning("status", format!("HTTP {number}"), reason.to_owned(), read))
}

macro_rules! rows {
    ($( $name:literal, $says:literal, [$($code:literal)*], [$($next:literal),+]; )*) => {
        pub(super) const ROWS: &[Row] = &[
            $( Row { name: $name, says: $says, stages: &[Greet], codes: &[$($code),*], next: &[$($next),+] } ),*
        ];
    };
}

rows! {
    "101 Switching Protocols", "the server goes on in another protocol, as a WebSocket's does",
        [], ["nothing is wrong: from here the connection speaks what Upgrade named"];
    "301 Moved Permanently", "the resource lives elsewhere for good: Location says where",
        ["http.redirect-loop"], ["curl -sI URL", "netloom explain URL, which follows and tells the chain"];
    "302 Found", "the resource is elsewhere for now; where no login was expected, a captive portal answers so too",
        ["http.redirect-loop" "http.captive-portal"], ["curl -sI URL", "netloom explain URL, which follows and tells the chain"];
    "307 Temporary Redirect", "the resource is elsewhere for now, and the method stays",
        ["http.redirect-loop"], ["curl -sI URL"];
    "308 Permanent Redirect", "the resource lives elsewhere for good, and the method stays",
        ["http.redirect-loop"], ["curl -sI URL"];
    "400 Bad Request", "the server could not read the request: often plain HTTP on a port of TLS, a wrong Host, or a header that is too large",
        ["http.wrong-host" "tls.peer-speaks-tls"], ["netloom explain https://HOST:PORT/", "curl -v URL"];
    "403 Forbidden", "the server understood and refuses; a proxy or filter on the way answers so too",
        ["http.proxied"], ["curl -sI URL, and look at Server and Via"];
    "407 Proxy Authentication Required", "a proxy on the way wants to know who you are",
        ["http.proxied"], ["env | grep -i proxy", "curl -v --proxy-user USER URL"];
    "408 Request Timeout", "the server waited for the whole request in vain, and closes",
        ["http.early-reply"], ["send the request at once, or open a new connection"];
    "413 Content Too Large", "the body is larger than the server or a proxy before it takes",
        ["http.early-reply"], ["nginx: client_max_body_size; look which hop answered: curl -sI URL"];
    "417 Expectation Failed", "a hop on the way does not know `Expect: 100-continue`",
        ["http.early-reply"], ["curl -H 'Expect:' URL"];
    "421 Misdirected Request", "this server does not answer for that host on this connection: TLS name and Host differ, or a connection was reused for another host",
        ["http.wrong-host"], ["curl -v --resolve HOST:443:ADDRESS https://HOST/"];
    "426 Upgrade Required", "the server wants another protocol: Upgrade says which",
        ["greet.upgrade-refused"], ["curl -sI URL, and look at Upgrade"];
    "429 Too Many Requests", "too many requests came from here: Retry-After says how long to wait",
        [], ["curl -sI URL, and look at Retry-After"];
    "431 Request Header Fields Too Large", "the headers are larger than the server takes, often the cookies",
        [], ["try without cookies: curl -v URL"];
    "502 Bad Gateway", "a gateway asked the server behind it and got no HTTP answer: it is down, refused, reset, or speaks something else",
        ["http.gateway"], ["netloom explain URL, which names the hop", "on the gateway: netloom explain http://BACKEND:PORT/"];
    "503 Service Unavailable", "the server, or a gateway without a healthy server behind it, takes no requests now",
        ["http.gateway"], ["curl -sI URL, and look at Server, Via and Retry-After"];
    "504 Gateway Timeout", "a gateway asked the server behind it and waited in vain",
        ["http.gateway"], ["netloom explain URL, which names the hop", "on the gateway: netloom explain http://BACKEND:PORT/"];
    "505 HTTP Version Not Supported", "the server does not speak that version of HTTP",
        [], ["curl --http1.1 -sI URL"];
    "511 Network Authentication Required", "the network wants a login before it lets you out: a captive portal",
        ["http.captive-portal"], ["open any http:// page in a browser on this network, and log in"];
}
