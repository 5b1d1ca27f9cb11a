//! How far a conversation has come, for whoever ends it before its time: the
//! conversation itself is dropped then, and cannot be asked any more.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use netloom_base::Stage;

/// Where a conversation stands. Its clones are one.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Mutex<Standing>>);

#[derive(Debug, Default, Clone, Copy)]
struct Standing {
    stage: Option<Stage>,
    moved: Option<(u64, u64)>,
}

impl Progress {
    /// What it is at: opening, for as long as a guard of [`Progress::enter`]
    /// lives, and else receiving.
    pub fn stage(&self) -> Stage {
        self.look().stage.unwrap_or(Stage::Recv)
    }

    /// Bytes received and sent, where somebody counts them.
    pub fn moved(&self) -> Option<(u64, u64)> {
        self.look().moved
    }

    /// Says how many bytes were received and sent by now.
    pub fn count(&self, received: u64, sent: u64) {
        self.look().moved = Some((received, sent));
    }

    /// Begins `stage`. When the guard goes, what was before goes on.
    pub fn enter(&self, stage: Stage) -> Entered<'_> {
        let before = self.look().stage.replace(stage);
        Entered {
            progress: self,
            before,
        }
    }

    fn look(&self) -> MutexGuard<'_, Standing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stage that lasts as long as this lives.
#[derive(Debug)]
#[must_use = "the stage lasts as long as this lives"]
pub struct Entered<'a> {
    progress: &'a Progress,
    before: Option<Stage>,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.progress.look().stage = self.before;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_within_another_gives_way_to_it_again() {
        let progress = Progress::default();
        let seen_elsewhere = progress.clone();
        assert_eq!(seen_elsewhere.stage(), Stage::Recv);
        let connecting = progress.enter(Stage::Connect);
        let resolving = progress.enter(Stage::Resolve);
        assert_eq!(seen_elsewhere.stage(), Stage::Resolve);
        drop(resolving);
        assert_eq!(seen_elsewhere.stage(), Stage::Connect);
        drop(connecting);
        assert_eq!(seen_elsewhere.stage(), Stage::Recv);
    }

    #[test]
    fn bytes_are_known_once_somebody_counts_them() {
        let progress = Progress::default();
        assert_eq!(progress.moved(), None);
        progress.clone().count(3, 5);
        assert_eq!(progress.moved(), Some((3, 5)));
    }
}
