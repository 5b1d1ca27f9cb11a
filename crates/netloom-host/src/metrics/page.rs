//! Requests of the admin endpoint, one after another on a connection.

use netloom_base::{Code, Failure, Side, Stage};
use netloom_protocol::finish;
use netloom_transport::{Conn, Cx, Notice};
use netloom_wire::http::Asked;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Admin, text};

/// As much as is read of one head: what asks for figures says little.
const LONGEST: usize = 8 * 1024;

const INDEX: &str = "netloom, the admin endpoint\n\n/metrics   figures for Prometheus\n";

/// What is answered.
struct Answer {
    status: &'static str,
    kind: &'static str,
    body: String,
    /// Said besides: what may be asked instead.
    allow: bool,
}

impl Answer {
    fn plain(status: &'static str, body: &str) -> Self {
        Answer {
            status,
            kind: "text/plain; charset=utf-8",
            body: body.to_owned(),
            allow: status.starts_with("405"),
        }
    }

    /// `GET` gets it whole, `HEAD` without its body (RFC 9110 §9.3.2).
    fn bytes(&self, with_body: bool, keeps_open: bool) -> Vec<u8> {
        let Answer { status, kind, .. } = self;
        let length = self.body.len();
        let connection = if keeps_open { "keep-alive" } else { "close" };
        let allow = if self.allow {
            "Allow: GET, HEAD\r\n"
        } else {
            ""
        };
        let mut bytes = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
             Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\
             {allow}Connection: {connection}\r\n\r\n"
        );
        if with_body {
            bytes.push_str(&self.body);
        }
        bytes.into_bytes()
    }
}

/// Answers until the client has had enough, or asks what cannot be understood.
pub(super) async fn serve(admin: &Admin, mut conn: Conn, cx: &Cx) -> Result<(), Failure> {
    let mut came = Vec::new();
    loop {
        match Asked::read(&came) {
            Ok(Some((asked, length))) => {
                let keeps_open = asked.keeps_open() && !asked.has_body() && !draining(&conn);
                let answer = answer(admin, &asked);
                say(&mut conn, &answer.bytes(asked.method != "HEAD", keeps_open)).await?;
                if !keeps_open {
                    return finish(conn, cx).await;
                }
                came.drain(..length);
            }
            Ok(None) if came.len() < LONGEST => {
                let mut room = [0; 1024];
                match conn.read(&mut room).await {
                    Ok(0) if came.is_empty() => return finish(conn, cx).await,
                    Ok(0) => {
                        return Err(Failure::new(Stage::Recv, Side::Peer, Code::RECV_PARTIAL)
                            .message("the client ended within a request"));
                    }
                    Ok(n) => came.extend_from_slice(&room[..n]),
                    Err(error) => return Err(conn.failure(Stage::Recv, error)),
                }
            }
            unreadable => {
                let status = if unreadable.is_ok() {
                    "431 Request Header Fields Too Large"
                } else {
                    "400 Bad Request"
                };
                let answer = Answer::plain(status, "this is no request of HTTP/1\n");
                say(&mut conn, &answer.bytes(true, false)).await?;
                return finish(conn, cx).await;
            }
        }
    }
}

fn draining(conn: &Conn) -> bool {
    matches!(conn.notice(), Some(Notice::Drain))
}

async fn say(conn: &mut Conn, bytes: &[u8]) -> Result<(), Failure> {
    let said = conn.write_all(bytes).await;
    said.map_err(|error| conn.failure(Stage::Send, error))
}

fn answer(admin: &Admin, asked: &Asked) -> Answer {
    if !is_for_us(asked) {
        return Answer::plain(
            "421 Misdirected Request",
            "ask by the address of this host, or as localhost\n",
        );
    }
    if !matches!(&*asked.method, "GET" | "HEAD") {
        return Answer::plain("405 Method Not Allowed", "GET and HEAD\n");
    }
    match asked.target.split('?').next().unwrap_or_default() {
        "/metrics" => Answer {
            status: "200 OK",
            kind: text::TYPE,
            body: admin.figures(),
            allow: false,
        },
        "/" => Answer::plain("200 OK", INDEX),
        _ => Answer::plain("404 Not Found", INDEX),
    }
}

/// A page from elsewhere can make a browser ask a name of its own that leads
/// here (DNS rebinding). It cannot make it ask by an address or by `localhost`,
/// and without a name nothing is lost: programs that ask know where they ask.
fn is_for_us(asked: &Asked) -> bool {
    let Some(host) = asked.host() else {
        return asked.minor == 0 && asked.headers.get("host").is_none();
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || bare.parse::<std::net::IpAddr>().is_ok()
}
