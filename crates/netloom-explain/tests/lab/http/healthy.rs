//! Servers with whom nothing is wrong: nothing must be found.

use std::path::PathBuf;

use super::peers::{PLAIN, saying, websockets};
use super::{lines, visit};
use crate::place::{Program, has, run, sh};

/// A folder that goes away with the test.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("netloom-http-{}-{name}", std::process::id()));
        std::fs::create_dir_all(path.join("sub")).unwrap();
        std::fs::write(path.join("page.html"), "<h1>hello</h1>").unwrap();
        Folder(path)
    }

    pub(super) fn text(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Python's own server, over TLS where `tls` says how.
fn files(folder: &Folder, tls: &str) -> (Program, u16) {
    Program::python(&format!(
        "import functools, http.server, ssl
h = functools.partial(http.server.SimpleHTTPRequestHandler, directory={:?})
s = http.server.ThreadingHTTPServer(('127.0.0.1', 0), h)
{tls}
print(s.server_address[1])
s.serve_forever()
",
        folder.text()
    ))
}

#[test]
fn pages_that_are_there_or_not_and_redirects() {
    run(|lab| async move {
        let folder = Folder::new("files");
        let (_server, port) = files(&folder, "");
        lab.is_quiet(&format!("http://127.0.0.1:{port}/page.html"))
            .await;
        let get = async |path: &str| {
            let told = visit(&lab, &format!("http://127.0.0.1:{port}{path}"), None).await;
            lines(&told.unwrap())
        };
        let page = get("/page.html").await;
        assert!(page.contains("HTTP/1.0 200 OK"), "{page}");
        assert!(
            page.contains("the server calls itself SimpleHTTP/"),
            "{page}"
        );
        assert!(page.contains("text/html, 14 bytes"), "{page}");
        assert!(
            get("/missing")
                .await
                .contains("HTTP/1.0 404 File not found")
        );
        let moved = get("/sub").await;
        assert!(moved.contains("it redirects to /sub/"), "{moved}");
        assert!(moved.contains("HTTP/1.0 200 OK"), "{moved}");

        let (_server, port) = saying(
            "HTTP/1.1 302 Found\r\nlocation: https://login.invalid/wifi?state=0123456789\r\n\r\n",
        );
        let told = visit(&lab, &format!("http://127.0.0.1:{port}/"), None)
            .await
            .unwrap();
        let told = lines(&told);
        assert!(
            told.contains("it redirects to https://login.invalid/wifi?state=***"),
            "{told}"
        );
    });
}

#[test]
fn a_site_over_tls_whose_authority_is_named() {
    run(|lab| async move {
        if !has("openssl") {
            return;
        }
        let folder = Folder::new("tls");
        let (key, cert) = (folder.0.join("key.pem"), folder.0.join("cert.pem"));
        let (key, cert) = (key.to_str().unwrap(), cert.to_str().unwrap());
        sh(&format!(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
             -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 \
             -keyout {key} -out {cert} 2>&1"
        ));
        let context = |alpn: &str| {
            format!(
                "import ssl
def context():
    c = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    c.load_cert_chain({cert:?}, {key:?})
    c.set_alpn_protocols([{alpn}])
    return c"
            )
        };
        let wrap = |alpn: &str| {
            let context = context(alpn);
            format!("{context}\ns.socket = context().wrap_socket(s.socket, server_side=True)")
        };
        let ca = cert.replace('/', "%2F");
        let (_server, port) = files(&folder, &wrap("'http/1.1'"));
        let url = format!("https://localhost:{port},ca={ca}/page.html");
        lab.is_quiet(&url).await;
        let told = lines(&visit(&lab, &url, None).await.unwrap());
        assert!(told.contains("HTTP/1.0 200 OK"), "{told}");

        // Where both ends agree on another protocol, nothing is asked in this one.
        let (_server, port) = files(&folder, &wrap("'h2'"));
        let url = format!("https://localhost:{port},ca={ca},alpn=h2/page.html");
        let told = lines(&visit(&lab, &url, None).await.unwrap());
        assert!(told.contains("the server chose h2"), "{told}");

        let Some((_server, port)) = websockets(&context("'http/1.1'")) else {
            return;
        };
        let url = format!("wss://localhost:{port},ca={ca}/");
        lab.is_quiet(&url).await;
        let told = lines(&visit(&lab, &url, Some(b"hello")).await.unwrap());
        assert!(told.contains("5 bytes of text came back: hello"), "{told}");
    });
}

#[test]
fn a_websocket_that_echoes() {
    run(|lab| async move {
        let Some((_server, port)) = websockets(PLAIN) else {
            return;
        };
        let url = format!("ws://127.0.0.1:{port}/");
        lab.is_quiet(&url).await;
        let told = lines(&visit(&lab, &url, None).await.unwrap());
        assert!(told.contains("HTTP/1.1 101 Switching Protocols"), "{told}");
        assert!(told.contains("it answered the close with 1000"), "{told}");
        let told = lines(&visit(&lab, &url, Some(b"hello")).await.unwrap());
        assert!(told.contains("5 bytes of text came back: hello"), "{told}");
    });
}
