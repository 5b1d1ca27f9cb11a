//! Rooms do not import each other, the hall imports no room, and in no crate do
//! folders import each other in a circle. The files of a hall may: `Cx` has a
//! `Net`, and a `Net` is given a `Cx`.

use super::Finding;
use super::files::File;
use super::paths::{resolve, rooted, uses};
use super::source::{Source, line_of, tokens};
use crate::floors::{Floors, Rooms};
use std::collections::{BTreeMap, BTreeSet};

/// One module that imports another, and the first place where it does.
struct Edge {
    from: String,
    to: String,
    path: String,
    line: usize,
}

pub(super) fn check(files: &[File], floors: &Floors) -> Vec<Finding> {
    let mut found = Vec::new();
    for name in &floors.order {
        let src = format!("crates/{name}/src/");
        let own: Vec<&File> = files
            .iter()
            .filter(|file| file.path.starts_with(&src) && file.is_rust())
            .collect();
        let modules = modules(&own, &src);
        let edges = edges(&own, &src, &modules);
        let undivided = Rooms::default();
        let rooms = floors.divided.get(name);
        found.extend(circles(name, rooms.unwrap_or(&undivided), &modules, &edges));
        if let Some(rooms) = rooms {
            found.extend(guard(name, rooms, &modules, &edges));
        }
    }
    found
}

/// Modules directly in `src/`, and whether each is a folder.
fn modules(files: &[&File], src: &str) -> BTreeMap<String, bool> {
    let mut modules = BTreeMap::new();
    for file in files {
        let inside = &file.path[src.len()..];
        if let Some((folder, _)) = inside.split_once('/') {
            modules.insert(folder.to_owned(), true);
        } else {
            let name = inside.trim_end_matches(".rs").to_owned();
            modules.entry(name).or_insert(false);
        }
    }
    // A binary's or a library's root is no module of it.
    modules.retain(|name, _| !matches!(name.as_str(), "lib" | "main" | "bin"));
    modules
}

fn edges(files: &[&File], src: &str, modules: &BTreeMap<String, bool>) -> Vec<Edge> {
    let reexports = reexports(files, src, modules);
    let mut edges: Vec<Edge> = Vec::new();
    for file in files {
        let module = module_path(&file.path[src.len()..]);
        // Tests may look at any room; the root holds all of them.
        let Some(from) = module.first().filter(|_| file.name() != "tests.rs") else {
            continue;
        };
        let source = Source::read(&file.text);
        for path in rooted(&tokens(&source.shipped)) {
            let resolved = resolve(&path, &module);
            let Some(first) = resolved.first().copied() else {
                continue;
            };
            let Some(to) = modules
                .get_key_value(first)
                .map(|(name, _)| name)
                .or_else(|| reexports.get(first))
            else {
                continue;
            };
            if to != from
                && !edges
                    .iter()
                    .any(|edge| edge.from == *from && edge.to == *to)
            {
                edges.push(Edge {
                    from: (*from).to_owned(),
                    to: to.clone(),
                    path: file.path.clone(),
                    line: line_of(&file.text, path.at),
                });
            }
        }
    }
    edges
}

/// Names that lib.rs lifts to the root, and the module each comes from.
fn reexports(
    files: &[&File],
    src: &str,
    modules: &BTreeMap<String, bool>,
) -> BTreeMap<String, String> {
    let Some(root) = files
        .iter()
        .find(|file| file.path[src.len()..] == *"lib.rs")
    else {
        return BTreeMap::new();
    };
    let source = Source::read(&root.text);
    uses(&tokens(&source.shipped))
        .into_iter()
        .filter_map(|(path, name)| {
            let first = *resolve(&path, &[]).first()?;
            let module = modules.get_key_value(first)?.0;
            Some((name.to_owned(), module.clone()))
        })
        .collect()
}

/// `http/parse/mod.rs` is `[http, parse]`, `lib.rs` is `[]`.
fn module_path(file: &str) -> Vec<&str> {
    let mut words: Vec<&str> = file.trim_end_matches(".rs").split('/').collect();
    if matches!(words.last(), Some(&("mod" | "lib" | "main"))) {
        words.pop();
    }
    words
}

fn guard(
    name: &str,
    rooms: &Rooms,
    modules: &BTreeMap<String, bool>,
    edges: &[Edge],
) -> Vec<Finding> {
    let file = |what: String| Finding::new("floors.toml", 0, what);
    let mut found = Vec::new();
    for listed in rooms.rooms.iter().chain(&rooms.hall) {
        if !modules.contains_key(listed) {
            found.push(file(format!("{name} has no {listed}")));
        }
    }
    let is_room = |module: &str| {
        modules
            .get(module)
            .is_some_and(|folder| rooms.is_room(module, *folder))
    };
    let place = |module: &str| rooms.rooms.iter().position(|room| room == module);
    if rooms.ordered {
        for module in modules.keys() {
            if is_room(module) && place(module).is_none() {
                found.push(file(format!(
                    "{name} orders its rooms: where does {module} stand?"
                )));
            }
        }
    }
    for door in &rooms.doors {
        let used = |edge: &&Edge| edge.from == door.from && edge.to == door.to;
        if edges.iter().find(used).is_none() {
            found.push(file(format!(
                "{name}: nobody uses the door from {} to {}",
                door.from, door.to
            )));
        }
    }
    for edge in edges {
        if !is_room(&edge.to) || rooms.has_door(&edge.from, &edge.to) {
            continue;
        }
        let what = if !is_room(&edge.from) {
            if edge.from == "registry" {
                continue;
            }
            format!(
                "{} is of the hall and imports the room {}",
                edge.from, edge.to
            )
        } else if rooms.ordered {
            if place(&edge.to) < place(&edge.from) {
                continue;
            }
            format!(
                "the room {} imports {}, which does not stand before it in floors.toml",
                edge.from, edge.to
            )
        } else {
            format!(
                "the room {} imports the room {}, and floors.toml has no door there",
                edge.from, edge.to
            )
        };
        found.push(Finding::new(&edge.path, edge.line, what));
    }
    found
}

/// Circles of rooms; in a crate that is not divided, of folders.
fn circles(
    name: &str,
    rooms: &Rooms,
    modules: &BTreeMap<String, bool>,
    edges: &[Edge],
) -> Vec<Finding> {
    let is_room = |module: &String| {
        modules
            .get(module)
            .is_some_and(|folder| rooms.is_room(module, *folder))
    };
    let mut next: BTreeMap<&str, Vec<&Edge>> = BTreeMap::new();
    for edge in edges
        .iter()
        .filter(|edge| is_room(&edge.from) && is_room(&edge.to))
    {
        next.entry(&edge.from).or_default().push(edge);
    }
    let mut found = Vec::new();
    let mut told: BTreeSet<BTreeSet<&str>> = BTreeSet::new();
    for start in next.keys() {
        let mut trail = Vec::new();
        let mut seen = BTreeSet::new();
        if let Some(circle) = back_to(start, start, &next, &mut trail, &mut seen)
            && told.insert(circle.iter().map(|edge| edge.from.as_str()).collect())
        {
            let way: Vec<&str> = circle.iter().map(|edge| edge.from.as_str()).collect();
            let first = circle[0];
            found.push(Finding::new(
                &first.path,
                first.line,
                format!("{name} has a circle: {} → {start}", way.join(" → ")),
            ));
        }
    }
    found
}

/// A way from `at` back to `start`.
fn back_to<'a>(
    start: &str,
    at: &str,
    next: &BTreeMap<&str, Vec<&'a Edge>>,
    trail: &mut Vec<&'a Edge>,
    seen: &mut BTreeSet<&'a str>,
) -> Option<Vec<&'a Edge>> {
    for edge in next.get(at).into_iter().flatten() {
        trail.push(edge);
        if edge.to == start {
            return Some(trail.clone());
        }
        if seen.insert(&edge.to)
            && let Some(circle) = back_to(start, &edge.to, next, trail, seen)
        {
            return Some(circle);
        }
        trail.pop();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::floors::Floors;
    use crate::tidy::files::File;

    const FLOORS: &str = r#"
        floors = ["b", "p", "t"]
        [rooms.p]
        hall = ["store"]
        doors = [{ from = "websocket", to = "http", reason = "upgrade" }]
        [rooms.t]
        ordered = true
        rooms = ["tcp", "tls"]
        [licences]
    "#;

    /// Findings for a crate of these files, with a lawful rest.
    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let lawful = [
            (
                "crates/p/src/lib.rs",
                "pub use http::Page; pub use service::Service;",
            ),
            ("crates/p/src/service.rs", ""),
            ("crates/p/src/store/mod.rs", "use crate::service::Service;"),
            ("crates/p/src/ftp/mod.rs", "use crate::Service;"),
            (
                "crates/p/src/http/mod.rs",
                "#[cfg(test)] mod t { use crate::ftp; }",
            ),
            ("crates/p/src/websocket/mod.rs", "use crate::http::Upgrade;"),
            (
                "crates/p/src/registry.rs",
                "use crate::{ftp, http, websocket};",
            ),
            ("crates/t/src/lib.rs", ""),
            ("crates/t/src/tcp/mod.rs", ""),
            ("crates/t/src/tls/mod.rs", "use crate::tcp::Tcp;"),
        ];
        let mut all: Vec<File> = Vec::new();
        for (path, text) in files.iter().chain(&lawful) {
            if all.iter().all(|file| file.path != *path) {
                all.push(File {
                    path: (*path).to_owned(),
                    text: (*text).to_owned(),
                });
            }
        }
        let floors = Floors::parse(FLOORS).expect("well formed");
        check(&all, &floors)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn a_lawful_house_has_no_findings() {
        assert_eq!(found(&[]), [""; 0]);
    }

    #[test]
    fn a_room_that_imports_a_room_is_found_in_every_manner_of_writing() {
        for text in [
            "\nuse crate::http::Page;",
            "\nuse crate::{service::Service, http};",
            "\nfn f() -> crate::http::Page {}",
            "\nuse super::http::Page;",
            "\nuse crate::Page;",
        ] {
            assert_eq!(
                found(&[("crates/p/src/ftp/mod.rs", text)]),
                [
                    "crates/p/src/ftp/mod.rs:2: the room ftp imports the room http, and floors.toml has no door there"
                ],
                "{text}"
            );
        }
        let deep = [(
            "crates/p/src/ftp/list/parse.rs",
            "use super::super::super::http::Page;",
        )];
        assert_eq!(found(&deep).len(), 1);
        let comment = [(
            "crates/p/src/ftp/mod.rs",
            "// like crate::http::Page\n\"crate::http\";",
        )];
        assert_eq!(found(&comment), [""; 0]);
    }

    #[test]
    fn the_hall_imports_no_room() {
        assert_eq!(
            found(&[("crates/p/src/service.rs", "use crate::ftp::List;")]),
            ["crates/p/src/service.rs:1: service is of the hall and imports the room ftp"]
        );
    }

    #[test]
    fn ordered_rooms_look_back_only() {
        let forward = [
            ("crates/t/src/tcp/mod.rs", "use crate::tls::Tls;"),
            ("crates/t/src/tls/mod.rs", ""),
        ];
        assert_eq!(
            found(&forward),
            [
                "crates/t/src/tcp/mod.rs:1: the room tcp imports tls, which does not stand before it in floors.toml"
            ]
        );
        assert_eq!(
            found(&[("crates/t/src/quic/mod.rs", "")]),
            ["floors.toml: t orders its rooms: where does quic stand?"]
        );
    }

    #[test]
    fn what_floors_toml_names_is_there() {
        let shut = [("crates/p/src/websocket/mod.rs", "")];
        assert_eq!(
            found(&shut),
            ["floors.toml: p: nobody uses the door from websocket to http"]
        );
    }

    #[test]
    fn a_circle_of_folders_is_told_once_and_one_of_the_hall_is_none() {
        let circle = [
            ("crates/b/src/x/mod.rs", "use crate::y::Y;"),
            ("crates/b/src/y/mod.rs", "use crate::z::Z;"),
            ("crates/b/src/z/mod.rs", "use crate::x::X;"),
        ];
        assert_eq!(
            found(&circle),
            ["crates/b/src/x/mod.rs:1: b has a circle: x → y → z → x"]
        );
        let hall = [
            ("crates/p/src/cx.rs", "use crate::net::Net;"),
            ("crates/p/src/net.rs", "use crate::cx::Cx;"),
        ];
        assert_eq!(found(&hall), [""; 0]);
    }
}
