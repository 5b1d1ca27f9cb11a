//! One situation for each code.

use super::peers::{IN_ORDER, PLAIN, RESET, saying, scripted, websockets};
use super::{follow, lines, visit, visit_deep};
use crate::place::{failed, fix, has, is_confirmed, knows, run};

#[test]
fn redirects_in_circles() {
    run(|lab| async move {
        let (_server, port) = scripted(
            "def answer(path, host, head):
    if 'sid=1' in head: return b'HTTP/1.1 200 OK\\r\\ncontent-length: 0\\r\\n\\r\\n'
    return (b'HTTP/1.1 302 Found\\r\\nset-cookie: sid=1; path=/\\r\\nlocation: '
        + (b'/b' if path == '/a' else b'/a') + b'\\r\\ncontent-length: 0\\r\\n\\r\\n')",
            IN_ORDER,
        );
        let url = format!("http://127.0.0.1:{port}/a");
        let diagnosis = lab.explain(&failed(visit(&lab, &url, None).await)).await;
        assert_eq!(diagnosis.code.name(), "http.redirect-loop");
        knows(&diagnosis, &["/a: 302 to /b"]);
        knows(&diagnosis, &["/b: 302 to /a"]);
        knows(&diagnosis, &["the cookie sid"]);
        if has("curl") {
            let cookies = fix(&diagnosis, "curl -sS -o /dev/null -D - -L -b ''");
            let command = cookies.command.clone().unwrap();
            let ended = std::process::Command::new("sh")
                .args(["-c", &command])
                .output()
                .unwrap();
            let shown = String::from_utf8_lossy(&ended.stdout);
            assert!(
                ended.status.success() && shown.contains("200 OK"),
                "{shown}"
            );
        }
    });
}

#[test]
fn redirects_without_end_over_two_endpoints_are_found_when_they_are_followed() {
    run(|lab| async move {
        let (_far, far) = scripted(
            "def answer(path, host, head):
    return b'HTTP/1.1 302 Found\\r\\nlocation: ' + path[1:].encode() + b'\\r\\n\\r\\n'",
            IN_ORDER,
        );
        let (_near, near) = saying(&format!(
            "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:{far}/x\r\n\r\n"
        ));
        let url = format!("http://127.0.0.1:{near}/");
        let told = visit(&lab, &url, None).await.unwrap();
        assert!(lines(&told).contains("it was not followed, --deep does"));
        // Followed, it comes to a server that leads round on itself.
        let failure = failed(visit_deep(&lab, &url, None, true).await);
        assert_eq!(failure.code().name(), "http.redirect-loop");
        assert!(failure.endpoint().unwrap().contains(&far.to_string()));
        let diagnosis = lab.explain(&failure).await;
        knows(
            &diagnosis,
            &[&format!("/: 302 to http://127.0.0.1:{far}/x")],
        );
    });
}

#[test]
fn the_name_of_a_site_is_missing_in_the_request() {
    run(|lab| async move {
        let (_server, port) = scripted(
            "def answer(path, host, head):
    status = b'200 OK' if host.startswith('localhost') else b'404 Not Found'
    return b'HTTP/1.1 ' + status + b'\\r\\ncontent-length: 0\\r\\n\\r\\n'",
            IN_ORDER,
        );
        let url = format!("http://127.0.0.1:{port}/");
        let diagnosis = lab.explain(&failed(visit(&lab, &url, None).await)).await;
        assert_eq!(diagnosis.code.name(), "http.wrong-host");
        assert!(is_confirmed(&diagnosis));
        knows(&diagnosis, &["HTTP/1.1 404 Not Found"]);
        knows(&diagnosis, &["HTTP/1.1 200 OK"]);
        follow(&lab, fix(&diagnosis, "netloom explain")).await;
        if has("curl") {
            follow(&lab, fix(&diagnosis, "curl")).await;
        }
    });
}

#[test]
fn the_server_says_that_the_request_is_not_for_it() {
    run(|lab| async move {
        let (_server, port) = saying("HTTP/1.1 421 Misdirected Request\r\n\r\n");
        let url = format!("http://localhost:{port}/");
        let diagnosis = lab.explain(&failed(visit(&lab, &url, None).await)).await;
        assert_eq!(diagnosis.code.name(), "http.wrong-host");
        assert!(!is_confirmed(&diagnosis));
        knows(&diagnosis, &["421 Misdirected"]);
    });
}

#[test]
fn a_proxy_answers() {
    run(|lab| async move {
        for (answer, evidence, confirmed) in [
            (
                "HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic realm=\"x\"\r\nvia: 1.1 gate (squid/5.7)\r\n\r\n",
                "407 is the answer of a proxy",
                false,
            ),
            (
                "HTTP/1.1 503 Service Unavailable\r\nserver: squid/5.7\r\nx-squid-error: ERR_CONNECT_FAIL 111\r\n\r\n",
                "x-squid-error: ERR_CONNECT_FAIL 111",
                true,
            ),
        ] {
            let (_server, port) = saying(answer);
            let url = format!("http://127.0.0.1:{port}/");
            let diagnosis = lab.explain(&failed(visit(&lab, &url, None).await)).await;
            assert_eq!(diagnosis.code.name(), "http.proxied");
            assert_eq!(is_confirmed(&diagnosis), confirmed);
            knows(&diagnosis, &[evidence]);
            if has("curl") {
                follow(&lab, fix(&diagnosis, "curl")).await;
            }
        }
    });
}

#[test]
fn a_gateway_answers_for_a_server_that_does_not() {
    run(|lab| async move {
        for (status, header) in [
            ("502 Bad Gateway", "server: nginx/1.22.1"),
            ("503 Service Unavailable", "retry-after: 0"),
            ("504 Gateway Timeout", "via: 1.1 edge, 1.1 varnish"),
        ] {
            let (_server, port) = saying(&format!("HTTP/1.1 {status}\r\n{header}\r\n\r\n"));
            let url = format!("http://127.0.0.1:{port}/");
            let diagnosis = lab.explain(&failed(visit(&lab, &url, None).await)).await;
            assert_eq!(diagnosis.code.name(), "http.gateway");
            knows(&diagnosis, &[status]);
            knows(&diagnosis, &[header]);
            if has("curl") {
                follow(&lab, fix(&diagnosis, "curl")).await;
            }
            assert_eq!(
                status.starts_with("503"),
                diagnosis.to_string().contains("sleep 0 && ")
            );
        }
    });
}

#[test]
fn the_server_answers_before_it_has_the_body() {
    run(|lab| async move {
        let (_server, port) = scripted(
            "def answer(path, host, head):
    if 'content-length: 1\\r\\n' in head.lower() + '\\r\\n' or head.startswith('GET'):
        return b'HTTP/1.1 200 OK\\r\\nconnection: close\\r\\ncontent-length: 0\\r\\n\\r\\n'
    return b'HTTP/1.1 413 Content Too Large\\r\\ncontent-length: 0\\r\\n\\r\\n'",
            RESET,
        );
        let url = format!("http://127.0.0.1:{port}/");
        let body = vec![b'x'; 16 << 20];
        let diagnosis = lab
            .explain(&failed(visit(&lab, &url, Some(&body)).await))
            .await;
        assert_eq!(diagnosis.code.name(), "http.early-reply");
        assert!(is_confirmed(&diagnosis));
        knows(&diagnosis, &["413 Content Too Large"]);
        knows(&diagnosis, &["of 16777216 bytes of the body were sent"]);
        follow(&lab, fix(&diagnosis, "netloom explain")).await;
    });
}

#[test]
fn a_network_asks_for_a_sign_in() {
    run(|lab| async move {
        let portal = "HTTP/1.1 302 Found\r\nlocation: http://portal.invalid/\r\n\r\n\
            <WISPAccessGatewayParam><Redirect><LoginURL>http://portal.invalid/in?a&amp;b</LoginURL>";
        for (answer, evidence) in [
            (
                "HTTP/1.1 511 Network Authentication Required\r\n\r\n",
                "511 means",
            ),
            (portal, "http://portal.invalid/in?a&b"),
        ] {
            let (_server, port) = saying(answer);
            let url = format!("http://127.0.0.1:{port}/");
            let diagnosis = lab.explain(&failed(visit(&lab, &url, None).await)).await;
            assert_eq!(diagnosis.code.name(), "http.captive-portal");
            knows(&diagnosis, &[evidence]);
            fix(&diagnosis, "xdg-open");
            fix(&diagnosis, "netloom explain");
        }
    });
}

#[test]
fn the_port_is_for_tls() {
    run(|lab| async move {
        let (_server, port) = saying(
            "HTTP/1.1 400 Bad Request\r\nserver: nginx\r\n\r\n\
             <center>The plain HTTP request was sent to HTTPS port</center>",
        );
        for scheme in ["http", "ws"] {
            let failure = failed(visit(&lab, &format!("{scheme}://127.0.0.1:{port}/"), None).await);
            let diagnosis = lab.explain(&failure).await;
            assert_eq!(diagnosis.code.name(), "tls.peer-speaks-tls");
        }
    });
}

#[test]
fn an_upgrade_is_refused() {
    run(|lab| async move {
        let Some((_server, port)) = websockets(PLAIN) else {
            return;
        };
        for (path, status) in [
            ("/bare", "426 Upgrade Required"),
            ("/login", "401 Unauthorized"),
        ] {
            let url = format!("ws://127.0.0.1:{port}{path}");
            let diagnosis = lab.explain(&failed(visit(&lab, &url, None).await)).await;
            assert_eq!(diagnosis.code.name(), "greet.upgrade-refused");
            knows(&diagnosis, &[status]);
            knows(&diagnosis, &["server: Python", "websockets/"]);
            if has("curl") {
                follow(&lab, fix(&diagnosis, "curl")).await;
            }
        }
    });
}

#[test]
fn an_ordinary_server_and_a_replayed_answer_are_no_websocket() {
    run(|lab| async move {
        for (answer, evidence) in [
            (
                "HTTP/1.1 200 OK\r\nserver: nginx\r\n\r\n<html>",
                "the status is 200, not 101",
            ),
            (
                "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
                 sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
                "does not answer the key",
            ),
            (
                "HTTP/1.1 502 Bad Gateway\r\nvia: 1.1 edge\r\n\r\n",
                "via: 1.1 edge",
            ),
        ] {
            let (_server, port) = saying(answer);
            let url = format!("ws://127.0.0.1:{port}/chat");
            let diagnosis = lab.explain(&failed(visit(&lab, &url, None).await)).await;
            assert_eq!(diagnosis.code.name(), "greet.upgrade-refused");
            knows(&diagnosis, &[evidence]);
            let page = fix(&diagnosis, "netloom explain http://");
            if answer.contains("200 OK") {
                follow(&lab, page).await;
            }
        }
    });
}

#[test]
fn the_server_ends_in_the_middle_of_its_answer() {
    run(|lab| async move {
        let (_server, port) = saying("HTTP/1.1 200 OK\r\ncontent-le");
        let url = format!("http://127.0.0.1:{port}/");
        let diagnosis = lab.explain(&failed(visit(&lab, &url, None).await)).await;
        assert_eq!(diagnosis.code.name(), "recv.partial");
        let told = diagnosis.to_string();
        assert!(
            told.contains("before the head of its answer was whole"),
            "{told}"
        );
        knows(&diagnosis, &["HTTP/1.1 200 OK"]);
        fix(&diagnosis, &format!("netloom explain {url}"));
    });
}

#[test]
fn the_head_of_the_answer_is_more_than_anybody_needs() {
    run(|lab| async move {
        for (lines, code, evidence) in [
            (
                "b'x: ' + b'y' * (1 << 20)",
                "recv.frame-too-large",
                "the first bytes were",
            ),
            (
                "b'x: y\\r\\n' * (1 << 10)",
                "recv.unexpected",
                "more than 256 headers",
            ),
        ] {
            let (_server, port) = scripted(
                &format!("def answer(path, host, head): return b'HTTP/1.1 200 OK\\r\\n' + {lines}"),
                RESET,
            );
            let url = format!("http://127.0.0.1:{port}/");
            let diagnosis = lab.explain(&failed(visit(&lab, &url, None).await)).await;
            assert_eq!(diagnosis.code.name(), code);
            knows(&diagnosis, &[evidence]);
            assert!(!is_confirmed(&diagnosis));
        }
    });
}
