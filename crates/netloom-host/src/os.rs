//! The real network, put together from transport's rooms and protocol's layers.

use std::sync::{Arc, LazyLock};

use netloom_protocol::PROTOCOLS;
use netloom_transport::resolve::Dns;
use netloom_transport::via::Proxies;
use netloom_transport::{
    Assembly, Layer, Net, Transport, exec::Exec, fd::Fd, file::File, proxy::Proxy, pty::Pty,
    serial::Serial, stdio::Stdio, tcp::Tcp, tls::Tls, udp::Udp, unix::Unix, unixgram::Unixgram,
    vsock::Vsock,
};

use crate::ways::{FileNames, Ways};

/// This host's network: one for the program, which keeps the name servers,
/// authorities and sessions it has met. Nothing goes through a proxy unless its
/// endpoint says so.
pub fn os_net() -> Arc<dyn Net> {
    static NET: LazyLock<Arc<dyn Net>> = LazyLock::new(|| os_net_by(Ways::default()));
    NET.clone()
}

/// The same, where endpoints that say nothing of it are dialled these ways.
pub fn os_net_by(ways: Ways) -> Arc<dyn Net> {
    let transports: Vec<Arc<dyn Transport>> = vec![
        Arc::new(Tcp),
        Arc::new(Unix),
        Arc::new(Udp),
        Arc::new(Unixgram),
        Arc::new(Stdio),
        Arc::new(Exec),
        Arc::new(Fd),
        Arc::new(File),
        Arc::new(Pty),
        Arc::new(Serial),
        Arc::new(Vsock),
    ];
    // One for the program: it keeps the authorities and tickets it has read and made.
    static TLS: LazyLock<Arc<Tls>> = LazyLock::new(Arc::default);
    let tls: Arc<dyn Layer> = TLS.clone();
    let proxies = Proxies::new(
        [Tcp.card()],
        vec![tls.clone()],
        Arc::new(FileNames(ways.file)),
    )
    .given(ways.given)
    .from_environment(ways.environment);
    let layers = PROTOCOLS
        .iter()
        .filter_map(|protocol| protocol.layer())
        .chain([tls, Arc::new(Proxy)])
        .collect();
    let spoken = PROTOCOLS.iter().map(|protocol| protocol.card());
    let net = Assembly::new(transports, layers, Arc::new(Dns::system()));
    Arc::new(net.speaking(spoken).by_way(Arc::new(proxies)))
}
