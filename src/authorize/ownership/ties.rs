//! [`Ties`]: the connections that last as long as a right, to be found by the resource.

use std::{
    array,
    collections::BTreeMap,
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

/// Connections by the hash of their resource, and by where they stand: whatever shares a hash is asked about once more than
/// it had to be.
type Shard = BTreeMap<(u64, usize), Weak<dyn Tied>>;

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
        let hash = self.hash(resource);
        let key = (hash, Arc::as_ptr(connection).cast::<()>().addr());
        self.shard(hash).insert(key, Arc::downgrade(connection));
    }

    pub(super) fn untie(&self, resource: &ResourceId, connection: *const ()) {
        let hash = self.hash(resource);
        self.shard(hash).remove(&(hash, connection.addr()));
    }

    /// How many changes there were so far: whoever decides notes it first, and knows later whether it may have missed one.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Notes a change, and gives the connections that it may concern.
    pub(super) fn changed(&self, resource: &ResourceId) -> Vec<Arc<dyn Tied>> {
        // Counted before anybody is looked for: who enters too late to be found sees the count.
        self.changes.fetch_add(1, Ordering::AcqRel);
        let hash = self.hash(resource);
        let shard = self.shard(hash);
        let tied = shard.range((hash, 0)..=(hash, usize::MAX));
        tied.filter_map(|(_, connection)| connection.upgrade())
            .collect()
    }

    /// Notes that any change may have been missed, and gives all connections.
    pub(super) fn all(&self) -> Vec<Arc<dyn Tied>> {
        self.changes.fetch_add(1, Ordering::AcqRel);
        let mut all = Vec::new();
        for shard in &self.shards {
            let shard = lock(shard);
            all.extend(shard.values().filter_map(Weak::upgrade));
        }
        all
    }

    fn hash(&self, resource: &ResourceId) -> u64 {
        self.hasher.hash_one(resource.as_str())
    }

    fn shard(&self, hash: u64) -> MutexGuard<'_, Shard> {
        lock(&self.shards[hash as usize % SHARDS])
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A map is whole whenever another thread can see it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Ties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut resources = 0;
        for shard in &self.shards {
            let mut hashes: Vec<_> = lock(shard).keys().map(|(hash, _)| *hash).collect();
            hashes.dedup();
            resources += hashes.len();
        }
        f.debug_struct("Ties")
            .field("resources", &resources)
            .finish_non_exhaustive()
    }
}
