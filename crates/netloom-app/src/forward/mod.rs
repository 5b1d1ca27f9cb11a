//! `forward`: what comes goes on to a target, and its answers come back.

mod names;

use std::sync::Arc;
use std::time::Duration;

use netloom_base::failure::Fact;
use netloom_base::{
    Code, Endpoint, Failure, Key, Opens, Role, SettingError, Settings, Side, Stack, Stage, settings,
};
use netloom_protocol::{Offer, Service};
use netloom_transport::carry::{Until, carry};
use netloom_transport::{BoxFuture, Close, Conn, Cx, Net, Origin};

use crate::balance::{Pool, Target};
use crate::registry::ServiceKind;
use names::Names;

settings! {
    /// Where it is carried to, and how hard that is tried.
    struct ForwardSettings {
        /// where it goes, such as tcp://10.0.0.2:80; several are taken in turn
        to: Vec<String>,
        /// where TLS clients go by the name they ask for, with their TLS as it is, such as a.example=tcp://10.0.0.2:443; *.example and default lead the others
        route: Vec<String>,
        /// how long a target may take to answer when it is dialled
        connect_timeout: Duration = Duration::from_secs(10),
        /// how many other targets are tried when one cannot be reached [default: all, at most 3]
        retries: Option<u32>,
    }
}

/// So many other targets are tried when nobody chose.
const MOST_RETRIES: usize = 3;

/// The kind `forward`.
#[derive(Debug, Clone, Copy)]
pub struct Forward;

impl ServiceKind for Forward {
    fn name(&self) -> &'static str {
        "forward"
    }

    fn help(&self) -> &'static str {
        "carry every connection to a target and back"
    }

    fn keys(&self) -> &'static [Key] {
        ForwardSettings::KEYS
    }

    fn main_key(&self) -> Option<&'static str> {
        Some("to")
    }

    fn example(&self) -> &'static str {
        "to = [\"tcp://10.0.0.2:80\"]"
    }

    fn build(&self, settings: &Settings, net: &dyn Net) -> Result<Offer, Vec<SettingError>> {
        let read = ForwardSettings::read(settings)?;
        let span = || settings.last("to").and_then(|s| s.span.clone());
        let mut errors = Vec::new();
        let mut targets = Vec::new();
        for to in &read.to {
            match stack(to, net) {
                Ok(stack) => targets.push(Target { stack }),
                Err(message) => errors.push(SettingError::new("to", span(), message)),
            }
        }
        if read.to.is_empty() && read.route.is_empty() {
            errors.push(SettingError::new("to", span(), "`to` is missing"));
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let tries = match read.retries {
            Some(retries) => retries as usize + 1,
            None => targets.len().min(MOST_RETRIES + 1),
        };
        let names = match &read.route[..] {
            [] => None,
            routes => Some(Names::read(routes, targets.clone(), net)?),
        };
        Ok(Offer::Bytes(Arc::new(Forwarder {
            pool: Pool::new(targets),
            names,
            connect_timeout: read.connect_timeout,
            tries,
        })))
    }
}

fn stack(to: &str, net: &dyn Net) -> Result<Stack, String> {
    let endpoint: Endpoint = to
        .parse()
        .map_err(|error: netloom_base::EndpointError| error.to_string())?;
    net.stack(&endpoint, Role::Dial)
        .map_err(|failure| failure.summary())
}

/// Carries connections to the targets of a pool.
struct Forwarder {
    pool: Arc<Pool>,
    /// Who leads by the name in a client's TLS; then nobody goes to `pool`.
    names: Option<Names>,
    connect_timeout: Duration,
    tries: usize,
}

impl Service for Forwarder {
    fn opens(&self) -> Opens {
        match self.names {
            Some(_) => Opens::Client,
            None => Opens::Either,
        }
    }

    fn serve<'a>(&'a self, conn: Conn, cx: &'a Cx) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let mut tried = Vec::new();
            let (conn, name, pool) = match &self.names {
                Some(names) => names.settle(conn, cx).await?,
                None => (conn, None, &self.pool),
            };
            let mut origin = None;
            loop {
                let pick = match pool.pick(None, &tried, cx).await {
                    Ok(pick) => pick,
                    Err(failure) => {
                        conn.close(Close::Abort);
                        return Err(failure);
                    }
                };
                let stack = &pick.target().stack;
                let began = cx.now();
                // A layer may tell the target of the client. Who asks costs two
                // system calls, so nobody does for a bare transport.
                let own = (stack.levels.len() > 1).then(|| {
                    let origin = origin.get_or_insert_with(|| Origin {
                        server_name: name.clone().or_else(|| conn.server_name().map(Box::from)),
                        ..conn.origin()
                    });
                    cx.on_behalf_of(origin.clone())
                });
                let dialling = own.as_ref().unwrap_or(cx);
                let dialled = cx
                    .timeout(self.connect_timeout, dialling.net().dial(stack, dialling))
                    .await;
                let opened = dialled.unwrap_or_else(|| {
                    let failure = Failure::new(Stage::Connect, Side::Path, Code::CONNECT_TIMEOUT);
                    Err(failure.fact(Fact::Waited(self.connect_timeout)))
                });
                match opened.and_then(netloom_transport::Opened::stream) {
                    Ok(target) => {
                        pick.answered(cx.now() - began);
                        let carried = carry(conn, target, Until::BothEnd).await;
                        return carried.map(drop).map_err(|failed| failed.failure);
                    }
                    Err(failure) => {
                        pick.failed(&failure);
                        let failure = failure.at(&stack.endpoint);
                        tried.push(pick);
                        if tried.len() >= self.tries {
                            conn.close(Close::Abort);
                            return Err(failure);
                        }
                    }
                }
            }
        })
    }
}
