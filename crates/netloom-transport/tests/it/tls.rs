//! TLS at both ends: against itself over loopback and in simulation, against
//! peers that speak something else, and against OpenSSL.

mod certs;
mod codes;
mod openssl;
mod resume;
mod scripted;
mod streams;

use std::sync::Arc;
use std::time::Duration;

use netloom_base::failure::Fact;
use netloom_base::{Failure, Role};
use netloom_transport::net::SystemResolver;
use netloom_transport::tcp::Tcp;
use netloom_transport::tls::Tls;
use netloom_transport::unix::Unix;
use netloom_transport::{Assembly, Bound, Conn, Cx, Listener};

/// The real world with TLS in it.
fn world() -> Cx {
    let net = Assembly::new(
        vec![Arc::new(Tcp), Arc::new(Unix)],
        vec![Arc::new(Tls::default())],
        Arc::new(SystemResolver),
    );
    Cx::os(Arc::new(net))
}

async fn dial(cx: &Cx, endpoint: &str) -> Result<Conn, Failure> {
    let stack = cx.net().stack(&endpoint.parse().unwrap(), Role::Dial)?;
    cx.net().dial(&stack, cx).await?.stream()
}

/// A listener that puts the endpoint's layers on what it accepts.
struct Served {
    cx: Cx,
    stack: netloom_base::Stack,
    bound: Arc<dyn Bound>,
    listener: Box<dyn Listener>,
}

impl Served {
    async fn at(cx: &Cx, endpoint: &str) -> Result<Served, Failure> {
        let stack = cx.net().stack(&endpoint.parse().unwrap(), Role::Bind)?;
        let bound = cx.net().bind(&stack, cx).await?.remove(0);
        let listener = bound.listener()?.unwrap();
        Ok(Served {
            cx: cx.clone(),
            stack,
            bound,
            listener,
        })
    }

    fn port(&self) -> u16 {
        self.bound.endpoint().port().unwrap()
    }

    async fn answer(&mut self) -> Result<Conn, Failure> {
        let conn = self.listener.accept().await?.attach()?;
        self.cx
            .net()
            .answer(&self.stack, conn, &self.cx)
            .await?
            .stream()
    }
}

/// Both ends of one connection over loopback; what each end made of it.
async fn meet(serve: &str, ask: &str) -> (Result<Conn, Failure>, Result<Conn, Failure>) {
    let cx = world();
    let mut served = Served::at(&cx, &format!("tls://127.0.0.1:0,{serve}"))
        .await
        .unwrap();
    let endpoint = format!("tls://127.0.0.1:{},{ask}", served.port());
    let both = async { tokio::join!(dial(&cx, &endpoint), served.answer()) };
    let met = cx.timeout(Duration::from_secs(20), both).await;
    met.expect("the two ends do not meet")
}

fn told(failure: &Failure) -> String {
    let facts: Vec<String> = failure.facts().iter().map(Fact::to_string).collect();
    format!("{failure}\n{}", facts.join("\n"))
}
