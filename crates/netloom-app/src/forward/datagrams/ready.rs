//! Which sessions have something to do: each has a waker that puts its number
//! on the list, and wakes the task that serves them all.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

/// The numbers of the sessions that were woken, each once.
#[derive(Default)]
pub(super) struct Ready(Mutex<Woken>);

#[derive(Default)]
struct Woken {
    numbers: Vec<u32>,
    task: Option<Waker>,
}

impl Ready {
    /// Whom to wake from now on.
    pub(super) fn watch(&self, task: &Waker) {
        let mut woken = self.lock();
        match &mut woken.task {
            Some(known) if known.will_wake(task) => {}
            other => *other = Some(task.clone()),
        }
    }

    /// Puts the numbers that were woken behind those of `to`.
    pub(super) fn take(&self, to: &mut VecDeque<u32>) {
        to.extend(self.lock().numbers.drain(..));
    }

    fn lock(&self) -> MutexGuard<'_, Woken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The waker of the session with one number.
pub(super) struct Bell {
    number: u32,
    rung: AtomicBool,
    ready: Arc<Ready>,
}

impl Bell {
    pub(super) fn new(number: u32, ready: Arc<Ready>) -> Arc<Self> {
        Arc::new(Bell {
            number,
            rung: AtomicBool::new(false),
            ready,
        })
    }

    /// From now on it may ring again. For whoever took its number off the list,
    /// before the session is looked at.
    pub(super) fn answered(&self) {
        self.rung.store(false, Ordering::Release);
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.rung.swap(true, Ordering::AcqRel) {
            return;
        }
        let task = {
            let mut woken = self.ready.lock();
            woken.numbers.push(self.number);
            woken.task.clone()
        };
        if let Some(task) = task {
            task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Count(Mutex<usize>);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            *self.0.lock().unwrap() += 1;
        }
    }

    #[test]
    fn each_number_stands_once_until_it_is_answered() {
        let ready = Arc::new(Ready::default());
        let count = Arc::new(Count(Mutex::new(0)));
        ready.watch(&Waker::from(count.clone()));
        let bells: Vec<_> = (0..3).map(|i| Bell::new(i, ready.clone())).collect();
        for i in [2, 0, 2, 2, 0] {
            Waker::from(bells[i].clone()).wake();
        }
        let mut numbers = VecDeque::from([7]);
        ready.take(&mut numbers);
        assert_eq!(numbers, [7, 2, 0]);
        assert_eq!(*count.0.lock().unwrap(), 2);
        Waker::from(bells[2].clone()).wake();
        ready.take(&mut numbers);
        assert_eq!(numbers.len(), 3, "it has not been answered");
        bells[2].answered();
        Waker::from(bells[2].clone()).wake();
        ready.take(&mut numbers);
        assert_eq!(numbers, [7, 2, 0, 2]);
    }
}
