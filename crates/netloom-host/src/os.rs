//! The real network, put together from transport's rooms and protocol's layers.

use std::sync::Arc;

use netloom_protocol::PROTOCOLS;
use netloom_transport::net::SystemResolver;
use netloom_transport::{
    Assembly, Net, Transport, exec::Exec, fd::Fd, stdio::Stdio, tcp::Tcp, unix::Unix,
};

/// This host's network.
pub fn os_net() -> Arc<dyn Net> {
    let transports: Vec<Arc<dyn Transport>> = vec![
        Arc::new(Tcp),
        Arc::new(Unix),
        Arc::new(Stdio),
        Arc::new(Exec),
        Arc::new(Fd),
    ];
    let layers = PROTOCOLS
        .iter()
        .filter_map(|protocol| protocol.layer())
        .collect();
    Arc::new(Assembly::new(transports, layers, Arc::new(SystemResolver)))
}
