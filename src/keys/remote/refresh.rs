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

use arc_swap::{ArcSwapOption, Guard};
use serde::Deserialize;
use serde_json::Value;
use tokio::{
    runtime::Handle,
    sync::watch,
    task::AbortHandle,
    time::{sleep, timeout},
};

use super::{
    KeyFetchError,
    error::Faults,
    fetch::{self, Document},
    lifetime, schedule,
    source::{KeyFetcher, malformed},
    unknown::UnknownKeys,
};
use crate::{Clock, Keys};

/// The most keys of a set that are looked at.
const MAX_KEYS: usize = 100;
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

/// Makes of a set what readers want to have at hand; `None` if no key in it is of use. The number is the epoch.
pub(super) type Prepare<T> = Box<dyn Fn(&Keys, u64) -> Option<T> + Send + Sync>;

/// A handle to the keys of one provider.
pub(crate) struct Refresher<T: Send + Sync + 'static>(Arc<Shared<T>>);

struct Shared<T> {
    source: Arc<dyn KeyFetcher>,
    policy: Policy,
    clock: Arc<dyn Clock>,
    prepare: Prepare<T>,
    /// Where it was built, for those who ask from elsewhere.
    runtime: Option<Handle>,
    snapshot: ArcSwapOption<Snapshot<T>>,
    /// When the next fetch is due, in milliseconds of the clock; never while one is running.
    due: AtomicU64,
    state: Mutex<State>,
    tasks: Mutex<Tasks>,
    outcome: watch::Sender<Outcome>,
}

/// The keys of the last good fetch.
pub(crate) struct Snapshot<T> {
    pub(crate) value: Arc<T>,
    fetched_at: Duration,
    /// Another one whenever the set changes.
    epoch: u64,
    /// Every key as canonical JSON, sorted: what tells a changed set from one that was written down differently.
    fingerprint: Vec<String>,
}

#[derive(Default)]
struct State {
    running: bool,
    /// When a token last made us fetch, whatever became of it.
    forced_at: Option<Duration>,
    /// Fetches that failed since the last good one.
    failures: u32,
    unknown: UnknownKeys,
}

#[derive(Default)]
struct Tasks {
    fetch: Option<AbortHandle>,
    timer: Option<AbortHandle>,
}

/// What became of the last fetch, and how many there were.
#[derive(Clone)]
struct Outcome {
    number: u64,
    result: Result<(), KeyFetchError>,
}

/// The keys of this moment, if there are any that may still be used.
pub(crate) struct Current<T> {
    snapshot: Guard<Option<Arc<Snapshot<T>>>>,
    usable: bool,
}

/// What to do about a token whose key is not at hand.
pub(crate) enum Missing<T: Send + Sync + 'static> {
    /// The provider was asked, and has no such key: the token is to blame.
    Unknown,
    /// Nobody can say at the moment: the provider is to blame.
    Unavailable,
    /// The answer is on its way.
    Wait(Waiting<T>),
}

/// The bounded wait of one request for a fetch.
pub(crate) struct Waiting<T: Send + Sync + 'static> {
    refresher: Refresher<T>,
    /// `None` if the keys have changed already.
    outcome: Option<watch::Receiver<Outcome>>,
    /// Whether the fetch began after the token had come, so that its answer holds for the token.
    asked: bool,
}

impl<T: Send + Sync + 'static> Refresher<T> {
    /// Begins without keys, and without asking anybody yet.
    pub(super) fn new(
        source: Arc<dyn KeyFetcher>,
        policy: Policy,
        clock: Arc<dyn Clock>,
        prepare: Prepare<T>,
    ) -> Self {
        Self(Arc::new(Shared {
            source,
            policy,
            clock,
            prepare,
            runtime: Handle::try_current().ok(),
            snapshot: ArcSwapOption::empty(),
            due: AtomicU64::new(0),
            state: Mutex::default(),
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
            self.begin_due();
        }
        let snapshot = self.0.snapshot.load();
        let limit = self.0.policy.stale_limit;
        let usable = snapshot
            .as_ref()
            .is_some_and(|snapshot| now.saturating_sub(snapshot.fetched_at) < limit);
        Current { snapshot, usable }
    }

    /// Starts the fetch that is due, unless one is running.
    #[cold]
    pub(super) fn begin_due(&self) {
        let started = self.0.state().take_off(&self.0.due);
        if started {
            self.0.launch();
        }
    }

    /// Decides about a token for which the keys `seen` have no key, or which finds no keys at all.
    ///
    /// Of the tokens that name a key nobody has heard of, one per [floor](Policy::floor) makes us fetch; those that come
    /// while a fetch is running wait for it. Once a good fetch has shown that the key does not exist, it is remembered.
    #[cold]
    pub(crate) fn missing(
        &self,
        key_id: Option<&str>,
        seen: Option<u64>,
        now: Duration,
    ) -> Missing<T> {
        let shared = &self.0;
        let current = self.current(now);
        let keys = current.get();
        if keys.is_some() && keys.map(Snapshot::epoch) != seen {
            return Missing::Wait(self.waiting(None, false));
        }
        let usable = keys.is_some();
        if usable && key_id.is_none() {
            return Missing::Unknown;
        }
        let mut state = shared.state();
        if usable && key_id.is_some_and(|id| state.unknown.contains(id, now)) {
            return Missing::Unknown;
        }
        let outcome = shared.outcome.subscribe();
        if state.running {
            return Missing::Wait(self.waiting(Some(outcome), false));
        }
        let floor = shared.policy.floor;
        if state
            .forced_at
            .is_some_and(|forced| schedule::within(forced, floor, now))
        {
            // Only a provider that answers may convict a token.
            return if usable && state.failures == 0 {
                Missing::Unknown
            } else {
                Missing::Unavailable
            };
        }
        state.forced_at = Some(now);
        state.take_off(&shared.due);
        drop(state);
        shared.launch();
        Missing::Wait(self.waiting(Some(outcome), true))
    }

    fn waiting(&self, outcome: Option<watch::Receiver<Outcome>>, asked: bool) -> Waiting<T> {
        Waiting {
            refresher: self.clone(),
            outcome,
            asked,
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
            self.begin_due();
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

impl<T: Send + Sync + 'static> Waiting<T> {
    /// Waits for the fetch, but not longer than patience allows; whether it was a good one.
    pub(crate) async fn fetched(&mut self) -> bool {
        let Some(outcome) = &mut self.outcome else {
            return true;
        };
        let patience = self.refresher.0.policy.patience;
        match timeout(patience, outcome.changed()).await {
            Ok(_) => outcome.borrow().result.is_ok(),
            Err(_) => false,
        }
    }

    /// Remembers that the fetch did not bring this key, if it was made for it.
    pub(crate) fn not_found(self, key_id: Option<&str>) {
        if let Some(key_id) = key_id
            && self.asked
        {
            let shared = &self.refresher.0;
            shared.state().unknown.insert(key_id, shared.clock.now());
        }
    }
}

impl<T> Current<T> {
    /// The keys, unless there are none or they are older than the stale limit.
    #[inline]
    pub(crate) fn get(&self) -> Option<&Snapshot<T>> {
        self.snapshot.as_deref().filter(|_| self.usable)
    }
}

impl<T> Snapshot<T> {
    /// Another number whenever the set changes; what was decided with other keys is void.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }
}

impl State {
    /// Whether the fetch is the caller's to [launch](Shared::launch), now that the lock is about to be given back.
    fn take_off(&mut self, due: &AtomicU64) -> bool {
        let free = !self.running;
        self.running = true;
        due.store(u64::MAX, Ordering::Relaxed);
        free
    }
}

impl<T: Send + Sync + 'static> Shared<T> {
    /// Spawns the fetch. No lock is held here: on a runtime that shuts down the task is dropped on the spot, and lands.
    fn launch(self: &Arc<Self>) {
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
        let result = result.and_then(|document| self.accept(&document, began));
        let now = self.clock.now();
        let pause = {
            let mut state = self.state();
            let pause = match &result {
                Ok(accepted) => {
                    if accepted.changed {
                        state.unknown.clear();
                    }
                    self.report_success(accepted, state.failures);
                    state.failures = 0;
                    schedule::ahead(accepted.lifetime, schedule::draw())
                }
                Err(error) => {
                    state.failures = state.failures.saturating_add(1);
                    self.report_failure(error, state.failures, now);
                    schedule::pause(state.failures, schedule::draw())
                }
            };
            state.running = false;
            self.due.store(millis(now + pause), Ordering::Relaxed);
            pause
        };
        self.arm(pause);
        self.outcome.send_modify(|outcome| {
            outcome.number += 1;
            outcome.result = result.map(drop);
        });
    }

    /// Replaces the keys, unless the set is not better than what is there.
    fn accept(&self, document: &Document, began: Duration) -> Result<Accepted, KeyFetchError> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set =
            serde_json::from_slice(&document.body).map_err(|error| malformed("JWK Set", &error))?;
        let count = set.keys.len();
        if count > MAX_KEYS {
            return Err(KeyFetchError::TooManyKeys {
                count,
                limit: MAX_KEYS,
            });
        }
        let mut fingerprint: Vec<String> = set.keys.iter().map(Value::to_string).collect();
        fingerprint.sort_unstable();

        let former = self.snapshot.load();
        let same = former
            .as_ref()
            .filter(|former| former.fingerprint == fingerprint);
        let changed = same.is_none();
        let (value, epoch) = match same {
            Some(former) => (Arc::clone(&former.value), former.epoch),
            None => {
                let epoch = former.as_ref().map_or(0, |former| former.epoch + 1);
                (Arc::new(self.read(document, count, epoch)?), epoch)
            }
        };
        self.snapshot.store(Some(Arc::new(Snapshot {
            value,
            fetched_at: began,
            epoch,
            fingerprint,
        })));
        Ok(Accepted {
            changed,
            count,
            epoch,
            lifetime: document.lifetime.map_or(lifetime::DEFAULT, lifetime::clamp),
        })
    }

    fn read(&self, document: &Document, count: usize, epoch: u64) -> Result<T, KeyFetchError> {
        let (keys, faults) =
            Keys::jwk_set_lenient(&document.body).map_err(|error| KeyFetchError::Malformed {
                wanted: "JWK Set",
                problem: error.to_string(),
            })?;
        let Some(value) = (self.prepare)(&keys, epoch) else {
            let faults = if faults.is_empty() {
                String::new()
            } else {
                format!(": {}", Faults(&faults))
            };
            return Err(KeyFetchError::NoUsableKey { count, faults });
        };
        if !faults.is_empty() {
            tracing::warn!(
                target: "tower_warden",
                origin = self.source.origin(), faults = %Faults(&faults),
                "some keys of the set are unusable"
            );
        }
        Ok(value)
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
                Refresher(shared).begin_due();
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
        } else if failures == 1 {
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
    fn state(&self) -> MutexGuard<'_, State> {
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
            .field("epoch", &snapshot.as_ref().map(|snapshot| snapshot.epoch))
            .finish_non_exhaustive()
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX - 1)
}
