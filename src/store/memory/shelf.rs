//! [`Shelf`]: the state of a store behind its lock; [`ByOwner`]: what each owner has of it.

use std::{
    borrow::Borrow,
    collections::{BTreeSet, HashMap},
    ops::Bound,
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use crate::{Page, SubjectId};

/// The state of a store. Each decision is one step under its lock, never held across an `.await`.
#[derive(Default)]
pub(super) struct Shelf<T>(RwLock<T>);

impl<T> Shelf<T> {
    pub(super) fn read(&self) -> RwLockReadGuard<'_, T> {
        // No step of a store can panic between two writes that belong together.
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The keys of what each owner has, in the order of their bytes. Who has nothing takes no room.
pub(super) struct ByOwner<K>(HashMap<SubjectId, BTreeSet<K>>);

impl<K> Default for ByOwner<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Ord + Borrow<str>> ByOwner<K> {
    pub(super) fn insert(&mut self, owner: &SubjectId, key: K) {
        self.0.entry(owner.clone()).or_default().insert(key);
    }

    /// Returns how many keys an owner has.
    pub(super) fn count(&self, owner: &SubjectId) -> usize {
        self.0.get(owner).map_or(0, BTreeSet::len)
    }

    pub(super) fn remove(&mut self, owner: &SubjectId, key: &str) {
        if let Some(left) = self.0.get_mut(owner) {
            left.remove(key);
            if left.is_empty() {
                self.0.remove(owner);
            }
        }
    }

    /// The keys of a page, and one more where there is one.
    pub(super) fn page(&self, owner: &SubjectId, page: &Page) -> impl Iterator<Item = &K> {
        let from = page.last_key().map_or(Bound::Unbounded, Bound::Excluded);
        let keys = self.0.get(owner);
        keys.into_iter()
            .flat_map(move |keys| keys.range::<str, _>((from, Bound::Unbounded)))
            .take(page.limit() + 1)
    }
}
