//! [`Timer`]: wakes connections at their deadlines. One task does for all of them, and one sleep.
//!
//! A timer of its own would be the largest part of a connection that waits, and would wake each of them now and then to
//! look whether the clock has been set. Here a connection is one entry of a heap; what becomes idle, as its connection is
//! gone or was renewed, is swept out once it is half of the heap.

use std::{
    cmp::Ordering,
    collections::BinaryHeap,
    fmt, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::{runtime::Handle, sync::Notify, task::yield_now, time::timeout};

use super::open::{Open, micros};
use crate::principal::Context;

/// The longest sleep. The system's clock may be set meanwhile, which no timer notices; and no timer takes the distance
/// to an absurd `exp`.
const LONGEST_SLEEP: Duration = Duration::from_secs(15);

/// So many connections are ended in one go.
const BURST: usize = 256;

/// The deadlines of the connections whose tokens one source has brought: they have one clock.
#[derive(Default)]
pub(crate) struct Timer {
    table: Mutex<Table>,
    /// Rung when a deadline is earlier than all before it, or the last one has gone.
    changed: Notify,
}

#[derive(Default)]
struct Table {
    due: BinaryHeap<Due>,
    /// How many of them stand for nothing any more, at most.
    idle: usize,
    is_driven: bool,
}

/// A connection, and when to look at it, in microseconds since the epoch.
struct Due {
    at: u64,
    open: Weak<Open>,
}

impl Timer {
    /// Ends this connection when its present deadline comes, unless that has moved by then.
    pub(super) fn add(open: &Arc<Open>) {
        let at = open.deadline();
        // What never comes need not be waited for.
        if at == u64::MAX {
            return;
        }
        let context = open.context();
        let timer = &context.timer;
        let mut table = timer.table();
        let driver = match table.is_driven {
            true => None,
            false => Some((Handle::current(), Driver::new(context))),
        };
        table.is_driven = true;
        let is_first = table.due.peek().is_none_or(|first| at < first.at);
        table.due.push(Due {
            at,
            open: Arc::downgrade(open),
        });
        drop(table);
        match driver {
            Some((runtime, driver)) => drop(runtime.spawn(driver.drive())),
            None if is_first => timer.changed.notify_one(),
            None => {}
        }
    }

    /// One entry more stands for nothing.
    pub(super) fn abandon(&self) {
        let mut table = self.table();
        table.idle += 1;
        let seen = match 2 * table.idle > table.due.len() {
            true => table.sweep(),
            false => Vec::new(),
        };
        if table.due.is_empty() {
            // The driver has nothing left to wait for.
            self.changed.notify_one();
        }
        drop(table);
        // Whichever of them nobody else holds any more comes back here when it is dropped.
        drop(seen);
    }

    /// What is due now, and how long it is until something else is; `None` when nothing is left to wait for.
    fn turn(&self, now: u64) -> (Vec<Due>, Option<Duration>) {
        let mut table = self.table();
        let mut due = Vec::new();
        while let Some(first) = table.due.peek()
            && first.at <= now
        {
            due.extend(table.due.pop());
        }
        let next = table.due.peek().map(|next| next.at - now);
        table.is_driven = next.is_some();
        (due, next.map(Duration::from_micros))
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing that is done under the lock can leave it half done.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Forgets what stands for nothing, and returns the connections it looked at: none of them may be dropped under the
    /// lock.
    fn sweep(&mut self) -> Vec<Arc<Open>> {
        let mut seen = Vec::new();
        self.due.retain(|due| {
            let Some(open) = due.open.upgrade() else {
                return false;
            };
            let is_meant = open.deadline() == due.at;
            seen.push(open);
            is_meant
        });
        self.due.shrink_to(2 * self.due.len());
        self.idle = 0;
        seen
    }
}

/// The task that looks at the clock, as long as there is anything to wait for.
struct Driver {
    context: Arc<Context>,
    /// What has come due and is not ended yet.
    due: Vec<Due>,
    /// Whether the table is somebody else's, or will be.
    is_done: bool,
}

impl Driver {
    fn new(context: &Arc<Context>) -> Self {
        Self {
            context: Arc::clone(context),
            due: Vec::new(),
            is_done: false,
        }
    }

    async fn drive(mut self) {
        loop {
            let now = micros(self.context.authenticator.now());
            let (due, next) = self.context.timer.turn(now);
            self.due = due;
            self.is_done = next.is_none();
            while let Some(due) = self.due.pop() {
                if let Some(open) = due.open.upgrade() {
                    open.expire(now).ok();
                }
                // Many may end at one instant; others have their turn meanwhile.
                if self.due.len() % BURST == BURST - 1 {
                    yield_now().await;
                }
            }
            let Some(next) = next else { return };
            // Whichever comes first: both lead to another look.
            let changed = self.context.timer.changed.notified();
            let _ = timeout(next.min(LONGEST_SLEEP), changed).await;
        }
    }
}

impl Drop for Driver {
    /// Its runtime has come to its end, or the clock has panicked. Whoever waits anywhere else waits anew, and finds another
    /// driver.
    fn drop(&mut self) {
        let mut left = mem::take(&mut self.due);
        if !self.is_done {
            let table = mem::take(&mut *self.context.timer.table());
            left.extend(table.due);
        }
        for due in left {
            if let Some(open) = due.open.upgrade() {
                open.rouse();
            }
        }
    }
}

impl Ord for Due {
    /// The greatest of a heap is its first: that is the earliest.
    fn cmp(&self, other: &Self) -> Ordering {
        other.at.cmp(&self.at)
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Due {}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer")
            .field("due", &self.table().due.len())
            .finish_non_exhaustive()
    }
}
