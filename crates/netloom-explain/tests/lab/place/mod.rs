//! Where a situation takes place, and how it is asked about.

mod programs;

use std::future::Future;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use netloom_base::diagnosis::{Fix, Verdict};
use netloom_base::failure::{Fact, Step};
use netloom_base::story::Told;
use netloom_base::{Code, Diagnosis, Endpoint, Failure, Kind, Role, Side, Stage, Story};
use netloom_explain::story::{Visiting, visit};
use netloom_explain::{Asking, diagnose_with};
use netloom_protocol::PROTOCOLS;
use netloom_transport::datagrams::HeldDatagrams;
use netloom_transport::exec::Exec;
use netloom_transport::fd::Fd;
use netloom_transport::net::{Resolver, SystemResolver};
use netloom_transport::probe::{Entry, Probe};
use netloom_transport::tcp::Tcp;
use netloom_transport::tls::Tls;
use netloom_transport::udp::Udp;
use netloom_transport::unix::Unix;
use netloom_transport::unixgram::Unixgram;
use netloom_transport::{Assembly, Bound, Conn, Cx, Datagrams, Opened};

use crate::record;

pub(crate) use programs::{Folder, Host, Program};

/// How long anything here may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a situation with a world of its own.
pub(crate) fn run<F: Future<Output = ()>>(body: impl FnOnce(Lab) -> F) {
    run_asking(Arc::new(SystemResolver), body);
}

/// The same, where names are looked up so.
pub(crate) fn run_asking<F: Future<Output = ()>>(
    resolver: Arc<dyn Resolver>,
    body: impl FnOnce(Lab) -> F,
) {
    record::open();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let net = Assembly::new(
            vec![
                Arc::new(Tcp),
                Arc::new(Udp),
                Arc::new(Unix),
                Arc::new(Unixgram),
                Arc::new(Exec),
                Arc::new(Fd),
            ],
            vec![Arc::new(Tls::default())],
            resolver,
        )
        .speaking(PROTOCOLS.iter().map(|protocol| protocol.card()));
        body(Lab {
            cx: Cx::os(Arc::new(net)),
            probe: Probe::new(),
        })
        .await;
    });
}

/// The same in a network namespace of its own; `test` is the test's full name.
pub(crate) fn in_namespace<F: Future<Output = ()>>(test: &str, body: impl FnOnce(Lab) -> F) {
    let root = is_root();
    let flags: &[&str] = if root { &["-n"] } else { &["-Urn"] };
    again("namespace", test, "unshare", flags, || {
        sh("ip link set lo up");
        run(body);
    });
}

/// The same, with name servers that `made` starts in there.
pub(crate) fn in_namespace_asking<T, F: Future<Output = ()>>(
    test: &str,
    made: impl FnOnce() -> (Arc<dyn Resolver>, T),
    body: impl FnOnce(Lab, Rc<T>) -> F,
) {
    let flags: &[&str] = if is_root() { &["-n"] } else { &["-Urn"] };
    again("namespace", test, "unshare", flags, || {
        sh("ip link set lo up");
        let (resolver, servers) = made();
        // They stay, whatever the situation takes of them.
        let servers = Rc::new(servers);
        run_asking(resolver, |lab| body(lab, servers.clone()));
    });
}

/// The same in a process and a folder of its own, so that what a fix writes
/// lies where the next one finds it.
pub(crate) fn in_folder<F: Future<Output = ()>>(test: &str, body: impl FnOnce(Lab) -> F) {
    again("folder", test, "env", &[], || {
        let name = format!("netloom-lab-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder).unwrap();
        std::env::set_current_dir(&folder).unwrap();
        run(body);
        std::fs::remove_dir_all(folder).unwrap();
    });
}

/// The same as an ordinary user.
pub(crate) fn as_nobody<F: Future<Output = ()>>(test: &str, body: impl FnOnce(Lab) -> F) {
    if !is_root() {
        return run(body);
    }
    let flags = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    again("nobody", test, "setpriv", &flags, || run(body));
}

/// The same with few descriptors.
pub(crate) fn with_descriptors<F: Future<Output = ()>>(
    test: &str,
    limit: &str,
    body: impl FnOnce(Lab) -> F,
) {
    again(
        "descriptors",
        test,
        "prlimit",
        &[&format!("--nofile={limit}:{limit}")],
        || run(body),
    );
}

/// The same where no socket of IPv6 can be made: a seccomp filter as systemd's
/// `RestrictAddressFamilies=` sets it answers socket(2) with EAFNOSUPPORT.
pub(crate) fn without_ipv6<F: Future<Output = ()>>(test: &str, body: impl FnOnce(Lab) -> F) {
    // prctl(2): 38 forbids new privileges, 22 sets a filter (2). The filter
    // looks at the number of the call, and for socket(2) at its first argument.
    const FILTER: &str = "
import ctypes, os, platform, socket, struct, sys
call = {'x86_64': 41, 'aarch64': 198}[platform.machine()]
op = lambda code, yes, no, k: struct.pack('HBBI', code, yes, no, k)
program = (op(0x20, 0, 0, 0) + op(0x15, 0, 3, call) + op(0x20, 0, 0, 16)
    + op(0x15, 0, 1, socket.AF_INET6) + op(0x06, 0, 0, 0x50000 | 97) + op(0x06, 0, 0, 0x7fff0000))
text = ctypes.create_string_buffer(program)
filter = ctypes.create_string_buffer(struct.pack('HxxxxxxQ', 6, ctypes.addressof(text)))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, filter) == 0, ctypes.get_errno()
os.execvp(sys.argv[1], sys.argv[1:])";
    again("without IPv6", test, "python3", &["-c", FILTER], || {
        run(body);
    });
}

/// Runs this test again below another program, or its body when that was done.
fn again(what: &str, test: &str, program: &str, flags: &[&str], body: impl FnOnce()) {
    const INSIDE: &str = "NETLOOM_LAB_INSIDE";
    if std::env::var(INSIDE).is_ok_and(|inside| inside == what) {
        return body();
    }
    let can = Command::new(program)
        .args(flags)
        .arg("true")
        .stderr(Stdio::null())
        .status();
    if !can.is_ok_and(|status| status.success()) {
        return skip(&format!("{what}: {program} is not allowed it here"));
    }
    if flags.contains(&"-Urn") {
        record::mapped(test);
    }
    let own = std::env::current_exe().unwrap();
    let ended = Command::new(program)
        .args(flags)
        .arg(own)
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, what)
        .env(record::SITUATION, test)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    let cried = String::from_utf8_lossy(&ended.stderr);
    assert!(
        ended.status.success() && said.contains("1 passed"),
        "{said}\n{cried}"
    );
    print!("{cried}");
}

/// Says that a situation was left out.
pub(crate) fn skip(why: &str) {
    record::skipped(why);
    assert!(std::env::var("CI").is_err(), "{why}");
    eprintln!("skipped: {why}");
}

fn is_root() -> bool {
    Probe::new().user() == Some(0)
}

/// Whether a program is installed; without it the situation is skipped.
pub(crate) fn has(program: &str) -> bool {
    let found = Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .output();
    let found = found.is_ok_and(|found| found.status.success());
    if !found {
        skip(&format!("{program} is not installed"));
    }
    found
}

/// Runs a shell line that must succeed.
pub(crate) fn sh(line: &str) {
    let ended = Command::new("sh").args(["-ec", line]).output().unwrap();
    assert!(
        ended.status.success(),
        "{line}: {}",
        String::from_utf8_lossy(&ended.stderr)
    );
}

/// Waits until `seen` gives something, asking the kernel again and again.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut seen: impl FnMut() -> F,
) -> T {
    let over = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = seen().await {
            return found;
        }
        assert!(Instant::now() < over, "{what} did not happen");
        tokio::task::yield_now().await;
    }
}

/// What a situation has: a network, and a probe to ask about it.
pub(crate) struct Lab {
    pub(crate) cx: Cx,
    pub(crate) probe: Probe,
}

impl Lab {
    pub(crate) async fn dial(&self, url: &str) -> Result<Conn, Failure> {
        self.dial_in(url, &self.cx).await
    }

    /// The same for a person: with the error queue armed.
    pub(crate) async fn dial_armed(&self, url: &str) -> Result<Conn, Failure> {
        self.dial_in(url, &self.cx.clone().for_a_person()).await
    }

    async fn dial_in(&self, url: &str, cx: &Cx) -> Result<Conn, Failure> {
        let endpoint: Endpoint = url.parse().unwrap();
        let stack = cx.net().stack(&endpoint, Role::Dial)?;
        cx.net().dial(&stack, cx).await?.stream()
    }

    /// Whether the probe has left an address alone until now: it dials each but
    /// once in a while.
    pub(crate) async fn left_alone(&self, addr: &str) -> bool {
        let soon = Duration::from_millis(50);
        let addr = addr.parse().unwrap();
        self.probe.dial_armed(&self.cx, addr, soon).await.is_some()
    }

    /// A dial that gives up sooner than a person would.
    pub(crate) async fn dial_for(
        &self,
        url: &str,
        addr: SocketAddr,
        d: Duration,
    ) -> Result<Conn, Failure> {
        let late = || {
            Failure::new(Stage::Connect, Side::Path, Code::CONNECT_TIMEOUT)
                .fact(Fact::Waited(d))
                .fact(Fact::Tried(addr))
                .at(url)
        };
        self.cx
            .timeout(d, self.dial(url))
            .await
            .unwrap_or_else(|| Err(late()))
    }

    pub(crate) async fn bind(&self, url: &str) -> Result<Vec<Arc<dyn Bound>>, Failure> {
        let endpoint: Endpoint = url.parse().unwrap();
        let stack = self.cx.net().stack(&endpoint, Role::Bind)?;
        self.cx.net().bind(&stack, &self.cx).await
    }

    /// A socket for datagrams to somebody.
    pub(crate) async fn towards(&self, url: &str) -> Result<Box<dyn Datagrams>, Failure> {
        let endpoint: Endpoint = url.parse().unwrap();
        let stack = self.cx.net().stack(&endpoint, Role::Dial)?;
        match self.cx.net().dial(&stack, &self.cx).await? {
            Opened::Datagrams(socket) => Ok(socket),
            other => panic!("{url} gave {}", other.kind()),
        }
    }

    /// Addresses for datagrams.
    pub(crate) async fn mailbox(&self, url: &str) -> Result<HeldDatagrams, Failure> {
        let endpoint: Endpoint = url.parse().unwrap();
        let stack = self.cx.net().stack(&endpoint, Role::Bind)?;
        self.cx.net().datagrams(&stack, &self.cx).await
    }

    /// What is said of a failure; it must keep the promises every diagnosis makes.
    pub(crate) async fn explain(&self, failure: &Failure) -> Diagnosis {
        let began = Instant::now();
        let diagnosis = diagnose_with(failure, &self.probe, Asking::default(), &self.cx).await;
        let took = began.elapsed();
        eprintln!("{diagnosis}\n  ({:.1} ms)", took.as_secs_f64() * 1e3);
        record::told(&diagnosis, took);
        assert!(took < Duration::from_millis(3500), "{took:?}");
        assert!(!diagnosis.causes.is_empty(), "{diagnosis}");
        assert!(!diagnosis.fixes.is_empty(), "{diagnosis}");
        let confirmed =
            |cause: &netloom_base::diagnosis::Cause| cause.verdict == Verdict::Confirmed;
        if let Some(last) = diagnosis.causes.iter().rposition(confirmed) {
            assert_eq!(
                last, 0,
                "one cause is confirmed, and it comes first: {diagnosis}"
            );
        }
        diagnosis
    }

    /// Waits until somebody listens on a port.
    pub(crate) async fn listening(&self, port: u16) -> Entry {
        until("listening", || async {
            let all = self.probe.listeners(&self.cx).await?;
            all.into_iter().find(|entry| entry.local.port() == port)
        })
        .await
    }

    /// Nothing is wrong, and nothing is said: the conversation opens, and nothing
    /// was noticed on the way.
    pub(crate) async fn is_healthy(&self, url: &str) -> Conn {
        let conn = self.dial(url).await;
        let conn = conn.unwrap_or_else(|failure| panic!("{url}: {failure}"));
        assert!(
            conn.learned()
                .iter()
                .all(|fact| !matches!(fact, Fact::Noted { .. })),
            "{url}: {:?}",
            conn.learned()
        );
        record::quiet(url);
        conn
    }

    fn is_datagrams(&self, url: &str, role: Role) -> bool {
        let stack = self.cx.net().stack(&url.parse().unwrap(), role);
        stack.is_ok_and(|stack| stack.kind() == Kind::Datagram)
    }

    /// The same for the whole story that `netloom explain` tells: nothing in it is
    /// a note, and no step went wrong. That a name has no address of one family is
    /// told, and is no fault.
    pub(crate) async fn is_quiet(&self, url: &str) -> Story {
        self.is_quiet_to(url, None).await
    }

    pub(crate) async fn is_quiet_to(&self, url: &str, send: Option<&[u8]>) -> Story {
        let story = self.story(url, send).await;
        let story = story.unwrap_or_else(|failure| panic!("{url}: {failure}"));
        let loud = |told: &Told| told.about == "note" || told.code.is_some();
        let failed = |step: &Step| step.failed.is_some() && step.stage != Stage::Resolve;
        let silent = !story.told.iter().any(loud) && !story.steps.iter().any(failed);
        assert!(silent, "{}", story.plain(100));
        record::quiet(url);
        story
    }

    /// The story of a conversation, as `netloom explain` comes by it.
    pub(crate) async fn story(&self, url: &str, send: Option<&[u8]>) -> Result<Story, Failure> {
        let stack = self.cx.net().stack(&url.parse().unwrap(), Role::Dial)?;
        let visiting = Visiting {
            send,
            ..Visiting::default()
        };
        let cx = self.cx.clone().for_a_person();
        visit(&stack, visiting, &self.probe, &cx).await
    }

    /// Does what a fix says. Netloom's own verbs are done with the library.
    pub(crate) async fn follow(&self, fix: &Fix) {
        let command = fix.command.as_deref().unwrap();
        let words: Vec<&str> = command.split_ascii_whitespace().collect();
        let url = |word: &&str| word.trim_matches('\'').to_owned();
        match words[..] {
            ["netloom", "listen", ref rest @ ..] => {
                let url = url(&rest[0]);
                let bound = if self.is_datagrams(&url, Role::Bind) {
                    self.mailbox(&url).await.map(drop)
                } else {
                    self.bind(&url).await.map(drop)
                };
                bound.unwrap_or_else(|f| panic!("{command}: {f}"));
            }
            ["netloom", "connect" | "explain", ref rest @ ..] => {
                let url = url(&rest[0]);
                let dialled = if self.is_datagrams(&url, Role::Dial) {
                    self.towards(&url).await.map(drop)
                } else {
                    self.dial(&url).await.map(drop)
                };
                dialled.unwrap_or_else(|f| panic!("{command}: {f}"));
            }
            _ => sh(command),
        }
    }
}

/// The evidence that has all of these words.
pub(crate) fn knows(diagnosis: &Diagnosis, words: &[&str]) {
    let found = diagnosis
        .evidence
        .iter()
        .any(|evidence| words.iter().all(|word| evidence.fact.contains(word)));
    assert!(found, "no evidence has {words:?} in:\n{diagnosis}");
}

/// The fix whose command begins so.
pub(crate) fn fix<'a>(diagnosis: &'a Diagnosis, begin: &str) -> &'a Fix {
    let begins = |fix: &&Fix| {
        fix.command
            .as_ref()
            .is_some_and(|command| command.starts_with(begin))
    };
    let found = diagnosis.fixes.iter().find(begins);
    found.unwrap_or_else(|| panic!("no fix begins with `{begin}` in:\n{diagnosis}"))
}

pub(crate) fn is_confirmed(diagnosis: &Diagnosis) -> bool {
    diagnosis.causes[0].verdict == Verdict::Confirmed
}

/// What failed, of a result that should have.
pub(crate) fn failed<T>(result: Result<T, Failure>) -> Failure {
    match result {
        Ok(_) => panic!("this should have failed"),
        Err(failure) => failure,
    }
}
