//! Attempts that start one after the other and run beside each other.

use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use netloom_base::Moment;

use crate::cx::Cx;

/// One attempt.
pub(crate) struct Run<W, R> {
    /// At what.
    pub(crate) who: W,
    /// When it started.
    pub(crate) began: Moment,
    /// How long it ran.
    pub(crate) took: Duration,
    /// How it ended; `None` when it was given up because another had won.
    pub(crate) result: Option<R>,
}

/// Starts an attempt at each of `field`, `delay` apart or at once when one
/// fails, until one's result `wins`. Returns those that were started, in order.
///
/// The order of events depends on `cx` alone: of what is ready at the same
/// time, the attempt that started first is seen first, and before the clock.
pub(crate) async fn stagger<W, R, F>(
    cx: &Cx,
    field: impl IntoIterator<Item = W>,
    delay: Duration,
    start: impl Fn(&W) -> F,
    wins: impl Fn(&R) -> bool,
) -> Vec<Run<W, R>>
where
    F: Future<Output = R>,
{
    let mut field: std::collections::VecDeque<W> = field.into_iter().collect();
    let mut runs: Vec<Run<W, R>> = Vec::with_capacity(field.len());
    let mut works: Vec<Option<Pin<Box<F>>>> = Vec::with_capacity(field.len());
    let mut due = cx.now();
    loop {
        let now = cx.now();
        let idle = works.iter().all(Option::is_none);
        if (idle || due <= now)
            && let Some(who) = field.pop_front()
        {
            works.push(Some(Box::pin(start(&who))));
            runs.push(Run {
                who,
                began: now,
                took: Duration::ZERO,
                result: None,
            });
            due = now + delay;
        } else if idle {
            return runs;
        }

        let more = !field.is_empty();
        let next_is_due = async {
            if more {
                cx.sleep(due - cx.now()).await;
            } else {
                pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            (place, result) = poll_fn(|task| first_done(&mut works, task)) => {
                let now = cx.now();
                let won = wins(&result);
                runs[place].took = now - runs[place].began;
                runs[place].result = Some(result);
                if won {
                    for run in runs.iter_mut().filter(|run| run.result.is_none()) {
                        run.took = now - run.began;
                    }
                    return runs;
                }
                due = now;
            }
            () = next_is_due => {}
        }
    }
}

fn first_done<F: Future>(
    works: &mut [Option<Pin<Box<F>>>],
    task: &mut Context<'_>,
) -> Poll<(usize, F::Output)> {
    for (place, work) in works.iter_mut().enumerate() {
        if let Some(running) = work
            && let Poll::Ready(result) = running.as_mut().poll(task)
        {
            *work = None;
            return Poll::Ready((place, result));
        }
    }
    Poll::Pending
}
