//! An echo server on any endpoints, with limits.
//!
//! ```text
//! cargo run --example echo_server -- tcp://:7007 unix:/tmp/echo.sock
//! ```
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example speaks to a person"
)]

use std::process::ExitCode;
use std::time::Duration;

use netloom::{Failure, Limits, Offer, Server, Settings, diagnose, kind, listen};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let endpoints: Vec<String> = std::env::args().skip(1).collect();
    match serve(&endpoints).await {
        Ok(server) => {
            for endpoint in server.endpoints() {
                println!("listening {endpoint}");
            }
            wait_for_the_end_of_stdin().await;
            server.stop().await; // connections at rest end, the others finish
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("{}", diagnose(&failure));
            ExitCode::FAILURE
        }
    }
}

async fn serve(endpoints: &[String]) -> Result<Server, Failure> {
    let limits = Limits {
        max_conns: Some(100),
        idle: Some(Duration::from_mins(1)),
        ..Limits::default()
    };
    let first = endpoints
        .first()
        .map_or("tcp://127.0.0.1:0", String::as_str);
    let listening = endpoints
        .iter()
        .skip(1)
        .fold(listen(first), |listening, next| listening.and(next));
    listening.limits(limits).offer(echo()).await
}

/// The kind that `netloom listen --echo` serves.
fn echo() -> Offer {
    let echo = kind("echo").expect("this build has `echo`");
    echo.build(&Settings::new(), &*netloom::os_net())
        .unwrap_or_else(|_| unreachable!("`echo` needs no settings"))
}

/// Blocks one thread of its own, so that the server runs on.
async fn wait_for_the_end_of_stdin() {
    let reading =
        tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    let _ = reading.await;
}
