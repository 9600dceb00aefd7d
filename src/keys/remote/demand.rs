//! [`Missing`]: what becomes of a token whose key is not at hand.
//!
//! Of the tokens that name a key nobody has heard of, one per [floor](super::refresh::Policy::floor) makes us fetch; those
//! that come while a fetch is running wait for it, for a while. Only a provider that answers may convict a token.

use std::time::Duration;

use tokio::{runtime::Handle, sync::watch, time::timeout};

use super::{
    refresh::{Outcome, Refresher},
    schedule::within,
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
        if state.running {
            let outcome = shared.outcome.subscribe();
            return Missing::Wait(self.waiting(Some(outcome), false));
        }
        let floor = shared.policy.floor;
        if state
            .forced_at
            .is_some_and(|forced| within(forced, floor, now))
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
        let outcome = shared.outcome.subscribe();
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
}

impl<T: Send + Sync + 'static> Waiting<T> {
    /// Waits for the fetch, but not longer than patience allows; whether it was a good one.
    pub(crate) async fn fetched(&mut self) -> bool {
        let Some(outcome) = &mut self.outcome else {
            return true;
        };
        let patience = self.refresher.0.policy.patience;
        let landed = match Handle::try_current() {
            Ok(_) => timeout(patience, outcome.changed()).await.is_ok(),
            // Another executor has no timer of tokio's. The fetch is bounded anyway.
            Err(_) => outcome.changed().await.is_ok(),
        };
        landed && outcome.borrow().result.is_ok()
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
