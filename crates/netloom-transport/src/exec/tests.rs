use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use netloom_base::{Code, Fact, Failure, Stage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Exec;
use crate::conn::{Close, Conn};
use crate::trial::{self, Folder};

async fn run(endpoint: &str) -> Conn {
    trial::dial(&trial::cx(Exec), endpoint).await.unwrap()
}

async fn not_run(endpoint: &str) -> Failure {
    match trial::dial(&trial::cx(Exec), endpoint).await {
        Ok(_) => panic!("{endpoint} could be run"),
        Err(failure) => failure,
    }
}

/// All it says, and how it ended.
async fn hear(conn: &mut Conn) -> (Vec<u8>, Result<(), Failure>) {
    let mut all = Vec::new();
    let ended = conn.read_to_end(&mut all).await;
    (
        all,
        ended
            .map(drop)
            .map_err(|error| Failure::from_io(Stage::Recv, error)),
    )
}

fn exit(failure: &Failure) -> Option<&str> {
    failure.facts().iter().find_map(|fact| {
        if let Fact::Exit(how) = fact {
            Some(&**how)
        } else {
            None
        }
    })
}

fn pid(conn: &Conn) -> u32 {
    let name = conn.facts().peer.unwrap().to_string();
    name.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_program_reads_what_is_written_until_the_end() {
    let mut conn = run("exec:cat").await;
    let pid = pid(&conn);
    let sent: Vec<u8> = (0..1_000_000_u32).map(|i| (i * 7 % 253) as u8).collect();
    let (mut from, mut to) = tokio::io::split(conn);
    let feeding = async {
        to.write_all(&sent).await.unwrap();
        to.shutdown().await.unwrap();
    };
    let mut got = Vec::new();
    let ((), ended) = tokio::join!(feeding, from.read_to_end(&mut got));
    ended.unwrap();
    assert!(got == sent);
    conn = from.unsplit(to);
    assert_eq!(conn.read(&mut [0; 8]).await.unwrap(), 0);
    if cfg!(target_os = "linux") {
        assert!(
            !Path::new(&format!("/proc/{pid}")).exists(),
            "it was not reaped"
        );
    }
}

#[tokio::test]
async fn words_are_split_and_nothing_is_expanded() {
    let (said, ended) = hear(&mut run("exec:printf '%25s|' 'a b' $HOME '*'").await).await;
    ended.unwrap();
    assert_eq!(said, b"a b|$HOME|*|");
}

#[tokio::test]
async fn how_it_failed_comes_after_what_it_said() {
    let mut conn = run("exec:sh -c 'echo some; exit 3'").await;
    let (said, ended) = hear(&mut conn).await;
    let failure = ended.unwrap_err();
    assert_eq!(
        (&said[..], failure.code(), exit(&failure)),
        (&b"some\n"[..], Code::EXEC_FAILED, Some("status 3"))
    );
    assert_eq!(conn.read(&mut [0; 8]).await.unwrap(), 0);

    let (_, ended) = hear(&mut run("exec:false").await).await;
    assert_eq!(exit(&ended.unwrap_err()), Some("status 1"));
    let (_, ended) = hear(&mut run("exec:sh -c 'kill -9 $$'").await).await;
    assert_eq!(exit(&ended.unwrap_err()), Some("signal 9 (SIGKILL)"));
}

#[tokio::test]
async fn what_it_said_before_it_ended_is_not_lost() {
    let mut conn = run("exec:head -c 3000").await;
    let mut fed = 0;
    // It reads some and ends; sooner or later nobody takes what is written.
    let error = loop {
        match conn.write(&[b'x'; 4096]).await {
            Ok(n) => fed += n,
            Err(error) => break error,
        }
    };
    assert!(fed >= 3000);
    assert_eq!(
        Failure::from_io(Stage::Send, error).code(),
        Code::SEND_PEER_CLOSED
    );
    let (said, ended) = hear(&mut conn).await;
    ended.unwrap();
    assert_eq!(said.len(), 3000);
    conn.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_program_that_is_not_there_is_told_with_where_was_looked() {
    let failure = not_run("exec:netloom-no-such-program x").await;
    assert_eq!(failure.code(), Code::EXEC_NOT_FOUND);
    let path = std::env::var("PATH").unwrap();
    assert!(
        failure
            .facts()
            .iter()
            .any(|fact| fact.to_string() == format!("searched {path}"))
    );
    let failure = not_run("exec:netloom-no-such-program,env=PATH=/nowhere").await;
    assert!(
        failure
            .facts()
            .iter()
            .any(|fact| fact.to_string() == "searched /nowhere")
    );
    assert_eq!(
        not_run("exec:/nowhere/x").await.code(),
        Code::EXEC_NOT_FOUND
    );
}

#[tokio::test]
async fn why_a_file_does_not_run_is_told() {
    let folder = Folder::new("does-not-run");
    let script = folder.join("script");
    std::fs::write(&script, "#!/nowhere/interpreter -x\n").unwrap();
    let failure = not_run(&format!("exec:{script}")).await;
    assert_eq!(failure.code(), Code::EXEC_DENIED, "{failure}");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let failure = not_run(&format!("exec:{script}")).await;
    assert_eq!(failure.code(), Code::EXEC_NOT_FOUND);
    assert!(
        failure
            .facts()
            .iter()
            .any(|fact| fact.to_string().contains("#!/nowhere/interpreter -x")),
        "{failure}"
    );
    let failure = not_run(&format!("exec:{}", folder.path().display())).await;
    assert!(failure.summary().contains("is a folder"), "{failure}");
    let failure = not_run(&format!("exec:cat,dir={}", folder.join("none"))).await;
    assert!(failure.summary().contains("is no folder"), "{failure}");
}

#[tokio::test]
async fn the_folder_and_the_environment_are_as_asked() {
    let folder = Folder::new("environment");
    let here = folder.path().canonicalize().unwrap();
    let endpoint = format!(
        "exec:sh -c 'pwd -P; echo $A$B',dir={},env=A=1,env=B=x%3Dy",
        here.display()
    );
    let (said, ended) = hear(&mut run(&endpoint).await).await;
    ended.unwrap();
    assert_eq!(
        String::from_utf8_lossy(&said),
        format!("{}\n1x=y\n", here.display())
    );
    assert_eq!(not_run("exec:cat,env=A").await.code(), Code::PARSE_ENDPOINT);
}

#[tokio::test]
async fn a_command_that_cannot_be_read_is_told() {
    assert_eq!(
        not_run("exec:echo 'open").await.code(),
        Code::PARSE_ENDPOINT
    );
    assert_eq!(not_run("exec:%20").await.code(), Code::PARSE_ENDPOINT);
    let failure = trial::bind(&trial::cx(Exec), "exec:cat")
        .await
        .err()
        .unwrap();
    assert_eq!(failure.code(), Code::PARSE_ENDPOINT);
}

/// A program that holds a named pipe open: whoever reads it sees the end of
/// the program as the end of the pipe.
async fn witnessed(folder: &Folder, then: &str) -> (Conn, tokio::task::JoinHandle<Vec<u8>>) {
    let pipe = folder.join("pipe");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let mut conn = run(&format!("exec:sh -c 'exec 3>{pipe}; echo ready; {then}'")).await;
    let witness = tokio::task::spawn_blocking(move || std::fs::read(pipe).unwrap());
    let mut ready = [0; 6];
    conn.read_exact(&mut ready).await.unwrap();
    assert_eq!(&ready, b"ready\n");
    (conn, witness)
}

#[tokio::test]
async fn a_program_ends_when_its_stream_is_dropped() {
    let folder = Folder::new("dropped");
    let (conn, witness) = witnessed(&folder, "exec sleep 1000").await;
    let entry = format!("/proc/{}", pid(&conn));
    drop(conn);
    assert_eq!(witness.await.unwrap(), b"");
    // Nobody waits for it, and still it is reaped.
    while Path::new(&entry).exists() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_program_may_finish_when_everything_was_said() {
    let folder = Folder::new("finish");
    let (mut conn, witness) = witnessed(&folder, "exec cat >&3").await;
    conn.write_all(b"to the last byte").await.unwrap();
    conn.shutdown().await.unwrap();
    conn.close(Close::Orderly);
    assert_eq!(witness.await.unwrap(), b"to the last byte");
}
