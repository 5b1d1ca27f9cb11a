//! Writing a diagnosis, and the words that several rules need.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};

use netloom_base::diagnosis::{Cause, Evidence, Fix, Unchecked, Verdict};
use netloom_base::{Code, Diagnosis, Endpoint, Failure, Stage};
use netloom_transport::probe::{Entry, Holder};

use super::answers::Answers;
use super::target;

/// A diagnosis in the making.
pub(super) struct Draft(Diagnosis);

impl Draft {
    /// Begins with what the failure knew, under the exact code.
    pub(super) fn of(failure: &Failure, code: Code, what: impl Display) -> Self {
        let mut diagnosis = crate::diagnose(failure);
        diagnosis.code = code;
        let binding = matches!(failure.stage(), Stage::Bind | Stage::Listen);
        diagnosis.summary = match failure.endpoint() {
            Some(endpoint) if binding => format!("cannot bind {endpoint}: {what}"),
            Some(endpoint) => format!("{endpoint}: {what}"),
            None => what.to_string(),
        };
        // The coarse code may say what the exact one excludes.
        let coarse = failure.code();
        let answered = failure.errno().map(|errno| format!("answered {errno}"));
        let answered = answered.as_deref().unwrap_or("no answer");
        let tried = target(failure).map(|addr| addr.to_string());
        for step in &mut diagnosis.steps {
            if step.failed == Some(coarse) && tried.as_ref() == Some(&step.to) {
                step.failed = Some(code);
            }
        }
        let told = |fact: &str| {
            let endpoint = failure.endpoint().unwrap_or_default();
            binding
                && fact
                    .strip_prefix("tried ")
                    .is_some_and(|addr| endpoint.contains(addr))
        };
        diagnosis.evidence.retain(|evidence| !told(&evidence.fact));
        for evidence in &mut diagnosis.evidence {
            evidence.fact = evidence.fact.replace(coarse.sentence(), answered);
            if binding && evidence.source == "connect" {
                failure.stage().name().clone_into(&mut evidence.source);
            }
        }
        Draft(diagnosis)
    }

    /// Begins with what the failure says of itself.
    pub(super) fn begun(failure: &Failure) -> Self {
        Draft(crate::diagnose(failure))
    }

    /// Something known, and who said it.
    pub(super) fn knows(mut self, fact: impl Display, source: &str) -> Self {
        let known = Evidence {
            fact: fact.to_string(),
            source: source.to_owned(),
        };
        // The failure may have brought it.
        if !self.0.evidence.contains(&known) {
            self.0.evidence.push(known);
        }
        self
    }

    /// A cause; the most likely comes first.
    pub(super) fn cause(mut self, text: impl Display, verdict: Verdict, because: &str) -> Self {
        self.0.causes.push(Cause {
            text: text.to_string(),
            verdict,
            because: because.to_owned(),
        });
        self
    }

    /// Something to do that is no command.
    pub(super) fn advice(mut self, text: impl Display) -> Self {
        self.0.fixes.push(Fix {
            text: text.to_string(),
            command: None,
        });
        self
    }

    /// A command that can be pasted.
    pub(super) fn fix(mut self, text: impl Display, command: impl Into<String>) -> Self {
        self.0.fixes.push(Fix {
            text: format!("{text}:"),
            command: Some(command.into()),
        });
        self
    }

    /// Something that could not be looked at.
    pub(super) fn unchecked(mut self, what: impl Display, needs: impl Display) -> Self {
        self.0.unchecked.push(Unchecked {
            what: what.to_string(),
            needs: needs.to_string(),
        });
        self
    }

    /// A socket, and who holds it or what it would take to see that.
    pub(super) fn held(self, entry: &Entry, answers: &Answers) -> Self {
        let draft = self.knows(entry, "sock_diag");
        if let Some(holder) = answers.holder(entry) {
            let draft = draft.knows(holder, "/proc");
            let others = answers.holders.iter();
            let others = others.filter(|h| h.inode == entry.inode && h.pid != holder.pid);
            return match others.count() {
                0 => draft,
                n => draft.knows(
                    format!("{n} more descriptors of other processes hold it"),
                    "/proc",
                ),
            };
        }
        if entry.inode == 0 {
            return draft;
        }
        let draft = match answers.unit(entry) {
            Some(unit) => draft.knows(format!("inode {} is of unit {unit}", entry.inode), "cgroup"),
            None => draft.knows(
                format!("inode {} is of uid {}", entry.inode, entry.uid),
                "sock_diag",
            ),
        };
        let needs = if answers.user == Some(0) {
            "a look from the container or namespace of that process"
        } else {
            "root"
        };
        draft.unchecked(format!("which process holds inode {}", entry.inode), needs)
    }

    /// A rule of this host rejects `what`: the rejection came from here.
    pub(super) fn rejected_here(self, what: &str, answers: &Answers) -> Self {
        self.cause(
            format!("a firewall rule of this host rejects {what}"),
            Verdict::Confirmed,
            "the rejection came from this host's own address",
        )
        .fix(
            "read the rules",
            format!("{}nft list ruleset", sudo(answers)),
        )
    }

    /// `who` rejects what goes to `addr`: the host itself, which `because` tells
    /// from a closed port, or somebody on the way; and whom to ask.
    pub(super) fn rejected_by(
        self,
        who: IpAddr,
        addr: SocketAddr,
        protocol: &str,
        because: &str,
    ) -> Self {
        let (text, because) = if who == addr.ip() {
            ("a firewall on that host rejects it".to_owned(), because)
        } else {
            (
                format!("{who}, a router or firewall on the way, rejects it"),
                "it names itself as the sender, and is not the destination",
            )
        };
        let (ip, port) = (addr.ip(), addr.port());
        let ask = format!("ask whoever runs {who} to let {protocol} port {port} of {ip} pass");
        self.cause(text, Verdict::Confirmed, because).advice(ask)
    }

    /// How to stop whoever holds a socket.
    pub(super) fn stop(self, entry: &Entry, answers: &Answers) -> Self {
        let may = |uid: u32| answers.user == Some(0) || answers.user == Some(uid);
        match answers.holder(entry) {
            Some(holder) if holder.pid == answers.own_process => {
                self.advice("this program itself holds it: bind it only once")
            }
            Some(holder) if holder.pid == 1 => self.advice("process 1 holds it for a service"),
            Some(Holder {
                unit: Some(unit), ..
            }) => self.fix("stop it", systemctl(unit, answers)),
            Some(holder) if may(holder.uid) => self.fix("stop it", format!("kill {}", holder.pid)),
            Some(holder) => self.fix("stop it", format!("sudo kill {}", holder.pid)),
            None => match answers.unit(entry) {
                Some(unit) => self.fix("stop it", systemctl(unit, answers)),
                None => self,
            },
        }
    }

    /// The same verb at another port.
    pub(super) fn other_port(self, failure: &Failure, addr: SocketAddr, answers: &Answers) -> Self {
        match answers.free_port {
            Some(port) => {
                let there = endpoint(failure, addr).with_port(port);
                self.fix("or another port", netloom("listen", &there))
            }
            None => self,
        }
    }

    /// The diagnosis, as a rule gives it: the surest cause first.
    #[expect(clippy::unnecessary_wraps, reason = "a rule that decides ends with it")]
    pub(super) fn done(mut self) -> Option<Diagnosis> {
        self.0.causes.sort_by_key(|cause| match cause.verdict {
            Verdict::Confirmed => 0,
            Verdict::Likely => 1,
            Verdict::Possible => 2,
            Verdict::Refuted => 3,
        });
        Some(self.0)
    }
}

fn systemctl(unit: &str, answers: &Answers) -> String {
    let sudo = if answers.user == Some(0) { "" } else { "sudo " };
    format!("{sudo}systemctl stop {}", shell_words::quote(unit))
}

/// The endpoint as it was written, or one with the address that was tried.
pub(super) fn endpoint(failure: &Failure, addr: SocketAddr) -> Endpoint {
    let written = failure.endpoint().and_then(|text| text.parse().ok());
    written.unwrap_or_else(|| Endpoint::tcp(addr))
}

/// A netloom command that can be pasted.
pub(super) fn netloom(verb: &str, endpoint: &Endpoint) -> String {
    let text = endpoint.to_string();
    // Brackets and stars are patterns in some shells.
    format!("netloom {verb} {}", shell_words::quote(&text))
}

/// `sudo `, where this user needs it.
pub(super) fn sudo(answers: &Answers) -> &'static str {
    if answers.user == Some(0) { "" } else { "sudo " }
}
