//! Where targets come from that nobody wrote one by one: the addresses of a
//! name, the servers of a service, a file.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use netloom_base::{Code, Failure, Kind, Moment, Side, Stage};
use netloom_transport::{Cx, Net};

use super::target::{Entry, Means, Target, read_list};

/// An answer is kept no shorter and no longer than this.
const KEEPS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(5));

/// How long an answer is kept that does not say how long: one of a hosts file,
/// or of the system's resolver.
const UNSAID: Duration = Duration::from_secs(30);

/// When a name is asked for again that nobody answered for.
const AGAIN: Duration = Duration::from_secs(5);

/// How often a file is looked at.
const LOOKS: Duration = Duration::from_secs(1);

/// The longest list in a file, in bytes.
const LONGEST: u64 = 1 << 20;

/// An entry that stands for itself or for several, and what it stands for now.
pub(super) struct Source {
    pub(super) entry: Entry,
    pub(super) targets: Vec<Target>,
    /// When it is asked for; never again for one that stands for itself.
    pub(super) due: Option<Moment>,
    /// It is being asked for.
    pub(super) busy: bool,
    /// It was told that nobody answers.
    pub(super) stale: bool,
    /// It was asked for once, well or not.
    pub(super) asked: bool,
}

impl Source {
    pub(super) fn new(entry: Entry, now: Moment, net: &dyn Net) -> Self {
        let itself = entry.means() == Means::One;
        // What has no meaning was refused before.
        let stack = itself.then(|| entry.stack(net).ok()).flatten();
        Source {
            targets: stack.map(|stack| entry.target(stack)).into_iter().collect(),
            due: (!itself).then_some(now),
            busy: false,
            stale: false,
            asked: itself,
            entry,
        }
    }

    /// Takes what was found. What could not be found changes nothing.
    pub(super) fn take(&mut self, found: Result<Found, Failure>, now: Moment) -> Option<Failure> {
        (self.busy, self.asked) = (false, true);
        match found {
            Ok(found) => {
                self.targets = found.targets;
                let keeps = found.ttl.unwrap_or(UNSAID);
                self.due = Some(now + keeps.clamp(KEEPS.0, KEEPS.1));
                None
            }
            Err(failure) => {
                self.due = Some(now + AGAIN);
                Some(failure)
            }
        }
    }
}

/// What an entry stands for, and how long.
pub(super) struct Found {
    targets: Vec<Target>,
    ttl: Option<Duration>,
}

/// Asks what an entry stands for now.
pub(super) async fn find(entry: &Entry, cx: &Cx) -> Result<Found, Failure> {
    let host = entry.endpoint().host();
    if entry.means() == Means::Servers {
        let name = host.name().unwrap_or_default();
        let services = cx.net().services(name, cx).await?;
        let mut priorities: Vec<u16> = services.list.iter().map(|one| one.priority).collect();
        priorities.sort_unstable();
        priorities.dedup();
        let servers = services.list.iter().map(|served| {
            let place = priorities.partition_point(|p| *p < served.priority);
            entry.at_server(served, place as u32, cx.net())
        });
        return Ok(Found {
            targets: servers.collect::<Result<_, _>>()?,
            ttl: services.ttl,
        });
    }
    let found = cx.net().resolve(host, cx).await?;
    if found.addresses.is_empty() {
        return Err(Failure::new(
            Stage::Resolve,
            Side::Peer,
            Code::RESOLVE_NO_ADDRESS,
        ));
    }
    // Sorted, because name servers turn their answers round, and `first` and
    // whose turn it is should not follow that.
    let mut addresses = found.addresses;
    addresses.sort_unstable();
    addresses.dedup();
    let targets = addresses.into_iter().map(|address| {
        let host = netloom_base::endpoint::Host::from(std::net::SocketAddr::new(address, 0));
        entry.at_address(host, cx.net())
    });
    Ok(Found {
        targets: targets.collect::<Result<_, _>>()?,
        ttl: found.ttl,
    })
}

/// A file of targets, and what was last seen of it.
pub(super) struct Watched {
    path: PathBuf,
    pub(super) due: Moment,
    seen: Option<Seen>,
    /// What was wrong with it, as it was told.
    wrong: Option<String>,
}

/// What a file is known by without reading it.
#[derive(PartialEq)]
struct Seen {
    modified: Option<SystemTime>,
    length: u64,
    number: u64,
}

/// What a look at a file showed.
pub(super) enum Look {
    Same,
    Read(Vec<Entry>),
    Wrong(Failure),
}

impl Watched {
    /// `read` already, when the pool was made.
    pub(super) fn new(path: PathBuf, now: Moment) -> Self {
        Watched {
            due: now,
            path,
            seen: None,
            wrong: None,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Looks whether it has changed, and reads it then. A look is one call of
    /// the kernel; what is read is bounded.
    pub(super) fn look(&mut self, gives: Option<Kind>, now: Moment, net: &dyn Net) -> Look {
        self.due = now + LOOKS;
        let seen = seen(&self.path);
        if seen.as_ref().ok() == self.seen.as_ref() && self.seen.is_some() {
            return Look::Same;
        }
        let read = seen.map_err(|error| error.to_string()).and_then(|before| {
            let entries = read(&self.path, gives, net)?;
            Ok((before, entries))
        });
        match read {
            Ok((before, entries)) => {
                (self.seen, self.wrong) = (Some(before), None);
                Look::Read(entries)
            }
            Err(wrong) => {
                self.seen = None;
                if self.wrong.as_ref() == Some(&wrong) {
                    return Look::Same;
                }
                self.wrong = Some(wrong.clone());
                let failure = Failure::new(Stage::Parse, Side::Us, Code::PARSE_CONFIG);
                Look::Wrong(failure.message(wrong))
            }
        }
    }
}

fn seen(path: &Path) -> std::io::Result<Seen> {
    let found = fs::metadata(path)?;
    Ok(Seen {
        modified: found.modified().ok(),
        length: found.len(),
        #[cfg(unix)]
        number: std::os::unix::fs::MetadataExt::ino(&found),
        #[cfg(not(unix))]
        number: 0,
    })
}

/// Reads a file of targets for the first time.
pub(super) fn first_read(
    path: &Path,
    gives: Option<Kind>,
    net: &dyn Net,
) -> Result<Vec<Entry>, String> {
    read(path, gives, net).map_err(|wrong| format!("{}: {wrong}", path.display()))
}

fn read(path: &Path, gives: Option<Kind>, net: &dyn Net) -> Result<Vec<Entry>, String> {
    let mut text = String::new();
    let file = fs::File::open(path).map_err(|error| error.to_string())?;
    // A pipe without a writer would be waited for.
    if !file.metadata().is_ok_and(|found| found.is_file()) {
        return Err("this is no file".to_owned());
    }
    file.take(LONGEST + 1)
        .read_to_string(&mut text)
        .map_err(|error| error.to_string())?;
    if text.len() as u64 > LONGEST {
        return Err(format!("a list has at most {LONGEST} bytes"));
    }
    read_list(&text, gives, net).map_err(|(line, message)| format!("line {line}: {message}"))
}
