//! A service of one's own: it answers every line with its number. Limits,
//! shutdown and failures come with the server.
//!
//! ```text
//! cargo run --example custom_service
//! ```
#![allow(clippy::print_stdout, reason = "an example speaks to a person")]

use std::pin::pin;

use netloom::{BoxFuture, Conn, Cx, Failure, Opens, Service, Stage, connect, listen};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

/// Answers every line with its number.
struct Counter;

impl Service for Counter {
    fn serve<'a>(&'a self, conn: Conn, _: &'a Cx) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let mut client = BufReader::new(conn);
            let mut line = String::new();
            for number in 1.. {
                line.clear();
                // A line is bounded: a client that never ends one is not read for ever.
                let mut bounded = pin!((&mut client).take(4096));
                let read = bounded.read_line(&mut line).await;
                match read {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(error) => return Err(client.get_ref().failure(Stage::Recv, error)),
                }
                let answer = format!("{number}: {line}");
                if let Err(error) = client.write_all(answer.as_bytes()).await {
                    return Err(client.get_ref().failure(Stage::Send, error));
                }
            }
            client
                .shutdown()
                .await
                .map_err(|error| client.get_ref().failure(Stage::Close, error))
        })
    }

    /// The client speaks first, so a silent one is held to the greeting deadline.
    fn opens(&self) -> Opens {
        Opens::Client
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let server = listen("tcp://127.0.0.1:0").serve(Counter).await?;
    let endpoint = server.endpoints()[0].to_string();

    let mut conn = connect(&endpoint).await?;
    conn.write_all(b"one\ntwo\n")
        .await
        .map_err(|error| conn.failure(Stage::Send, error))?;
    conn.shutdown()
        .await
        .map_err(|error| conn.failure(Stage::Close, error))?;
    let mut answer = String::new();
    conn.read_to_string(&mut answer)
        .await
        .map_err(|error| conn.failure(Stage::Recv, error))?;
    print!("{answer}");

    server.stop().await;
    Ok(())
}
