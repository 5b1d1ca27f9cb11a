//! Several ports, one endpoint each.

use std::fmt;
use std::str::FromStr;

use super::error::{EndpointError, Wrong};
use super::{Endpoint, mask};

/// One endpoint for each port written: `tcp://:8000-8010` is eleven of them.
///
/// An endpoint without a port, or with one, is a set of itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EndpointSet {
    endpoint: Endpoint,
}

impl EndpointSet {
    /// The most endpoints one text may stand for.
    pub const MAX: usize = 4096;

    /// The endpoint as written, with all its ports.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// How many endpoints it is: from 1 to [`MAX`](Self::MAX).
    #[expect(clippy::len_without_is_empty, reason = "a set is never empty")]
    pub fn len(&self) -> usize {
        self.endpoint.ports.len().max(1)
    }

    /// The endpoints in the order written, each with one port, or with none where none is written.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Endpoint> + '_ {
        self.clone().into_iter()
    }
}

impl TryFrom<Endpoint> for EndpointSet {
    type Error = EndpointError;

    fn try_from(endpoint: Endpoint) -> Result<Self, EndpointError> {
        let count = endpoint.ports.len();
        if count <= EndpointSet::MAX {
            return Ok(EndpointSet { endpoint });
        }
        let span = endpoint.spans.ports.clone();
        let wrong = Wrong::new(
            span,
            format!(
                "these are {count} ports; at most {} go at once",
                EndpointSet::MAX
            ),
        );
        let first = endpoint.ports.iter().next().unwrap_or_default();
        let last = usize::from(first) + EndpointSet::MAX - 1;
        let wrong = match u16::try_from(last) {
            Ok(last) if endpoint.ports.iter().nth(EndpointSet::MAX - 1) == Some(last) => {
                wrong.replace(format!("{first}-{last}"))
            }
            _ => wrong,
        };
        Err(mask::complain(&endpoint.written, wrong, Some(&[])))
    }
}

impl FromStr for EndpointSet {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        EndpointSet::try_from(text.parse::<Endpoint>()?)
    }
}

impl fmt::Display for EndpointSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.endpoint, f)
    }
}

impl IntoIterator for EndpointSet {
    type Item = Endpoint;
    type IntoIter = IntoIter;

    fn into_iter(self) -> IntoIter {
        let ports = match self.endpoint.ports.len() {
            0 => vec![None],
            _ => self.endpoint.ports.iter().map(Some).collect(),
        };
        IntoIter {
            endpoint: self.endpoint,
            ports: ports.into_iter(),
        }
    }
}

/// The endpoints of a set.
#[derive(Debug)]
pub struct IntoIter {
    endpoint: Endpoint,
    ports: std::vec::IntoIter<Option<u16>>,
}

impl Iterator for IntoIter {
    type Item = Endpoint;

    fn next(&mut self) -> Option<Endpoint> {
        let port = self.ports.next()?;
        match port {
            Some(port) if self.endpoint.port() != Some(port) => Some(self.endpoint.with_port(port)),
            _ => Some(self.endpoint.clone()),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.ports.size_hint()
    }
}

impl ExactSizeIterator for IntoIter {}
