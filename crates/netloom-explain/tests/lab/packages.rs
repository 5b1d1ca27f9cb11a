//! The Python packages of the peers' environment, for whichever Python the user
//! of this run may start: that environment's own may lie in somebody's home.

use crate::place::skip;

/// Python that finds the packages.
pub(crate) const PACKAGES: &str = concat!(
    "import glob, sys; sys.path += glob.glob('",
    env!("CARGO_MANIFEST_DIR"),
    "/../../target/peers/venv/lib/python3*/site-packages')\n"
);

/// Whether a package is there; without it the situation is skipped.
pub(crate) fn has_package(name: &str) -> bool {
    let found = std::process::Command::new("python3")
        .args(["-c", &format!("{PACKAGES}import {name}")])
        .output()
        .is_ok_and(|output| output.status.success());
    if !found {
        skip(&format!("python has no {name}: cargo xtask install-peers"));
    }
    found
}
