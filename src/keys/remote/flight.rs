//! [`Flight`]: one fetch, from its start to what becomes of it.
//!
//! It is a task of its own and holds the shared state only weakly, so that no request can cancel it and the last handle
//! ends it. However it ends, it lands: those who wait hear of it, and the next one may start.

use std::{
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use tokio::time::{sleep, timeout};

use super::{
    KeyFetchError,
    fetch::Document,
    floor::Change,
    lifetime,
    refresh::{Refresher, Shared, millis},
    schedule,
    snapshot::Snapshot,
};

/// The most answers of a provider that one fetch needs: discovery in three places, and the keys.
const ANSWERS: u32 = 4;

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
        let (result, fresh) = match result {
            Ok((accepted, fresh)) => (Ok(accepted), Some(fresh)),
            Err(error) => (Err(error), None),
        };
        let now = self.clock.now();
        let (failures, pause) = {
            let mut state = self.state();
            // Under the lock, so that whoever misses a key of these finds noted what has become of it.
            if let Some(fresh) = fresh {
                self.snapshot.store(Some(fresh));
            }
            let before = state.failures;
            let pause = match &result {
                Ok(accepted) => {
                    if accepted.changed {
                        state.turn(&accepted.change, now);
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
        if result.as_ref().is_ok_and(|accepted| accepted.changed) {
            self.watchers.tell(&());
        }
        match &result {
            Ok(accepted) => self.report_success(accepted, failures),
            Err(error) => self.report_failure(error, failures, now),
        }
    }

    /// Makes the next keys of what came, unless it is no better than what is there.
    fn accept(
        &self,
        document: &Document,
        began: Duration,
    ) -> Result<(Accepted, Arc<Snapshot<T>>), KeyFetchError> {
        let former = self.snapshot.load();
        let former = former.as_deref();
        let origin = self.source.origin();
        let fresh = Snapshot::next(former, document, began, origin, &self.prepare)?;
        let lifetime = document.lifetime.map_or(lifetime::DEFAULT, lifetime::clamp);
        let before = former.map(Snapshot::key_ids).unwrap_or_default();
        let accepted = Accepted {
            changed: former.map(Snapshot::epoch) != Some(fresh.epoch()),
            change: Change::between(before, fresh.key_ids()),
            count: fresh.published(),
            epoch: fresh.epoch(),
            // Whatever the provider states, the next set has to be here before this one may no longer be used.
            lifetime: lifetime.min(self.policy.stale_limit),
        };
        Ok((accepted, Arc::new(fresh)))
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
}

/// What a good fetch brought.
struct Accepted {
    changed: bool,
    change: Change,
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
