//! HTTP and WebSocket: servers that answer as broken ones do, and healthy ones
//! of whom nothing must be said.

mod healthy;
mod nginx;
mod peers;
mod wrong;

use netloom_base::diagnosis::Fix;
use netloom_base::story::Told;
use netloom_base::{Endpoint, Failure, Role};
use netloom_protocol::{Visit, protocol_for};

use crate::place::{Lab, sh};

/// Visits an endpoint as `netloom explain` does.
async fn visit(lab: &Lab, url: &str, send: Option<&[u8]>) -> Result<Vec<Told>, Failure> {
    visit_deep(lab, url, send, false).await
}

async fn visit_deep(
    lab: &Lab,
    url: &str,
    send: Option<&[u8]>,
    deep: bool,
) -> Result<Vec<Told>, Failure> {
    let endpoint: Endpoint = url.parse().unwrap();
    let stack = lab.cx.net().stack(&endpoint, Role::Dial)?;
    let protocol = protocol_for(&stack).unwrap();
    let visit = Visit {
        stack: &stack,
        send,
        deep,
    };
    let conn = visit.dial_again(&lab.cx).await?;
    Ok(protocol.greet(conn, visit, &lab.cx).await?.told)
}

/// Does what a fix says; what begins with `netloom explain` must end well.
async fn follow(lab: &Lab, fix: &Fix) {
    let command = fix.command.as_deref().unwrap();
    let words = shell_words::split(command).unwrap();
    match &words[..] {
        [netloom, explain, url] if netloom == "netloom" && explain == "explain" => {
            if let Err(failure) = visit(lab, url, None).await {
                panic!("{command}: {failure}");
            }
        }
        _ => sh(command),
    }
}

fn lines(told: &[Told]) -> String {
    let texts: Vec<&str> = told.iter().map(|told| &*told.text).collect();
    texts.join("\n")
}
