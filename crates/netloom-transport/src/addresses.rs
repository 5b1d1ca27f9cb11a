//! From a host to a connection: every address in turn, each within its time,
//! every attempt kept in the trail.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use netloom_base::endpoint::Host;
use netloom_base::failure::{Fact, Step};
use netloom_base::settings::FromValue;
use netloom_base::{Code, Failure, Side, Stack, Stage, Value};

use crate::conn::{Conn, Io};
use crate::cx::Cx;
use crate::net::Opened;

/// How long one address may take to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How many addresses of one name are tried.
const MOST_ADDRESSES: usize = 16;

/// Resolves the stack's host and calls `attempt` for each address until one
/// answers.
pub(crate) async fn first_to_answer<T, F>(
    stack: &Stack,
    cx: &Cx,
    mut attempt: impl FnMut(SocketAddr) -> F,
) -> Result<Opened, Failure>
where
    T: Io + 'static,
    F: Future<Output = Result<T, Failure>>,
{
    let host = stack.endpoint.host();
    let mut steps = Vec::new();
    let began = cx.now();
    let found = cx.net().resolve(host, cx).await;
    if let Host::Name(name) = host {
        let failed = found.as_ref().err().map(Failure::code);
        let took = cx.now() - began;
        steps.push(Step {
            stage: Stage::Resolve,
            to: name.clone(),
            failed,
            took,
        });
    }

    let mut last: Option<Failure> = None;
    for ip in found?.into_iter().take(MOST_ADDRESSES) {
        let addr = scoped(ip, stack.port().unwrap_or(0), host)?;
        let began = cx.now();
        let result = match cx.timeout(CONNECT_TIMEOUT, attempt(addr)).await {
            Some(result) => result,
            None => Err(
                Failure::new(Stage::Connect, Side::Path, Code::CONNECT_TIMEOUT)
                    .fact(Fact::Waited(CONNECT_TIMEOUT))
                    .retry(),
            ),
        };
        let failed = result.as_ref().err().map(Failure::code);
        let took = cx.now() - began;
        steps.push(Step {
            stage: Stage::Connect,
            to: addr.to_string(),
            failed,
            took,
        });
        match result {
            Ok(io) => {
                let mut conn = Conn::new(Box::new(io));
                conn.remember(steps);
                return Ok(Opened::Stream(conn));
            }
            // The family that could be tried says more than the one that could not.
            Err(failure) if last.is_some() && failure.code() == Code::CREATE_FAMILY_UNSUPPORTED => {
            }
            Err(failure) => last = Some(failure.fact(Fact::Tried(addr))),
        }
    }
    let nothing = || Failure::new(Stage::Resolve, Side::Peer, Code::RESOLVE_NO_ADDRESS);
    Err(last.unwrap_or_else(nothing).after(steps))
}

/// The address with its interface, when the host names one.
pub(crate) fn scoped(ip: IpAddr, port: u16, host: &Host) -> Result<SocketAddr, Failure> {
    let mut addr = SocketAddr::new(ip, port);
    if let (
        SocketAddr::V6(v6),
        Host::V6 {
            zone: Some(zone), ..
        },
    ) = (&mut addr, host)
    {
        let index = interface_index(zone).ok_or_else(|| {
            Failure::new(Stage::Bind, Side::Us, Code::BIND_NO_DEVICE)
                .message(format!("there is no interface `{zone}`"))
        })?;
        v6.set_scope_id(index);
    }
    Ok(addr)
}

/// An interface's number, from its name or its number.
fn interface_index(zone: &str) -> Option<u32> {
    if let Ok(index) = zone.parse() {
        return Some(index);
    }
    #[cfg(target_os = "linux")]
    {
        if zone.contains('/') {
            return None;
        }
        let index = std::fs::read_to_string(format!("/sys/class/net/{zone}/ifindex")).ok()?;
        index.trim().parse().ok()
    }
    #[cfg(not(target_os = "linux"))]
    None
}

/// An address of this host to dial from, written `ADDRESS` or `ADDRESS:PORT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalAddress(pub SocketAddr);

impl FromValue for LocalAddress {
    const HINT: &'static str = "ADDRESS";

    fn from_value(value: &Value) -> Result<Self, String> {
        let text = value.to_string();
        let with_port = text.parse::<SocketAddr>();
        let alone = || {
            text.trim_matches(['[', ']'])
                .parse::<IpAddr>()
                .map(|ip| SocketAddr::new(ip, 0))
        };
        with_port
            .or_else(|_| alone())
            .map(LocalAddress)
            .map_err(|_| format!("ADDRESS or ADDRESS:PORT of this host is expected, not `{text}`"))
    }

    fn to_value(&self) -> Option<Value> {
        Some(Value::Text(self.0.to_string()))
    }
}
