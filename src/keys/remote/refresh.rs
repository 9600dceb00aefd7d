//! [`Refresher`]: the keys of a provider, kept fresh in the background.
//!
//! Readers take a [`Current`] and wait for nobody. Whoever finds a fetch due starts it and goes on; it runs as a task of
//! its own, and there is one at a time.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use tokio::{runtime::Handle, sync::watch, task::AbortHandle};

use super::{
    KeyFetchError, fetch,
    floor::{Change, Floor},
    snapshot::{Current, Prepare, Snapshot},
    source::KeyFetcher,
    unknown::UnknownKeys,
};
use crate::{
    Clock,
    watch::{Watch, Watchers},
};

/// The patience of one set of remote keys.
#[derive(Debug, Clone)]
pub(super) struct Policy {
    /// How long a provider may take for one answer.
    pub(super) timeout: Duration,
    /// How long keys are used after the fetch that brought them.
    pub(super) stale_limit: Duration,
    /// The least time between two fetches that tokens asked for and that brought nothing new.
    pub(super) floor: Duration,
    /// The most time that a request waits for a fetch.
    pub(super) patience: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            timeout: fetch::TIMEOUT,
            stale_limit: Duration::from_secs(24 * 60 * 60),
            floor: Duration::from_secs(30),
            patience: Duration::from_secs(2),
        }
    }
}

/// A handle to the keys of one provider.
pub(crate) struct Refresher<T: Send + Sync + 'static>(pub(super) Arc<Shared<T>>);

pub(super) struct Shared<T> {
    pub(super) source: Arc<dyn KeyFetcher>,
    pub(super) policy: Policy,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) prepare: Prepare<T>,
    /// Where it was built, for those who ask from elsewhere.
    runtime: Option<Handle>,
    pub(super) snapshot: ArcSwapOption<Snapshot<T>>,
    /// When the next fetch is due, in milliseconds of the clock; never while one is running.
    pub(super) due: AtomicU64,
    pub(super) state: Mutex<State>,
    pub(super) tasks: Mutex<Tasks>,
    pub(super) outcome: watch::Sender<Outcome>,
    /// Told after each fetch that brought another set.
    pub(super) watchers: Watchers<()>,
}

pub(super) struct State {
    pub(super) running: bool,
    /// Fetches that failed since the last good one.
    pub(super) failures: u32,
    pub(super) unknown: UnknownKeys,
    pub(super) floor: Floor,
}

#[derive(Default)]
pub(super) struct Tasks {
    pub(super) fetch: Option<AbortHandle>,
    pub(super) timer: Option<AbortHandle>,
}

/// What became of the last fetch, and how many there were.
#[derive(Clone)]
pub(super) struct Outcome {
    pub(super) number: u64,
    pub(super) result: Result<(), KeyFetchError>,
}

impl<T: Send + Sync + 'static> Refresher<T> {
    /// Begins without keys, and without asking anybody yet.
    pub(super) fn new(
        source: Arc<dyn KeyFetcher>,
        policy: Policy,
        clock: Arc<dyn Clock>,
        prepare: Prepare<T>,
    ) -> Self {
        let state = State {
            running: false,
            failures: 0,
            unknown: UnknownKeys::new(policy.floor),
            floor: Floor::new(policy.floor),
        };
        Self(Arc::new(Shared {
            source,
            policy,
            clock,
            prepare,
            runtime: Handle::try_current().ok(),
            snapshot: ArcSwapOption::empty(),
            due: AtomicU64::new(0),
            state: Mutex::new(state),
            tasks: Mutex::default(),
            outcome: watch::Sender::new(Outcome {
                number: 0,
                result: Ok(()),
            }),
            watchers: Watchers::default(),
        }))
    }

    /// The keys of this moment. It takes no lock and waits for nobody; a fetch that is due begins in the background.
    #[inline]
    pub(crate) fn current(&self, now: Duration) -> Current<T> {
        if millis(now) >= self.0.due.load(Ordering::Relaxed) {
            self.begin_if_due(now);
        }
        self.0.current(now)
    }

    /// Starts the fetch that is due, unless somebody else was faster.
    #[cold]
    fn begin_if_due(&self, now: Duration) {
        let shared = &self.0;
        let started = {
            let mut state = shared.state();
            millis(now) >= shared.due.load(Ordering::Relaxed) && state.take_off(&shared.due)
        };
        if started {
            shared.launch();
        }
    }

    /// Starts a fetch, unless one is running.
    pub(super) fn begin(&self) {
        let started = self.0.state().take_off(&self.0.due);
        if started {
            self.0.launch();
        }
    }

    /// Fetches now, and says what became of it. The fetch begins after the call.
    pub(crate) async fn refresh(&self) -> Result<(), KeyFetchError> {
        let shared = &self.0;
        let (mut outcome, wanted) = {
            let state = shared.state();
            let outcome = shared.outcome.subscribe();
            let wanted = outcome.borrow().number + if state.running { 2 } else { 1 };
            (outcome, wanted)
        };
        loop {
            let last = outcome.borrow_and_update().clone();
            if last.number >= wanted {
                return last.result;
            }
            self.begin();
            // The sender lives as long as `self`.
            let _ = outcome.changed().await;
        }
    }

    /// Returns what was made of the last good set, however old it is.
    pub(crate) fn last(&self) -> Option<Arc<T>> {
        let snapshot = self.0.snapshot.load();
        snapshot.as_ref().map(|last| Arc::clone(&last.value))
    }

    /// Has a function called after each fetch that brings another set. It is called in the task of the fetch.
    pub(crate) fn watch(&self, changed: impl Fn() + Send + Sync + 'static) -> Watch {
        self.0.watchers.add(move |()| changed())
    }

    /// Whether there are keys that may be used.
    pub(crate) fn ready(&self) -> bool {
        self.current(self.0.clock.now()).get().is_some()
    }

    /// How long ago the last good fetch began.
    pub(crate) fn age(&self) -> Option<Duration> {
        let snapshot = self.0.snapshot.load();
        let fetched_at = snapshot.as_ref()?.fetched_at;
        Some(self.0.clock.now().saturating_sub(fetched_at))
    }

    /// Whether both are handles to the same keys.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// What is asked, for messages to the operator.
    pub(crate) fn origin(&self) -> &str {
        self.0.source.origin()
    }
}

impl State {
    /// Whether the fetch is the caller's to [launch](Shared::launch), now that the lock is about to be given back.
    pub(super) fn take_off(&mut self, due: &AtomicU64) -> bool {
        let free = !self.running;
        self.running = true;
        due.store(u64::MAX, Ordering::Relaxed);
        free
    }

    /// Takes in that one set of keys has replaced another.
    pub(super) fn turn(&mut self, change: &Change, now: Duration) {
        self.floor.turn(change);
        self.unknown.clear();
        // Nobody has to ask whether a key is gone that this very answer lacks.
        for id in self.floor.gone() {
            self.unknown.insert(id, now);
        }
    }
}

impl<T> Shared<T> {
    /// The keys of this moment; nothing begins.
    #[inline]
    pub(super) fn current(&self, now: Duration) -> Current<T> {
        let snapshot = self.snapshot.load();
        let limit = self.policy.stale_limit;
        let usable = snapshot
            .as_ref()
            .is_some_and(|snapshot| now.saturating_sub(snapshot.fetched_at) < limit);
        Current { snapshot, usable }
    }

    /// The runtime of the caller, or else the one in which it was built.
    pub(super) fn runtime(&self) -> Option<Handle> {
        Handle::try_current().ok().or_else(|| self.runtime.clone())
    }

    // Nothing that holds these locks can panic half-way, so what is behind them is whole.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tasks(&self) -> MutexGuard<'_, Tasks> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        let tasks = self.tasks.get_mut().unwrap_or_else(PoisonError::into_inner);
        for task in [tasks.fetch.take(), tasks.timer.take()]
            .into_iter()
            .flatten()
        {
            task.abort();
        }
    }
}

impl<T: Send + Sync + 'static> Clone for Refresher<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Send + Sync + 'static> fmt::Debug for Refresher<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let snapshot = self.0.snapshot.load();
        f.debug_struct("Refresher")
            .field("source", &self.0.source)
            .field("policy", &self.0.policy)
            .field("epoch", &snapshot.as_ref().map(|snapshot| snapshot.epoch()))
            .finish_non_exhaustive()
    }
}

pub(super) fn millis(time: Duration) -> u64 {
    let millis = time.as_secs().saturating_mul(1_000);
    millis
        .saturating_add(u64::from(time.subsec_millis()))
        .min(u64::MAX - 1)
}
