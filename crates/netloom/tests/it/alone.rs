//! Tests that need a network of their own: each runs again in one, as a process
//! of its own.

use std::process::{Command, Stdio};
use std::time::Instant;

use crate::program::{PATIENCE, Program};

/// Says in that process which test it is for.
const INSIDE: &str = "NETLOOM_TEST_INSIDE";

/// Whether this process is alone in a network, with nothing but loopback. Where
/// it is not, `test` is run again in one, to its end, and the answer is no.
pub(crate) fn in_own_network(test: &str) -> bool {
    if std::env::var(INSIDE).is_ok_and(|inside| inside == test) {
        sh("ip link set lo up");
        return true;
    }
    // Whoever is not root may be in a network that nobody else sees.
    let unshare = [&["--net"][..], &["--net", "--user", "--map-root-user"]];
    let Some(flags) = unshare.into_iter().find(|flags| can_unshare(flags)) else {
        let why = "no network namespace may be made here";
        let in_ci = std::env::var("CI").is_ok_and(|ci| !ci.is_empty() && ci != "false");
        assert!(!in_ci, "{why}");
        eprintln!("skipped: {why}");
        return false;
    };
    let ended = Command::new("unshare")
        .args(flags)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, test)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    let cried = String::from_utf8_lossy(&ended.stderr);
    let passed = ended.status.success() && said.contains("1 passed");
    assert!(passed, "{said}\n{cried}");
    eprint!("{cried}");
    false
}

fn can_unshare(flags: &[&str]) -> bool {
    Command::new("unshare")
        .args(flags)
        .args(["ip", "link", "set", "lo", "up"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs a line of shell that must succeed.
pub(crate) fn sh(line: &str) {
    let ended = Command::new("sh").args(["-ec", line]).output().unwrap();
    let cried = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{line}: {cried}");
}

/// Another host, at the far end of a cable. The near end is [`Far::NEAR`].
pub(crate) struct Far(Program);

impl Far {
    pub(crate) const NEAR: &str = "10.77.0.1";
    pub(crate) const HERE: &str = "10.77.0.2";

    /// Puts one beside this network, of which we must be the only user.
    pub(crate) fn beside() -> Self {
        let far = Far(Program::start(
            Command::new("unshare").args(["--net", "sleep", "600"]),
        ));
        let own = std::fs::read_link("/proc/self/ns/net").unwrap();
        let its = format!("/proc/{}/ns/net", far.0.pid());
        let end = Instant::now() + PATIENCE;
        while std::fs::read_link(&its).map_or(true, |other| other == own) {
            assert!(Instant::now() < end, "there is no other network");
            std::thread::yield_now();
        }
        let (pid, near, here) = (far.0.pid(), Far::NEAR, Far::HERE);
        sh(&format!(
            "ip link add near type veth peer name far netns {pid};
             ip addr add {near}/24 dev near; ip link set near up"
        ));
        far.sh(&format!(
            "ip link set lo up; ip addr add {here}/24 dev far; ip link set far up"
        ));
        far
    }

    /// Runs a line of shell there.
    pub(crate) fn sh(&self, line: &str) {
        sh(&format!("nsenter -t {} -n sh -ec '{line}'", self.0.pid()));
    }

    /// The words that run a program there.
    pub(crate) fn enter(&self) -> Vec<String> {
        let pid = self.0.pid().to_string();
        ["nsenter", "-t", &pid, "-n"].map(str::to_owned).to_vec()
    }

    /// What it says no longer reaches us: not even that a port is open.
    pub(crate) fn falls_silent(&self) {
        self.sh(&format!("ip route add blackhole {}/32", Far::NEAR));
    }

    pub(crate) fn speaks_again(&self) {
        self.sh(&format!("ip route del blackhole {}/32", Far::NEAR));
    }
}
