//! Unix sockets.

use std::path::PathBuf;

use crate::place::{Program, failed, fix, is_confirmed, knows, run, until};

/// Listens, in one process: a child of it would keep the listener after its end.
const SERVER: &str = "
import signal, socket, sys
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); signal.pause()
";

/// A path that goes away with the test.
struct Path(PathBuf);

impl Path {
    fn new(name: &str) -> Self {
        Path(std::env::temp_dir().join(format!("netloom-lab-{}-{name}", std::process::id())))
    }

    fn text(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

async fn listens(lab: &crate::place::Lab, path: &Path) {
    until("listening", || async {
        let all = lab.probe.unix_sockets(&lab.cx).await?;
        all.into_iter()
            .find(|entry| entry.name == path.text() && entry.listens)
    })
    .await;
}

#[test]
fn a_socket_file_in_use_names_its_holder_and_a_left_over_one_is_told() {
    run(|lab| async move {
        let path = Path::new("sock");
        let url = format!("unix:{}", path.text());
        let diagnosis = lab.explain(&failed(lab.dial(&url).await)).await;
        assert_eq!(diagnosis.code.name(), "connect.no-such-path");

        let mut server = Program::start(&["python3", "-c", SERVER, path.text()]);
        listens(&lab, &path).await;
        lab.dial(&url).await.unwrap();
        let diagnosis = lab.explain(&failed(lab.bind(&url).await)).await;
        assert_eq!(diagnosis.code.name(), "bind.in-use.socket-file");
        knows(
            &diagnosis,
            &[&format!("process {} `", server.pid()), "python"],
        );
        fix(&diagnosis, &format!("kill {}", server.pid()));
        lab.follow(fix(&diagnosis, "netloom listen")).await;

        server.kill();
        let diagnosis = lab.explain(&failed(lab.dial(&url).await)).await;
        assert_eq!(diagnosis.code.name(), "connect.stale-socket");
        assert!(is_confirmed(&diagnosis));
        lab.follow(fix(&diagnosis, "rm ")).await;
        lab.follow(fix(&diagnosis, "netloom listen")).await;
    });
}
