//! Where the kernel has no splice(2), there is never a pipe.

use std::io;
use std::task::{Context, Poll};

use crate::conn::Conn;

/// There is none.
pub(super) enum Pipe {}

impl Pipe {
    pub(super) fn take() -> Option<Self> {
        None
    }

    pub(super) fn is_empty(&self) -> bool {
        match *self {}
    }

    pub(super) fn fill(&mut self, _: &mut Conn, _: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match *self {}
    }

    pub(super) fn drain(&mut self, _: &mut Conn, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match *self {}
    }

    pub(super) fn rescue(&mut self) -> io::Result<Vec<u8>> {
        match *self {}
    }
}

pub(super) fn is_unable(_: &io::Error) -> bool {
    false
}
