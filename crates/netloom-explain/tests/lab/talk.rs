//! Conversations that opened, and went wrong.

use std::time::Duration;

use netloom_base::diagnosis::Verdict;
use netloom_base::failure::{Fact, Flow};
use netloom_base::{Code, Diagnosis, Failure, Side, Stage};
use netloom_transport::Conn;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::place::{
    Host, Lab, Program, failed, fix, has, in_folder, in_namespace, is_confirmed, knows, run, sh,
    until,
};

/// A server that does `what` with the first connection, and then waits.
fn server(what: &str) -> (Program, u16) {
    Program::python(&format!(
        "import socket, struct, sys\ns = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); print(s.getsockname()[1])\n\
         c, _ = s.accept()\n{what}\nsys.stdin.read()"
    ))
}

/// The failure as a verb makes it of what the kernel said.
fn ended(
    conn: &Conn,
    url: &str,
    stage: Stage,
    error: std::io::Error,
    moved: (u64, u64),
) -> Failure {
    conn.failure(stage, error).at(url).fact(Fact::Moved {
        received: moved.0,
        sent: moved.1,
    })
}

fn verdict(diagnosis: &Diagnosis, words: &str) -> Verdict {
    let found = diagnosis
        .causes
        .iter()
        .find(|cause| cause.text.contains(words));
    found
        .unwrap_or_else(|| panic!("no cause has {words:?} in:\n{diagnosis}"))
        .verdict
}

/// Dials, says `words`, lets the server do what it does, and is reset.
async fn reset_after(lab: &Lab, server: &mut Program, url: &str, words: &[u8]) -> Diagnosis {
    let mut conn = lab.dial(url).await.unwrap();
    conn.write_all(words).await.unwrap();
    server.go_on();
    let error = conn.read(&mut [0; 16]).await.unwrap_err();
    let failure = ended(&conn, url, Stage::Recv, error, (0, words.len() as u64));
    drop(conn);
    let diagnosis = lab.explain(&failure).await;
    assert_eq!(diagnosis.code.name(), "recv.reset");
    diagnosis
}

#[test]
fn the_server_closes_over_unread_bytes() {
    run(|lab| async move {
        let (mut server, port) =
            server("c.recv(1, socket.MSG_PEEK); sys.stdin.readline(); c.close()");
        let url = format!("tcp://127.0.0.1:{port}");
        let diagnosis = reset_after(&lab, &mut server, &url, b"hello there").await;
        assert_eq!(verdict(&diagnosis, "lay unread"), Verdict::Likely);
        assert_eq!(verdict(&diagnosis, "on the way"), Verdict::Refuted);
        knows(&diagnosis, &[&format!("process {}", server.pid())]);
        if has("ss") {
            lab.follow(fix(&diagnosis, "ss ")).await;
        }
    });
}

#[test]
fn the_server_aborts_and_nothing_was_sent() {
    run(|lab| async move {
        let (mut server, port) = server(
            "sys.stdin.readline(); c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)); c.close()",
        );
        let url = format!("tcp://127.0.0.1:{port}");
        let diagnosis = reset_after(&lab, &mut server, &url, b"").await;
        assert_eq!(verdict(&diagnosis, "lay unread"), Verdict::Refuted);
        assert_eq!(verdict(&diagnosis, "SO_LINGER"), Verdict::Likely);
    });
}

#[test]
fn the_server_is_gone_after_a_reset() {
    run(|lab| async move {
        let (mut server, port) = server("while not c.recv(1, socket.MSG_PEEK): pass");
        let url = format!("tcp://127.0.0.1:{port}");
        let mut conn = lab.dial(&url).await.unwrap();
        conn.write_all(b"hello").await.unwrap();
        until("the server to see it", || async {
            let all = lab.probe.sockets_on(&lab.cx, port).await?;
            all.into_iter()
                .find(|entry| entry.recv_queue > 0 && entry.inode != 0)
        })
        .await;
        server.kill();
        let error = conn.read(&mut [0; 16]).await.unwrap_err();
        let failure = ended(&conn, &url, Stage::Recv, error, (0, 5));
        drop(conn);
        let diagnosis = lab.explain(&failure).await;
        assert_eq!(verdict(&diagnosis, "ended or crashed"), Verdict::Likely);
    });
}

#[test]
fn the_peer_had_closed() {
    run(|lab| async move {
        let (_server, port) = server("c.sendall(b'bye'); c.recv(9); c.close()");
        let url = format!("tcp://127.0.0.1:{port}");
        let mut conn = lab.dial(&url).await.unwrap();
        conn.write_all(b"x").await.unwrap();
        conn.read_to_end(&mut Vec::new()).await.unwrap();
        let error = loop {
            if let Err(error) = conn.write_all(b"more").await {
                break error;
            }
            tokio::task::yield_now().await;
        };
        let failure = ended(&conn, &url, Stage::Send, error, (3, 5));
        drop(conn);
        let diagnosis = lab.explain(&failure).await;
        assert_eq!(diagnosis.code.name(), "send.peer-closed");
        assert!(is_confirmed(&diagnosis));
    });
}

#[test]
fn the_peer_is_gone_without_a_word() {
    in_namespace("talk::the_peer_is_gone_without_a_word", |lab| async move {
        if !has("nft") {
            return;
        }
        let host = Host::beside("a", "10.9.0.1/24", "10.9.0.2/24").await;
        let pid = host.pid().to_string();
        let mut server = Program::start(&[
            "nsenter",
            "-t",
            &pid,
            "-n",
            "python3",
            "-u",
            "-c",
            "import socket, sys; s = socket.create_server(('10.9.0.2', 0)); print(s.getsockname()[1]); c, _ = s.accept(); sys.stdin.read()",
        ]);
        let url = format!("tcp://10.9.0.2:{},user-timeout=1s", server.port());
        let mut conn = lab.dial(&url).await.unwrap();
        host.sh("nft add table inet t; nft add chain inet t in \"{ type filter hook input priority 0; policy drop; }\"");
        conn.write_all(b"are you there?").await.unwrap();
        let error = conn.read(&mut [0; 16]).await.unwrap_err();
        let failure = ended(&conn, &url, Stage::Recv, error, (0, 14));
        drop(conn);
        let diagnosis = lab.explain(&failure).await;
        assert_eq!(diagnosis.code.name(), "stuck.half-open");
        assert!(diagnosis.to_string().contains("ETIMEDOUT"), "{diagnosis}");
        knows(&diagnosis, &["14 sent"]);
        lab.follow(fix(&diagnosis, "ip route get")).await;
    });
}

/// What a verb makes of a deadline that passes while the connection lives.
fn too_late(lab: &Lab) -> Failure {
    let flows = lab.probe.own_flows().into_iter().map(Fact::Flow);
    flows.fold(
        Failure::new(Stage::Recv, Side::Peer, Code::RECV_TIMEOUT),
        Failure::fact,
    )
}

/// The same, with the program that does not read.
async fn stuck(lab: &Lab, url: &str) -> Failure {
    let mut failure = too_late(lab).at(url);
    for other in lab.probe.own_flows().iter().filter_map(|flow| flow.other) {
        if let Some(program) = lab.probe.program_at(&lab.cx, other.inode).await {
            failure = failure.fact(Fact::Program(Box::new(program)));
        }
    }
    failure
}

/// So long nothing must have moved for it to be called stuck, and a little more.
const STILL: Duration = Duration::from_millis(600);

/// Says more than there is room for, until it stands as `code` says.
async fn until_stuck(lab: &Lab, conn: &mut Conn, code: Code) {
    let much = vec![b'x'; 1 << 16];
    let say = async {
        loop {
            conn.write_all(&much).await.unwrap();
        }
    };
    let stands = until(code.name(), || async {
        let flows = lab.probe.own_flows();
        let stands = |flow: &Flow| flow.stuck() == Some(code) && flow.paused > STILL;
        flows.into_iter().find(stands)
    });
    tokio::select! {
        () = say => {}
        _ = stands => {}
    }
}

#[test]
fn the_other_program_is_stopped() {
    in_folder("talk::the_other_program_is_stopped", |lab| async move {
        let (mut server, port) = server("sys.stdin.readline()\nwhile c.recv(65536): pass");
        let url = format!("tcp://127.0.0.1:{port}");
        let mut conn = lab.dial(&url).await.unwrap();
        until("the connection to be accepted", || async {
            let all = lab.probe.sockets_on(&lab.cx, port).await?;
            let mut ends = all.into_iter().filter(|entry| entry.remote.port() != 0);
            ends.find(|entry| entry.local.port() == port && entry.inode != 0)
        })
        .await;
        sh(&format!("kill -STOP {}", server.pid()));
        until_stuck(&lab, &mut conn, Code::STUCK_READER_STOPPED).await;
        let failure = stuck(&lab, &url).await;
        drop(conn);
        let diagnosis = lab.explain(&failure).await;
        assert_eq!(diagnosis.code, Code::STUCK_READER_STOPPED, "{diagnosis}");
        assert!(is_confirmed(&diagnosis));
        assert_eq!(
            verdict(&diagnosis, "is stopped, and does not read"),
            Verdict::Confirmed
        );
        assert_eq!(verdict(&diagnosis, "packets are lost"), Verdict::Refuted);
        lab.follow(fix(&diagnosis, "ps -o")).await;
        lab.follow(fix(&diagnosis, "kill -CONT")).await;
        server.go_on();
    });
}

#[test]
fn both_programs_write() {
    in_folder("talk::both_programs_write", |lab| async move {
        let (server, port) = server("c.sendall(bytes(64 << 20))");
        let url = format!("tcp://127.0.0.1:{port}");
        let mut conn = lab.dial(&url).await.unwrap();
        until_stuck(&lab, &mut conn, Code::STUCK_BOTH_WRITING).await;
        let failure = stuck(&lab, &url).await;
        drop(conn);
        let diagnosis = lab.explain(&failure).await;
        assert_eq!(diagnosis.code, Code::STUCK_BOTH_WRITING, "{diagnosis}");
        let who = format!("process {} `python", server.pid());
        assert!(diagnosis.causes[0].text.contains(&who), "{diagnosis}");
        assert!(is_confirmed(&diagnosis));
        assert_eq!(
            verdict(&diagnosis, "nobody takes what it puts out"),
            Verdict::Likely
        );
        knows(&diagnosis, &["bytes lie unread here"]);
    });
}

#[test]
fn the_other_program_does_not_read() {
    in_folder("talk::the_other_program_does_not_read", |lab| async move {
        let (server, port) = server("");
        let url = format!("tcp://127.0.0.1:{port}");
        let mut conn = lab.dial(&url).await.unwrap();
        conn.write_all(b"are you there?").await.unwrap();
        until("the bytes to arrive", || async {
            let all = lab.probe.sockets_on(&lab.cx, port).await?;
            all.into_iter()
                .find(|entry| entry.recv_queue == 14 && entry.inode != 0)
        })
        .await;
        let failure = too_late(&lab);
        drop(conn);
        let diagnosis = lab.explain(&failure).await;
        assert!(is_confirmed(&diagnosis));
        assert!(
            diagnosis.causes[0]
                .text
                .contains(&format!("process {} `python", server.pid()))
        );
        knows(&diagnosis, &["14 bytes lie unread at the other end"]);
    });
}

#[test]
fn the_other_program_read_all_and_does_not_answer() {
    in_folder(
        "talk::the_other_program_read_all_and_does_not_answer",
        |lab| async move {
            let (server, port) = server("c.recv(14)");
            let url = format!("tcp://127.0.0.1:{port}");
            let mut conn = lab.dial(&url).await.unwrap();
            conn.write_all(b"are you there?").await.unwrap();
            until("the bytes to be read", || async {
                let flow = lab
                    .probe
                    .own_flows()
                    .into_iter()
                    .find(|flow| flow.unsent == 0)?;
                let all = lab.probe.sockets_on(&lab.cx, port).await?;
                let theirs = all.iter().find(|entry| entry.remote == flow.local)?;
                (theirs.recv_queue == 0 && theirs.inode != 0).then_some(())
            })
            .await;
            let failure = too_late(&lab);
            drop(conn);
            let diagnosis = lab.explain(&failure).await;
            assert_eq!(verdict(&diagnosis, "read everything"), Verdict::Likely);
            knows(&diagnosis, &["all that was sent is acknowledged"]);
            knows(&diagnosis, &[&format!("process {} `", server.pid())]);
        },
    );
}

#[test]
fn the_other_program_waits_too() {
    in_folder("talk::the_other_program_waits_too", |lab| async move {
        let (server, port) = server("c.recv(14)");
        let url = format!("tcp://127.0.0.1:{port}");
        let conn = lab.dial(&url).await.unwrap();
        until("the connection to be accepted", || async {
            let all = lab.probe.sockets_on(&lab.cx, port).await?;
            let mut ends = all.into_iter().filter(|entry| entry.remote.port() != 0);
            ends.find(|entry| entry.local.port() == port && entry.inode != 0)
        })
        .await;
        let moved = Fact::Moved {
            received: 0,
            sent: 0,
        };
        let failure = too_late(&lab).fact(moved).at(&url);
        drop(conn);
        let diagnosis = lab.explain(&failure).await;
        assert_eq!(diagnosis.code.name(), "stuck.both-reading", "{diagnosis}");
        let who = format!("process {} `python", server.pid());
        assert_eq!(
            verdict(&diagnosis, "waits for the first word"),
            Verdict::Likely
        );
        assert!(diagnosis.causes[0].text.contains(&who), "{diagnosis}");
        lab.follow(fix(&diagnosis, "ss -tinp")).await;
    });
}

#[test]
fn programs_that_cannot_be_run_are_told_apart() {
    in_folder(
        "talk::programs_that_cannot_be_run_are_told_apart",
        |lab| async move {
            let diagnosis = lab
                .explain(&failed(lab.dial("exec:ehco hello").await))
                .await;
            assert_eq!(diagnosis.code.name(), "exec.not-found");
            assert!(
                diagnosis.causes[0].text.contains("echo was meant"),
                "{diagnosis}"
            );
            lab.follow(fix(&diagnosis, "command -v")).await;

            std::fs::write("script", "#!/no/such/shell\n").unwrap();
            let diagnosis = lab.explain(&failed(lab.dial("exec:./script").await)).await;
            assert_eq!(diagnosis.code.name(), "exec.denied");
            assert!(is_confirmed(&diagnosis));
            knows(&diagnosis, &["has mode 06"]);
            lab.follow(fix(&diagnosis, "chmod +x")).await;

            let diagnosis = lab.explain(&failed(lab.dial("exec:./script").await)).await;
            assert_eq!(diagnosis.code.name(), "exec.not-found");
            assert!(is_confirmed(&diagnosis));
            assert!(diagnosis.causes[0].text.contains("/no/such/shell"));
            lab.follow(fix(&diagnosis, "head -n 1")).await;

            let diagnosis = lab.explain(&failed(lab.dial("exec:./nothing").await)).await;
            assert_eq!(diagnosis.code.name(), "exec.not-found");
            lab.follow(fix(&diagnosis, "ls -l")).await;
        },
    );
}

#[test]
fn programs_that_end_badly_say_how() {
    run(|lab| async move {
        for (command, words) in [
            ("sh -c 'exit 3'", "the program failed at what it does"),
            ("sh -c 'kill -SEGV $$'", "the program crashed"),
            ("sh -c 'kill -KILL $$'", "somebody killed it"),
            (
                "sh -c 'no-such-command-here'",
                "a command in it was not found",
            ),
        ] {
            let url = netloom_base::Endpoint::from_opaque("exec", command).to_string();
            let mut conn = lab.dial(&url).await.unwrap();
            let error = conn.read_to_end(&mut Vec::new()).await.unwrap_err();
            let failure = conn.failure(Stage::Recv, error).at(&url);
            let diagnosis = lab.explain(&failure).await;
            assert_eq!(diagnosis.code.name(), "exec.failed", "{url}");
            assert!(diagnosis.causes[0].text.contains(words), "{diagnosis}");
            lab.follow(fix(&diagnosis, "sh -c")).await;
        }
    });
}

#[test]
fn there_is_no_such_family() {
    in_namespace("talk::there_is_no_such_family", |lab| async move {
        sh("echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6");
        let failure = Failure::new(Stage::Create, Side::Os, Code::CREATE_FAMILY_UNSUPPORTED)
            .at("tcp://[::1]:1");
        let diagnosis = lab.explain(&failure).await;
        lab.follow(fix(&diagnosis, "cat /proc/sys/net/ipv6")).await;
    });
}

#[test]
fn root_is_told_which_rule_it_is() {
    in_namespace("talk::root_is_told_which_rule_it_is", |lab| async move {
        if !has("nft") {
            return;
        }
        sh(
            "nft add table inet t; nft add chain inet t out '{ type filter hook output priority 0; }'; \
            nft add rule inet t out tcp dport 7001 drop; \
            nft add rule inet t out tcp dport 7003 drop",
        );
        let failure = lab
            .dial_for(
                "tcp://127.0.0.1:7001",
                ([127, 0, 0, 1], 7001).into(),
                Duration::from_millis(200),
            )
            .await;
        let diagnosis = lab.explain(&failed(failure)).await;
        assert_eq!(diagnosis.code.name(), "connect.denied.local-firewall");
        knows(
            &diagnosis,
            &["table inet t, chain out (output): tcp dport 7001 drop"],
        );
        assert!(!diagnosis.to_string().contains("7003"), "{diagnosis}");
        assert!(
            diagnosis
                .unchecked
                .iter()
                .all(|un| !un.what.contains("which rule"))
        );
    });
}
