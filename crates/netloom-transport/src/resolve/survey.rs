//! Whether the name servers of this system answer at all.

use std::time::Duration;

use hickory_resolver::proto::rr::RecordType;

use super::server::{Answer, Servers, read};
use crate::cx::Cx;
use crate::net::NameServer;
use crate::race::stagger;

/// How long a server may take.
const PATIENCE: Duration = Duration::from_secs(2);

impl Servers {
    /// Asks each for the root zone's name servers, all at the same time.
    pub(super) async fn survey(&self, cx: &Cx) -> Vec<NameServer> {
        let ask = |&place: &usize| async move {
            let (_, resolver) = &self.resolvers()[place];
            resolver.clear_cache();
            let asked = resolver.lookup(".", RecordType::NS);
            match cx.timeout(PATIENCE, asked).await.map(read) {
                // The answer has no addresses in it; a server that knows only
                // the names it is given says that there is no such name.
                Some(Answer::Addresses(_) | Answer::NoData | Answer::NoName) => None,
                Some(Answer::Error(error)) => Some(error.into_owned()),
                Some(Answer::Silence) | None => Some("nothing".to_owned()),
            }
        };
        let all = 0..self.resolvers().len();
        let runs = stagger(cx, all, Duration::ZERO, ask, |_| false).await;
        let surveyed = |run: crate::race::Run<usize, Option<String>>| NameServer {
            server: self.resolvers()[run.who].0,
            wrong: run.result.flatten(),
            took: run.took,
        };
        runs.into_iter().map(surveyed).collect()
    }
}
