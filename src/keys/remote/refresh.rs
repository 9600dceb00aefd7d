//! [`Refresher`]: the keys of a provider, kept fresh in the background.
//!
//! Readers take a [`Current`] and wait for nobody. Whoever finds a fetch due starts it and goes on; it runs as a task of
//! its own, so that no request can cancel it, and there is one at a time. The task and its timer hold the shared state
//! only weakly: with the last handle both end.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use tokio::{
    runtime::Handle,
    sync::watch,
    task::AbortHandle,
    time::{sleep, timeout},
};

use super::{
    KeyFetchError,
    fetch::{self, Document},
    lifetime, schedule,
    snapshot::{Current, Prepare, Snapshot},
    source::KeyFetcher,
    unknown::UnknownKeys,
};
use crate::Clock;

/// The most answers of a provider that one fetch needs: discovery in three places, and the keys.
const ANSWERS: u32 = 4;

/// The patience of one set of remote keys.
#[derive(Debug, Clone)]
pub(super) struct Policy {
    /// How long a provider may take for one answer.
    pub(super) timeout: Duration,
    /// How long keys are used after the fetch that brought them.
    pub(super) stale_limit: Duration,
    /// The least time between two fetches that tokens asked for.
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
    source: Arc<dyn KeyFetcher>,
    pub(super) policy: Policy,
    pub(super) clock: Arc<dyn Clock>,
    prepare: Prepare<T>,
    /// Where it was built, for those who ask from elsewhere.
    runtime: Option<Handle>,
    snapshot: ArcSwapOption<Snapshot<T>>,
    /// When the next fetch is due, in milliseconds of the clock; never while one is running.
    pub(super) due: AtomicU64,
    pub(super) state: Mutex<State>,
    tasks: Mutex<Tasks>,
    pub(super) outcome: watch::Sender<Outcome>,
}

pub(super) struct State {
    pub(super) running: bool,
    /// When a token last made us fetch, whatever became of it.
    pub(super) forced_at: Option<Duration>,
    /// Fetches that failed since the last good one.
    pub(super) failures: u32,
    pub(super) unknown: UnknownKeys,
}

#[derive(Default)]
struct Tasks {
    fetch: Option<AbortHandle>,
    timer: Option<AbortHandle>,
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
            forced_at: None,
            failures: 0,
            unknown: UnknownKeys::new(policy.floor),
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
        }))
    }

    /// The keys of this moment. It takes no lock and waits for nobody; a fetch that is due begins in the background.
    #[inline]
    pub(crate) fn current(&self, now: Duration) -> Current<T> {
        if millis(now) >= self.0.due.load(Ordering::Relaxed) {
            self.begin_if_due(now);
        }
        let snapshot = self.0.snapshot.load();
        let limit = self.0.policy.stale_limit;
        let usable = snapshot
            .as_ref()
            .is_some_and(|snapshot| now.saturating_sub(snapshot.fetched_at) < limit);
        Current { snapshot, usable }
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
    fn begin(&self) {
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
}

impl<T: Send + Sync + 'static> Shared<T> {
    /// Spawns the fetch. No lock is held here: on a runtime that shuts down the task is dropped on the spot, and lands.
    pub(super) fn launch(self: &Arc<Self>) {
        let mut flight = Flight {
            shared: Arc::downgrade(self),
            began: self.clock.now(),
            landed: false,
        };
        let Some(runtime) = self.runtime() else {
            flight.land(Err(KeyFetchError::NoRuntime));
            return;
        };
        let source = Arc::clone(&self.source);
        // A source of another crate may know no limit of its own.
        let limit = self.policy.timeout * ANSWERS;
        let task = runtime.spawn(async move {
            let result = timeout(limit, source.fetch()).await;
            flight.land(result.unwrap_or(Err(KeyFetchError::Timeout)));
        });
        self.tasks().fetch = Some(task.abort_handle());
    }

    /// Takes in what a fetch brought, and plans the next one.
    fn land(self: &Arc<Self>, began: Duration, result: Result<Document, KeyFetchError>) {
        let result = result.and_then(|document| {
            let accepted = self.accept(&document, began);
            accepted.inspect_err(|_| self.source.rejected())
        });
        let now = self.clock.now();
        let (failures, pause) = {
            let mut state = self.state();
            let before = state.failures;
            let pause = match &result {
                Ok(accepted) => {
                    if accepted.changed {
                        state.unknown.clear();
                    }
                    state.failures = 0;
                    schedule::ahead(accepted.lifetime, schedule::draw())
                }
                Err(_) => {
                    state.failures = before.saturating_add(1);
                    schedule::pause(state.failures, schedule::draw())
                }
            };
            state.running = false;
            self.due.store(millis(now + pause), Ordering::Relaxed);
            // Under the same lock, so that whoever begins the next fetch does not take this outcome for its own.
            self.outcome.send_modify(|outcome| {
                outcome.number += 1;
                outcome.result = result.as_ref().map(drop).map_err(Clone::clone);
            });
            (before, pause)
        };
        self.arm(pause);
        match &result {
            Ok(accepted) => self.report_success(accepted, failures),
            Err(error) => self.report_failure(error, failures, now),
        }
    }

    /// Replaces the keys, unless what came is no better than what is there.
    fn accept(&self, document: &Document, began: Duration) -> Result<Accepted, KeyFetchError> {
        let former = self.snapshot.load();
        let former = former.as_deref();
        let origin = self.source.origin();
        let fresh = Snapshot::next(former, document, began, origin, &self.prepare)?;
        let lifetime = document.lifetime.map_or(lifetime::DEFAULT, lifetime::clamp);
        let accepted = Accepted {
            changed: former.map(Snapshot::epoch) != Some(fresh.epoch()),
            count: fresh.published(),
            epoch: fresh.epoch(),
            // Whatever the provider states, the next set has to be here before this one may no longer be used.
            lifetime: lifetime.min(self.policy.stale_limit),
        };
        self.snapshot.store(Some(Arc::new(fresh)));
        Ok(accepted)
    }

    /// Starts the next fetch after that pause, even if nobody asks.
    fn arm(self: &Arc<Self>, pause: Duration) {
        let Some(runtime) = self.runtime() else {
            return;
        };
        let shared = Arc::downgrade(self);
        let task = runtime.spawn(async move {
            sleep(pause).await;
            if let Some(shared) = shared.upgrade() {
                Refresher(shared).begin();
            }
        });
        if let Some(former) = self.tasks().timer.replace(task.abort_handle()) {
            former.abort();
        }
    }

    fn report_success(&self, accepted: &Accepted, failures: u32) {
        let origin = self.source.origin();
        let Accepted { count, epoch, .. } = accepted;
        if failures > 0 {
            tracing::info!(target: "tower_warden", origin, failures, "keys can be fetched again");
        }
        if accepted.changed {
            tracing::info!(target: "tower_warden", origin, keys = count, epoch, "keys fetched, the set is new");
        } else {
            tracing::debug!(target: "tower_warden", origin, keys = count, epoch, "keys fetched, nothing new");
        }
    }

    /// Says once when trouble begins, and each time while requests suffer from it.
    fn report_failure(&self, error: &KeyFetchError, failures: u32, now: Duration) {
        let (origin, reason) = (self.source.origin(), error.code());
        let snapshot = self.snapshot.load();
        let age = snapshot
            .as_ref()
            .map(|snapshot| now.saturating_sub(snapshot.fetched_at));
        if age.is_none_or(|age| age >= self.policy.stale_limit) {
            tracing::error!(
                target: "tower_warden", origin, reason, %error, failures,
                "keys cannot be fetched, and there are none to go on with"
            );
        } else if failures == 0 {
            tracing::warn!(
                target: "tower_warden", origin, reason, %error,
                "keys cannot be fetched, the former ones stay in use"
            );
        } else {
            tracing::debug!(target: "tower_warden", origin, reason, %error, failures, "keys still cannot be fetched");
        }
    }

    /// The runtime of the caller, or else the one in which it was built.
    fn runtime(&self) -> Option<Handle> {
        Handle::try_current().ok().or_else(|| self.runtime.clone())
    }

    // Nothing that holds these locks can panic half-way, so what is behind them is whole.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tasks(&self) -> MutexGuard<'_, Tasks> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a good fetch brought.
struct Accepted {
    changed: bool,
    count: usize,
    epoch: u64,
    lifetime: Duration,
}

/// A running fetch, which lands however it ends: those who wait must hear of it, and the next one must be able to start.
struct Flight<T: Send + Sync + 'static> {
    shared: Weak<Shared<T>>,
    began: Duration,
    landed: bool,
}

impl<T: Send + Sync + 'static> Flight<T> {
    fn land(&mut self, result: Result<Document, KeyFetchError>) {
        self.landed = true;
        if let Some(shared) = self.shared.upgrade() {
            shared.land(self.began, result);
        }
    }
}

impl<T: Send + Sync + 'static> Drop for Flight<T> {
    fn drop(&mut self) {
        if !self.landed {
            self.land(Err(KeyFetchError::Interrupted));
        }
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

fn millis(time: Duration) -> u64 {
    let millis = time.as_secs().saturating_mul(1_000);
    millis
        .saturating_add(u64::from(time.subsec_millis()))
        .min(u64::MAX - 1)
}
