//! Unix sockets: what stands at the path, and who listens there.

use netloom_base::diagnosis::Verdict::{Confirmed, Likely};
use netloom_base::{Code, Diagnosis, Failure};
use netloom_transport::probe::{Holder, UnixEntry};

use super::answers::Answers;
use super::draft::Draft;
use super::{Rule, unix_name};

pub(super) const RULES: &[Rule] = &[in_the_way, left_over, nothing_there, queue_full, denied];

/// The socket that has this name, and whoever holds it.
fn named<'a>(name: &str, answers: &'a Answers) -> Option<(&'a UnixEntry, Option<&'a Holder>)> {
    let same = |entry: &&UnixEntry| entry.name == name;
    let all = || answers.unix.iter().flatten().filter(same);
    let entry = all().find(|entry| entry.listens).or_else(|| all().next())?;
    let holder = answers
        .holders
        .iter()
        .find(|holder| holder.inode == entry.inode);
    Some((entry, holder))
}

fn says(entry: &UnixEntry) -> String {
    let what = if entry.listens {
        "LISTEN"
    } else {
        "does not listen"
    };
    format!("{} {what}, inode {}", entry.name, entry.inode)
}

fn listen(name: &str) -> String {
    format!(
        "netloom listen {}",
        shell_words::quote(&format!("unix:{name}"))
    )
}

fn in_the_way(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    if !matches!(failure.code(), Code::BIND_SOCKET_FILE | Code::BIND_IN_USE) {
        return None;
    }
    let name = unix_name(failure)?;
    let (entry, holder) = named(&name, answers)?;
    let mut draft = Draft::of(failure, Code::BIND_SOCKET_FILE, "another program holds it")
        .knows(says(entry), "/proc/net/unix");
    draft = match holder {
        Some(holder) => draft.knows(holder, "/proc"),
        None => draft.unchecked("which process holds it", "root"),
    };
    let text = "another server is already running there";
    draft = draft.cause(text, Confirmed, "an open socket has this very name");
    if let Some(holder) =
        holder.filter(|holder| holder.pid > 1 && holder.pid != answers.own_process)
    {
        draft = draft.fix("stop it", kill(holder, answers));
    }
    draft
        .fix("or another path", listen(&format!("{name}.2")))
        .done()
}

fn kill(holder: &Holder, answers: &Answers) -> String {
    let may = answers.user == Some(0) || answers.user == Some(holder.uid);
    format!("{}kill {}", if may { "" } else { "sudo " }, holder.pid)
}

fn left_over(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    if failure.code() != Code::CONNECT_STALE_SOCKET {
        return None;
    }
    let name = unix_name(failure)?;
    answers.unix.as_ref()?;
    let draft = Draft::of(
        failure,
        Code::CONNECT_STALE_SOCKET,
        "nobody listens on the socket file",
    );
    let draft = match named(&name, answers) {
        Some((entry, holder)) => {
            let draft = draft.knows(says(entry), "/proc/net/unix");
            let draft = match holder {
                Some(holder) => draft.knows(holder, "/proc"),
                None => draft,
            };
            draft.cause(
                "a program bound it and does not listen, or stopped listening",
                Likely,
                "",
            )
        }
        None => draft
            .knows(
                format!("no open socket has the name {name}"),
                "/proc/net/unix",
            )
            .cause(
                "the server that made the file ended without removing it",
                Confirmed,
                "the kernel refuses a socket file that no open socket listens on",
            )
            .fix("remove it", format!("rm {}", shell_words::quote(&name))),
    };
    draft
        .advice("start the server again")
        .fix("or one to test with", format!("{} --echo", listen(&name)))
        .done()
}

fn nothing_there(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    if !matches!(
        failure.code(),
        Code::CONNECT_NO_SUCH_PATH | Code::CONNECT_REFUSED
    ) {
        return None;
    }
    let name = unix_name(failure)?;
    let listening: Vec<&str> = answers
        .unix
        .as_ref()?
        .iter()
        .filter(|entry| entry.listens)
        .map(|entry| entry.name.as_str())
        .collect();
    let what = if name.starts_with('@') {
        "nobody listens under that name"
    } else {
        "there is no such socket file"
    };
    let mut draft = Draft::of(failure, failure.code(), what)
        .knows(
            format!(
                "none of {} listening unix sockets has the name {name}",
                listening.len()
            ),
            "/proc/net/unix",
        )
        .cause(
            "the server is not running, or listens elsewhere",
            Confirmed,
            "nothing is there to connect to",
        );
    let file = |of: &str| of.rsplit('/').next().map(str::to_owned);
    let near = listening
        .into_iter()
        .filter(|other| file(other) == file(&name))
        .take(3);
    for other in near {
        let there = shell_words::quote(&format!("unix:{other}")).into_owned();
        draft = draft.fix("perhaps this one", format!("netloom connect {there}"));
    }
    draft
        .fix("start one", format!("{} --echo", listen(&name)))
        .done()
}

fn queue_full(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    if failure.code() != Code::CONNECT_QUEUE_FULL {
        return None;
    }
    let (entry, holder) = named(&unix_name(failure)?, answers)?;
    let draft = Draft::of(
        failure,
        Code::CONNECT_QUEUE_FULL,
        "the server's accept queue is full",
    )
    .knows(says(entry), "/proc/net/unix");
    let draft = match holder {
        Some(holder) => draft.knows(holder, "/proc"),
        None => draft.unchecked("which process listens there", "root"),
    };
    draft
        .cause(
            "the server does not accept, or not fast enough",
            Confirmed,
            "connect waits only while the queue is full",
        )
        .advice("accept faster, or in more threads; a longer backlog only helps against bursts")
        .done()
}

fn denied(failure: &Failure, answers: &Answers) -> Option<Diagnosis> {
    if failure.code() != Code::CONNECT_DENIED_PATH {
        return None;
    }
    let name = unix_name(failure)?;
    let user = answers
        .user
        .map_or_else(String::new, |uid| format!("uid {uid}"));
    let path = shell_words::quote(&name).into_owned();
    Draft::of(
        failure,
        Code::CONNECT_DENIED_PATH,
        "this user may not use the socket file",
    )
    .knows(format!("this program acts as {user}"), "geteuid")
    .cause(
        "writing to the file, or entering a folder before it, is not allowed",
        Confirmed,
        "unix(7): connecting needs both",
    )
    .fix("see every folder's rights", format!("namei -l {path}"))
    .fix(
        "or connect as root",
        format!(
            "sudo netloom connect {}",
            shell_words::quote(&format!("unix:{name}"))
        ),
    )
    .done()
}
