//! Other people's programs, and the hosts they run on.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::{sh, until};

/// Somebody else's program, ended with the situation.
pub(crate) struct Program(Child);

impl Program {
    pub(crate) fn start(line: &[&str]) -> Self {
        let child = Command::new(line[0])
            .args(&line[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        Program(child.unwrap_or_else(|error| panic!("{}: {error}", line[0])))
    }

    /// OpenSSL's server, on a port of its own.
    pub(crate) fn s_server(flags: &str) -> (Self, u16) {
        let mut line = vec!["openssl", "s_server", "-accept", "127.0.0.1:0"];
        line.extend(flags.split_ascii_whitespace());
        let mut program = Program::start(&line);
        let mut said = BufReader::new(program.0.stdout.as_mut().unwrap());
        let mut line = String::new();
        while said.read_line(&mut line).unwrap() > 0 {
            if let Some(at) = line.strip_prefix("ACCEPT ") {
                let port = at.trim().rsplit(':').next().unwrap().parse().unwrap();
                return (program, port);
            }
            line.clear();
        }
        panic!("s_server {flags}: it told no port");
    }

    /// A python program; waits for its first line, and reads it as a number.
    pub(crate) fn python(text: &str) -> (Self, u16) {
        let mut program = Program::start(&["python3", "-u", "-c", text]);
        let port = program.port();
        (program, port)
    }

    /// Its first line, read as a number.
    pub(crate) fn port(&mut self) -> u16 {
        let mut line = String::new();
        let stdout = self.0.stdout.as_mut().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let port = line.trim().parse();
        port.unwrap_or_else(|_| panic!("the program said {line:?}"))
    }

    /// Lets it go on where it waits for a line.
    pub(crate) fn go_on(&mut self) {
        use std::io::Write;

        self.0.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Waits until it ended.
    pub(crate) fn ended(&mut self) {
        self.0.wait().unwrap();
    }

    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder of its own, gone with the situation.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("netloom-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).to_string_lossy().into_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Another host, at the other end of a virtual cable: `v-NAME` here, `eth0` there.
pub(crate) struct Host {
    program: Program,
}

impl Host {
    /// Puts one beside us; `near` and `far` are the two addresses, with their prefix.
    pub(crate) async fn beside(name: &str, near: &str, far: &str) -> Self {
        let host = Host::apart().await;
        sh(&format!(
            "ip link add v-{name} type veth peer name eth0 netns {}",
            host.program.pid()
        ));
        sh(&format!(
            "ip addr add {near} dev v-{name}; ip link set v-{name} up"
        ));
        host.sh(&format!(
            "ip link set lo up; ip addr add {far} dev eth0; ip link set eth0 up"
        ));
        host
    }

    /// Puts one behind this one: `name` here, and there `eth0`.
    pub(crate) async fn behind(&self, name: &str, near: &str, far: &str) -> Self {
        let host = Host::apart().await;
        self.sh(&format!(
            "ip link add {name} type veth peer name eth0 netns {}; ip addr add {near} dev {name}; ip link set {name} up",
            host.program.pid()
        ));
        host.sh(&format!(
            "ip link set lo up; ip addr add {far} dev eth0; ip link set eth0 up"
        ));
        host
    }

    /// One without a cable.
    async fn apart() -> Self {
        let program = Program::start(&["unshare", "-n", "sleep", "600"]);
        let own = std::fs::read_link("/proc/self/ns/net").unwrap();
        let link = format!("/proc/{}/ns/net", program.pid());
        until("the other namespace", || {
            let other = std::fs::read_link(&link).ok().filter(|other| *other != own);
            async move { other }
        })
        .await;
        Host { program }
    }

    pub(crate) fn sh(&self, line: &str) {
        sh(&format!(
            "nsenter -t {} -n sh -ec '{line}'",
            self.program.pid()
        ));
    }

    /// Starts a python program there, and waits until it says something.
    pub(crate) fn python(&self, text: &str) -> Talker {
        let pid = self.pid().to_string();
        let talker = Program::start(&["nsenter", "-t", &pid, "-n", "python3", "-u", "-c", text]);
        let mut talker = Talker::of(talker);
        assert_eq!(talker.line(), "ready");
        talker
    }

    /// A process there.
    pub(crate) fn pid(&self) -> u32 {
        self.program.pid()
    }
}

/// A program that says lines, each read as it comes.
pub(crate) struct Talker {
    lines: BufReader<std::process::ChildStdout>,
    _program: Program,
}

impl Talker {
    fn of(mut program: Program) -> Self {
        Talker {
            lines: BufReader::new(program.0.stdout.take().unwrap()),
            _program: program,
        }
    }

    /// The next line.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}
