//! [`MemoryRevocationStore`]: a store within one process.

use std::{
    collections::HashSet,
    convert::Infallible,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::broadcast;

use super::{Revocation, RevocationFeed, RevocationStore};
use crate::{Clock, SystemClock};

/// So many revocations a node may lag behind before it has to read the whole.
const FEED: usize = 1_024;

/// A [`RevocationStore`] in memory: for several [`Revocations`](super::Revocations) of one process, and for tests of
/// many nodes.
///
/// Clones are the same store. It forgets revocations that are over; a process that restarts forgets them all.
#[derive(Clone)]
pub struct MemoryRevocationStore {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    kept: Mutex<Kept>,
    news: broadcast::Sender<Revocation>,
}

struct Kept {
    /// To publish one again takes no room.
    revocations: HashSet<Revocation>,
    /// At that many the ones that are over are sought out.
    purge_at: usize,
}

impl Default for MemoryRevocationStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryRevocationStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(SystemClock)
    }

    /// An empty store that sees by this clock what is over.
    #[must_use]
    pub fn with_clock(clock: impl Clock) -> Self {
        let shared = Shared {
            clock: Arc::new(clock),
            kept: Mutex::new(Kept {
                revocations: HashSet::new(),
                purge_at: FEED,
            }),
            news: broadcast::Sender::new(FEED),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // A list that somebody panicked over is still a list.
        let kept = self.shared.kept.lock();
        kept.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn purge(&mut self, now: std::time::Duration) {
        self.revocations.retain(|kept| !kept.is_over(now));
        self.purge_at = (2 * self.revocations.len()).max(FEED);
    }
}

impl RevocationStore for MemoryRevocationStore {
    type Error = Infallible;
    type Feed = MemoryRevocationFeed;

    async fn publish(&self, revocation: &Revocation) -> Result<(), Infallible> {
        let mut kept = self.kept();
        if kept.revocations.len() >= kept.purge_at {
            kept.purge(self.shared.clock.now());
        }
        kept.revocations.insert(revocation.clone());
        drop(kept);
        // Without listeners there is nobody to tell.
        let _ = self.shared.news.send(revocation.clone());
        Ok(())
    }

    async fn load(&self) -> Result<Vec<Revocation>, Infallible> {
        let mut kept = self.kept();
        kept.purge(self.shared.clock.now());
        Ok(kept.revocations.iter().cloned().collect())
    }

    async fn subscribe(&self) -> Result<MemoryRevocationFeed, Infallible> {
        Ok(MemoryRevocationFeed(self.shared.news.subscribe()))
    }
}

impl fmt::Debug for MemoryRevocationStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryRevocationStore")
            .field("kept", &self.kept().revocations.len())
            .finish_non_exhaustive()
    }
}

/// The feed of a [`MemoryRevocationStore`].
#[derive(Debug)]
pub struct MemoryRevocationFeed(broadcast::Receiver<Revocation>);

impl RevocationFeed for MemoryRevocationFeed {
    async fn next(&mut self) -> Option<Revocation> {
        self.0.recv().await.ok()
    }
}
