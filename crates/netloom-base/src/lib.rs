//! Floor 0 of Netloom: the words every other floor speaks.
//!
//! Nothing here does I/O, waits, or knows the time. An [`Endpoint`] is one
//! address; a [`Card`] says what a layer of it is; [`Settings`] are what a
//! person chose; a [`Failure`] is what went wrong, cheaply, and a
//! [`Diagnosis`] is why; a [`Story`] is how a conversation went; an [`Event`]
//! is what is happening now; [`Limits`] bound all of it.
#![forbid(unsafe_code)]

pub mod card;
pub mod clock;
pub mod complaint;
pub mod diagnosis;
pub mod endpoint;
pub mod event;
pub mod failure;
pub mod layout;
pub mod limits;
pub mod settings;
pub mod story;

pub use card::{Address, Card, CodeCard, Kind, Opens, Scheme};
pub use clock::{Moment, Timestamp};
pub use complaint::Complaint;
pub use diagnosis::Diagnosis;
pub use endpoint::{Endpoint, EndpointError, EndpointSet, Role, Schemes, Stack};
pub use event::{Event, Fields, Record};
pub use failure::{Code, Fact, Failure, Side, Stage};
pub use limits::Limits;
pub use settings::{Key, SettingError, Settings, Value};
pub use story::Story;
