//! What is said of what cannot be read.

use std::fmt::Write;

use super::schemes;
use crate::endpoint::{Endpoint, EndpointError, EndpointSet, Role};

/// House style, and a suggestion that is one.
pub(super) fn in_style(error: &EndpointError) {
    let complaint = error.complaint();
    let message = &complaint.message;
    assert!(
        !message.starts_with(char::is_uppercase) && !message.ends_with('.'),
        "{message}"
    );
    if let Some(nearest) = &complaint.suggestion
        && !nearest.contains("PORT")
    {
        assert!(
            nearest.parse::<Endpoint>().is_ok(),
            "{} -> {nearest}",
            complaint.text
        );
    }
}

#[test]
fn each_mistake_has_its_complaint() {
    let typed = [
        // nothing, or too much
        "",
        "  ",
        " tcp://h:1",
        "tcp://h:1\n",
        " h:1 ",
        // what cannot be seen
        "tcp://h\0:1",
        "tcp://h:1/\u{7}",
        "tcp://h\u{200b}ost:1",
        "unix:/run/\u{202e}x",
        // half a form
        "8080",
        "99999",
        "localhost",
        "example.org/index.html",
        "host 80",
        "localhost:",
        "localhost:,a",
        "unix",
        "/run/x.sock",
        "./notes.txt",
        "[::1]",
        "*",
        "bob@host",
        "tcp://h:",
        "tcp://h:/x",
        "::1",
        "::1:80",
        "fe80::1",
        "fe80::1%eth0",
        "fd::1",
        "//host:80",
        "://host:80",
        "http//host",
        "http:\\\\host\\x",
        "C:\\x.txt",
        // schemes
        "tls+:443",
        "tls+host:443",
        "tls+[::1]:443",
        "+tcp://h:1",
        "tls++tcp://h:1",
        "tls+://h:1",
        "9p://h:1",
        "ht_tp://h",
        "ht tp://h",
        "a+a+a+a+a+a+a+a+a+a+a+a+a+a+a+a+tcp://h:1",
        // hosts
        "tcp://[::1:80",
        "tcp://[::1",
        "[::1:80",
        "tcp://[::1]80",
        "tcp://[::g]:80",
        "tcp://[10.0.0.1]:80",
        "tcp://[fe80::1%]:80",
        "tcp://[fe80::1%a b]:1",
        "tcp://[fe80::1%a@b]:1",
        "tcp://::1:80",
        "http://2001:db8::1",
        "tcp://ho!st:1",
        "tcp://*.example:1",
        "tcp://a..b:1",
        "tcp://.a:1",
        "tcp://...:1",
        "tcp://256.1.1.1:1",
        "tcp://127.1:1",
        "tcp://010.0.0.1:1",
        "tcp://0x7f.1:1",
        "tcp://8080",
        "tcp://a%41:1",
        "tcp://xn--a:1",
        "tcp://a\u{ffff}:1",
        "tcp://a-part-of-a-name-that-is-much-longer-than-the-sixty-three-bytes-dns-has:1",
        // ports
        "tcp://h:99999",
        "tcp://:655360",
        "tcp://h:x",
        "tcp://h:80x",
        "tcp://h:-80",
        "tcp://h:80-",
        "tcp://h:90-80",
        "tcp://h:0-9",
        "tcp://h:80,80",
        "tcp://h:80,79-81",
        "tcp://h:1-9,5",
        "tcp://h:80,",
        "tcp://h:80 ",
        "tcp://h: 80",
        "tcp://h:1:2",
        "tcp://h:+1",
        // users
        "tcp://@h:1",
        "tcp://a@b@h:1",
        "tcp://a%zz@h:1",
        // options
        "tcp://h,443",
        "tcp://h:1,,a",
        "tcp://h:1,=x",
        "tcp://h:1,a!=x",
        "tcp://h:1,a=",
        "tcp://h:1,a=,b",
        "tcp://h:1,a=%4",
        "tcp://h:1,a=%ff",
        "tcp://h:1,a=%00",
        "tcp://h:1,a=b c",
        "https://:443,cert=/etc/x.pem",
        "https://:443,cert=/etc/x.pem,key=/etc/k.pem?v",
        "http://:80,root=./site",
        "tcp://h:1,5x",
        // paths
        "http://h/a b?c d",
        "http://h/100%",
        "http://h/?q=%",
        "http://h/x#y",
        "http://h#",
        // opaque texts
        "exec:echo 1, 2",
        "exec:echo a,b c",
        "exec:echo it's, you know",
        "unix:/run/%",
        "unix:/run/%00",
        "unix://run/x",
        "unix:///run/x",
        "tls+unix:////run/x",
        "fd://3",
        "-,9",
        "-,",
        "file:/x,a=",
        "mailto:bob@example.org",
    ];
    let mut told = String::new();
    for text in typed {
        match text.parse::<Endpoint>() {
            Ok(endpoint) => panic!("{text} reads as {endpoint}"),
            Err(error) => {
                in_style(&error);
                let _ = writeln!(told, "{error}\n");
            }
        }
    }
    insta::assert_snapshot!(told);
}

#[test]
fn no_complaint_tells_a_password() {
    let typed = [
        "ftp://bob:hunter2@h:99999",
        "ftp://bob:hunter2@h:99999/a@b",
        "ftp://bob:hunter2@h:1,a=",
        "ftp://bob:hunt@er2@h",
        "ftp://bob:hunter2/x@h",
        "ftp://bob:hunter2?x@h",
        "ftp://bob:hunter2#x@h",
        "ftp://bob:hunter2,x@h",
        "ftp://bob:x@y,hunter2@h",
        "ftp://bob:hunt er2@h",
        "ftp://bob:hunter2%@h",
        "ftp://bob:hunter2%ff@h",
        "ftp://bob:hunter2\u{7}@h",
        "ftp://bob@home:hunter2@h",
        "bob:hunter2@h:80",
        "http:bob:hunter2@h:80",
        "http:/bob:hunter2@h:80",
        "http//bob:hunter2@h:80",
        "//bob:hunter2@h:80",
        "ht tp://bob:hunter2@h:80",
        " ftp://bob:hunter2@h:80 ",
        "unix://bob:hunter2@h/x",
        "tcp://h:1,password=hunter2,5",
        "tcp://h:1,key-password=/hunter2",
        "tcp://h:1,token=hunter2%",
        "http://h:99999/?access_token=hunter2&x",
    ];
    let mut told = String::new();
    for text in typed {
        let error = text.parse::<Endpoint>().expect_err(text);
        let _ = writeln!(told, "{error}\n");
    }
    assert!(!told.contains("hunt") && !told.contains("er2"), "{told}");
    insta::assert_snapshot!(told);
}

#[test]
fn an_endless_text_is_cut() {
    let long = format!("tcp://bob:hunter2@{}:1", "h".repeat(9000));
    let error = long.parse::<Endpoint>().unwrap_err().to_string();
    assert!(
        error.starts_with(
            "an endpoint is at most 8192 bytes long, this has 9020\n  tcp://bob:***@hhh"
        ),
        "{error}"
    );
    assert!(error.len() < 300, "{error}");
}

#[test]
fn a_set_is_bounded() {
    let error = |text: &str| text.parse::<EndpointSet>().expect_err(text).to_string();
    let told = [
        error("tcp://h:1-4097"),
        error("tcp://h:80,1000-65535,nodelay"),
    ]
    .join("\n\n");
    insta::assert_snapshot!(told);
}

#[test]
fn an_error_is_small() {
    assert_eq!(size_of::<Result<(), EndpointError>>(), size_of::<usize>());
}

#[test]
fn an_address_as_a_value_is_mended_and_its_password_hidden() {
    let near = |text: &str| {
        let error = text.parse::<Endpoint>().unwrap_err();
        in_style(&error);
        error.complaint().suggestion.clone().unwrap_or_default()
    };
    assert_eq!(
        near("https://h,via=socks5://p:1080/index?q"),
        "https://h,via=socks5:%2F%2Fp:1080/index?q"
    );
    let read: Endpoint = "tcp://h:1,via=socks5:%2F%2Fbob:hunter2@p:1080"
        .parse()
        .unwrap();
    assert_eq!(read.written(), "tcp://h:1,via=***");
    assert_eq!(read.to_string(), "tcp://h:1");
    for text in [
        "tcp://h:1,via=socks5://bob:hunter2@p:1080",
        "tcp://h:1,via=socks5:%2F%2Fbob:hunter2%40p,=",
    ] {
        let error = text.parse::<Endpoint>().unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
    // What ends in a colon is no address before a path of its own.
    let built = "http://h/".parse::<Endpoint>().unwrap();
    let built = built.with_option("x", Some("a:")).to_string();
    assert_eq!(built, "http://h,x=a%3A/");
}

#[test]
fn a_file_as_a_value_is_mended() {
    for (text, mended) in [
        (
            "tls://h:1,ca=/etc/x.pem,insecure",
            "tls://h:1,ca=%2Fetc%2Fx.pem,insecure",
        ),
        ("tls://h:1,ca=./etc/x.pem", "tls://h:1,ca=.%2Fetc%2Fx.pem"),
        ("tls://h:1,ca=etc/x.pem", "tls://h:1,ca=etc%2Fx.pem"),
        ("tls://h:1,ca=x/", "tls://h:1,ca=x"),
        ("tls://h:1,insecure/x", "tls://h:1,insecure"),
    ] {
        let wrong = match text.parse::<Endpoint>() {
            Err(wrong) => wrong,
            Ok(endpoint) => schemes().stack(&endpoint, Role::Dial).unwrap_err(),
        };
        in_style(&wrong);
        assert_eq!(wrong.complaint().suggestion.as_deref(), Some(mended));
    }
}
