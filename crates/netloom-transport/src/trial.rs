//! What the tests of the rooms need: a world over some transports, and a folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use netloom_base::{Failure, Role};

use crate::conn::Conn;
use crate::cx::Cx;
use crate::listener::Bound;
use crate::net::{Assembly, SystemResolver, Transport};

/// The real world with one transport.
pub(crate) fn cx(transport: impl Transport + 'static) -> Cx {
    Cx::os(Arc::new(Assembly::new(
        vec![Arc::new(transport)],
        vec![],
        Arc::new(SystemResolver),
    )))
}

/// Dials an endpoint.
pub(crate) async fn dial(cx: &Cx, endpoint: &str) -> Result<Conn, Failure> {
    let endpoint = endpoint
        .parse()
        .map_err(|error| crate::net::complaint(&error))?;
    let stack = cx.net().stack(&endpoint, Role::Dial)?;
    cx.net().dial(&stack, cx).await?.stream()
}

/// Binds an endpoint.
pub(crate) async fn bind(cx: &Cx, endpoint: &str) -> Result<Vec<Arc<dyn Bound>>, Failure> {
    let endpoint = endpoint
        .parse()
        .map_err(|error| crate::net::complaint(&error))?;
    let stack = cx.net().stack(&endpoint, Role::Bind)?;
    cx.net().bind(&stack, cx).await
}

/// A folder of one test, removed at its end.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// `name` is unique among the tests.
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("netloom-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn join(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
