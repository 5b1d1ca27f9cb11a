//! Where a service is: SRV records (RFC 2782).

use netloom_base::failure::{Fact, Step};
use netloom_base::{Code, Failure, Side, Stage};

use super::Dns;
use super::server::{Answer, Asked, Record};
use super::verdict::{said_by, steps_of};
use crate::cx::Cx;
use crate::net::Services;

impl Dns {
    /// Asks the name servers where a service is. No file and no `getaddrinfo`
    /// knows of services, so nobody else is asked.
    pub(super) async fn find_services(&self, name: &str, cx: &Cx) -> Result<Services, Failure> {
        let servers = self.servers().map_err(|why| {
            Failure::new(Stage::Resolve, Side::Os, Code::RESOLVE_SERVER_FAILED)
                .message(format!("no name server could be asked for `{name}`: {why}"))
        })?;
        let began = cx.now();
        let (mut steps, mut facts) = (Vec::<Step>::new(), Vec::<Fact>::new());
        let mut code = Code::RESOLVE_NO_SUCH_NAME;
        for full in servers.config().candidates(name) {
            let left = self.pace.limit.saturating_sub(cx.now() - began);
            if left.is_zero() {
                break;
            }
            let asked = servers.ask(&full, Record::Srv, left, cx).await;
            steps.extend(steps_of(full.trim_end_matches('.'), &asked));
            facts.extend(said_by(&asked));
            match asked.answer() {
                Answer::Services(some) => {
                    // A lone root says that there is no such service.
                    let list = some.iter().filter(|one| !one.host.is_empty());
                    return Ok(Services {
                        list: list.cloned().collect(),
                        ttl: asked.ttl(),
                        steps,
                    });
                }
                Answer::NoName => {}
                Answer::NoData | Answer::Addresses(_) => code = Code::RESOLVE_NO_ADDRESS,
                Answer::Error(_) | Answer::Silence => {
                    code = unanswered(&asked);
                    break;
                }
            }
        }
        let (side, message) = match code {
            Code::RESOLVE_NO_SUCH_NAME => (Side::Us, format!("the name `{name}` does not exist")),
            Code::RESOLVE_NO_ADDRESS => (Side::Peer, format!("`{name}` exists without a service")),
            Code::RESOLVE_TIMEOUT => (Side::Path, format!("nobody answered for `{name}`")),
            _ => (
                Side::Path,
                format!("the resolver could not answer for `{name}`"),
            ),
        };
        let failure = Failure::new(Stage::Resolve, side, code).message(message);
        Err(facts
            .into_iter()
            .fold(failure, Failure::fact)
            .after(steps)
            .retry())
    }
}

fn unanswered(asked: &Asked) -> Code {
    match asked.answer() {
        Answer::Silence => Code::RESOLVE_TIMEOUT,
        _ => Code::RESOLVE_SERVER_FAILED,
    }
}
