//! For whom something is dialled.

use crate::conn::ConnFacts;

/// The client on whose behalf a forwarder dials: what a layer that passes the
/// client on, such as the PROXY protocol, may tell the server.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// Who came (`peer`), and where it came in (`local`).
    pub client: ConnFacts,
    /// The name it asked for in TLS, if it did.
    pub server_name: Option<Box<str>>,
    /// The application protocol it agreed on in TLS, if it did.
    pub alpn: Option<Box<[u8]>>,
}
