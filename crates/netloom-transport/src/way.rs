//! The way to a transport that does not lead there directly.

use netloom_base::settings::{FromValue, Secret};
use netloom_base::{Failure, Stack, Value};

use crate::BoxFuture;
use crate::cx::Cx;
use crate::net::Opened;

/// Opens a stack's transport through other hosts. An
/// [`Assembly`](crate::Assembly) asks it before it dials.
///
/// A transport can be reached so when its card has the key [`VIA`] for dialling.
pub trait Way: Send + Sync {
    /// Whether what is said of the way can be read, before anything is opened.
    fn check(&self, stack: &Stack) -> Result<(), Failure>;

    /// Opens the transport; `None` where it is to be dialled directly, which
    /// costs nothing.
    fn dial<'a>(
        &'a self,
        stack: &'a Stack,
        cx: &'a Cx,
    ) -> Option<BoxFuture<'a, Result<Opened, Failure>>>;
}

/// The option that names the way.
pub const VIA: &str = "via";

/// The word for the way through nobody.
pub const DIRECT: &str = "direct";

/// Whether a stack's transport can be reached through other hosts.
pub fn has_ways(stack: &Stack) -> bool {
    let transport = stack.transport().card;
    transport.dial_keys.iter().any(|key| key.name == VIA)
}

/// A proxy as it is written: its address, or its name in the file. It may hold
/// a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Through(pub Secret);

impl FromValue for Through {
    const HINT: &'static str = "PROXY";

    fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::Hidden(secret) => Ok(Through(secret.clone())),
            Value::Text(text) if !text.is_empty() => Ok(Through(Secret::new(text.clone()))),
            _ => Err("a proxy's address or name is expected".to_owned()),
        }
    }

    fn to_value(&self) -> Option<Value> {
        let text = self.0.reveal();
        Some(if text.contains('@') {
            Value::Hidden(self.0.clone())
        } else {
            Value::from(text)
        })
    }
}
