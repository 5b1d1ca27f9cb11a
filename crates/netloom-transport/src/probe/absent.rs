//! A system that is not asked yet: every answer is "unknown".

use std::net::SocketAddr;

use netloom_base::failure::{Flow, OtherProgram};

use super::data::{
    Address, ClockState, Descriptors, Dialled, Entry, Holder, Interface, ListenDrops, Neighbour,
    Path, PortSettings, Route, TcpInfo, UnixEntry,
};

pub(super) fn effective_user() -> Option<u32> {
    None
}

pub(super) fn clock() -> Option<ClockState> {
    None
}

pub(super) mod sockets {
    use super::{Entry, Flow, SocketAddr, TcpInfo};

    #[derive(Debug, Clone, Copy, Default)]
    #[expect(dead_code, reason = "asked for, and not answered here")]
    pub(in crate::probe) struct Which {
        pub(in crate::probe) local_port: u16,
        pub(in crate::probe) remote_port: u16,
        pub(in crate::probe) only_listening: bool,
        pub(in crate::probe) udp: bool,
    }

    pub(in crate::probe) fn sockets(_: Which) -> Option<Vec<Entry>> {
        None
    }

    pub(in crate::probe) fn own_flows() -> Vec<Flow> {
        Vec::new()
    }

    pub(in crate::probe) fn tcp_info(_: SocketAddr, _: SocketAddr) -> Option<TcpInfo> {
        None
    }
}

pub(super) mod processes {
    use super::{Holder, OtherProgram, UnixEntry};

    pub(in crate::probe) fn program_at(_: u32) -> Option<OtherProgram> {
        None
    }

    pub(in crate::probe) fn holders(_: &[u32]) -> Vec<Holder> {
        Vec::new()
    }

    pub(in crate::probe) fn unit(_: u64) -> Option<String> {
        None
    }

    pub(in crate::probe) fn unix_sockets() -> Option<Vec<UnixEntry>> {
        None
    }
}

pub(super) mod routes {
    use std::net::IpAddr;

    use super::{Address, Interface, Neighbour, Route};

    pub(in crate::probe) fn interfaces() -> Option<Vec<Interface>> {
        None
    }

    pub(in crate::probe) fn addresses() -> Option<Vec<Address>> {
        None
    }

    pub(in crate::probe) fn route(_: IpAddr, _: u32) -> Option<Route> {
        None
    }

    pub(in crate::probe) fn neighbour(_: IpAddr, _: u32) -> Option<Neighbour> {
        None
    }
}

pub(super) mod health {
    use crate::probe::health::Health;

    pub(in crate::probe) fn health() -> Option<Health> {
        None
    }
}

pub(super) mod limits {
    use super::{Descriptors, ListenDrops, PortSettings};

    pub(in crate::probe) fn port_settings() -> Option<PortSettings> {
        None
    }

    pub(in crate::probe) fn listen_drops() -> Option<ListenDrops> {
        None
    }

    pub(in crate::probe) fn descriptors() -> Option<Descriptors> {
        None
    }
}

pub(super) mod dial {
    use std::time::Duration;

    use super::{Dialled, Path, SocketAddr};
    use crate::cx::Cx;

    #[expect(clippy::unused_async, reason = "asked as where there is an answer")]
    pub(in crate::probe) async fn dial(_: SocketAddr, _: Duration, _: &Cx) -> Option<Dialled> {
        None
    }

    #[expect(clippy::unused_async, reason = "asked as where there is an answer")]
    pub(in crate::probe) async fn path(_: SocketAddr, _: Duration, _: &Cx) -> Option<Path> {
        None
    }
}
