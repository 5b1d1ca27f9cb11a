//! `interop`: long talks with programs we did not write, in both directions.

mod forward;
mod peer;
mod raw;
mod tls;

use crate::Outcome;
use crate::areas::{changed as changed_paths, touches};
use crate::bench::release_netloom;
use crate::options::Options;
use std::path::{Path, PathBuf};

struct Area {
    name: &'static str,
    /// The folders whose change makes the area run in CI.
    rooms: &'static [&'static str],
    /// Is given the netloom binary.
    run: fn(&Path) -> Outcome,
}

const AREAS: &[Area] = &[
    Area {
        name: "raw",
        rooms: &[
            "crates/netloom-transport/",
            "crates/netloom-protocol/src/raw/",
            "crates/netloom-app/src/echo/",
            "crates/netloom-cli/",
            "xtask/src/interop/",
        ],
        run: raw::area,
    },
    Area {
        name: "tls",
        rooms: &[
            "crates/netloom-transport/src/tls/",
            "crates/netloom-wire/src/tls/",
            "xtask/src/interop/",
            "xtask/src/nginx.rs",
            "Cargo.lock",
        ],
        run: tls::area,
    },
    Area {
        name: "forward",
        rooms: &[
            "crates/netloom-transport/",
            "crates/netloom-app/src/forward/",
            "crates/netloom-app/src/balance/",
            "crates/netloom-host/",
            "xtask/src/interop/",
            "xtask/src/soak/",
        ],
        run: forward::area,
    },
];

pub(crate) fn verb(args: Vec<String>) -> Outcome {
    let mut options = Options::new(args);
    let netloom = options.value::<PathBuf>("--netloom")?;
    let words = options.words()?;
    let names: Vec<&str> = AREAS.iter().map(|area| area.name).collect();
    if let Some(unknown) = words.iter().find(|word| !names.contains(&word.as_str())) {
        return Err(format!("there is no area {unknown}: {}", names.join(", ")));
    }
    if words.is_empty() {
        return Err(format!("which area? {}", names.join(", ")));
    }
    let netloom = netloom.map_or_else(release_netloom, Ok)?;
    for area in AREAS
        .iter()
        .filter(|area| words.iter().any(|word| word == area.name))
    {
        (area.run)(&netloom)?;
    }
    Ok(())
}

/// The areas that the last change touched; all, when nobody can tell.
pub(crate) fn changed() -> Outcome {
    let paths = changed_paths();
    let touched: Vec<&Area> = AREAS
        .iter()
        .filter(|area| {
            paths
                .as_ref()
                .is_none_or(|paths| touches(paths, area.rooms))
        })
        .collect();
    if touched.is_empty() {
        println!("no area was touched");
        return Ok(());
    }
    let netloom = release_netloom()?;
    for area in touched {
        println!("area {}", area.name);
        (area.run)(&netloom)?;
    }
    Ok(())
}
