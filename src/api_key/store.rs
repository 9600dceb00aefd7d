//! [`ApiKeyStore`]: where the records of API keys are kept.

use std::{fmt, sync::Arc};

use super::ApiKeyRecord;
use crate::{Listing, NumericDate, Page, StoreFuture, SubjectId};

/// Keeps the records of API keys.
///
/// Engines come with this crate; your own is held to the same rules by `testing::conformance::api_key_store`.
///
/// # What every store promises
///
/// - Each method is **one atomic step** over all nodes.
/// - IDs and owners are compared **byte by byte**.
/// - A key that was revoked is gone: nothing brings it back, [`touch`](Self::touch) least of all.
/// - Doubt is a [`StoreError`](crate::StoreError), never `None`: that would stand for "there is no such key".
pub trait ApiKeyStore: fmt::Debug + Send + Sync + 'static {
    /// Keeps a new record, unless its ID is taken or its owner has `most` keys already, expired ones included.
    ///
    /// Of many calls at once, on whatever nodes, no more succeed than there is room for. Otherwise nothing changes.
    fn insert<'a>(&'a self, record: &'a ApiKeyRecord, most: u16) -> StoreFuture<'a, Inserted>;

    /// The record of that ID.
    fn find<'a>(&'a self, id: &'a str) -> StoreFuture<'a, Option<ApiKeyRecord>>;

    /// The records of an owner, in the order of the bytes of their IDs, expired ones included.
    fn list<'a>(
        &'a self,
        owner: &'a SubjectId,
        page: &'a Page,
    ) -> StoreFuture<'a, Listing<ApiKeyRecord>>;

    /// Forgets a record, if it belongs to this owner; says whether there was one.
    fn revoke<'a>(&'a self, owner: &'a SubjectId, id: &'a str) -> StoreFuture<'a, bool>;

    /// Notes when a key was used. An unknown ID is no failure, and an earlier time than the one that is known changes
    /// nothing.
    fn touch<'a>(&'a self, id: &'a str, used_at: NumericDate) -> StoreFuture<'a, ()>;
}

/// The answer of a store to a new record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Inserted {
    /// The record is kept.
    Kept,
    /// Another record has the ID.
    IdTaken,
    /// The owner has as many keys as one may have.
    LimitReached,
}

impl<S: ApiKeyStore + ?Sized> ApiKeyStore for Arc<S> {
    fn insert<'a>(&'a self, record: &'a ApiKeyRecord, most: u16) -> StoreFuture<'a, Inserted> {
        (**self).insert(record, most)
    }

    fn find<'a>(&'a self, id: &'a str) -> StoreFuture<'a, Option<ApiKeyRecord>> {
        (**self).find(id)
    }

    fn list<'a>(
        &'a self,
        owner: &'a SubjectId,
        page: &'a Page,
    ) -> StoreFuture<'a, Listing<ApiKeyRecord>> {
        (**self).list(owner, page)
    }

    fn revoke<'a>(&'a self, owner: &'a SubjectId, id: &'a str) -> StoreFuture<'a, bool> {
        (**self).revoke(owner, id)
    }

    fn touch<'a>(&'a self, id: &'a str, used_at: NumericDate) -> StoreFuture<'a, ()> {
        (**self).touch(id, used_at)
    }
}
