//! Messages instead of bytes: a service that adds up lists of numbers, one JSON
//! value on each line, and its client.
//!
//! ```text
//! cargo run --example framed
//! ```
#![allow(clippy::print_stdout, reason = "an example speaks to a person")]

use netloom::{BoxFuture, Cx, Failure, Framing, MessageService, Messages, WithFraming};
use netloom::{connect, listen};

/// Answers every list with the sum of its numbers.
struct Adder;

impl MessageService for Adder {
    fn serve<'a>(
        &'a self,
        mut client: Box<dyn Messages>,
        _: &'a Cx,
    ) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            // However the bytes were cut on the way, a message comes whole.
            while let Some(message) = client.recv().await? {
                let answer = match serde_json::from_slice::<Vec<i64>>(&message) {
                    Ok(numbers) => numbers.iter().sum::<i64>().to_string(),
                    Err(_) => r#""it is no list of numbers""#.to_owned(),
                };
                client.send(answer.as_bytes()).await?;
            }
            client.close().await
        })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let server = listen("tcp://127.0.0.1:0")
        .framing(Framing::Json)
        .serve_messages(Adder)
        .await?;
    let endpoint = server.endpoints()[0].to_string();

    let mut adder = connect(&endpoint).await?.framed(Framing::Json);
    for list in ["[1,2,3]", "[]", r#""half""#] {
        adder.send(list.as_bytes()).await?;
        let Some(sum) = adder.recv().await? else {
            break;
        };
        println!(
            "{list} -> {}",
            String::from_utf8_lossy(&sum).trim_matches('"')
        );
    }
    Box::new(adder).close().await?;

    server.stop().await;
    Ok(())
}
