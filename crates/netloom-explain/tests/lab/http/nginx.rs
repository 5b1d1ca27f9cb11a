//! The same with nginx between: what a real gateway answers.

use std::path::PathBuf;

use netloom_base::diagnosis::Fix;

use super::healthy::Folder;
use super::peers::{PLAIN, websockets};
use super::{follow, lines, visit};
use crate::place::{Lab, Program, failed, fix, has, knows, run, sh};

/// An nginx with a folder of its own, ended with the situation.
struct Nginx {
    folder: PathBuf,
    port: u16,
    _program: Program,
}

impl Nginx {
    /// Serves `server`, the inside of a server block without its `listen`.
    /// `listen` is what stands after the address.
    async fn start(lab: &Lab, name: &str, listen: &str, server: &str) -> Self {
        let folder =
            std::env::temp_dir().join(format!("netloom-nginx-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        // nginx cannot be asked for any free port, nor say which one it took.
        let any = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = any.local_addr().unwrap().port();
        drop(any);
        let at = folder.to_str().unwrap();
        let temp: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .fold(String::new(), |text, kind| {
                text + &format!("{kind}_temp_path {at}/{kind};\n")
            });
        let config = format!(
            "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log;
events {{}}
http {{ access_log off; {temp}
server {{ listen 127.0.0.1:{port} {listen};
{server}
}} }}"
        );
        std::fs::write(folder.join("nginx.conf"), config).unwrap();
        let file = format!("{at}/nginx.conf");
        let error = format!("{at}/error.log");
        let program = Program::start(&["nginx", "-c", &file, "-e", &error]);
        lab.listening(port).await;
        Nginx {
            folder,
            port,
            _program: program,
        }
    }

    fn url(&self, scheme: &str, path: &str) -> String {
        format!("{scheme}://127.0.0.1:{}{path}", self.port)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn nothing_is_behind_it() {
    run(|lab| async move {
        if !has("nginx") {
            return;
        }
        let server = "location / { proxy_pass http://127.0.0.1:1; }";
        let nginx = Nginx::start(&lab, "502", "", server).await;
        let url = nginx.url("http", "/");
        let diagnosis = lab.explain(&failed(visit(&lab, &url, None).await)).await;
        assert_eq!(diagnosis.code.name(), "http.gateway");
        knows(&diagnosis, &["HTTP/1.1 502 Bad Gateway"]);
        knows(&diagnosis, &["server: nginx/"]);
        fix(&diagnosis, "tail -n 20 /var/log/nginx/error.log");
        if has("curl") {
            follow(&lab, fix(&diagnosis, "curl")).await;
        }
    });
}

/// nginx reads on what it has refused, so that its answer arrives: the
/// conversation works, and the status is told.
#[test]
fn it_refuses_a_body_and_reads_it_all_the_same() {
    run(|lab| async move {
        if !has("nginx") {
            return;
        }
        let server = "client_max_body_size 1k; location / { return 204; }";
        let nginx = Nginx::start(&lab, "413", "", server).await;
        let body = vec![b'x'; 4 << 20];
        let told = visit(&lab, &nginx.url("http", "/"), Some(&body)).await;
        let told = lines(&told.unwrap());
        assert!(
            told.contains("HTTP/1.1 413 Request Entity Too Large"),
            "{told}"
        );
    });
}

#[test]
fn it_wants_tls_on_this_port() {
    run(|lab| async move {
        if !has("nginx") || !has("openssl") {
            return;
        }
        let folder = Folder::new("key");
        let key = format!("{}/key", folder.text());
        sh(&format!(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
             -subj /CN=localhost -keyout {key} -out {key}.pem 2>&1"
        ));
        let server = format!("ssl_certificate {key}.pem; ssl_certificate_key {key};");
        let nginx = Nginx::start(&lab, "400", "ssl", &server).await;
        for scheme in ["http", "ws"] {
            let failure = failed(visit(&lab, &nginx.url(scheme, "/"), None).await);
            let diagnosis = lab.explain(&failure).await;
            assert_eq!(diagnosis.code.name(), "tls.peer-speaks-tls");
        }
    });
}

#[test]
fn it_drops_the_upgrade_header_until_it_is_told_to_pass_it_on() {
    run(|lab| async move {
        if !has("nginx") {
            return;
        }
        let Some((_server, port)) = websockets(PLAIN) else {
            return;
        };
        let server = format!(
            "proxy_set_header Host $host;
             location /as-1.0 {{ proxy_pass http://127.0.0.1:{port}/; }}
             location /without {{ proxy_pass http://127.0.0.1:{port}/; proxy_http_version 1.1; }}
             location /with {{ proxy_pass http://127.0.0.1:{port}/; proxy_http_version 1.1;
               proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\"; }}"
        );
        let nginx = Nginx::start(&lab, "ws", "", &server).await;
        for (path, status, cause) in [
            ("/as-1.0", "505", "passes the request on as http/1.0"),
            (
                "/without",
                "426",
                "a proxy on the way dropped the upgrade header",
            ),
        ] {
            let url = nginx.url("ws", path);
            let diagnosis = lab.explain(&failed(visit(&lab, &url, None).await)).await;
            assert_eq!(diagnosis.code.name(), "greet.upgrade-refused");
            knows(&diagnosis, &[status]);
            assert!(diagnosis.causes[0].text.contains(cause), "{diagnosis}");
            let mut fixes = diagnosis.fixes.iter();
            let passes = |fix: &Fix| fix.text.contains("proxy_set_header Upgrade $http_upgrade;");
            assert!(fixes.any(passes), "{diagnosis}");
        }
        // What the advice says, done.
        let told = visit(&lab, &nginx.url("ws", "/with"), Some(b"hello"))
            .await
            .unwrap();
        assert!(lines(&told).contains("5 bytes of text came back: hello"));
    });
}
