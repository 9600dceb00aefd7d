//! [`Connections`]: all leases in use, to be found by name or by what their tokens say.

use std::{
    array,
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use super::{ConnectionId, LeaseEnd, open::Open};
use crate::VerifiedToken;

/// So many parts the register has, so that connections that come and go do not wait for each other.
const SHARDS: usize = 16;

/// The connections of one layer, or of all layers that share their [`Revocations`](crate::Revocations).
///
/// It holds none of them open: whoever drops a lease is forgotten.
pub(super) struct Connections {
    shards: [Mutex<HashMap<ConnectionId, Weak<Open>>>; SHARDS],
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            shards: array::from_fn(|_| Mutex::default()),
        }
    }
}

impl Connections {
    pub(super) fn remember(&self, open: &Arc<Open>) {
        let id = open.id();
        self.shard(id).insert(id, Arc::downgrade(open));
    }

    pub(super) fn forget(&self, id: ConnectionId) {
        self.shard(id).remove(&id);
    }

    pub(super) fn find(&self, id: ConnectionId) -> Option<Arc<Open>> {
        self.shard(id).get(&id).and_then(Weak::upgrade)
    }

    /// Ends every connection whose token is one of those, and says how many there were.
    pub(super) fn end_all(
        &self,
        end: LeaseEnd,
        is_meant: impl Fn(&VerifiedToken) -> bool,
    ) -> usize {
        let mut ended = 0;
        for shard in &self.shards {
            // No connection is ended, nor dropped, under the lock: both come back here to be forgotten.
            let open: Vec<_> = lock(shard).values().filter_map(Weak::upgrade).collect();
            for open in open {
                if is_meant(&open.token()) {
                    open.end(end);
                    ended += 1;
                }
            }
        }
        ended
    }

    /// Returns every connection that is meant, in no order. None of them is held open.
    pub(super) fn all(&self, is_meant: impl Fn(&Open) -> bool) -> Vec<Weak<Open>> {
        let mut found = Vec::new();
        for shard in &self.shards {
            // No connection is dropped under the lock: it comes back here to be forgotten.
            let open: Vec<_> = lock(shard).values().filter_map(Weak::upgrade).collect();
            let meant = open.iter().filter(|open| is_meant(open));
            found.extend(meant.map(Arc::downgrade));
        }
        found
    }

    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    fn shard(&self, id: ConnectionId) -> MutexGuard<'_, HashMap<ConnectionId, Weak<Open>>> {
        lock(&self.shards[id.bucket(SHARDS)])
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A map is whole whenever another thread can see it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections")
            .field("open", &self.len())
            .finish_non_exhaustive()
    }
}
