//! What the simulation promises.

mod datagrams;
mod exactness;
mod executor;
mod streams;

use std::sync::Arc;

use netloom_base::{Failure, Role};

use super::Sim;
use crate::conn::Conn;
use crate::cx::Cx;
use crate::listener::{Bound, Listener};
use crate::net::Opened;

async fn dial(cx: &Cx, endpoint: &str) -> Result<Conn, Failure> {
    open(cx, endpoint).await?.stream()
}

async fn open(cx: &Cx, endpoint: &str) -> Result<Opened, Failure> {
    let stack = cx.net().stack(&endpoint.parse().unwrap(), Role::Dial)?;
    cx.net().dial(&stack, cx).await
}

async fn bind(cx: &Cx, endpoint: &str) -> Result<Vec<Arc<dyn Bound>>, Failure> {
    let stack = cx.net().stack(&endpoint.parse().unwrap(), Role::Bind)?;
    cx.net().bind(&stack, cx).await
}

/// A listener that keeps its address as long as it lives.
async fn listen(cx: &Cx, endpoint: &str) -> Box<dyn Listener> {
    bind(cx, endpoint)
        .await
        .unwrap()
        .remove(0)
        .listener()
        .unwrap()
        .unwrap()
}

/// Both ends of a connection from host `a` to host `b`: the dialler first.
async fn pair(sim: &Sim) -> (Conn, Conn) {
    let (a, b) = (sim.host("a"), sim.host("b"));
    let bound = bind(&b, "tcp://b:0").await.unwrap().remove(0);
    let mut listener = bound.listener().unwrap().unwrap();
    let conn = dial(&a, &bound.endpoint().to_string()).await.unwrap();
    let accepted = listener.accept().await.unwrap().attach().unwrap();
    (conn, accepted)
}
