//! [`MemoryApiKeyStore`]: the records of API keys within one process.

use std::{collections::HashMap, fmt};

use super::shelf::{ByOwner, Shelf};
use crate::{
    ApiKeyRecord, ApiKeyStore, Inserted, Listing, NumericDate, Page, StoreFuture, SubjectId,
};

/// Keeps the records of API keys in the memory of one process, and forgets all at its end.
///
/// Each decision is one step under one lock, never held across an `.await`.
#[derive(Default)]
pub struct MemoryApiKeyStore(Shelf<State>);

#[derive(Default)]
struct State {
    records: HashMap<String, ApiKeyRecord>,
    /// The IDs of each owner's keys.
    owned: ByOwner<String>,
}

impl MemoryApiKeyStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl ApiKeyStore for MemoryApiKeyStore {
    fn insert<'a>(&'a self, record: &'a ApiKeyRecord, most: u16) -> StoreFuture<'a, Inserted> {
        Box::pin(async move {
            let mut state = self.0.write();
            if state.records.contains_key(&record.id) {
                return Ok(Inserted::IdTaken);
            }
            if state.owned.count(&record.owner) >= usize::from(most) {
                return Ok(Inserted::LimitReached);
            }
            state.owned.insert(&record.owner, record.id.clone());
            state.records.insert(record.id.clone(), record.clone());
            Ok(Inserted::Kept)
        })
    }

    fn find<'a>(&'a self, id: &'a str) -> StoreFuture<'a, Option<ApiKeyRecord>> {
        Box::pin(async move { Ok(self.0.read().records.get(id).cloned()) })
    }

    fn list<'a>(
        &'a self,
        owner: &'a SubjectId,
        page: &'a Page,
    ) -> StoreFuture<'a, Listing<ApiKeyRecord>> {
        Box::pin(async move {
            let state = self.0.read();
            let ids = state.owned.page(owner, page);
            let found = ids.filter_map(|id| state.records.get(id).cloned());
            Ok(Listing::new(found.collect(), page, |record| &record.id))
        })
    }

    fn revoke<'a>(&'a self, owner: &'a SubjectId, id: &'a str) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let mut state = self.0.write();
            let found = state.records.get(id);
            if found.is_none_or(|found| found.owner != *owner) {
                return Ok(false);
            }
            state.records.remove(id);
            state.owned.remove(owner, id);
            Ok(true)
        })
    }

    fn touch<'a>(&'a self, id: &'a str, used_at: NumericDate) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            if let Some(record) = self.0.write().records.get_mut(id) {
                record.last_used_at = record.last_used_at.max(Some(used_at));
            }
            Ok(())
        })
    }
}

impl fmt::Debug for MemoryApiKeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryApiKeyStore")
            .field("keys", &self.0.read().records.len())
            .finish_non_exhaustive()
    }
}
