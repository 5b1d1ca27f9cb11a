//! Running out.

use crate::place::{failed, fix, knows, with_descriptors};

#[test]
fn the_descriptors_are_used_up() {
    with_descriptors(
        "limits::the_descriptors_are_used_up",
        "64",
        |lab| async move {
            let mut open = Vec::new();
            while let Ok(file) = std::fs::File::open("/dev/null") {
                open.push(file);
            }
            let failure = failed(lab.dial("tcp://127.0.0.1:1").await);
            let diagnosis = lab.explain(&failure).await;
            assert_eq!(diagnosis.code.name(), "create.no-descriptors");
            knows(&diagnosis, &["descriptors are open, 64 may be"]);
            knows(&diagnosis, &["file"]);
            fix(
                &diagnosis,
                if lab.probe.user() == Some(0) {
                    "prlimit"
                } else {
                    "sudo prlimit"
                },
            );
        },
    );
}
