//! Netloom as a library: open, serve and explain any network conversation.
//!
//! A conversation is an address, a connection, a service, and a story. An
//! [`Endpoint`] is the address; [`connect`] and [`listen`] open one; a
//! [`Service`] answers a [`Conn`]; what goes wrong is a [`Failure`], and
//! [`diagnose`] says why.
//!
//! ```
//! use netloom::{connect, from_fn, listen, Stage};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), netloom::Failure> {
//! let shout = from_fn(|mut conn, _| async move {
//!     let mut text = String::new();
//!     conn.read_to_string(&mut text).await.map_err(|e| conn.failure(Stage::Recv, e))?;
//!     conn.write_all(text.to_uppercase().as_bytes()).await.map_err(|e| conn.failure(Stage::Send, e))?;
//!     conn.shutdown().await.map_err(|e| conn.failure(Stage::Close, e))
//! });
//! let server = listen("tcp://127.0.0.1:0").serve(shout).await?;
//!
//! let mut conn = connect(&server.endpoints()[0].to_string()).await?;
//! conn.write_all(b"hello").await.map_err(|e| conn.failure(Stage::Send, e))?;
//! conn.shutdown().await.map_err(|e| conn.failure(Stage::Close, e))?;
//! let mut answer = String::new();
//! conn.read_to_string(&mut answer).await.map_err(|e| conn.failure(Stage::Recv, e))?;
//! assert_eq!(answer, "HELLO");
//!
//! server.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! A stream carries bytes; a [`Framing`] makes messages of them:
//!
//! ```
//! use netloom::{Framing, Messages, WithFraming, connect, listen, kind, os_net, Settings};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), netloom::Failure> {
//! let echo = kind("echo").unwrap().build(&Settings::new(), &*os_net()).unwrap();
//! let server = listen("tcp://127.0.0.1:0").framing(Framing::Lines).offer(echo).await?;
//!
//! let mut lines = connect(&server.endpoints()[0].to_string()).await?.framed(Framing::Lines);
//! lines.send(b"one").await?;
//! lines.send(b"two").await?;
//! assert_eq!(lines.recv().await?.as_deref(), Some(&b"one"[..]));
//! assert_eq!(lines.recv().await?.as_deref(), Some(&b"two"[..]));
//! Box::new(lines).close().await?;
//!
//! server.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! Without the default feature `cli` no command line is built in.
#![forbid(unsafe_code)]

pub use netloom_app::{KINDS, ServiceKind, kind};
pub use netloom_base::{
    Code, Diagnosis, Endpoint, EndpointError, Event, Fact, Failure, Limits, Moment, Opens, Role,
    Settings, Side, Stage, Story, Timestamp, settings,
};
pub use netloom_explain::diagnose;
pub use netloom_host::{
    Listen, Plan, Server, Ways, check, connect, listen, load, os_net, os_net_by,
};
pub use netloom_protocol::{
    Framed, Framing, MessageService, Offer, Service, WithFraming, finish, from_fn,
};
pub use netloom_transport::{BoxFuture, Close, Conn, Cx, Messages, Notice, Peer, sim};

/// The example of README.md, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
