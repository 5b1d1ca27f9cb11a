//! What is wrong with an endpoint: inside as an edit, outside as a complaint.

use std::fmt;
use std::ops::Range;

use crate::complaint::Complaint;

/// Why a text is not an endpoint, or an endpoint not a stack; code `parse.endpoint`.
///
/// It never holds a password: where one stood, the text says `***`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointError(Box<Complaint>);

impl EndpointError {
    /// The text, the wrong part, and the nearest valid form.
    pub fn complaint(&self) -> &Complaint {
        &self.0
    }

    /// The same, to be kept or moved into a file's place.
    pub fn into_complaint(self) -> Complaint {
        *self.0
    }
}

impl From<Complaint> for EndpointError {
    fn from(complaint: Complaint) -> Self {
        EndpointError(Box::new(complaint))
    }
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl std::error::Error for EndpointError {}

/// A complaint before secrets are hidden in it. Its message quotes nothing
/// outside its span, so that hiding can see when it must be replaced.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) span: Range<usize>,
    pub(super) message: String,
    pub(super) nearest: Nearest,
}

/// The nearest valid form.
#[derive(Debug)]
pub(super) enum Nearest {
    Unknown,
    /// The text with this part replaced.
    Edit(Range<usize>, String),
    /// Another text, made of nothing that could be a secret.
    Whole(String),
}

impl Wrong {
    pub(super) fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Wrong {
            span,
            message: message.into(),
            nearest: Nearest::Unknown,
        }
    }

    /// Suggests the text with `part` replaced.
    pub(super) fn edit(mut self, part: Range<usize>, with: impl Into<String>) -> Self {
        self.nearest = Nearest::Edit(part, with.into());
        self
    }

    /// Suggests the text with the wrong part replaced.
    pub(super) fn replace(self, with: impl Into<String>) -> Self {
        let span = self.span.clone();
        self.edit(span, with)
    }

    /// Suggests another text.
    pub(super) fn whole(mut self, text: impl Into<String>) -> Self {
        self.nearest = Nearest::Whole(text.into());
        self
    }
}
