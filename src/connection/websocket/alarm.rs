//! [`Alarm`]: the end of a lease, heard by whoever waits on the socket, reading or writing.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use crate::{Ended, Lease, LeaseEnd};

/// Which half of a socket is polled: two tasks may each have one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Half {
    Read,
    Write,
}

/// The end of a lease, asked only when something has happened to it.
///
/// A socket is polled for each message, and to wait for an end costs a lock and a look at the clock each time. So the
/// future has a waker of its own, which notes that it was called.
#[derive(Debug)]
pub(super) struct Alarm {
    ended: Pin<Box<Ended>>,
    bell: Arc<Bell>,
    /// The bell, as futures know it.
    waker: Waker,
}

impl Alarm {
    pub(super) fn new(lease: &Lease) -> Self {
        let bell = Arc::new(Bell::default());
        Self {
            ended: Box::pin(lease.ended()),
            waker: Waker::from(Arc::clone(&bell)),
            bell,
        }
    }

    /// Waits for the end of the lease, along with the other half.
    pub(super) fn poll_ended(&mut self, half: Half, cx: &Context<'_>) -> Poll<LeaseEnd> {
        // First to be woken, then to look: what happens in between is not missed.
        self.bell.listen(half, cx.waker());
        if !self.bell.rung.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        let polled = self
            .ended
            .as_mut()
            .poll(&mut Context::from_waker(&self.waker));
        if polled.is_ready() {
            self.bell.rung.store(true, Ordering::Release);
        }
        polled
    }

    /// A waker that wakes both halves; this one is entered with its task.
    pub(super) fn waker(&self, half: Half, cx: &Context<'_>) -> Waker {
        self.bell.listen(half, cx.waker());
        self.waker.clone()
    }

    /// Wakes both halves.
    pub(super) fn ring(&self) {
        self.waker.wake_by_ref();
    }
}

/// Wakes the tasks of both halves.
#[derive(Debug)]
struct Bell {
    rung: AtomicBool,
    tasks: Mutex<[Option<Waker>; 2]>,
}

impl Default for Bell {
    /// It has rung, so that the future is polled a first time.
    fn default() -> Self {
        Self {
            rung: AtomicBool::new(true),
            tasks: Mutex::default(),
        }
    }
}

impl Bell {
    fn listen(&self, half: Half, waker: &Waker) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let [read, write] = &mut *tasks;
        let task = match half {
            Half::Read => read,
            Half::Write => write,
        };
        match task {
            Some(known) => known.clone_from(waker),
            None => *task = Some(waker.clone()),
        }
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        let tasks = {
            let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
            [tasks[0].take(), tasks[1].take()]
        };
        // Outside the lock: a task may be polled by whoever wakes it.
        tasks.into_iter().flatten().for_each(Waker::wake);
    }
}
