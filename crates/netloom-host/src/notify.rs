//! Telling the service manager (sd_notify(3)).

/// Tells the service manager `state`, such as `READY=1` or `STOPPING=1`.
/// Without a manager, or when it does not listen, nothing happens.
#[cfg(target_os = "linux")]
pub fn notify(state: &str) {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    let addr = match path.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(&path),
        _ => return,
    };
    // A manager that is gone needs no news.
    if let (Ok(addr), Ok(socket)) = (addr, UnixDatagram::unbound()) {
        let _ = socket.send_to_addr(state.as_bytes(), &addr);
    }
}

/// Tells the service manager `state`; this platform has none that listens.
#[cfg(not(target_os = "linux"))]
pub fn notify(_state: &str) {}
