//! [`MemoryApiKeyStore`]: the records of API keys within one process.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    ops::Bound,
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use crate::{ApiKeyRecord, ApiKeyStore, Listing, NumericDate, Page, StoreFuture, SubjectId};

/// Keeps the records of API keys in the memory of one process, and forgets all at its end.
///
/// Each decision is one step under one lock, never held across an `.await`.
#[derive(Default)]
pub struct MemoryApiKeyStore(RwLock<State>);

#[derive(Default)]
struct State {
    records: BTreeMap<String, ApiKeyRecord>,
    /// The IDs of each owner's keys, in order.
    owned: HashMap<SubjectId, BTreeSet<String>>,
}

impl MemoryApiKeyStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        // No step in here can panic between two writes that belong together.
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ApiKeyStore for MemoryApiKeyStore {
    fn insert<'a>(&'a self, record: &'a ApiKeyRecord) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let mut state = self.write();
            if state.records.contains_key(&record.id) {
                return Ok(false);
            }
            let ids = state.owned.entry(record.owner.clone()).or_default();
            ids.insert(record.id.clone());
            state.records.insert(record.id.clone(), record.clone());
            Ok(true)
        })
    }

    fn find<'a>(&'a self, id: &'a str) -> StoreFuture<'a, Option<ApiKeyRecord>> {
        Box::pin(async move { Ok(self.read().records.get(id).cloned()) })
    }

    fn list<'a>(
        &'a self,
        owner: &'a SubjectId,
        page: &'a Page,
    ) -> StoreFuture<'a, Listing<ApiKeyRecord>> {
        Box::pin(async move {
            let from = page.last_key().map_or(Bound::Unbounded, Bound::Excluded);
            let state = self.read();
            let ids = state.owned.get(owner);
            let found = ids
                .into_iter()
                .flat_map(|ids| ids.range::<str, _>((from, Bound::Unbounded)))
                .take(page.limit() + 1)
                .filter_map(|id| state.records.get(id).cloned())
                .collect();
            Ok(Listing::new(found, page, |record| &record.id))
        })
    }

    fn revoke<'a>(&'a self, owner: &'a SubjectId, id: &'a str) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let mut state = self.write();
            if state
                .records
                .get(id)
                .is_none_or(|found| found.owner != *owner)
            {
                return Ok(false);
            }
            state.records.remove(id);
            if let Some(left) = state.owned.get_mut(owner) {
                left.remove(id);
                if left.is_empty() {
                    state.owned.remove(owner);
                }
            }
            Ok(true)
        })
    }

    fn touch<'a>(&'a self, id: &'a str, used_at: NumericDate) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            if let Some(record) = self.write().records.get_mut(id) {
                record.last_used_at = record.last_used_at.max(Some(used_at));
            }
            Ok(())
        })
    }
}

impl fmt::Debug for MemoryApiKeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryApiKeyStore")
            .field("keys", &self.read().records.len())
            .finish_non_exhaustive()
    }
}
