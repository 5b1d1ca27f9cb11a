//! Opening a TCP connection: every address in turn, each within its time.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use netloom_base::endpoint::Host;
use netloom_base::failure::{Fact, Step};
use netloom_base::{Code, Failure, Side, Stack, Stage};
use tokio::net::TcpSocket;

use super::options::{DialOptions, make};
use crate::conn::Conn;
use crate::cx::Cx;
use crate::net::{Opened, mistakes};
use crate::socket::Socket;

/// How long one address may take to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How many addresses of one name are tried.
const MOST_ADDRESSES: usize = 16;

pub(super) async fn dial(stack: &Stack, cx: &Cx) -> Result<Opened, Failure> {
    let options =
        DialOptions::read(&stack.transport().settings).map_err(|e| mistakes(stack, &e))?;
    let port = stack.port().unwrap_or(0);
    let host = stack.endpoint.host();
    let started = cx.now();
    let mut steps = Vec::new();

    let found = cx.net().resolve(host, cx).await;
    if let Host::Name(name) = host {
        let failed = found.as_ref().err().map(Failure::code);
        steps.push(Step {
            stage: Stage::Resolve,
            to: name.clone(),
            failed,
            took: cx.now() - started,
        });
    }
    let addresses = found?;

    let mut last = None;
    for ip in addresses.into_iter().take(MOST_ADDRESSES) {
        let addr = scoped(ip, port, host)?;
        let began = cx.now();
        let result = attempt(addr, &options, cx).await;
        let failed = result.as_ref().err().map(Failure::code);
        steps.push(Step {
            stage: Stage::Connect,
            to: addr.to_string(),
            failed,
            took: cx.now() - began,
        });
        match result {
            Ok(socket) => {
                let mut conn = Conn::new(Box::new(socket));
                conn.remember(steps);
                return Ok(Opened::Stream(conn));
            }
            // The family that could be tried says more than the one that could not.
            Err(failure) if last.is_some() && failure.code() == Code::CREATE_FAMILY_UNSUPPORTED => {
            }
            Err(failure) => last = Some(failure),
        }
    }
    let failure =
        last.unwrap_or_else(|| Failure::new(Stage::Resolve, Side::Peer, Code::RESOLVE_NO_ADDRESS));
    Err(failure.after(steps))
}

async fn attempt(addr: SocketAddr, options: &DialOptions, cx: &Cx) -> Result<Socket, Failure> {
    let socket = make(addr)?;
    options.common().set(&socket)?;
    if let Some(source) = &options.source {
        let local = source_address(source)?;
        socket
            .bind(&local.into())
            .map_err(|error| Failure::from_io(Stage::Bind, error).fact(Fact::Local(local)))?;
    }
    let socket = TcpSocket::from_std_stream(socket.into());
    let connected = match cx.timeout(CONNECT_TIMEOUT, socket.connect(addr)).await {
        Some(result) => result.map_err(|error| Failure::from_io(Stage::Connect, error)),
        None => Err(
            Failure::new(Stage::Connect, Side::Path, Code::CONNECT_TIMEOUT)
                .fact(Fact::Waited(CONNECT_TIMEOUT))
                .retry(),
        ),
    };
    let stream = connected.map_err(|failure| failure.fact(Fact::Tried(addr)))?;
    if addr.ip().is_loopback() && stream.local_addr().is_ok_and(|local| local == addr) {
        return Err(
            Failure::new(Stage::Connect, Side::Us, Code::CONNECT_SELF).fact(Fact::Tried(addr))
        );
    }
    Ok(Socket::Tcp(stream))
}

fn source_address(source: &str) -> Result<SocketAddr, Failure> {
    let wrong = || {
        Failure::new(Stage::Parse, Side::Us, Code::PARSE_ENDPOINT).message(format!(
            "`{source}` is not a local address: ADDRESS or ADDRESS:PORT is expected"
        ))
    };
    source
        .parse::<SocketAddr>()
        .or_else(|_| {
            source
                .trim_matches(['[', ']'])
                .parse::<IpAddr>()
                .map(|ip| SocketAddr::new(ip, 0))
        })
        .map_err(|_| wrong())
}

/// The address with its interface, when the host names one.
pub(super) fn scoped(ip: IpAddr, port: u16, host: &Host) -> Result<SocketAddr, Failure> {
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
        std::fs::read_to_string(format!("/sys/class/net/{zone}/ifindex"))
            .ok()?
            .trim()
            .parse()
            .ok()
    }
    #[cfg(not(target_os = "linux"))]
    None
}
