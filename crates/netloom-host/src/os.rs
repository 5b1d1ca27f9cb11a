//! The real network, put together from transport's rooms and protocol's layers.

use std::sync::{Arc, LazyLock};

use netloom_protocol::PROTOCOLS;
use netloom_transport::resolve::Dns;
use netloom_transport::{
    Assembly, Layer, Net, Transport, exec::Exec, fd::Fd, stdio::Stdio, tcp::Tcp, tls::Tls,
    udp::Udp, unix::Unix, unixgram::Unixgram,
};

/// This host's network: one for the program, which keeps the name servers,
/// authorities and sessions it has met.
pub fn os_net() -> Arc<dyn Net> {
    static NET: LazyLock<Arc<dyn Net>> = LazyLock::new(put_together);
    NET.clone()
}

fn put_together() -> Arc<dyn Net> {
    let transports: Vec<Arc<dyn Transport>> = vec![
        Arc::new(Tcp),
        Arc::new(Unix),
        Arc::new(Udp),
        Arc::new(Unixgram),
        Arc::new(Stdio),
        Arc::new(Exec),
        Arc::new(Fd),
    ];
    let tls: Arc<dyn Layer> = Arc::<Tls>::default();
    let layers = PROTOCOLS
        .iter()
        .filter_map(|protocol| protocol.layer())
        .chain([tls])
        .collect();
    let spoken = PROTOCOLS.iter().map(|protocol| protocol.card());
    let net = Assembly::new(transports, layers, Arc::new(Dns::system()));
    Arc::new(net.speaking(spoken))
}
