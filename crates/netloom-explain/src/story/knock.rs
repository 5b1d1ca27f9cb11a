//! The story of one place that takes datagrams. A socket towards it proves
//! nothing, so something is said: where nobody is, the network tells it, and
//! whoever is there answers or keeps silent.

use std::time::Duration;

use netloom_base::failure::Spoken;
use netloom_base::story::Told;
use netloom_base::{Failure, Kind, Stack, Story};
use netloom_transport::Cx;
use netloom_transport::conn::Peer;
use netloom_transport::probe::Probe;

use super::carried;
use super::group::{Ear, GROUP_PATIENCE, Heard};

/// How long an answer or a refusal is waited for where nothing was to be said.
const PATIENCE: Duration = Duration::from_secs(1);

/// What came of knocking: nobody refused it.
pub struct Knocked {
    ear: Ear,
    heard: Option<Heard>,
    waited: Duration,
}

/// Says something to whom `stack` is dialled for, an empty datagram when there
/// is nothing to `say`, and waits for an answer, no longer than the `limit` of
/// whoever asks.
///
/// # Errors
/// As dialling and sending; what the network says of it, as that nobody has the
/// port; and where something was said, that nobody answered.
pub async fn knock(
    stack: &Stack,
    say: Option<&[u8]>,
    limit: Option<Duration>,
    probe: &Probe,
    cx: &Cx,
) -> Result<Knocked, Failure> {
    let waited = match say {
        Some(_) => limit.unwrap_or(GROUP_PATIENCE),
        // Silence is an answer too, and must not come after the limit.
        None => limit.map_or(PATIENCE, |most| PATIENCE.min(most / 2)),
    };
    let named = |failure: Failure| failure.at(&stack.endpoint);
    let words = say.unwrap_or_default();
    let mut ear = Ear::ask(stack, words, probe, cx).await.map_err(named)?;
    let heard = match cx.timeout(waited, ear.first(probe, cx)).await {
        Some(heard) => Some(heard.map_err(named)?),
        None if say.is_some() => return Err(named(ear.silent(probe, cx).await)),
        None => None,
    };
    Ok(Knocked { ear, heard, waited })
}

impl Knocked {
    /// What is not known, because nobody said anything.
    pub fn silence(&self) -> Option<String> {
        let waited = Spoken(self.waited);
        self.heard.is_none().then(|| {
            format!("nobody answered an empty datagram in {waited}, and nobody refused it: UDP tells no more")
        })
    }

    /// The same as a story; with the program that has the port, where this
    /// host's kernel may be asked and knows.
    pub async fn story(&self, stack: &Stack, asked: Option<&Probe>, cx: &Cx) -> Story {
        let mut story = self.ear.story(stack, "note", cx);
        let (local, peer) = self.ear.ends();
        let addr = |end: &Option<Peer>| end.as_ref().and_then(Peer::addr);
        if let (Some(probe), Some(local), Some(peer)) = (asked, addr(&local), addr(&peer)) {
            let server = carried::server(local, peer, Kind::Datagram, probe, cx).await;
            story.told.extend(server);
        }
        if let Some(heard) = &self.heard {
            heard.tell(&mut story);
        }
        let silence = self.silence();
        story
            .told
            .extend(silence.map(|words| Told::new("silence", words, "recvmsg")));
        story
    }
}
