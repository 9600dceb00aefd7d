//! [`Ties`]: the connections that last as long as a right, to be found by the resource.

use std::{
    array,
    collections::{HashMap, hash_map::Entry},
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{Owned, ResourceId};

/// So many parts the register has, so that connections that come and go do not wait for each other.
const SHARDS: usize = 16;

/// A connection that lasts as long as a right.
pub(crate) trait Tied: Send + Sync {
    /// What it may use.
    fn owned(&self) -> Option<&Owned>;

    /// Ends, as the right has gone.
    fn lose(&self);

    /// Ends, as nobody can tell whether the right has gone.
    fn lose_touch(&self);
}

type Shard = HashMap<ResourceId, Vec<Weak<dyn Tied>>>;

/// It holds none of them open: whoever drops a connection [takes it out](Ties::untie).
pub(super) struct Ties {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    /// How many changes there were, and doubts.
    changes: AtomicU64,
}

impl Default for Ties {
    fn default() -> Self {
        Self {
            shards: array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            changes: AtomicU64::new(0),
        }
    }
}

impl Ties {
    pub(super) fn tie(&self, resource: &ResourceId, connection: &Arc<dyn Tied>) {
        let mut shard = self.shard(resource);
        let tied = shard.entry(resource.clone()).or_default();
        // Most resources have one connection at a time.
        tied.reserve_exact(usize::from(tied.is_empty()));
        tied.push(Arc::downgrade(connection));
    }

    pub(super) fn untie(&self, resource: &ResourceId, connection: *const ()) {
        let mut shard = self.shard(resource);
        if let Entry::Occupied(mut tied) = shard.entry(resource.clone()) {
            tied.get_mut()
                .retain(|other| other.as_ptr().cast::<()>() != connection);
            if tied.get().is_empty() {
                tied.remove();
            }
        }
    }

    /// How many changes there were so far: whoever decides notes it first, and knows later whether it may have missed one.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Notes a change, and gives the connections that it may concern.
    pub(super) fn changed(&self, resource: &ResourceId) -> Vec<Arc<dyn Tied>> {
        // Counted before anybody is looked for: who enters too late to be found sees the count.
        self.changes.fetch_add(1, Ordering::AcqRel);
        let shard = self.shard(resource);
        let tied = shard.get(resource).map(Vec::as_slice).unwrap_or_default();
        tied.iter().filter_map(Weak::upgrade).collect()
    }

    /// Notes that any change may have been missed, and gives all connections.
    pub(super) fn all(&self) -> Vec<Arc<dyn Tied>> {
        self.changes.fetch_add(1, Ordering::AcqRel);
        let mut all = Vec::new();
        for shard in &self.shards {
            let shard = lock(shard);
            all.extend(shard.values().flatten().filter_map(Weak::upgrade));
        }
        all
    }

    fn shard(&self, resource: &ResourceId) -> MutexGuard<'_, Shard> {
        let hash = self.hasher.hash_one(resource.as_str());
        lock(&self.shards[hash as usize % SHARDS])
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A map is whole whenever another thread can see it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Ties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let resources: usize = self.shards.iter().map(|shard| lock(shard).len()).sum();
        f.debug_struct("Ties")
            .field("resources", &resources)
            .finish_non_exhaustive()
    }
}
