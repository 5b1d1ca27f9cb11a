//! Opening a conversation far enough to know who is there.

use netloom_base::story::Told;
use netloom_base::{Failure, Stack};
use netloom_transport::{Conn, Cx};

use crate::registry::ground;

/// Why a server is visited, and with what.
#[derive(Debug, Clone, Copy)]
pub struct Visit<'a> {
    /// The whole stack, the protocol on top. Its path is what is asked for.
    pub stack: &'a Stack,
    /// What is said, instead of what this protocol would say or after it: the
    /// protocol's documentation says which.
    pub send: Option<&'a [u8]>,
    /// Whether other hosts and ports than the endpoint's may be asked too.
    pub deep: bool,
}

impl Visit<'_> {
    /// Dials the endpoint once more, up to what the protocol stands on.
    ///
    /// # Errors
    /// What dialling fails with.
    pub async fn dial_again(&self, cx: &Cx) -> Result<Conn, Failure> {
        cx.net().dial(&ground(self.stack), cx).await?.stream()
    }
}

/// What the opening words told.
#[derive(Debug)]
pub struct Greeted {
    /// The connection, so that its end can be seen; `None` where the protocol
    /// ended it.
    pub conn: Option<Conn>,
    /// What is known of the peer, in the order it was learned, under the
    /// protocol's name.
    pub told: Vec<Told>,
}
