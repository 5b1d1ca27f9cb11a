//! Whether the name servers of this system answer at all.

use std::time::Duration;

use hickory_resolver::proto::rr::RecordType;

use super::server::{Answer, Servers};
use crate::cx::Cx;
use crate::net::NameServer;
use crate::race::stagger;

/// How long a server may take.
const PATIENCE: Duration = Duration::from_secs(2);

impl Servers {
    /// Asks each for the root zone's name servers, all at the same time.
    pub(super) async fn survey(&self, cx: &Cx) -> Vec<NameServer> {
        let ask = |&place: &usize| async move {
            let server = &self.each()[place];
            server.resolver.clear_cache();
            let asked = server.resolver.lookup(".", RecordType::NS);
            let answer = cx.timeout(PATIENCE, asked).await;
            match answer.map(|result| server.read(result)) {
                // The answer has no addresses in it; a server that knows only
                // the names it is given says that there is no such name.
                Some(
                    Answer::Addresses(_) | Answer::Services(_) | Answer::NoData | Answer::NoName,
                ) => None,
                Some(Answer::Error(error)) => Some(error.into_owned()),
                Some(Answer::Silence) | None => Some("nothing".to_owned()),
            }
        };
        let all = 0..self.each().len();
        let runs = stagger(cx, all, Duration::ZERO, ask, |_| false).await;
        let surveyed = |run: crate::race::Run<usize, Option<String>>| NameServer {
            server: self.each()[run.who].addr,
            wrong: run.result.flatten(),
            took: run.took,
        };
        runs.into_iter().map(surveyed).collect()
    }
}
