//! What lies under a TLS session: the bytes, the first of which are kept.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, ReadBuf};

use crate::below::writes_to_below;
use crate::conn::{ConnFacts, Io};

/// What is known of a handshake while it goes on: evidence, should it fail.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The first bytes the peer sent.
    pub(super) first: Vec<u8>,
    /// The certificates the peer presented.
    pub(super) chain: Vec<CertificateDer<'static>>,
    /// An authority with the name of the chain's last issuer is trusted, and its
    /// key did not sign this chain.
    pub(super) other_key: bool,
    /// The authorities whose certificates the server asked the client for.
    pub(super) asked: Option<Vec<String>>,
}

/// Shared by what reads the bytes and what judges the certificates.
#[derive(Debug, Clone, Default)]
pub(super) struct Witness(Arc<Mutex<Seen>>);

impl Witness {
    pub(super) fn look(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

thread_local! {
    /// Whose handshake is being polled on this thread.
    static CURRENT: RefCell<Option<Witness>> = const { RefCell::new(None) };
}

impl Witness {
    /// Runs `handshake` so that whoever it asks finds this witness by
    /// [`Witness::current`]. rustls resumes a session only under the very judge
    /// that it began with, so that all dials of an endpoint share one; what it
    /// saw is of one dial all the same. A judge is asked while its handshake is
    /// polled, on the same thread: that is how it is known which.
    pub(super) async fn watch<F: Future>(&self, handshake: F) -> F::Output {
        let mut handshake = pin!(handshake);
        poll_fn(|cx| {
            let before = CURRENT.replace(Some(self.clone()));
            // Put back also when the handshake panics.
            let _back = Back(before);
            handshake.as_mut().poll(cx)
        })
        .await
    }

    /// The witness of the handshake that is being polled; one of nobody's where
    /// there is none.
    pub(super) fn current() -> Witness {
        CURRENT.with_borrow(Option::clone).unwrap_or_default()
    }
}

/// Whose turn it was before.
struct Back(Option<Witness>);

impl Drop for Back {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

/// How many of the first bytes are kept.
const FIRST: usize = 256;

/// Passes bytes on and shows the first ones to a witness.
pub(super) struct Sniff {
    pub(super) below: Box<dyn Io>,
    witness: Option<Witness>,
}

impl Sniff {
    pub(super) fn new(below: Box<dyn Io>, witness: Witness) -> Self {
        Sniff {
            below,
            witness: Some(witness),
        }
    }

    /// The handshake is over: nothing need be kept.
    pub(super) fn settle(&mut self) {
        self.witness = None;
    }

    pub(super) fn facts(&self) -> ConnFacts {
        self.below.facts()
    }
}

impl AsyncRead for Sniff {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.below).poll_read(cx, buf);
        if let Some(witness) = &self.witness {
            let first = &mut witness.look().first;
            let new = &buf.filled()[before..];
            first.extend_from_slice(&new[..new.len().min(FIRST.saturating_sub(first.len()))]);
        }
        polled
    }
}

writes_to_below!(Sniff, below);
