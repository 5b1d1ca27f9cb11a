//! `floors.toml`: which crate stands on which, which modules are rooms, which
//! licences we take.

use crate::Outcome;
use crate::run::root;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use toml::{Table, Value};

pub(crate) struct Floors {
    /// Crates, the lowest first.
    pub(crate) order: Vec<String>,
    pub(crate) divided: BTreeMap<String, Rooms>,
    /// SPDX identifiers that what we ship may have.
    pub(crate) allowed: Vec<String>,
    pub(crate) exceptions: Vec<Exception>,
}

/// How one crate is divided. A folder of `src/` is a room unless `hall` names
/// it; a file is of the hall unless `rooms` names it.
#[derive(Default)]
pub(crate) struct Rooms {
    /// Rooms may import those named before them, and every room is named.
    pub(crate) ordered: bool,
    #[expect(clippy::struct_field_names, reason = "the word of floors.toml")]
    pub(crate) rooms: Vec<String>,
    pub(crate) hall: Vec<String>,
    pub(crate) doors: Vec<Door>,
}

/// One room that may import another, and why.
pub(crate) struct Door {
    pub(crate) from: String,
    pub(crate) to: String,
}

/// A crate taken in spite of its licence, and why.
pub(crate) struct Exception {
    pub(crate) package: String,
    pub(crate) licence: String,
}

impl Floors {
    pub(crate) fn load() -> Outcome<Self> {
        let path = root().join("floors.toml");
        let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", named(&path)))?;
        Self::parse(&text).map_err(|e| format!("{}: {e}", named(&path)))
    }

    pub(crate) fn parse(text: &str) -> Outcome<Self> {
        let file: Table = text.parse().map_err(|e| format!("{e}"))?;
        let order = words(&file, "floors")?;
        let mut divided = BTreeMap::new();
        for (name, entry) in table(&file, "rooms")? {
            if !order.contains(name) {
                return Err(format!("[rooms.{name}] is not one of the floors"));
            }
            let entry = entry.as_table().ok_or("[rooms.CRATE] is a table")?;
            divided.insert(name.clone(), Rooms::parse(entry)?);
        }
        let licences = table(&file, "licences")?;
        let exceptions = entries(licences, "except")?
            .map(|entry| {
                word(entry, "reason")?;
                Ok(Exception {
                    package: word(entry, "crate")?,
                    licence: word(entry, "licence")?,
                })
            })
            .collect::<Outcome<_>>()?;
        Ok(Self {
            order,
            divided,
            allowed: words(licences, "allow")?,
            exceptions,
        })
    }
}

impl Rooms {
    fn parse(entry: &Table) -> Outcome<Self> {
        let doors = entries(entry, "doors")?
            .map(|door| {
                word(door, "reason")?;
                Ok(Door {
                    from: word(door, "from")?,
                    to: word(door, "to")?,
                })
            })
            .collect::<Outcome<_>>()?;
        Ok(Self {
            ordered: entry.get("ordered").and_then(Value::as_bool) == Some(true),
            rooms: words(entry, "rooms")?,
            hall: words(entry, "hall")?,
            doors,
        })
    }

    pub(crate) fn has_door(&self, from: &str, to: &str) -> bool {
        self.doors
            .iter()
            .any(|door| door.from == from && door.to == to)
    }

    /// Whether a module of `src/` is a room.
    pub(crate) fn is_room(&self, module: &str, is_folder: bool) -> bool {
        self.rooms.iter().any(|room| room == module)
            || is_folder && !self.hall.iter().any(|hall| hall == module)
    }
}

fn named(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn table<'a>(from: &'a Table, key: &str) -> Outcome<&'a Table> {
    from.get(key)
        .and_then(Value::as_table)
        .ok_or_else(|| format!("there is no [{key}]"))
}

/// The inline tables of a list; none when there is no list.
fn entries<'a>(from: &'a Table, key: &str) -> Outcome<impl Iterator<Item = &'a Table>> {
    let list = from
        .get(key)
        .map_or(Some(&[][..]), |list| list.as_array().map(Vec::as_slice));
    let tables: Option<Vec<&Table>> =
        list.and_then(|list| list.iter().map(Value::as_table).collect());
    tables
        .map(Vec::into_iter)
        .ok_or_else(|| format!("{key} is a list of tables"))
}

fn words(from: &Table, key: &str) -> Outcome<Vec<String>> {
    let Some(list) = from.get(key) else {
        return Ok(Vec::new());
    };
    let words: Option<Vec<String>> = list.as_array().and_then(|list| {
        list.iter()
            .map(|word| word.as_str().map(str::to_owned))
            .collect()
    });
    words.ok_or_else(|| format!("{key} is a list of words"))
}

fn word(from: &Table, key: &str) -> Outcome<String> {
    from.get(key)
        .and_then(Value::as_str)
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .ok_or_else(|| format!("an entry lacks {key}"))
}

#[cfg(test)]
mod tests {
    use super::Floors;

    const FILE: &str = r#"
        floors = ["base", "protocol"]
        [rooms.protocol]
        hall = ["registry"]
        rooms = ["echo"]
        doors = [{ from = "websocket", to = "http", reason = "it begins as HTTP" }]
        [licences]
        allow = ["MIT"]
        except = [{ crate = "x", licence = "Y", reason = "build-time only" }]
    "#;

    #[test]
    fn a_folder_is_a_room_and_a_file_is_not_unless_the_file_says_so() {
        let floors = Floors::parse(FILE).expect("the file is well formed");
        let rooms = &floors.divided["protocol"];
        assert!(rooms.is_room("http", true));
        assert!(!rooms.is_room("registry", true));
        assert!(!rooms.is_room("service", false));
        assert!(rooms.is_room("echo", false));
        assert!(rooms.has_door("websocket", "http"));
        assert!(!rooms.has_door("http", "websocket"));
    }

    #[test]
    fn doors_and_exceptions_have_reasons() {
        for word in [
            ", reason = \"it begins as HTTP\"",
            ", reason = \"build-time only\"",
        ] {
            let refused = Floors::parse(&FILE.replace(word, "")).err();
            assert_eq!(refused.as_deref(), Some("an entry lacks reason"));
        }
    }

    #[test]
    fn an_unknown_crate_is_refused() {
        let refused = Floors::parse(&FILE.replace("rooms.protocol", "rooms.protocols")).err();
        assert_eq!(
            refused.as_deref(),
            Some("[rooms.protocols] is not one of the floors")
        );
    }
}
