//! [`Link`]: how a node stands to its store at the moment.

use std::{
    fmt, mem,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{CutOff, CutOffPolicy, policy::Reason};

/// What is lost for no longer has not been missed.
const GRACE: Duration = Duration::from_secs(1);

/// The least and the longest time between two reads of the whole.
const HEALING: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(86_400));

/// How a node stands to its store: in touch, or cut off, and how far that has gone.
pub(crate) struct Link {
    /// What the store keeps, for the log.
    store: &'static str,
    policy: CutOffPolicy,
    healing: Duration,
    /// Requests must not be judged by what the node knows.
    is_severed: AtomicBool,
    state: Mutex<State>,
}

struct State {
    /// When the node last heard from the store.
    contact: Instant,
    trouble: Option<Trouble>,
}

struct Trouble {
    since: Instant,
    stage: Stage,
    /// When connections were last ended: what begins later ends after as long.
    swept: Instant,
    reason: Reason,
}

/// How far it has gone. Each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Lost,
    CutOff,
    RequestsRefused,
    ConnectionsEnded,
}

impl Link {
    pub(crate) fn new(store: &'static str, policy: CutOffPolicy, healing: Duration) -> Self {
        let healing = match policy {
            CutOffPolicy::FailClosed => healing,
            CutOffPolicy::FailOpen(age) => healing.min(age / 2),
        };
        Self {
            store,
            policy,
            healing: healing.clamp(HEALING.0, HEALING.1),
            is_severed: AtomicBool::new(false),
            state: Mutex::new(State {
                contact: Instant::now(),
                trouble: None,
            }),
        }
    }

    /// Whether requests must not be judged by what the node knows.
    #[inline]
    pub(crate) fn is_severed(&self) -> bool {
        self.is_severed.load(Ordering::Acquire)
    }

    /// Whether the node is in touch with its store, and if not, for how long.
    pub(crate) fn ready(&self) -> Result<(), CutOff> {
        let state = self.state();
        match &state.trouble {
            Some(trouble) if trouble.stage > Stage::Lost => Err(CutOff {
                store: self.store,
                age: state.contact.elapsed(),
                is_refusing: self.is_severed(),
                reason: trouble.reason.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// How often the whole is read.
    pub(super) const fn healing(&self) -> Duration {
        self.healing
    }

    /// Returns the moment at which what the node knows is too old to go by, under [`CutOffPolicy::FailOpen`].
    pub(super) fn window(&self) -> Option<Instant> {
        match self.policy {
            CutOffPolicy::FailClosed => None,
            CutOffPolicy::FailOpen(age) => self.state().contact.checked_add(age),
        }
    }

    /// Returns the moment by which the store has to give a sign of life: after `patience`, and in the first half of what
    /// is left of the [window](Self::window), so that the whole can be read in the other half.
    pub(super) fn deadline(&self, patience: Duration) -> Instant {
        let now = Instant::now();
        let left = self
            .window()
            .map(|end| end.saturating_duration_since(now) / 2);
        now + left.map_or(patience, |left| left.min(patience))
    }

    /// The store has been heard.
    pub(super) fn note_contact(&self) {
        self.state().contact = Instant::now();
    }

    /// The store is heard no more.
    pub(super) fn lose(&self, reason: Reason) {
        let mut state = self.state();
        match &mut state.trouble {
            Some(trouble) => trouble.reason = reason,
            none => {
                let now = Instant::now();
                *none = Some(Trouble {
                    since: now,
                    stage: Stage::Lost,
                    swept: now,
                    reason,
                });
            }
        }
    }

    /// The feed stands, and the whole has been read.
    pub(super) fn regain(&self) {
        let mut state = self.state();
        state.contact = Instant::now();
        self.is_severed.store(false, Ordering::Release);
        let Some(trouble) = mem::take(&mut state.trouble) else {
            return;
        };
        drop(state);
        if trouble.stage > Stage::Lost {
            tracing::info!(
                target: "tower_warden",
                store = self.store,
                seconds = trouble.since.elapsed().as_secs(),
                "the store is back: this node listens again, and has read the whole",
            );
        }
    }

    /// Does what is due by now. Says when something will be due next, and whether connections have to end.
    pub(super) fn advance(&self) -> Advance {
        let now = Instant::now();
        let mut state = self.state();
        let contact = state.contact;
        let Some(trouble) = &mut state.trouble else {
            return Advance::default();
        };
        let mut ends = false;
        while let Some((due, stage)) = self.next(trouble, contact) {
            if now < due {
                return Advance {
                    next: Some(due),
                    ends,
                };
            }
            trouble.stage = stage;
            match stage {
                Stage::Lost => {}
                Stage::CutOff => self.log(trouble),
                Stage::RequestsRefused => self.is_severed.store(true, Ordering::Release),
                Stage::ConnectionsEnded => {
                    trouble.swept = now;
                    ends = true;
                }
            }
        }
        Advance { next: None, ends }
    }

    /// What comes after the present stage, and when.
    fn next(&self, trouble: &Trouble, contact: Instant) -> Option<(Instant, Stage)> {
        let cut_off = trouble.since + GRACE;
        let (cut_off, refused, ended) = match self.policy {
            CutOffPolicy::FailClosed => (cut_off, Some(cut_off), cut_off.checked_add(self.healing)),
            CutOffPolicy::FailOpen(age) => {
                let old = contact.checked_add(age);
                // A window may be shorter than the grace.
                (old.map_or(cut_off, |old| old.min(cut_off)), old, old)
            }
        };
        // What lies beyond all time never comes.
        match trouble.stage {
            Stage::Lost => Some((cut_off, Stage::CutOff)),
            Stage::CutOff => Some((refused?, Stage::RequestsRefused)),
            Stage::RequestsRefused => Some((ended?, Stage::ConnectionsEnded)),
            // Owners let in whom the store lets in, and a request that was judged before may take its time.
            Stage::ConnectionsEnded => {
                let again = trouble.swept.checked_add(self.healing)?;
                Some((again, Stage::ConnectionsEnded))
            }
        }
    }

    fn log(&self, trouble: &Trouble) {
        let error: &(dyn std::error::Error + 'static) = &*trouble.reason;
        tracing::warn!(
            target: "tower_warden",
            store = self.store,
            policy = ?self.policy,
            error,
            "this node is cut off from a store that it shares with others",
        );
    }

    /// Nobody keeps up with the store any more, nor ever will.
    pub(super) fn abandon(&self) {
        self.lose(Reason::from(Abandoned));
        self.is_severed.store(true, Ordering::Release);
        if let Some(trouble) = &mut self.state().trouble {
            trouble.stage = Stage::ConnectionsEnded;
            self.log(trouble);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is one step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What has come of the time that passed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Advance {
    pub(super) next: Option<Instant>,
    /// Connections have to end, now.
    pub(super) ends: bool,
}

/// The task that followed the store has ended: its runtime has, or the store's own code panicked.
#[derive(Debug, thiserror::Error)]
#[error("the task that followed the store has ended, with its runtime or by a panic")]
struct Abandoned;

impl From<Abandoned> for Reason {
    fn from(abandoned: Abandoned) -> Self {
        std::sync::Arc::new(abandoned)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("store", &self.store)
            .field("policy", &self.policy)
            .field("healing", &self.healing)
            .field("is_severed", &self.is_severed())
            .finish_non_exhaustive()
    }
}
