//! Many streams in one connection.

use netloom_base::Failure;

use crate::BoxFuture;
use crate::conn::Conn;
use crate::datagrams::Datagrams;

/// A connection of many streams: QUIC, a tunnel.
pub trait Mux: Send + Sync {
    /// Opens a stream to the peer.
    fn open(&self) -> BoxFuture<'_, Result<Conn, Failure>>;

    /// The next stream the peer opened; `None` when it will open no more.
    /// Cancel-safe.
    fn accept(&self) -> BoxFuture<'_, Result<Option<Conn>, Failure>>;

    /// The datagrams beside the streams, where the carrier has them.
    fn datagrams(&self) -> Option<Box<dyn Datagrams>>;
}
