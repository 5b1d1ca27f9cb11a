//! A machine's number and a port.

use std::fmt;

use netloom_base::{Code, Failure, Role, Side, Stack, Stage};

/// Every machine number that is this machine's (`VMADDR_CID_ANY`).
const ANY: u32 = u32::MAX;
const LOCAL: u32 = 1;
const HOST: u32 = 2;

/// Any free port (`VMADDR_PORT_ANY`).
#[cfg(target_os = "linux")]
pub(super) const FREE: u32 = u32::MAX;

/// Where on which machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) cid: u32,
    pub(super) port: u32,
}

impl Place {
    pub(super) fn of(stack: &Stack) -> Result<Self, Failure> {
        let text = stack.endpoint.opaque().unwrap_or_default();
        let read = text.split_once(':').and_then(|(cid, port)| {
            let cid = match cid {
                "local" => LOCAL,
                "host" => HOST,
                "any" | "*" => ANY,
                number => number.parse().ok()?,
            };
            Some(Place {
                cid,
                port: port.parse().ok()?,
            })
        });
        let dials = stack.role == Role::Dial;
        match read {
            None => Err(wrong(format!(
                "`{text}` is no CID:PORT; vsock:host:1024 and vsock:3:1024 are dialled, vsock:any:1024 is listened on"
            ))),
            Some(place) if dials && place.cid == ANY => Err(wrong(
                "every machine can be listened for, not dialled: vsock:local is this one, vsock:host its host".to_owned(),
            )),
            Some(place) if dials && place.port == 0 => Err(wrong(
                "port 0 means any free port, it can be listened on, not dialled".to_owned(),
            )),
            Some(place) => Ok(place),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cid {
            ANY => write!(f, "any:{}", self.port),
            cid => write!(f, "{cid}:{}", self.port),
        }
    }
}

fn wrong(message: String) -> Failure {
    Failure::new(Stage::Parse, Side::Us, Code::PARSE_ENDPOINT).message(message)
}
