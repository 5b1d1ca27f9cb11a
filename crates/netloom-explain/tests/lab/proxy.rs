//! Proxies that do not pass bytes through.

use std::sync::Arc;
use std::time::Duration;

use netloom_base::Failure;
use netloom_base::diagnosis::{Fix, Verdict};
use netloom_transport::net::{SystemResolver, Transport};
use netloom_transport::probe::Probe;
use netloom_transport::tcp::Tcp;
use netloom_transport::via::{NoNames, Proxies};
use netloom_transport::{Assembly, Cx};

use crate::place::{Lab, Program, failed, fix, has, in_namespace, is_confirmed, knows};

/// A world that dials through these.
fn through(proxies: &[&str]) -> Lab {
    let given = proxies.iter().map(|&proxy| proxy.to_owned()).collect();
    let proxies = Proxies::new([Tcp.card()], Vec::new(), Arc::new(NoNames)).given(given);
    let net = Assembly::new(vec![Arc::new(Tcp)], vec![], Arc::new(SystemResolver));
    Lab {
        cx: Cx::os(Arc::new(net.by_way(Arc::new(proxies)))),
        probe: Probe::new(),
    }
}

/// Does what a fix says, and gives how it ended.
async fn follow(fix: &Fix) -> Result<(), Failure> {
    let words = fix.command.as_deref().unwrap().split(' ');
    let words: Vec<&str> = words.map(|word| word.trim_matches('\'')).collect();
    let ["netloom", "connect", url, "--via", via] = words[..] else {
        panic!("{words:?}")
    };
    through(&[via]).dial(url).await.map(drop)
}

async fn microsocks(lab: &Lab, more: &[&str]) -> Program {
    let line = [&["microsocks", "-i", "127.0.0.1", "-p", "1080"], more].concat();
    let program = Program::start(&line);
    lab.listening(1080).await;
    program
}

#[test]
fn nothing_listens_behind_the_proxy() {
    in_namespace(
        "proxy::nothing_listens_behind_the_proxy",
        |lab| async move {
            if !has("microsocks") {
                return;
            }
            let _proxy = microsocks(&lab, &[]).await;
            let via = through(&["socks5://127.0.0.1"]);
            let diagnosis = via
                .explain(&failed(via.dial("tcp://127.0.0.1:7001").await))
                .await;
            assert_eq!(diagnosis.code.name(), "proxy.refused");
            // The proxy looked, not we.
            assert_eq!(diagnosis.causes[0].verdict, Verdict::Likely);
            knows(
                &diagnosis,
                &["socks5://127.0.0.1:1080", "connection refused"],
            );
            let directly = follow(fix(&diagnosis, "netloom connect")).await;
            let code = directly.unwrap_err().code();
            assert_eq!(code.name(), "connect.refused.no-listener");
        },
    );
}

#[test]
fn the_proxy_wants_a_login_or_another() {
    in_namespace(
        "proxy::the_proxy_wants_a_login_or_another",
        |lab| async move {
            if !has("microsocks") {
                return;
            }
            let _proxy = microsocks(&lab, &["-u", "bob", "-P", "right"]).await;
            for (proxy, said) in [
                ("socks5://127.0.0.1", "wants a user and a password"),
                ("socks5://bob:wrong@127.0.0.1", "does not take this login"),
            ] {
                let via = through(&[proxy]);
                let failure = failed(via.dial("tcp://127.0.0.1:7001").await);
                let diagnosis = via.explain(&failure).await;
                assert_eq!(diagnosis.code.name(), "proxy.denied");
                assert!(is_confirmed(&diagnosis));
                assert!(diagnosis.summary.contains(said), "{diagnosis}");
                let text = diagnosis.to_string();
                assert!(!text.contains("wrong"), "{text}");
                assert!(text.contains("USER@127.0.0.1:1080"), "{text}");
            }
        },
    );
}

#[test]
fn it_is_a_proxy_of_another_kind() {
    in_namespace("proxy::it_is_a_proxy_of_another_kind", |lab| async move {
        if !has("microsocks") {
            return;
        }
        let _proxy = microsocks(&lab, &[]).await;
        let via = through(&["http://127.0.0.1:1080"]);
        let failure = failed(via.dial("tcp://127.0.0.1:1080").await);
        let diagnosis = via.explain(&failure).await;
        assert_eq!(diagnosis.code.name(), "greet.wrong-protocol");
        assert!(is_confirmed(&diagnosis), "{diagnosis}");
        follow(fix(&diagnosis, "netloom connect")).await.unwrap();
    });
}

#[test]
fn the_proxy_itself_is_not_there() {
    in_namespace("proxy::the_proxy_itself_is_not_there", |lab| async move {
        let via = through(&["socks5://127.0.0.1"]);
        let dialled = lab
            .cx
            .timeout(Duration::from_secs(5), via.dial("tcp://192.0.2.1:80"));
        let diagnosis = via.explain(&failed(dialled.await.unwrap())).await;
        assert_eq!(diagnosis.code.name(), "connect.refused.no-listener");
        assert_eq!(diagnosis.endpoint.as_deref(), Some("tcp://127.0.0.1:1080"));
        knows(&diagnosis, &["proxy on the way to tcp://192.0.2.1:80"]);
    });
}
