//! A client that sends a line, prints the answer, and says why when it fails.
//!
//! ```text
//! cargo run --example client -- tcp://localhost:7007 hello
//! ```
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example speaks to a person"
)]

use std::process::ExitCode;

use netloom::{Failure, Stage, connect, diagnose};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let endpoint = args
        .next()
        .unwrap_or_else(|| "tcp://localhost:7007".to_owned());
    let text = args.next().unwrap_or_else(|| "hello".to_owned());
    match ask(&endpoint, &text).await {
        Ok(answer) => {
            print!("{answer}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            // The same words `netloom connect` would use.
            eprintln!("{}", diagnose(&failure.at(&endpoint)));
            ExitCode::FAILURE
        }
    }
}

async fn ask(endpoint: &str, text: &str) -> Result<String, Failure> {
    let mut conn = connect(endpoint).await?;
    let line = format!("{text}\n");
    conn.write_all(line.as_bytes())
        .await
        .map_err(|error| conn.failure(Stage::Send, error))?;
    let mut answer = String::new();
    let mut reader = BufReader::new(&mut conn);
    match reader.read_line(&mut answer).await {
        Ok(_) => Ok(answer),
        Err(error) => Err(conn.failure(Stage::Recv, error)),
    }
}
