//! Opening a session's socket towards a target.

use std::net::IpAddr;
use std::sync::Arc;

use netloom_base::failure::Fact;
use netloom_base::{Code, Failure, Side, Stage};
use netloom_transport::{BoxFuture, Cx, Datagrams, Opened};

use super::Shared;
use crate::balance::Pick;

/// A socket to a target, and the target.
pub(super) type Dialled = Result<(Box<dyn Datagrams>, Pick), Failure>;

/// Picks a target and opens a socket to it; where that cannot be opened, tries
/// others, as many as may be tried.
pub(super) fn dial(
    shared: Arc<Shared>,
    client: Option<IpAddr>,
    cx: Cx,
) -> BoxFuture<'static, Dialled> {
    Box::pin(async move {
        let mut tried = Vec::new();
        loop {
            let pick = shared.pool.pick(client, &tried, &cx).await?;
            let failure = match open(&pick, &shared, &cx).await {
                Ok(socket) => return Ok((socket, pick)),
                Err(failure) => failure.at(&pick.target().stack.endpoint),
            };
            pick.failed(&failure);
            tried.push(pick);
            if tried.len() >= shared.patience.tries {
                return Err(failure);
            }
        }
    })
}

async fn open(pick: &Pick, shared: &Shared, cx: &Cx) -> Result<Box<dyn Datagrams>, Failure> {
    let most = shared.patience.connect_timeout;
    let opened = cx.timeout(most, cx.net().dial(&pick.target().stack, cx));
    let silent =
        || Failure::new(Stage::Connect, Side::Path, Code::CONNECT_TIMEOUT).fact(Fact::Waited(most));
    match opened.await.unwrap_or_else(|| Err(silent()))? {
        // That it is open says nothing of the target; its first answer will.
        Opened::Datagrams(socket) => Ok(socket),
        other => {
            let message = format!("datagrams are carried on, and this gives {}", other.kind());
            Err(Failure::new(Stage::Parse, Side::Us, Code::PARSE_ENDPOINT).message(message))
        }
    }
}
