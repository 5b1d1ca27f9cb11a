//! The record of bytes that went by.

use netloom_base::{Fields, Record};

/// Bytes of one direction.
#[derive(Debug)]
pub(crate) struct Data<'a> {
    /// The connection's number.
    pub(crate) conn: u64,
    /// With whom, where one verb talks to several.
    pub(crate) endpoint: Option<&'a str>,
    pub(crate) inbound: bool,
    /// Who sent it, where several may: a datagram's sender.
    pub(crate) from: Option<&'a str>,
    pub(crate) bytes: &'a [u8],
}

impl Record for Data<'_> {
    fn kind(&self) -> &'static str {
        "data"
    }

    fn fields(&self, to: &mut dyn Fields) {
        to.number("conn", self.conn);
        if let Some(endpoint) = self.endpoint {
            to.text("endpoint", endpoint);
        }
        to.text("dir", if self.inbound { "in" } else { "out" });
        if let Some(from) = self.from {
            to.text("from", from);
        }
        to.bytes(self.bytes);
    }
}
