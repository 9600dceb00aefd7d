//! [`Bell`]: what wakes both halves of a socket whose lease has ended.

use std::{
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Wake, Waker},
};

/// Which half of a socket is polled: two tasks may each have one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Half {
    Read,
    Write,
}

/// Wakes the tasks of both halves: either may be the one that goes on, or be dropped.
#[derive(Debug, Default)]
pub(super) struct Bell {
    tasks: Mutex<[Option<Waker>; 2]>,
}

impl Bell {
    /// A waker for both halves; this one is entered with its task.
    pub(super) fn waker(self: &Arc<Self>, half: Half, cx: &Context<'_>) -> Waker {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let [read, write] = &mut *tasks;
        let task = match half {
            Half::Read => read,
            Half::Write => write,
        };
        match task {
            Some(known) => known.clone_from(cx.waker()),
            None => *task = Some(cx.waker().clone()),
        }
        Waker::from(Arc::clone(self))
    }

    /// Wakes both.
    pub(super) fn ring(&self) {
        let tasks = {
            let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
            [tasks[0].take(), tasks[1].take()]
        };
        // Outside the lock: a task may be polled by whoever wakes it.
        tasks.into_iter().flatten().for_each(Waker::wake);
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}
