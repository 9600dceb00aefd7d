//! [`Missing`]: what becomes of a token whose key is not at hand.
//!
//! Of the tokens that name a key nobody has heard of, one makes us fetch, and one per [floor](super::floor::Floor) if that
//! brings nothing new; those that come while a fetch is running wait for it, for a while. Only a provider that answers may
//! convict a token, and not by what it said before the token came: a fetch that was running already may bring a key,
//! but cannot deny it.

use std::{sync::MutexGuard, time::Duration};

use tokio::{
    runtime::Handle,
    sync::watch,
    time::{Instant, timeout},
};

use super::{
    refresh::{Outcome, Refresher, State},
    snapshot::Snapshot,
};

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
    /// The number of the fetch, once it has landed.
    landed: Option<u64>,
    /// How long the request may still wait.
    patience: Duration,
}

impl<T: Send + Sync + 'static> Refresher<T> {
    /// Decides about a token for which the keys `seen` have no key, or which finds no keys at all.
    ///
    /// Once a good fetch has shown that the key does not exist, it is remembered.
    #[cold]
    pub(crate) fn missing(
        &self,
        key_id: Option<&str>,
        seen: Option<u64>,
        now: Duration,
    ) -> Missing<T> {
        self.decide(key_id, seen, now, false)
    }

    /// Decides once more about a token that waited for a fetch older than itself, which did not bring its key.
    ///
    /// Any fetch that is running now, or has landed since, began after the token had come. Nothing remembered counts: it
    /// may be as old as the fetch.
    #[cold]
    pub(crate) fn still_missing(
        &self,
        key_id: Option<&str>,
        seen: Option<u64>,
        now: Duration,
    ) -> Missing<T> {
        self.decide(key_id, seen, now, true)
    }

    fn decide(
        &self,
        key_id: Option<&str>,
        seen: Option<u64>,
        now: Duration,
        waited: bool,
    ) -> Missing<T> {
        let shared = &self.0;
        let mut state = shared.state();
        // A fetch lands under this lock: either it is running still, or what it has brought is what is read here. A token
        // must not ask for a key that has just come, for its fetch would bring nothing new and close the floor.
        let current = shared.current(now);
        let keys = current.get();
        let usable = keys.is_some();
        if usable && keys.map(Snapshot::epoch) != seen {
            return Missing::Wait(self.waiting(None, waited));
        }
        match key_id {
            None if usable => return Missing::Unknown,
            Some(id) if usable && !waited && state.unknown.contains(id, now) => {
                return Missing::Unknown;
            }
            _ => {}
        }
        if state.running {
            let outcome = shared.outcome.subscribe();
            return Missing::Wait(self.waiting(Some(outcome), waited));
        }
        if !state.floor.claim(key_id, now) {
            // The provider has withdrawn the key, and still answers. Of any other key it has not been asked.
            let is_gone = key_id.is_some_and(|id| state.floor.is_gone(id));
            return if is_gone && usable && state.failures == 0 {
                Missing::Unknown
            } else {
                Missing::Unavailable
            };
        }
        Missing::Wait(self.force(state))
    }

    /// Fetches because a token asks for it.
    fn force(&self, mut state: MutexGuard<'_, State>) -> Waiting<T> {
        state.take_off(&self.0.due);
        let outcome = self.0.outcome.subscribe();
        drop(state);
        self.0.launch();
        self.waiting(Some(outcome), true)
    }

    fn waiting(&self, outcome: Option<watch::Receiver<Outcome>>, asked: bool) -> Waiting<T> {
        Waiting {
            refresher: self.clone(),
            outcome,
            asked,
            landed: None,
            patience: self.0.policy.patience,
        }
    }
}

impl<T: Send + Sync + 'static> Waiting<T> {
    /// Waits for the fetch, but not longer than patience allows; whether it was a good one.
    pub(crate) async fn fetched(&mut self) -> bool {
        let Some(outcome) = &mut self.outcome else {
            return true;
        };
        let (began, patience) = (Instant::now(), self.patience);
        let landed = match Handle::try_current() {
            Ok(_) => timeout(patience, outcome.changed()).await.is_ok(),
            // Another executor has no timer of tokio's. The fetch is bounded anyway.
            Err(_) => outcome.changed().await.is_ok(),
        };
        self.patience = patience.saturating_sub(began.elapsed());
        let last = outcome.borrow();
        self.landed = landed.then_some(last.number);
        landed && last.result.is_ok()
    }

    /// Whether there was a fetch to wait for: else the keys had changed while the token was looked at.
    pub(crate) const fn waited(&self) -> bool {
        self.outcome.is_some()
    }

    /// Whether the answer is younger than the token, so that it may convict it.
    pub(crate) const fn asked(&self) -> bool {
        self.asked
    }

    /// Goes on waiting for another fetch, with the patience that the former one has left.
    pub(crate) fn after(mut self, former: &Self) -> Self {
        self.patience = former.patience;
        self
    }

    /// Remembers that the fetch did not bring this key, if it was made for it. A later one may have brought it since, or
    /// what else is new, so then there is nothing to remember.
    pub(crate) fn not_found(self, key_id: Option<&str>) {
        if let Some(key_id) = key_id
            && self.asked
        {
            let shared = &self.refresher.0;
            let mut state = shared.state();
            if self.landed == Some(shared.outcome.borrow().number) {
                state.unknown.insert(key_id, shared.clock.now());
            }
        }
    }
}
