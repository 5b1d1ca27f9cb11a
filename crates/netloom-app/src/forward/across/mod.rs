//! Streams joined to datagrams: each message of the stream is one datagram, and
//! each datagram one message.

mod from_datagrams;
mod to_datagrams;

pub(super) use from_datagrams::FromDatagrams;
pub(super) use to_datagrams::ToDatagrams;
