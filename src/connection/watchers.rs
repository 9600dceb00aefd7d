//! [`Watchers`]: the tasks that wait for the end of a connection. One as a rule, which takes no allocation.

use std::{mem, slice, task::Waker};

/// The tasks to wake, each under the number that its future knows.
#[derive(Debug)]
pub(super) enum Watchers {
    One(Watcher),
    /// Or none, which takes no allocation either.
    Many(Box<[Watcher]>),
}

impl Default for Watchers {
    fn default() -> Self {
        Self::Many(Box::default())
    }
}

/// Whether a watcher was entered already, and has not been woken since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Enrolled {
    Before,
    Anew,
}

#[derive(Debug)]
pub(super) struct Watcher {
    number: u32,
    waker: Waker,
}

impl Watchers {
    /// Wakes this task from now on, under this number.
    pub(super) fn enrol(&mut self, number: u32, waker: &Waker) -> Enrolled {
        let known = self.all().iter_mut().find(|known| known.number == number);
        if let Some(known) = known {
            known.waker.clone_from(waker);
            return Enrolled::Before;
        }
        let watcher = Watcher {
            number,
            waker: waker.clone(),
        };
        *self = match mem::take(self) {
            Self::Many(none) if none.is_empty() => Self::One(watcher),
            Self::One(first) => Self::Many(Box::new([first, watcher])),
            Self::Many(others) => {
                let mut all = others.into_vec();
                all.push(watcher);
                Self::Many(all.into_boxed_slice())
            }
        };
        Enrolled::Anew
    }

    /// Forgets the task of this number.
    pub(super) fn strike(&mut self, number: u32) {
        *self = match mem::take(self) {
            Self::One(watcher) if watcher.number == number => Self::default(),
            Self::Many(all) => {
                let mut all = all.into_vec();
                all.retain(|watcher| watcher.number != number);
                match <[Watcher; 1]>::try_from(all) {
                    Ok([last]) => Self::One(last),
                    Err(all) => Self::Many(all.into_boxed_slice()),
                }
            }
            one @ Self::One(_) => one,
        };
    }

    /// Wakes them all; whoever goes on waiting enrols again.
    pub(super) fn wake(self) {
        match self {
            Self::One(watcher) => watcher.waker.wake(),
            Self::Many(all) => {
                for watcher in all {
                    watcher.waker.wake();
                }
            }
        }
    }

    fn all(&mut self) -> &mut [Watcher] {
        match self {
            Self::One(watcher) => slice::from_mut(watcher),
            Self::Many(all) => all,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::Wake,
    };

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn each_number_is_woken_once_and_by_its_last_waker() {
        for tasks in 0..5_u32 {
            let counts: Vec<_> = (0..tasks).map(|_| Arc::new(Count::default())).collect();
            let former = Arc::new(Count::default());
            let mut watchers = Watchers::default();
            for (number, count) in (0..).zip(&counts) {
                let first = watchers.enrol(number, &Waker::from(Arc::clone(&former)));
                let second = watchers.enrol(number, &Waker::from(Arc::clone(count)));
                assert_eq!((first, second), (Enrolled::Anew, Enrolled::Before));
            }
            // Whoever waits no longer is not woken; a number that nobody has changes nothing.
            watchers.strike(1);
            watchers.strike(99);
            watchers.wake();
            let woken = counts.iter().map(|count| count.0.load(Ordering::Relaxed));
            let expected = (0..tasks).map(|number| usize::from(number != 1));
            assert!(woken.eq(expected), "{tasks} tasks");
            assert_eq!(former.0.load(Ordering::Relaxed), 0);
        }
    }
}
